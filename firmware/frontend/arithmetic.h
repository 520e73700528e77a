/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of scalar.h in plain C. */
#ifndef WS_FRONTEND_ARITHMETIC_H
#define WS_FRONTEND_ARITHMETIC_H

#include "tables.h"

INLINE complex load(const int32_t *z) {
    return (complex){z[0], z[1]};
}

INLINE void store(int32_t *z, int32_t re, int32_t im) {
    z[0] = re;
    z[1] = im;
}

/* The same, and on to the next or the one before. */
INLINE complex load_next(const int32_t **z) {
    const int32_t *p = *z;
    *z += 2;
    return load(p);
}

INLINE int32_t *store_next(int32_t *z, int32_t re, int32_t im) {
    store(z, re, im);
    return z + 2;
}

INLINE int32_t *store_before(int32_t *z, int32_t re, int32_t im) {
    store(z, re, im);
    return z - 2;
}

/* Two samples times their weights, each plus `plus`. */
INLINE complex two_products(const int16_t *pcm, const int16_t *weights, int32_t plus) {
    return (complex){WS_ADD(pcm[0] * weights[0], plus), WS_ADD(pcm[1] * weights[1], plus)};
}

/* a * w >> 16, w being the low or the high half of a word: the upper word of a product. */
INLINE int32_t times_low(int32_t a, uint32_t w) {
    return (int32_t)(((int64_t)a * (int32_t)(w << 16)) >> 32);
}

INLINE int32_t times_high(int32_t a, uint32_t w) {
    return (int32_t)(((int64_t)a * (int32_t)(w & 0xFFFF0000)) >> 32);
}

/* The same added to a sum. */
INLINE int32_t add_low(int32_t sum, int32_t a, uint32_t w) {
    return WS_ADD(sum, times_low(a, w));
}

INLINE int32_t add_high(int32_t sum, int32_t a, uint32_t w) {
    return WS_ADD(sum, times_high(a, w));
}

INLINE uint64_t add_product(uint64_t sum, uint32_t a, uint32_t b) {
    WS_CHECK((uint64_t)a * b <= UINT64_MAX - sum);
    return sum + (uint64_t)a * b;
}

/* Q8 steps to the nearest step in int8. */
INLINE int8_t rounded(int32_t steps) {
    const int32_t q = (steps + 128) >> 8;
    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

#endif
