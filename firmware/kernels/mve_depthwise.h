/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolutions, for mve.h. */
#ifndef WS_KERNELS_MVE_DEPTHWISE_H
#define WS_KERNELS_MVE_DEPTHWISE_H

#include "mve_common.h"

/* Sums of sixteen channels: of 0, 4, 8, 12; of 2, 6, 10, 14; of 1, 5, 9, 13; of 3, 7, 11, 15: so
 * the widening instructions give them. */
typedef struct {
    int32x4_t a, c, b, d;
} ws_sixteen;

/* Rows of taps in `left` channels, at most sixteen: inputs from `x` on, weights sixteen a tap. */
WS_INLINE ws_sixteen ws_taps_of_few(const ws_taps *taps, const int8_t *x, const int8_t *w,
                                    int left) {
    ws_sixteen sums = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    const mve_pred16_t lanes = vctp8q((uint32_t)left);
    for (int i = 0; i < taps->rows; i++, x += taps->row_step) {
        for (int j = 0; j < taps->columns; j++, w += 16) {
            const int8x16_t inputs = vldrbq_z_s8(x + j * taps->step, lanes), weights = vldrbq_s8(w);
            const int16x8_t even = vmullbq_int_s8(inputs, weights);
            const int16x8_t odd = vmulltq_int_s8(inputs, weights);
            sums.a = vaddq_s32(sums.a, vmovlbq_s16(even));
            sums.c = vaddq_s32(sums.c, vmovltq_s16(even));
            sums.b = vaddq_s32(sums.b, vmovlbq_s16(odd));
            sums.d = vaddq_s32(sums.d, vmovltq_s16(odd));
        }
    }
    return sums;
}

WS_INLINE int32x4_t ws_scale_depthwise(int32x4_t acc, int32x4_t multiplier, int32x4_t shift,
                                       int32x4_t away) {
#if WS_ANY_SHIFT || WS_SIGNED_DEPTHWISE
    return ws_scale(acc, multiplier, shift, away);
#else
    (void)away;
    /* Values below the zero point are below all outputs, however they are rounded. */
    return vrshlq_s32(vqrdmulhq_s32(acc, multiplier), shift);
#endif
}

/* Sums become the outputs of `left` channels, at most sixteen. */
WS_INLINE void ws_finish_sixteen(ws_sixteen sums, const ws_row *row, int c, int left,
                                 const ws_range *range, int8_t *out) {
    const uint32x4_t every_fourth = vshlq_n_u32(vidupq_n_u32(0, 1), 2);
    const int32_t *bias = row->bias + c, *multiplier = row->multiplier + c;
    const int8_t *shift = row->shift + c;
    const int32x4x4_t b = vld4q_s32(bias);
    sums.a = vaddq_s32(sums.a, b.val[0]);
    sums.b = vaddq_s32(sums.b, b.val[1]);
    sums.c = vaddq_s32(sums.c, b.val[2]);
    sums.d = vaddq_s32(sums.d, b.val[3]);
    const int32x4x4_t m = vld4q_s32(multiplier);
    /* Lanes are four channels apart. */
    const int32_t first = left < 8 ? -1 : 0, second = left < 16 ? -1 : 0;
    const int32x4_t away = {first, first, second, second};
    sums.a =
        ws_scale_depthwise(sums.a, m.val[0], vldrbq_gather_offset_s32(shift, every_fourth), away);
    sums.b = ws_scale_depthwise(sums.b, m.val[1], vldrbq_gather_offset_s32(shift + 1, every_fourth),
                                away);
    sums.c = ws_scale_depthwise(sums.c, m.val[2], vldrbq_gather_offset_s32(shift + 2, every_fourth),
                                away);
    sums.d = ws_scale_depthwise(sums.d, m.val[3], vldrbq_gather_offset_s32(shift + 3, every_fourth),
                                away);
    int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vuninitializedq_s16(), sums.a), sums.c);
    int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vuninitializedq_s16(), sums.b), sums.d);
    even = vqaddq_n_s16(even, range->zero_point);
    odd = vqaddq_n_s16(odd, range->zero_point);
    int8x16_t result = vqmovntq_s16(vqmovnbq_s16(vuninitializedq_s8(), even), odd);
