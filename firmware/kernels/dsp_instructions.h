/* SPDX-License-Identifier: Apache-2.0 */
/* The few instructions that C cannot say, in C for the host: there the same code is tested. */
#ifndef WS_KERNELS_DSP_INSTRUCTIONS_H
#define WS_KERNELS_DSP_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "config.h"

/* twice / 2 * multiplier / 2^(31 + shift) + zero_point, saturated to int8; shift at least 1. Sums
 * are kept doubled, since then SMMULR is SaturatingRoundingDoublingHighMul (nothing saturates).
 * Then RoundingDivideByPOT: halves go away from zero, but `up` where asked. */
static inline int32_t ws_scale_in_c(int32_t twice, int32_t multiplier, int shift,
                                    int32_t zero_point, bool up) {
    int32_t value = (int32_t)(((int64_t)twice * multiplier + (INT64_C(1) << 31)) >> 32);
    if (!up) value += value >> 31;
    value = (((value >> (shift - 1)) + 1) >> 1) + zero_point;
    return value < -128 ? -128 : value > 127 ? 127 : value;
}

#if WS_HALVES_UP
#define WS_SCALE_AWAY
#else
#define WS_SCALE_AWAY "add %0, %0, %0, asr #31\n\t"
#endif

#ifdef __ARM_FEATURE_DSP
#define WS_INSTRUCTION static inline __attribute__((always_inline))

/* Bytes 0 and 2, and bytes 1 and 3, as two int16; the same, added to two int16. */
WS_INSTRUCTION uint32_t ws_even(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

WS_INSTRUCTION uint32_t ws_odd(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

WS_INSTRUCTION uint32_t ws_even_plus(uint32_t pair, uint32_t bytes) {
    __asm__("sxtab16 %0, %0, %1" : "+&r"(pair) : "r"(bytes));
    return pair;
}

WS_INSTRUCTION uint32_t ws_odd_plus(uint32_t pair, uint32_t bytes) {
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+&r"(pair) : "r"(bytes));
    return pair;
}

/* acc + both products of int16; + that of the lower ones; + that of the upper ones. */
WS_INSTRUCTION int32_t ws_both(uint32_t a, uint32_t b, int32_t acc) {
    __asm__("smlad %0, %1, %2, %0" : "+&r"(acc) : "r"(a), "r"(b));
    return acc;
}

WS_INSTRUCTION int32_t ws_lower(uint32_t a, uint32_t b, int32_t acc) {
    __asm__("smlabb %0, %1, %2, %0" : "+&r"(acc) : "r"(a), "r"(b));
    return acc;
}

WS_INSTRUCTION int32_t ws_upper(uint32_t a, uint32_t b, int32_t acc) {
    __asm__("smlatt %0, %1, %2, %0" : "+&r"(acc) : "r"(a), "r"(b));
    return acc;
}

/* As ws_scale_in_c; the carry is the last bit shifted out. */
WS_INSTRUCTION int32_t ws_scale(int32_t twice, int32_t multiplier, int shift, int32_t zero_point) {
    __asm__("smmulr %0, %0, %1\n\t" WS_SCALE_AWAY
            "asrs %0, %0, %2\n\t"
            "adc %0, %0, %3\n\t"
            "ssat %0, #8, %0"
            : "+&r"(twice)
            : "r"(multiplier), "r"(shift), "r"(zero_point)
            : "cc");
    return twice;
}
#else
#define WS_INSTRUCTION static inline

WS_INSTRUCTION uint32_t ws_even(uint32_t bytes) {
    return ((uint32_t)(int8_t)bytes & 0xFFFFu) | (uint32_t)(int8_t)(bytes >> 16) << 16;
}

WS_INSTRUCTION uint32_t ws_odd(uint32_t bytes) {
    return ws_even(bytes >> 8);
}

WS_INSTRUCTION uint32_t ws_even_plus(uint32_t pair, uint32_t bytes) {
    const uint32_t even = ws_even(bytes);
    return ((pair + even) & 0xFFFFu) | ((pair & 0xFFFF0000u) + (even & 0xFFFF0000u));
}

WS_INSTRUCTION uint32_t ws_odd_plus(uint32_t pair, uint32_t bytes) {
    return ws_even_plus(pair, bytes >> 8);
}

WS_INSTRUCTION int32_t ws_lower(uint32_t a, uint32_t b, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)((int16_t)a * (int16_t)b));
}

WS_INSTRUCTION int32_t ws_upper(uint32_t a, uint32_t b, int32_t acc) {
    return ws_lower(a >> 16, b >> 16, acc);
}

WS_INSTRUCTION int32_t ws_both(uint32_t a, uint32_t b, int32_t acc) {
    return ws_upper(a, b, ws_lower(a, b, acc));
}

WS_INSTRUCTION int32_t ws_scale(int32_t twice, int32_t multiplier, int shift, int32_t zero_point) {
    return ws_scale_in_c(twice, multiplier, shift, zero_point, WS_HALVES_UP);
}
#endif

/* A word of bytes, at any address. */
WS_INSTRUCTION uint32_t ws_word(const void *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

#endif
