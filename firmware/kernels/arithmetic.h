/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point arithmetic of the operators without weights: that of TFLM's reference kernels. */
#ifndef WS_KERNELS_ARITHMETIC_H
#define WS_KERNELS_ARITHMETIC_H

#include <stdint.h>

#include "check.h"
#include "config.h"

/* a * b / 2^31, halves up. */
static inline int32_t ws_high_mul(int32_t a, int32_t b) {
    WS_CHECK(a != INT32_MIN || b != INT32_MIN);
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* x / 2^exponent, halves away from zero. */
static inline int32_t ws_divide(int32_t x, int exponent) {
    WS_CHECK(exponent >= 0 && exponent < 32);
    const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1u);
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0 ? 1 : 0) ? 1 : 0);
}

/* x * multiplier / 2^(31 + shift). */
static inline int32_t ws_down(int32_t x, int32_t multiplier, int shift) {
    return ws_divide(ws_high_mul(x, multiplier), shift);
}

/* The same; a negative shift is to the left. */
static inline int32_t ws_rescale(int32_t x, int32_t multiplier, int shift) {
    if (shift < 0) return ws_high_mul((int32_t)((uint32_t)x << -shift), multiplier);
    return ws_down(x, multiplier, shift);
}

static inline int32_t ws_clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

static inline int8_t ws_clamp8(int32_t value, int32_t low, int32_t high) {
    WS_CHECK(low >= INT8_MIN && low <= high && high <= INT8_MAX);
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* 1 / (1 + x) of x in 0 .. 1, Q31 both: Newton's method from 48/17 - 32/17 x. */
WS_FUNCTION int32_t ws_one_over_one_plus(int32_t x) {
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1);
    int32_t y = 1515870810 + ws_high_mul(half, -1010580540); /* two integer bits */
    for (int i = 0; i < 3; i++) {
        y += ws_high_mul(y, (1 << 29) - ws_high_mul(half, y)) * 4;
    }
    return y > INT32_MAX / 2 ? INT32_MAX : y * 2;
}

/* Of a row of a softmax: its maximum, and 1 / the sum of exp, by which `one_over_sum` is too large
 * by 2^headroom; exps[d] is exp of d steps below the maximum, in Q31. */
typedef struct {
    int32_t maximum, one_over_sum;
    int headroom;
} ws_softmax_row;

WS_INLINE ws_softmax_row ws_softmax_of(const int32_t *exps, int known, int depth,
                                       const int8_t *in) {
    int32_t maximum = -128, sum = 0; /* the sum has 12 integer bits */
    for (int c = 0; c < depth; c++) {
        if (in[c] > maximum) maximum = in[c];
    }
    for (int c = 0; c < depth; c++) {
        if (maximum - in[c] < known) sum += ws_divide(exps[maximum - in[c]], 12);
    }
    int headroom = 1; /* zeros before the first one; the sum is at least 1 */
    while ((sum >> (31 - headroom)) == 0) {
        headroom++;
    }
    const int32_t above_1 = (int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31));
    return (ws_softmax_row){maximum, ws_one_over_one_plus(above_1), headroom};
}

#endif
