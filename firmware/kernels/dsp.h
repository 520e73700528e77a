/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for cores with the DSP extension (Cortex-M4, M7, M33): two products an instruction. */
#ifndef WS_KERNELS_H
#define WS_KERNELS_H

#include "dsp_common.h"
#include "dsp_depthwise.h"
#include "dsp_dot.h"
#include "dsp_dot_wide.h"

/* One output of each pixel. Weights: bytes in order. */
static inline void ws_dot_one(const ws_dot_shape *shape, const ws_row *row, const int8_t *weights,
                              const int8_t *in, int8_t *out) {
    ws_finisher to = ws_finishing(row, &shape->range, out);
    const int length = shape->length;
    for (int p = 0; p < shape->pixels; p++) {
        const int8_t *x = in + p * shape->step, *w = weights, *end = x + length / 8 * 8;
        int32_t sum = 0;
        for (; x < end; x += 8, w += 8) {
            const uint32_t x0 = ws_word(x), x1 = ws_word(x + 4), w0 = ws_word(w),
                           w1 = ws_word(w + 4);
            sum = ws_both(ws_even(x0), ws_even(w0), sum);
            sum = ws_both(ws_odd(x0), ws_odd(w0), sum);
            sum = ws_both(ws_even(x1), ws_even(w1), sum);
            sum = ws_both(ws_odd(x1), ws_odd(w1), sum);
        }
        for (int i = 0; i < length % 8; i++) {
            sum += x[i] * w[i];
        }
        *to.out++ = ws_output(&to, 2 * sum + *to.bias, *to.multiplier, *to.shift);
    }
}

/* Channels that ws_sums_parallel takes. */
enum { WS_PARALLEL = 4 };

/* Adds `count` inputs, `step` bytes apart, of each of four adjacent channels. 255 of them
 * fit into 16 bits. */
WS_FUNCTION void ws_sums_parallel(const int8_t *in, int count, int step, int32_t *sum) {
    for (int block; count > 0; count -= block) {
        uint32_t even = 0, odd = 0;
        block = count < 255 ? count : 255;
#pragma GCC unroll 4
        for (int i = 0; i < block; i++, in += step) {
            uint32_t four;
            memcpy(&four, in, sizeof four);
            even = ws_even_plus(even, four);
            odd = ws_odd_plus(odd, four);
        }
        sum[0] += (int16_t)even;
        sum[1] += (int16_t)odd;
        sum[2] += (int16_t)(even >> 16);
        sum[3] += (int16_t)(odd >> 16);
    }
}

/* acc + the sum of products, which wraps. */
static inline int32_t ws_products(const int8_t *weights, const int8_t *in, int count, int32_t acc) {
    for (; count >= 4; count -= 4, weights += 4, in += 4) {
        const uint32_t w = ws_word(weights), x = ws_word(in);
        acc = ws_both(ws_even(w), ws_even(x), acc);
        acc = ws_both(ws_odd(w), ws_odd(x), acc);
    }
    return ws_products_each(weights, in, count, acc);
}

static inline int32_t ws_products16(const int16_t *weights, const ws_i16 *in, int count,
                                    int32_t acc) {
    for (; count >= 2; count -= 2, weights += 2, in += 2) {
        acc = ws_both(ws_word(weights), ws_word(in), acc);
    }
    return ws_products16_each(weights, in, count, acc);
}

#endif
