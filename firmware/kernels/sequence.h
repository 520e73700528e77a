/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that keep a state of 8 or 16 bits from run to run, and those of wider inputs and
 * outputs. They compute what TFLM's reference kernels do. Sums wrap at 32 bits.
 */
#ifndef WS_KERNELS_SEQUENCE_H
#define WS_KERNELS_SEQUENCE_H

#include "arithmetic.h"

/* A factor of multiplier / 2^(31 + shift); a negative shift is to the left. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} ws_seq_factor;

/* The product goes up at halves. */
static inline int32_t ws_seq_scale(int32_t x, const ws_seq_factor *factor) {
    if (factor->shift < 0) x = (int32_t)((uint32_t)x << -factor->shift);
    const int32_t high = ws_high_mul(x, factor->multiplier);
    return factor->shift > 0 ? ws_divide(high, factor->shift) : high;
}

static inline int32_t ws_seq_clamp16(int32_t value) {
    return ws_clamp(value, INT16_MIN, INT16_MAX);
}

static inline int32_t ws_seq_plus(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* From one zero point and scale to another. */
typedef struct {
    ws_seq_factor factor;
    int32_t zero, out_zero;
} ws_seq_requantize_shape;

enum ws_seq_type { WS_SEQ_i8, WS_SEQ_u8, WS_SEQ_i16, WS_SEQ_i32 };

WS_INLINE int32_t ws_seq_get(enum ws_seq_type type, const int8_t *values, int i) {
    if (type == WS_SEQ_i32) return ((const ws_i32 *)values)[i];
    if (type == WS_SEQ_i16) return ((const ws_i16 *)values)[i];
    return type == WS_SEQ_u8 ? (uint8_t)values[i] : values[i];
}

WS_INLINE void ws_seq_put(enum ws_seq_type type, int8_t *values, int i, int32_t value) {
    if (type == WS_SEQ_i32) {
        ((ws_i32 *)values)[i] = value;
    } else if (type == WS_SEQ_i16) {
        ((ws_i16 *)values)[i] = (int16_t)ws_seq_clamp16(value);
    } else if (type == WS_SEQ_u8) {
        values[i] = (int8_t)ws_clamp(value, 0, UINT8_MAX);
    } else {
        values[i] = (int8_t)ws_clamp(value, INT8_MIN, INT8_MAX);
    }
}

WS_INLINE void ws_seq_requantize(const ws_seq_requantize_shape *shape, const int8_t *in,
                                 int8_t *out, int count, enum ws_seq_type from,
                                 enum ws_seq_type to) {
    for (int i = 0; i < count; i++) {
        const int32_t value = ws_seq_plus(ws_seq_get(from, in, i), -shape->zero);
        ws_seq_put(to, out, i, ws_seq_plus(ws_seq_scale(value, &shape->factor), shape->out_zero));
    }
}

/* Over each row of `depth`. */
WS_FUNCTION void ws_seq_softmax16(const int32_t *exps, int known, int rows, int depth,
                                  const int8_t *in, int8_t *out) {
    ws_i16 *result = (ws_i16 *)out;
    for (int r = 0; r < rows; r++, in += depth, result += depth) {
        const ws_softmax_row row = ws_softmax_of(exps, known, depth, in);
        const ws_seq_factor scale = {row.one_over_sum, 27 - row.headroom};
        for (int c = 0; c < depth; c++) {
            const int below = row.maximum - in[c];
            const int32_t value = below < known ? ws_seq_scale(exps[below], &scale) : 0;
            result[c] = (int16_t)ws_seq_clamp16(value + INT16_MIN);
        }
    }
}

/* `rank` filters make a unit; a filter has a feature of the inputs and `memory` of these, newest
 * last. */
typedef struct {
    int32_t inputs, units, rank, memory, batches;
    ws_seq_factor feature, output;
    int32_t state_zero, out_zero;
} ws_seq_svdf_shape;

/* A feature of the inputs for each filter, clamped to int8 or, `wide`, to int16. */
WS_INLINE int32_t ws_seq_feature(const ws_seq_svdf_shape *shape, const int8_t *features,
                                 const int32_t *feature_bias, const int8_t *in, int f, bool wide) {
    const int32_t sum =
        ws_products(features + f * shape->inputs, in, shape->inputs, feature_bias[f]);
    const int32_t feature = ws_seq_scale(sum, &shape->feature);
    return shape->state_zero + (wide ? ws_seq_clamp16(feature) : ws_clamp(feature, -128, 127));
}

WS_INLINE int8_t ws_seq_unit(const ws_seq_svdf_shape *shape, int32_t sum) {
    const int32_t value = ws_seq_scale(sum, &shape->output) + shape->out_zero;
    return (int8_t)ws_clamp(value, -128, 127);
}

/* `wide`: the state and the weights of its times are int16. */
WS_INLINE void ws_seq_svdf(const ws_seq_svdf_shape *shape, const int8_t *features,
                           const int32_t *feature_bias, const void *times, const int32_t *bias,
                           const int8_t *in, int8_t *state, int8_t *out, bool wide) {
    const int memory = shape->memory, filters = shape->units * shape->rank, size = wide ? 2 : 1;
    const int together = shape->rank * memory; /* the filters of a unit are consecutive */
    memmove(state, state + size, (size_t)((shape->batches * filters * memory - 1) * size));
    int newest = memory - 1;
    for (int b = 0; b < shape->batches; b++, in += shape->inputs) {
        for (int f = 0; f < filters; f++, newest += memory) {
            const int32_t value = ws_seq_feature(shape, features, feature_bias, in, f, wide);
            if (wide) ((ws_i16 *)state)[newest] = (int16_t)value;
            if (!wide) state[newest] = (int8_t)value;
        }
    }
    for (int b = 0; b < shape->batches; b++) {
        const int8_t *weights = times;
        for (int u = 0; u < shape->units;
             u++, weights += together * size, state += together * size) {
            const int32_t sum = wide ? ws_products16((const int16_t *)(const void *)weights,
                                                     (const ws_i16 *)state, together, bias[u])
                                     : ws_products(weights, state, together, bias[u]);
            *out++ = ws_seq_unit(shape, sum);
        }
    }
}

WS_FUNCTION void ws_seq_svdf8(const ws_seq_svdf_shape *shape, const int8_t *features,
                              const int32_t *feature_bias, const int8_t *times, const int32_t *bias,
                              const int8_t *in, int8_t *state, int8_t *out) {
    ws_seq_svdf(shape, features, feature_bias, times, bias, in, state, out, false);
}

WS_FUNCTION void ws_seq_svdf16(const ws_seq_svdf_shape *shape, const int8_t *features,
                               const int32_t *feature_bias, const int16_t *times,
                               const int32_t *bias, const int8_t *in, int8_t *state, int8_t *out) {
    ws_seq_svdf(shape, features, feature_bias, times, bias, in, state, out, true);
}

/* The sigmoid of i / 24, 65536 is 1: TFLM's table, between whose values its LSTM interpolates. */
static const uint16_t ws_seq_sigmoids[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794,
    41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443,
    48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374,
    54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544,
    58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279,
    61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990,
    63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030,
    64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652,
    64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019,
    65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234,
    65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360,
    65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
    65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476,
    65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501,
    65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
    65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532,
    65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
    65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
};

/* Of x / 4096; 32768 is 1. */
static inline int32_t ws_seq_sigmoid(int32_t x) {
    const uint32_t at = (uint32_t)(x < 0 ? -x : x) * 3u, whole = at >> 9;
    uint32_t value = UINT32_C(0x7FFF) << 10;
    if (whole < 255) {
        const uint32_t low = ws_seq_sigmoids[whole], high = ws_seq_sigmoids[whole + 1];
        value = (low << 9) + (at & 0x1FFu) * (high - low);
    }
    value = x < 0 ? (UINT32_C(1) << 25) - value + (1u << 9) - 1u : value + (1u << 9);
    return (int16_t)(value >> 10);
}

/* Of x / 24 / 2^8; 32768 is 1. */
static inline int32_t ws_seq_tanh(int32_t x) {
    const uint32_t at = (uint32_t)(x < 0 ? -x : x), whole = at >> 8;
    int32_t value = 0xFFFF << 8;
    if (whole < 255) {
        const int32_t low = ws_seq_sigmoids[whole], high = ws_seq_sigmoids[whole + 1];
        value = (low << 8) + (int32_t)(at & 0xFFu) * (high - low);
    }
    value = x < 0 ? -value + (1 << 23) + (1 << 7) - 1 : value - (1 << 23) + (1 << 7);
    return (int16_t)(value >> 8);
}

/* Rows of inputs and outputs: `step` from one step in time to the next, `batch` from one sequence
 * to the next. Gates in the order forget, input, cell, output. */
typedef struct {
    int32_t steps, batches, inputs, units, step, batch;
    ws_seq_factor input[4], recurrent[4], forget, update, output;
    int32_t tanh_multiplier, tanh_shift;
    int32_t clip; /* of a cell; 0: none */
    int32_t out_zero;
} ws_seq_lstm_shape;

/* For each unit and gate its weights of the inputs, then those of the hidden state; so the biases.
 */
WS_FUNCTION void ws_seq_lstm_step(const ws_seq_lstm_shape *shape, const int8_t *weights,
                                  const int32_t *bias, const int8_t *in, const int8_t *hidden,
                                  ws_i16 *cell, int8_t *out) {
    const int inputs = shape->inputs, units = shape->units;
    for (int u = 0; u < units; u++) {
        int32_t gate[4];
        for (int g = 0; g < 4; g++, bias += 2) {
            int32_t sum = ws_products(weights, in, inputs, bias[0]);
            gate[g] = ws_seq_clamp16(ws_seq_scale(sum, &shape->input[g]));
            weights += inputs;
            sum = ws_products(weights, hidden, units, bias[1]);
            gate[g] += ws_seq_clamp16(ws_seq_scale(sum, &shape->recurrent[g]));
            gate[g] = ws_seq_clamp16(gate[g]);
            weights += units;
        }
        const int32_t retained = ws_seq_scale(ws_seq_sigmoid(gate[0]) * cell[u], &shape->forget);
        const int32_t added =
            ws_seq_scale(ws_seq_sigmoid(gate[1]) * ws_seq_tanh(gate[2] * 3), &shape->update);
        int32_t value = ws_seq_clamp16(ws_seq_clamp16(retained) + ws_seq_clamp16(added));
        if (shape->clip > 0) value = ws_clamp(value, -shape->clip, shape->clip);
        cell[u] = (int16_t)value;
        const int32_t half = shape->tanh_shift > 0 ? 1 << (shape->tanh_shift - 1) : 0;
        value = ws_seq_tanh((value * shape->tanh_multiplier + half) >> shape->tanh_shift);
        value = ws_seq_scale(value * ws_seq_sigmoid(gate[3]), &shape->output);
        out[u] = (int8_t)ws_clamp(value + shape->out_zero, -128, 127);
    }
}

WS_FUNCTION void ws_seq_lstm(const ws_seq_lstm_shape *shape, const int8_t *weights,
                             const int32_t *bias, const int8_t *in, int8_t *hidden, int8_t *cells,
                             int8_t *out) {
    const int inputs = shape->inputs, units = shape->units;
    for (int b = 0; b < shape->batches; b++, hidden += units) {
        ws_i16 *cell = (ws_i16 *)cells + b * units;
        const int8_t *before = hidden;
        for (int t = 0; t < shape->steps; t++) {
            const int row = t * shape->step + b * shape->batch;
            int8_t *result = out + row * units;
            ws_seq_lstm_step(shape, weights, bias, in + row * inputs, before, cell, result);
            before = result;
        }
        memcpy(hidden, before, (size_t)units);
    }
}

#endif