#if WS_CLAMPS
    result = vmaxq_s8(result, vdupq_n_s8((int8_t)range->low));
    result = vminq_s8(result, vdupq_n_s8((int8_t)range->high));
#endif
    if (left >= 16) {
        vstrbq_s8(out + c, result);
    } else {
        vstrbq_p_s8(out + c, result, vctp8q((uint32_t)left));
    }
}

#if !WS_ANY_SHIFT && !WS_CLAMPS && !WS_CAREFUL_DEPTHWISE
/* What the loop below keeps in memory, where it loads x and rows, and others, two at a time. */
typedef struct {
    const int8_t *x; /* of the group */
    int32_t rows, pairs, odd, row_step;
    uint32_t every_fourth[4];
    int32_t groups;
    const int8_t *pixel; /* x of its first group */
    int32_t pixel_step;
    const int8_t *w;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int32_t rest; /* outputs that are in no whole group */
} ws_groups;

/* clang-format off */
/* Sums of products in q6, of even channels, and q7, of odd ones, added to those of channels. */
#define WS_WIDEN            \
    "vmovlb.s16 q4, q6\n"   \
    "vadd.i32 q0, q0, q4\n" \
    "vmovlt.s16 q5, q6\n"   \
    "vadd.i32 q2, q2, q5\n" \
    "vmovlb.s16 q4, q7\n"   \
    "vadd.i32 q1, q1, q4\n" \
    "vmovlt.s16 q5, q7\n"   \
    "vadd.i32 q3, q3, q5\n"
/* Sixteen numbers, every fourth to the same register. */
#define WS_LOAD_SIXTEEN(registers, from)            \
    "vld40.32 {" registers "}, [%[" from "]]\n"     \
    "vld41.32 {" registers "}, [%[" from "]]\n"     \
    "vld42.32 {" registers "}, [%[" from "]]\n"     \
    "vld43.32 {" registers "}, [%[" from "]]!\n"
#if WS_SIGNED_DEPTHWISE && !WS_HALVES_UP
#define WS_DEPTHWISE_AWAY(sum, free)     \
    "vshr.s32 " free ", " sum ", #31\n"  \
    "vadd.i32 " sum ", " sum ", " free "\n"
#else
#define WS_DEPTHWISE_AWAY(sum, free)
#endif
#define WS_MULTIPLY(sum, multiplier)                   \
    "vqrdmulh.s32 " sum ", " sum ", " multiplier "\n"  \
    WS_DEPTHWISE_AWAY(sum, multiplier)
#define WS_SHIFT(sum, on)                \
    "vldrb.s32 q5, [%[shift], q4]\n"     \
    "add %[shift], %[shift], #" on "\n"  \
    "vrshl.s32 " sum ", " sum ", q5\n"

/* The two above for whole groups of sixteen channels of a row of pixels, taps two at a time:
 * weights are -127 .. 127, so that two products fit into int16. q0 .. q3 are the sums a, b, c and
 * d. */
