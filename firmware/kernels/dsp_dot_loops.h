/* SPDX-License-Identifier: Apache-2.0 */
/* The loops over pixels and outputs of dot products, once for each layout of weights: included by
 * dsp_dot.h and dsp_dot_wide.h, which define WS_NAME, WS_PAIR, WS_QUARTER and WS_SECOND_SUMS. */
#include "dsp_common.h"

/* One pixel, widened to `x`: all outputs, four at a time. */
static inline void WS_NAME(ws_single)(const ws_range *range, const ws_row *row, int outputs,
                                      const int8_t *weights, const ws_u32 *x, int length,
                                      int8_t *out) {
    ws_finisher to = ws_finishing(row, range, out);
    for (int left = outputs; left > 0; left -= 4, weights += 2 * WS_PAIR * length) {
        const int8_t *second = left > 2 ? weights + WS_PAIR * length : weights;
        const ws_sums sums = WS_NAME(ws_one_pixel)(weights, second, x, x + length / 2);
        ws_finish(&to, 2 * sums.a);
        if (left >= 4) {
            ws_finish(&to, 2 * sums.b);
            ws_finish(&to, 2 * sums.c);
            ws_finish(&to, 2 * sums.d);
        } else {
            if (left > 1) ws_finish(&to, 2 * sums.b);
            if (left > 2) ws_finish(&to, 2 * sums.c);
        }
    }
}

#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
/* As ws_double below, for whole pairs of outputs. In the inner loop, four inputs of two pixels and
 * two outputs, sixteen products, take twelve or thirteen instructions; then come the sums and four
 * times ws_scale, less what rounds values that a ReLU drops. */
static inline void WS_NAME(ws_double_pairs)(ws_pairs pairs, const int8_t *w, const ws_u32 *end) {
    int32_t wide, low, wide_2, low_2;
    uint32_t w0, w1, even, x0, x1;
    const ws_u32 *x;
    __asm__ volatile(
        "1:\n"
        "ldr %[x], [%[pairs], %[x_at]]\n"
        "mov %[wide], #0\n"
        "mov %[low], #0\n"
        "mov %[wide_2], #0\n"
        "mov %[low_2], #0\n"
        "sub %[w0], %[end], %[x]\n"
        "tst %[w0], #32\n" /* an odd number of eights: begin in the middle */
        "bne 2f\n"
        "0:\n"
        WS_QUARTER WS_QUARTER
        "2:\n"
        WS_QUARTER WS_QUARTER
        "cmp %[x], %[end]\n"
        "bcc 0b\n"
        "ldr %[x], [%[pairs], %[bias_at]]\n"
        "ldrd %[x0], %[x1], [%[x]], #8\n"
        "str %[x], [%[pairs], %[bias_at]]\n"
        WS_SECOND_SUMS
        "add %[low], %[x0], %[low], lsl #1\n"
        "add %[low_2], %[x0], %[low_2], lsl #1\n"
        "ldr %[x], [%[pairs], %[multiplier_at]]\n"
        "ldrd %[w0], %[w1], [%[x]], #8\n"
        "str %[x], [%[pairs], %[multiplier_at]]\n"
        "ldr %[x], [%[pairs], %[shift_at]]\n"
        "ldrsb %[x0], [%[x]], #1\n"
        "ldrsb %[x1], [%[x]], #1\n"
        "str %[x], [%[pairs], %[shift_at]]\n"
        "ldr %[even], [%[pairs], %[zero_point_at]]\n"
        WS_DOT_SCALE("low", "w0", "x0")
        WS_DOT_SCALE("low_2", "w0", "x0")
        WS_DOT_SCALE("wide", "w1", "x1")
        WS_DOT_SCALE("wide_2", "w1", "x1")
        "ldrd %[x], %[x0], [%[pairs], %[out_at]]\n"
        "strb %[low_2], [%[x], %[x0]]\n"
        "strb %[low], [%[x]], #1\n"
        "strb %[wide_2], [%[x], %[x0]]\n"
        "strb %[wide], [%[x]], #1\n"
        "str %[x], [%[pairs], %[out_at]]\n"
        "ldr %[x0], [%[pairs], %[left_at]]\n"
        "subs %[x0], %[x0], #1\n"
        "str %[x0], [%[pairs], %[left_at]]\n"
        "bne 1b\n"
        : [wide] "=&r"(wide), [low] "=&r"(low), [wide_2] "=&r"(wide_2), [low_2] "=&r"(low_2),
          [w] "+&r"(w), [x] "=&r"(x), [w0] "=&r"(w0), [w1] "=&r"(w1), [even] "=&r"(even),
          [x0] "=&r"(x0), [x1] "=&r"(x1)
        : [end] "r"(end), [pairs] "r"(&pairs), WS_AT(ws_pairs, x), WS_AT(ws_pairs, bias),
          WS_AT(ws_pairs, multiplier), WS_AT(ws_pairs, shift), WS_AT(ws_pairs, out),
          WS_AT(ws_pairs, zero_point), WS_AT(ws_pairs, left)
        : "memory", "cc");
}
#endif

