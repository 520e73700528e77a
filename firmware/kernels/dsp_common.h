/* SPDX-License-Identifier: Apache-2.0 */
/* What all kernels of dsp.h are made of. */
#ifndef WS_KERNELS_DSP_COMMON_H
#define WS_KERNELS_DSP_COMMON_H

#include "dsp_instructions.h"
#include "gather.h"
#include "types.h"

/* As ws_scale for every shift; negative ones are to the left. */
static inline int32_t ws_scale_any(int32_t twice, int32_t multiplier, int shift,
                                   int32_t zero_point) {
    if (shift > 0) return ws_scale(twice, multiplier, shift, zero_point);
    const int64_t left = (int64_t)(int32_t)((uint32_t)(twice >> 1) << -shift);
    const int32_t value = (int32_t)((left * multiplier + (INT64_C(1) << 30)) >> 31) + zero_point;
    return value < -128 ? -128 : value > 127 ? 127 : value;
}

/* What makes outputs of sums: the next channel's numbers, and where the next output goes. */
typedef struct {
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int8_t *out;
    int32_t zero_point, low, high;
} ws_finisher;

WS_INSTRUCTION ws_finisher ws_finishing(const ws_row *row, const ws_range *range, int8_t *out) {
    return (ws_finisher){row->bias,         row->multiplier, row->shift, out,
                         range->zero_point, range->low,      range->high};
}

WS_INSTRUCTION int8_t ws_output(const ws_finisher *to, int32_t twice, int32_t multiplier,
                                int shift) {
    const int32_t zero_point = to->zero_point;
    int32_t value = WS_ANY_SHIFT ? ws_scale_any(twice, multiplier, shift, zero_point)
                                 : ws_scale(twice, multiplier, shift, zero_point);
    if (WS_CLAMPS) value = value < to->low ? to->low : value > to->high ? to->high : value;
    return (int8_t)value;
}

/* The next output; `twice` its sum. */
WS_INSTRUCTION void ws_finish(ws_finisher *to, int32_t twice) {
    *to->out++ = ws_output(to, twice + *to->bias++, *to->multiplier++, *to->shift++);
}

/* Pass over outputs that are made already. */
WS_INSTRUCTION void ws_skip(ws_finisher *to, int outputs) {
    to->bias += outputs;
    to->multiplier += outputs;
    to->shift += outputs;
    to->out += outputs;
}

/* The next output of two pixels, `apart` bytes. */
WS_INSTRUCTION void ws_finish_two(ws_finisher *to, int32_t sum, int32_t sum_2, int apart) {
    const int32_t bias = *to->bias++, multiplier = *to->multiplier++;
    const int shift = *to->shift++;
    to->out[apart] = ws_output(to, 2 * sum_2 + bias, multiplier, shift);
    *to->out++ = ws_output(to, 2 * sum + bias, multiplier, shift);
}

/* Bytes to int16: of each four the pair 0, 2 to `to` and the pair 1, 3 to `to + pixels`, in words;
 * zeros up to a multiple of eight. Of two pixels, the words take turns. */
WS_INSTRUCTION ws_u32 *ws_widen_words(const int8_t *in, int length, ws_u32 *to, int pixels) {
    for (const int8_t *end = in + length; in < end; in += 4, to += 2 * pixels) {
        const uint32_t word = ws_word(in);
        to[0] = ws_even(word);
        to[pixels] = ws_odd(word);
    }
    return to;
}

static inline void ws_widen(const int8_t *in, int length, ws_u32 *to, int pixels) {
    const int rest = length % 4;
    to = ws_widen_words(in, length - rest, to, pixels);
    in += length - rest;
    if (rest > 0) {
        uint32_t word = 0;
        for (int i = 0; i < rest; i++) {
            word |= (uint32_t)(uint8_t)in[i] << 8 * i;
        }
        to[0] = ws_even(word);
        to[pixels] = ws_odd(word);
        to += 2 * pixels;
    }
    if ((length - 1) % 8 < 4) to[0] = to[pixels] = 0;
}

/* Sixteen bytes between multiples of four; both move on. */
WS_INSTRUCTION void ws_copy_16(int8_t **to, const int8_t **from) {
#ifdef __ARM_FEATURE_DSP
    uint32_t a, b, c, d;
    __asm__ volatile(
        "ldrd %2, %3, [%1], #8\n\t"
        "ldrd %4, %5, [%1], #8\n\t"
        "strd %2, %3, [%0], #8\n\t"
        "strd %4, %5, [%0], #8"
        : "+&r"(*to), "+&r"(*from), "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d)
        :
        : "memory");
#else
    memmove(*to, *from, 16);
    *to += 16;
    *from += 16;
#endif
}

WS_NOINLINE void ws_slide(int8_t *to, const int8_t *from, size_t bytes) {
    const int8_t *end = from + bytes;
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0) {
        for (size_t blocks = bytes / 16; blocks > 0; blocks--)
            ws_copy_16(&to, &from);
    }
    for (; end - from >= 4; from += 4, to += 4) {
        const uint32_t word = ws_word(from);
        memcpy(to, &word, sizeof word);
    }
    while (from < end)
        *to++ = *from++;
}

/* Sums of two pairs of outputs, A B and C D, or of one pair in two pixels. */
typedef struct {
    int32_t a, b, c, d;
} ws_sums;

enum { WS_BLOCK = 512 }; /* inputs at a time */

#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
/* What ws_double_pairs keeps in memory; out and outputs are loaded together. */
typedef struct {
    const ws_u32 *x;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int8_t *out;
    int32_t outputs, zero_point, left;
} ws_pairs;

/* A sum to an output, as ws_scale. */
#if WS_SIGNED_DOTS && !WS_HALVES_UP
#define WS_DOT_AWAY(sum) "add %[" sum "], %[" sum "], %[" sum "], asr #31\n"
#else
#define WS_DOT_AWAY(sum)
#endif
/* clang-format off */
#define WS_DOT_SCALE(sum, multiplier, shift)              \
    "smmulr %[" sum "], %[" sum "], %[" multiplier "]\n"  \
    WS_DOT_AWAY(sum)                                      \
    "asrs %[" sum "], %[" sum "], %[" shift "]\n"         \
    "adc %[" sum "], %[" sum "], %[even]\n"               \
    "ssat %[" sum "], #8, %[" sum "]\n"
/* clang-format on */
#endif

#endif