WS_KERNEL_NOINLINE void ws_whole_groups(ws_groups *groups, int pixels, int step, int32_t zero_point,
                                        int8_t *out) {
    const int32_t *bias, *multiplier;
    const int8_t *shift, *x, *w;
    int32_t rows, t, count;
    __asm__ volatile(
        "5:\n"
        "ldrd %[x], %[rows], [%[groups], %[pixel_at]]\n"
        "str %[x], [%[groups]]\n"
        "add %[x], %[x], %[rows]\n"
        "str %[x], [%[groups], %[pixel_at]]\n"
        "ldrd %[w], %[bias], [%[groups], %[w_at]]\n"
        "ldrd %[multiplier], %[shift], [%[groups], %[multiplier_at]]\n"
        "ldr %[count], [%[groups], %[groups_at]]\n"
        "0:\n"
        WS_LOAD_SIXTEEN("q0, q1, q2, q3", "bias")
        "ldrd %[x], %[rows], [%[groups]]\n"
        "1:\n"
        "ldr %[t], [%[groups], %[pairs_at]]\n"
        "wls lr, %[t], 3f\n"
        "2:\n"
        "vldrb.8 q4, [%[x]]\n"
        "vldrb.8 q5, [%[w]], #16\n"
        "add %[x], %[x], %[step]\n"
        "vmullb.s8 q6, q4, q5\n"
        "vmullt.s8 q7, q4, q5\n"
        "vldrb.8 q4, [%[x]]\n"
        "vldrb.8 q5, [%[w]], #16\n"
        "vmullb.s8 q4, q4, q5\n"
        "vadd.i16 q6, q6, q4\n"
        "vldrb.8 q4, [%[x]]\n"
        "add %[x], %[x], %[step]\n"
        "vmullt.s8 q4, q4, q5\n"
        "vadd.i16 q7, q7, q4\n"
        WS_WIDEN
        "le lr, 2b\n"
        "3:\n"
        "ldrd %[t], lr, [%[groups], %[odd_at]]\n"
        "cbz %[t], 4f\n"
        "vldrb.8 q4, [%[x]]\n"
        "vldrb.8 q5, [%[w]], #16\n"
        "add %[x], %[x], %[step]\n"
        "vmullb.s8 q6, q4, q5\n"
        "vmullt.s8 q7, q4, q5\n"
        WS_WIDEN
        "4:\n"
        "add %[x], %[x], lr\n"
        "subs %[rows], %[rows], #1\n"
        "bne 1b\n"
        WS_LOAD_SIXTEEN("q4, q5, q6, q7", "multiplier")
        WS_MULTIPLY("q0", "q4") WS_MULTIPLY("q1", "q5") WS_MULTIPLY("q2", "q6") WS_MULTIPLY("q3", "q7")
        "vldrw.32 q4, [%[groups], %[every_fourth_at]]\n"
        WS_SHIFT("q0", "1") WS_SHIFT("q1", "1") WS_SHIFT("q2", "1") WS_SHIFT("q3", "13")
        "vqmovnb.s32 q4, q0\n"
        "vqmovnt.s32 q4, q2\n"
        "vqmovnb.s32 q5, q1\n"
        "vqmovnt.s32 q5, q3\n"
        "vqadd.s16 q4, q4, %[zero_point]\n"
        "vqadd.s16 q5, q5, %[zero_point]\n"
        "vqmovnb.s16 q6, q4\n"
        "vqmovnt.s16 q6, q5\n"
        "vstrb.8 q6, [%[out]], #16\n"
        "ldr %[x], [%[groups]]\n"
        "add %[x], %[x], #16\n"
        "str %[x], [%[groups]]\n"
        "subs %[count], %[count], #1\n"
        "bne 0b\n"
        "ldr %[x], [%[groups], %[rest_at]]\n"
        "add %[out], %[out], %[x]\n"
        "subs %[pixels], %[pixels], #1\n"
        "bne 5b\n"
        : [x] "=&r"(x), [rows] "=&r"(rows), [t] "=&l"(t), [w] "=&r"(w), [bias] "=&r"(bias),
          [multiplier] "=&r"(multiplier), [shift] "=&r"(shift), [out] "+&r"(out),
          [count] "=&r"(count), [pixels] "+&r"(pixels)
        : [groups] "r"(groups), [step] "r"(step), [zero_point] "r"(zero_point), WS_AT(ws_groups, pairs),
          WS_AT(ws_groups, odd), WS_AT(ws_groups, every_fourth), WS_AT(ws_groups, groups),
          WS_AT(ws_groups, pixel), WS_AT(ws_groups, w), WS_AT(ws_groups, multiplier),
          WS_AT(ws_groups, rest)
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "memory", "cc");
}
/* clang-format on */

