/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of pairs of outputs A and B whose weights are in one word for two inputs: int16
 * A + 256 B of the one input, then of the other. A product sum over the words is A's + 256 B's; one
 * over their even bytes is A's. So one SXTB16 serves four products. B's sum must stay below 2^23:
 * 512 inputs at a time. */
#ifndef WS_KERNELS_DSP_DOT_H
#define WS_KERNELS_DSP_DOT_H

#include "dsp_common.h"

/* From the sums over words and over even bytes. */
WS_INSTRUCTION ws_sums ws_parts(int32_t wide, int32_t low, int32_t wide_2, int32_t low_2) {
    return (ws_sums){low, (int32_t)((uint32_t)wide - (uint32_t)low) >> 8, low_2,
                     (int32_t)((uint32_t)wide_2 - (uint32_t)low_2) >> 8};
}

/* Two pixels, whose words take turns from `x` to `end`, against one pair of outputs `w`. */
WS_INSTRUCTION ws_sums ws_two_pixels(const int8_t *w, const ws_u32 *x, const ws_u32 *end) {
    int32_t wide = 0, low = 0, wide_2 = 0, low_2 = 0;
    for (; x < end; x += 2, w += 4) {
        const uint32_t pair = ws_word(w), even = ws_even(pair);
        wide = ws_both(pair, x[0], wide);
        low = ws_both(even, x[0], low);
        wide_2 = ws_both(pair, x[1], wide_2);
        low_2 = ws_both(even, x[1], low_2);
    }
    return ws_parts(wide, low, wide_2, low_2);
}

/* Two inputs of one pixel and a pair of outputs. */
/* clang-format off */
#define WS_INPUTS(weights, inputs, sum, even_sum)                     \
    "sxtb16 %[e0], %[" weights "]\n"                                  \
    "smlad %[" sum "], %[" weights "], %[" inputs "], %[" sum "]\n"   \
    "smlad %[" even_sum "], %[e0], %[" inputs "], %[" even_sum "]\n"
#define WS_FOUR_INPUTS(weights, sum, even_sum)    \
    "ldrd %[w0], %[w1], [%[" weights "]], #8\n"   \
    WS_INPUTS("w0", "x0", sum, even_sum)          \
    WS_INPUTS("w1", "x1", sum, even_sum)
#define WS_HALF                            \
    "ldrd %[x0], %[x1], [%[x]], #8\n"      \
    WS_FOUR_INPUTS("w", "wide", "low")     \
    WS_FOUR_INPUTS("v", "wide_2", "low_2")
/* clang-format on */

/* One pixel against two pairs of outputs, `w` and `v`. */
WS_INSTRUCTION ws_sums ws_one_pixel(const int8_t *w, const int8_t *v, const ws_u32 *x,
                                    const ws_u32 *end) {
    int32_t wide = 0, low = 0, wide_2 = 0, low_2 = 0;
#ifdef __ARM_FEATURE_DSP
    uint32_t w0, w1, e0, x0, x1;
    __asm__("0:\n" WS_HALF WS_HALF
            "cmp %[x], %[end]\n"
            "bcc 0b\n"
            : [wide] "+&r"(wide), [low] "+&r"(low), [wide_2] "+&r"(wide_2), [low_2] "+&r"(low_2),
              [w] "+&r"(w), [v] "+&r"(v), [x] "+&r"(x), [w0] "=&r"(w0), [w1] "=&r"(w1),
              [e0] "=&r"(e0), [x0] "=&r"(x0), [x1] "=&r"(x1)
            : [end] "r"(end)
            : "memory", "cc");
#else
    for (; x < end; x++, w += 4, v += 4) {
        wide = ws_both(ws_word(w), *x, wide);
        low = ws_both(ws_even(ws_word(w)), *x, low);
        wide_2 = ws_both(ws_word(v), *x, wide_2);
        low_2 = ws_both(ws_even(ws_word(v)), *x, low_2);
    }
#endif
    return ws_parts(wide, low, wide_2, low_2);
}

#define WS_NAME(name) name
#define WS_PAIR 2 /* bytes of weights for an input */
/* clang-format off */
#define WS_TWO_INPUTS(weights)                             \
    "sxtb16 %[even], %[" weights "]\n"                     \
    "smlad %[wide], %[" weights "], %[x0], %[wide]\n"      \
    "smlad %[wide_2], %[" weights "], %[x1], %[wide_2]\n"  \
    "smlad %[low], %[even], %[x0], %[low]\n"               \
    "smlad %[low_2], %[even], %[x1], %[low_2]\n"
#define WS_QUARTER                        \
    "ldrd %[w0], %[w1], [%[w]], #8\n"     \
    "ldrd %[x0], %[x1], [%[x]], #8\n"     \
    WS_TWO_INPUTS("w0")                   \
    "ldrd %[x0], %[x1], [%[x]], #8\n"     \
    WS_TWO_INPUTS("w1")
#define WS_SECOND_SUMS                       \
    "sub %[wide], %[wide], %[low]\n"         \
    "sub %[wide_2], %[wide_2], %[low_2]\n"   \
    "add %[wide], %[x1], %[wide], asr #7\n"  \
    "add %[wide_2], %[x1], %[wide_2], asr #7\n"
/* clang-format on */
#include "dsp_dot_loops.h"

#endif
