/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of pairs of outputs A and B whose weights are int16: a word of A for two inputs,
 * then one of B. They take twice the flash of those in dsp_dot.h, and any value. */
#ifndef WS_KERNELS_DSP_DOT_WIDE_H
#define WS_KERNELS_DSP_DOT_WIDE_H

#include "dsp_common.h"

/* Two pixels, whose words take turns from `x` to `end`, against one pair of outputs `w`. */
WS_INSTRUCTION ws_sums ws_two_pixels_wide(const int8_t *w, const ws_u32 *x, const ws_u32 *end) {
    ws_sums sums = {0, 0, 0, 0};
    for (; x < end; x += 2, w += 8) {
        const uint32_t a = ws_word(w), b = ws_word(w + 4);
        sums.a = ws_both(a, x[0], sums.a);
        sums.b = ws_both(b, x[0], sums.b);
        sums.c = ws_both(a, x[1], sums.c);
        sums.d = ws_both(b, x[1], sums.d);
    }
    return sums;
}

/* Two inputs of one pixel and a pair of outputs. */
/* clang-format off */
#define WS_INPUTS(weights, inputs, one, two)                 \
    "ldrd %[w0], %[w1], [%[" weights "]], #8\n"              \
    "smlad %[" one "], %[w0], %[" inputs "], %[" one "]\n"   \
    "smlad %[" two "], %[w1], %[" inputs "], %[" two "]\n"
#define WS_HALF                        \
    "ldrd %[x0], %[x1], [%[x]], #8\n"  \
    WS_INPUTS("w", "x0", "a", "b")     \
    WS_INPUTS("w", "x1", "a", "b")     \
    WS_INPUTS("v", "x0", "c", "d")     \
    WS_INPUTS("v", "x1", "c", "d")
/* clang-format on */

/* One pixel against two pairs of outputs, `w` and `v`. */
WS_INSTRUCTION ws_sums ws_one_pixel_wide(const int8_t *w, const int8_t *v, const ws_u32 *x,
                                         const ws_u32 *end) {
    int32_t a = 0, b = 0, c = 0, d = 0;
#ifdef __ARM_FEATURE_DSP
    uint32_t w0, w1, x0, x1;
    __asm__("0:\n" WS_HALF WS_HALF
            "cmp %[x], %[end]\n"
            "bcc 0b\n"
            : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c), [d] "+&r"(d), [w] "+&r"(w), [v] "+&r"(v),
              [x] "+&r"(x), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1)
            : [end] "r"(end)
            : "memory", "cc");
#else
    for (; x < end; x++, w += 8, v += 8) {
        a = ws_both(ws_word(w), *x, a);
        b = ws_both(ws_word(w + 4), *x, b);
        c = ws_both(ws_word(v), *x, c);
        d = ws_both(ws_word(v + 4), *x, d);
    }
#endif
    return (ws_sums){a, b, c, d};
}

#define WS_NAME(name) name##_wide
#define WS_PAIR 4 /* bytes of weights for an input */
#define WS_TWO_INPUTS                          \
    "ldrd %[w0], %[w1], [%[w]], #8\n"          \
    "ldrd %[x0], %[x1], [%[x]], #8\n"          \
    "smlad %[low], %[w0], %[x0], %[low]\n"     \
    "smlad %[low_2], %[w0], %[x1], %[low_2]\n" \
    "smlad %[wide], %[w1], %[x0], %[wide]\n"   \
    "smlad %[wide_2], %[w1], %[x1], %[wide_2]\n"
#define WS_QUARTER WS_TWO_INPUTS WS_TWO_INPUTS
#define WS_SECOND_SUMS                      \
    "add %[wide], %[x1], %[wide], lsl #1\n" \
    "add %[wide_2], %[x1], %[wide_2], lsl #1\n"
#include "dsp_dot_loops.h"

#endif