#endif
/* A row of pixels, none of whose taps is beyond the edge: `x` is the first one's channel 0. */
static inline void ws_pixels(const ws_conv_shape *shape, const ws_row *row, const int8_t *w,
                             const ws_taps *taps, const int8_t *x, int8_t *out) {
    const int channels = shape->in_c, group = 16 * shape->kernel_h * shape->kernel_w;
    int c = 0;
#if !WS_ANY_SHIFT && !WS_CLAMPS && !WS_CAREFUL_DEPTHWISE
    if (channels >= 16) {
        ws_groups groups = {.rows = taps->rows,
                            .pairs = taps->columns / 2,
                            .odd = taps->columns % 2,
                            .row_step = taps->row_step - taps->columns * taps->step,
                            .every_fourth = {0, 4, 8, 12},
                            .groups = channels / 16,
                            .pixel = x,
                            .pixel_step = shape->stride_w * channels,
                            .w = w,
                            .bias = row->bias,
                            .multiplier = row->multiplier,
                            .shift = row->shift,
                            .rest = channels % 16};
        ws_whole_groups(&groups, shape->out_w, taps->step, shape->range.zero_point, out);
        c = channels / 16 * 16;
        w += c / 16 * group;
    }
#endif
    for (; c < channels; c += 16, w += group) {
        const int left = channels - c < 16 ? channels - c : 16;
        for (int i = 0; i < shape->out_w; i++) {
            const int8_t *at = x + i * shape->stride_w * channels + c;
            ws_finish_sixteen(ws_taps_of_few(taps, at, w, left), row, c, left, &shape->range,
                              out + i * channels);
        }
    }
}

WS_INLINE void ws_fill(int8_t *to, int8_t value, int bytes) {
    const int8x16_t fill = vdupq_n_s8(value);
    for (; bytes > 0; bytes -= 16, to += 16) {
        vstrbq_p_s8(to, fill, vctp8q((uint32_t)bytes));
    }
}

/* Row `y` of the input, between what is beyond its edges: there `to` holds that already. */
static inline void ws_padded_row(const ws_conv_shape *shape, const int8_t *in, int y, int8_t *to,
                                 int bytes) {
    const int row = shape->in_w * shape->in_c;
    const int left = shape->pad_left * shape->in_c;
    if (y >= 0 && y < shape->in_h) {
        ws_slide(to + left, in + y * row, (size_t)(row < bytes - left ? row : bytes - left));
    } else {
        ws_fill(to, shape->fill, bytes);
    }
}

/* Weights: groups of sixteen channels, filled up with zeros, tap by tap. Where taps reach beyond
 * the edge, the rows that an output row needs are copied to scratch, padded. */
WS_KERNEL void ws_depthwise(const ws_conv_shape *shape, const ws_row *row, const int8_t *weights,
                            const int8_t *in, int8_t *out, int8_t *scratch) {
    const int channels = shape->in_c;
    const int height = (shape->kernel_h - 1) * shape->dilation_h + 1;
    const int width =
        (shape->out_w - 1) * shape->stride_w + (shape->kernel_w - 1) * shape->dilation_w + 1;
    const bool padded = shape->pad_top > 0 || shape->pad_left > 0 || width > shape->in_w ||
                        (shape->out_h - 1) * shape->stride_h + height > shape->in_h;
    const int pitch = (padded ? width : shape->in_w) * channels;
    ws_taps taps = {.rows = shape->kernel_h,
                    .columns = shape->kernel_w,
                    .row_step = shape->dilation_h * pitch,
                    .step = shape->dilation_w * channels};
    if (shape->kernel_w == 1) { /* one long row instead of many of one tap */
        taps = (ws_taps){.rows = 1, .columns = shape->kernel_h, .step = taps.row_step};
    }
    if (padded) ws_fill(scratch, shape->fill, height * pitch);
    const int reused = height > shape->stride_h ? height - shape->stride_h : 0;
    for (int y = 0; y < shape->out_h; y++) {
        const int top = y * shape->stride_h;
        const int8_t *x = in + top * pitch;
        if (padded) {
            if (y > 0)
                ws_slide(scratch, scratch + (height - reused) * pitch, (size_t)(reused * pitch));
            for (int i = y > 0 ? reused : 0; i < height; i++) {
                ws_padded_row(shape, in, top + i - shape->pad_top, scratch + i * pitch, pitch);
            }
            x = scratch;
        }
        ws_pixels(shape, row, weights, &taps, x, out);
        out += shape->out_w * channels;
    }
}

#endif