/* Two pixels, widened to `x` in turns: all outputs, two at a time. */
static inline void WS_NAME(ws_double)(const ws_range *range, const ws_row *row, int outputs,
                                      const int8_t *weights, const ws_u32 *x, int length,
                                      int8_t *out) {
    ws_finisher to = ws_finishing(row, range, out);
    int left = outputs;
#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
    const int whole = outputs / 2 * 2;
    if (whole > 0) {
        const ws_pairs pairs = {x,   row->bias, row->multiplier,   row->shift,
                                out, outputs,   range->zero_point, whole / 2};
        WS_NAME(ws_double_pairs)(pairs, weights, x + length);
        left -= whole;
        weights += WS_PAIR / 2 * length * whole;
        ws_skip(&to, whole);
    }
#endif
    for (; left > 0; left -= 2, weights += WS_PAIR * length) {
        const ws_sums sums = WS_NAME(ws_two_pixels)(weights, x, x + length);
        ws_finish_two(&to, sums.a, sums.c, outputs);
        if (left > 1) ws_finish_two(&to, sums.b, sums.d, outputs);
    }
}

/* One pixel of more than WS_BLOCK inputs: sums are kept in scratch, so that a block at a time need
 * be widened there. */
WS_KERNEL_NOINLINE void WS_NAME(ws_long)(const ws_range *range, const ws_row *row, int outputs,
                                         const int8_t *weights, const int8_t *in, int length,
                                         int8_t *scratch, int8_t *out) {
    const int whole = (length + 7) / 8 * 8;
    ws_sums *sums = (ws_sums *)(void *)scratch;
    ws_u32 *x = (ws_u32 *)(void *)(scratch + (outputs + 3) / 4 * (int)sizeof *sums);
    for (int at = 0; at < whole; at += WS_BLOCK) {
        const int block = whole - at < WS_BLOCK ? whole - at : WS_BLOCK;
        ws_widen(in + at, length - at < WS_BLOCK ? length - at : WS_BLOCK, x, 1);
        const int8_t *w = weights + WS_PAIR * at;
        for (int o = 0; o < outputs; o += 4, w += 2 * WS_PAIR * whole) {
            const int8_t *second = outputs - o > 2 ? w + WS_PAIR * whole : w;
            const ws_sums part = WS_NAME(ws_one_pixel)(w, second, x, x + block / 2);
            ws_sums *to = sums + o / 4;
            *to = at == 0
                      ? part
                      : (ws_sums){to->a + part.a, to->b + part.b, to->c + part.c, to->d + part.d};
        }
    }
    ws_finisher to = ws_finishing(row, range, out);
    for (int o = 0; o < outputs; o++) {
        const ws_sums *four = sums + o / 4;
        const int32_t sum = o % 4 == 0   ? four->a
                            : o % 4 == 1 ? four->b
                            : o % 4 == 2 ? four->c
                                         : four->d;
        ws_finish(&to, 2 * sum);
    }
}

