/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of scalar.h with the DSP extension. */
#ifndef WS_FRONTEND_ARITHMETIC_DSP_H
#define WS_FRONTEND_ARITHMETIC_DSP_H

#include <arm_acle.h>

#include "tables.h"

/* LDRD and STRD, which the compiler seldom finds by itself. */
typedef int64_t __attribute__((may_alias, aligned(4))) two_words;

INLINE complex load(const int32_t *z) {
    complex x;
    __asm__("ldrd %0, %1, %2" : "=r"(x.re), "=r"(x.im) : "m"(*(const two_words *)z));
    return x;
}

INLINE void store(int32_t *z, int32_t re, int32_t im) {
    __asm__("strd %1, %2, %0" : "=m"(*(two_words *)z) : "r"(re), "r"(im));
}

/* The same, and on to the next or the one before. */
INLINE complex load_next(const int32_t **z) {
    complex x;
    __asm__("ldrd %0, %1, [%2], #8"
            : "=&r"(x.re), "=&r"(x.im), "+r"(*z)
            : "m"(*(const two_words *)*z));
    return x;
}

INLINE int32_t *store_next(int32_t *z, int32_t re, int32_t im) {
    two_words *at = (two_words *)z;
    __asm__("strd %2, %3, [%0], #8" : "+r"(z), "=m"(*at) : "r"(re), "r"(im));
    return z;
}

INLINE int32_t *store_before(int32_t *z, int32_t re, int32_t im) {
    two_words *at = (two_words *)z;
    __asm__("strd %2, %3, [%0], #-8" : "+r"(z), "=m"(*at) : "r"(re), "r"(im));
    return z;
}

/* Two samples times their weights, each plus `plus`. LDR takes any address. */
INLINE complex two_products(const int16_t *pcm, const int16_t *weights, int32_t plus) {
    int32_t x, w;
    memcpy(&x, pcm, sizeof x);
    memcpy(&w, weights, sizeof w);
    return (complex){__smlabb(x, w, plus), __smlatt(x, w, plus)};
}

/* a * w >> 16, w being the low or the high half of a word. gcc 12 has no intrinsic for it. */
INLINE int32_t times_low(int32_t a, uint32_t w) {
    int32_t product;
    __asm__("smulwb %0, %1, %2" : "=r"(product) : "r"(a), "r"(w));
    return product;
}

INLINE int32_t times_high(int32_t a, uint32_t w) {
    int32_t product;
    __asm__("smulwt %0, %1, %2" : "=r"(product) : "r"(a), "r"(w));
    return product;
}

/* The same added to a sum. */
INLINE int32_t add_low(int32_t sum, int32_t a, uint32_t w) {
    return __smlawb(a, (int32_t)w, sum);
}

INLINE int32_t add_high(int32_t sum, int32_t a, uint32_t w) {
    return __smlawt(a, (int32_t)w, sum);
}

/* UMLAL: of a sum of products the compiler makes two instructions more. */
INLINE uint64_t add_product(uint64_t sum, uint32_t a, uint32_t b) {
    __asm__("umlal %Q0, %R0, %1, %2" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* Q8 steps to the nearest step in int8. */
INLINE int8_t rounded(int32_t steps) {
    int32_t q; /* the intrinsic takes no shift */
    __asm__("ssat %0, #8, %1, asr #8" : "=r"(q) : "r"(steps + 128));
    return (int8_t)q;
}

#endif
