/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling, means, sums and extremes, for ops.h. */
#ifndef WS_KERNELS_OPS_REDUCE_H
#define WS_KERNELS_OPS_REDUCE_H

#include "arithmetic.h"
#include "types.h"

WS_FUNCTION int32_t ws_op_sum1(const int8_t *in, int count, int step) {
    int32_t sum = 0;
    for (int i = 0; i < count; i++, in += step) {
        sum += *in;
    }
    return sum;
}

/* To the nearest, halves away from zero. */
static inline int8_t ws_op_average(int32_t sum, int32_t count, const ws_range *range) {
    const int32_t half = count / 2;
    return ws_clamp8((sum > 0 ? sum + half : sum - half) / count, range->low, range->high);
}

WS_FUNCTION void ws_op_average_pool(const ws_conv_shape *shape, const int8_t *in, int8_t *out) {
    const int channels = shape->in_c;
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++) {
            ws_taps taps = ws_taps_at(shape, y, x);
            const int8_t *first = in + taps.input;
            const int count = taps.rows * taps.columns;
            if (taps.columns == shape->in_w) { /* whole rows are one */
                taps.columns = count;
                taps.rows = 1;
            }
            int c = 0;
            for (; c + WS_PARALLEL <= channels; c += WS_PARALLEL, out += WS_PARALLEL) {
                int32_t sum[WS_PARALLEL] = {0};
                for (int i = 0; i < taps.rows; i++) {
                    ws_sums_parallel(first + c + i * taps.row_step, taps.columns, taps.step, sum);
                }
                for (int i = 0; i < WS_PARALLEL; i++) {
                    out[i] = ws_op_average(sum[i], count, &shape->range);
                }
            }
            for (; c < channels; c++) {
                int32_t sum = 0;
                for (int i = 0; i < taps.rows; i++) {
                    sum += ws_op_sum1(first + c + i * taps.row_step, taps.columns, taps.step);
                }
                *out++ = ws_op_average(sum, count, &shape->range);
            }
        }
    }
}

WS_FUNCTION void ws_op_max_pool(const ws_conv_shape *shape, const int8_t *in, int8_t *out) {
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++) {
            const ws_taps taps = ws_taps_at(shape, y, x);
            for (int c = 0; c < shape->in_c; c++) {
                int maximum = shape->range.low;
                for (int i = 0; i < taps.rows; i++) {
                    const int8_t *at = in + taps.input + c + i * taps.row_step;
                    for (int j = 0; j < taps.columns; j++, at += taps.step) {
                        if (*at > maximum) maximum = *at;
                    }
                }
                *out++ = (int8_t)(maximum > shape->range.high ? shape->range.high : maximum);
            }
        }
    }
}

/* How a sum becomes a result. */
typedef struct {
    int32_t multiplier; /* of a mean, 1 / count is in it */
    int8_t shift;
    int32_t zero; /* count times the input's zero point */
    int16_t out_zero;
} ws_op_scale;

static inline int8_t ws_op_scaled(const ws_op_scale *scale, int32_t sum) {
    const int32_t value = ws_rescale(sum - scale->zero, scale->multiplier, scale->shift);
    return ws_clamp8(value + scale->out_zero, -128, 127);
}

/* Sums or means of `count` inputs that are `inner` apart. */
typedef struct {
    int32_t outer, count, inner;
    ws_op_scale scale;
} ws_op_mean_shape;

WS_FUNCTION void ws_op_mean(const ws_op_mean_shape *shape, const int8_t *in, int8_t *out) {
    const int inner = shape->inner, count = shape->count;
    const ws_op_scale scale = shape->scale;
    for (int32_t o = 0; o < shape->outer; o++, in += count * inner) {
        int i = 0;
        for (; i + WS_PARALLEL <= inner; i += WS_PARALLEL) {
            int32_t sum[WS_PARALLEL] = {0};
            ws_sums_parallel(in + i, count, inner, sum);
            for (int j = 0; j < WS_PARALLEL; j++) {
                *out++ = ws_op_scaled(&scale, sum[j]);
            }
        }
        for (; i < inner; i++) {
            *out++ = ws_op_scaled(&scale, ws_op_sum1(in + i, count, inner));
        }
    }
}

/* n results, `step` apart in the input, each of m inputs, `apart` from one another. */
typedef struct {
    int32_t n[4], step[4], m[4], apart[4];
} ws_op_reduce_shape;

typedef struct {
    ws_op_reduce_shape loops;
    ws_op_scale scale;
} ws_op_reduce_sum_shape;

/* What becomes of the inputs of a result. */
enum ws_op_reduction { WS_SUM, WS_MAX, WS_MIN };

WS_INLINE int32_t ws_op_reduced(enum ws_op_reduction kind, const ws_op_reduce_shape *shape,
                                const int8_t *in) {
    const int32_t *m = shape->m, *apart = shape->apart;
    int32_t found = kind == WS_SUM ? 0 : kind == WS_MAX ? -128 : 127;
    WS_EACH(i, j, k, m) {
        const int8_t *at = in + i * apart[0] + j * apart[1] + k * apart[2];
        for (int32_t l = m[3]; l > 0; l--, at += apart[3]) {
            if (kind == WS_SUM) found += *at;
            if (kind == WS_MAX && *at > found) found = *at;
            if (kind == WS_MIN && *at < found) found = *at;
        }
    }
    return found;
}

/* `scale` of sums; the others have none. */
WS_INLINE void ws_op_reduce(enum ws_op_reduction kind, const ws_op_reduce_shape *shape,
                            const ws_op_scale *scale, const int8_t *in, int8_t *out) {
    const int32_t *n = shape->n, *step = shape->step;
    WS_EACH(i, j, k, n) {
        const int8_t *at = in + i * step[0] + j * step[1] + k * step[2];
        for (int32_t l = n[3]; l > 0; l--, at += step[3]) {
            const int32_t found = ws_op_reduced(kind, shape, at);
            *out++ = kind == WS_SUM ? ws_op_scaled(scale, found) : (int8_t)found;
        }
    }
}

WS_FUNCTION void ws_op_reduce_sum(const ws_op_reduce_sum_shape *shape, const int8_t *in,
                                  int8_t *out) {
    ws_op_reduce(WS_SUM, &shape->loops, &shape->scale, in, out);
}

WS_FUNCTION void ws_op_reduce_max(const ws_op_reduce_shape *shape, const int8_t *in, int8_t *out) {
    ws_op_reduce(WS_MAX, shape, NULL, in, out);
}

WS_FUNCTION void ws_op_reduce_min(const ws_op_reduce_shape *shape, const int8_t *in, int8_t *out) {
    ws_op_reduce(WS_MIN, shape, NULL, in, out);
}

#endif