/* Weights: pairs of outputs, an odd last one with a second of zeros; see above. */
WS_KERNEL void WS_NAME(ws_dot)(const ws_dot_shape *shape, const ws_row *row, const int8_t *weights,
                               const int8_t *in, int8_t *out, int8_t *scratch) {
    const int outputs = shape->outputs, length = shape->length, whole = (length + 7) / 8 * 8;
    ws_u32 *x = (ws_u32 *)(void *)scratch;
    int left = shape->pixels;
    if (length > WS_BLOCK) {
        for (; left > 0; left--, in += shape->step, out += outputs) {
            WS_NAME(ws_long)(&shape->range, row, outputs, weights, in, length, scratch, out);
        }
    }
    for (; left >= 2; left -= 2, in += 2 * shape->step, out += 2 * outputs) {
        ws_widen(in, length, x, 2);
        ws_widen(in + shape->step, length, x + 1, 2);
        WS_NAME(ws_double)(&shape->range, row, outputs, weights, x, whole, out);
    }
    if (left > 0) {
        ws_widen(in, length, x, 1);
        WS_NAME(ws_single)(&shape->range, row, outputs, weights, x, whole, out);
    }
}

static inline void WS_NAME(ws_conv)(const ws_conv_shape *shape, const ws_row *row,
                                    const int8_t *weights, const int8_t *in, int8_t *out,
                                    int8_t *scratch) {
    const int outputs = shape->out_c, pixels = shape->out_h * shape->out_w;
    const int length = shape->kernel_h * shape->kernel_w * shape->in_c;
    const int whole = (length + 7) / 8 * 8;
    /* Patches of whole words that reach the last eight need not be gathered first. */
    const int all = shape->kernel_h * shape->kernel_w, run = shape->kernel_w * shape->in_c;
    const bool words = shape->dilation_w == 1 && run % 4 == 0 && length == whole;
    const int row_step = shape->dilation_h * shape->in_w * shape->in_c;
    int8_t *patch = scratch;
    ws_u32 *x = (ws_u32 *)(void *)(scratch + whole);
    for (int p = 0, row_of_p = 0, column = 0; p < pixels; p++) {
        const bool first = p % 2 == 0, alone = first && p + 1 == pixels;
        const ws_taps taps = ws_taps_at(shape, row_of_p, column);
        ws_u32 *to = first ? x : x + 1;
        if (length > WS_BLOCK) {
            ws_gather(shape, taps, in, patch);
        } else if (words && taps.rows * taps.columns == all) {
            const int8_t *from = in + taps.input;
            for (int i = 0; i < shape->kernel_h; i++, from += row_step) {
                to = ws_widen_words(from, run, to, alone ? 1 : 2);
            }
        } else {
            ws_gather(shape, taps, in, patch);
            ws_widen(patch, length, to, alone ? 1 : 2);
        }
        if (length > WS_BLOCK) {
            WS_NAME(ws_long)(&shape->range, row, outputs, weights, patch, length, (int8_t *)x, out);
            out += outputs;
        } else if (alone) {
            WS_NAME(ws_single)(&shape->range, row, outputs, weights, x, whole, out);
        } else if (!first) {
            WS_NAME(ws_double)(&shape->range, row, outputs, weights, x, whole, out);
            out += 2 * outputs;
        }
        if (++column == shape->out_w) {
            column = 0;
            row_of_p++;
        }
    }
}

#undef WS_NAME
#undef WS_PAIR
#undef WS_INPUTS
#undef WS_HALF
#undef WS_TWO_INPUTS
#undef WS_QUARTER
#undef WS_SECOND_SUMS
