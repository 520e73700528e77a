/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in portable C, for cores without the DSP extension and for the host. */
#ifndef WS_KERNELS_H
#define WS_KERNELS_H

#include "types.h"

static inline int32_t ws_scale(int32_t acc, int32_t multiplier, int shift, bool up) {
    WS_CHECK(multiplier >= 0 && shift < 32 && shift >= (WS_ANY_SHIFT ? -31 : 1));
#if WS_ANY_SHIFT
    acc = (int32_t)((uint32_t)acc << (shift < 0 ? -shift : 0));
#endif
    /* SaturatingRoundingDoublingHighMul: halves go up. The multiplier is not negative, so nothing
     * saturates. */
    const int32_t high = (int32_t)(((int64_t)acc * multiplier + (INT64_C(1) << 30)) >> 31);
#if WS_ANY_SHIFT
    if (shift < 1) return high;
#endif
    /* RoundingDivideByPOT: halves go away from zero. */
    return (((up ? high : high + (high >> 31)) >> (shift - 1)) + 1) >> 1;
}

static inline int8_t ws_place(int32_t scaled, const ws_range *range) {
    const int32_t value = WS_ADD(scaled, range->zero_point);
    WS_CHECK(range->low >= INT8_MIN && range->low <= range->high && range->high <= INT8_MAX);
    return (int8_t)(value < range->low ? range->low : value > range->high ? range->high : value);
}

static inline int8_t ws_finish(int32_t acc, const ws_row *row, int o, const ws_range *range) {
    return ws_place(ws_scale(acc, row->multiplier[o], row->shift[o], WS_HALVES_UP), range);
}

/* Of channels below `eights` halves may go up. */
static inline int8_t ws_finish_depthwise(int32_t acc, const ws_row *row, int c, int eights,
                                         const ws_range *range) {
    const bool up = WS_HALVES_UP && c < eights;
    return ws_place(ws_scale(acc, row->multiplier[c], row->shift[c], up), range);
}

/* Weights: in a tile of four outputs, input by input its weight in each. */
WS_KERNEL void ws_dot(const ws_dot_shape *shape, const ws_row *row, const int8_t *weights,
                      const int8_t *in, int8_t *out, int8_t *scratch) {
    (void)scratch;
    const int outputs = shape->outputs, whole = outputs / 4 * 4, length = shape->length;
    const ws_range *range = &shape->range;
    for (int p = 0; p < shape->pixels; p++, in += shape->step, out += outputs) {
        const int8_t *w = weights;
        for (int o = 0; o < whole; o += 4) {
            int32_t a = row->bias[o], b = row->bias[o + 1];
            int32_t c = row->bias[o + 2], d = row->bias[o + 3];
            for (int i = 0; i < length; i++, w += 4) {
                const int32_t x = in[i];
                a = WS_ADD(a, x * w[0]);
                b = WS_ADD(b, x * w[1]);
                c = WS_ADD(c, x * w[2]);
                d = WS_ADD(d, x * w[3]);
            }
            out[o] = ws_finish(a, row, o, range);
            out[o + 1] = ws_finish(b, row, o + 1, range);
            out[o + 2] = ws_finish(c, row, o + 2, range);
            out[o + 3] = ws_finish(d, row, o + 3, range);
        }
        for (int o = whole; o < outputs; o++) {
            int32_t acc = row->bias[o];
            for (int i = 0; i < length; i++) {
                acc = WS_ADD(acc, in[i] * *w++);
            }
            out[o] = ws_finish(acc, row, o, range);
        }
    }
}

static inline void ws_slide(int8_t *to, const int8_t *from, size_t bytes) {
    memmove(to, from, bytes);
}

#include "gather.h"

static inline void ws_conv(const ws_conv_shape *shape, const ws_row *row, const int8_t *weights,
                           const int8_t *in, int8_t *out, int8_t *scratch) {
    const ws_dot_shape dot = {
        .pixels = 1,
        .length = (WS_SIZE_TYPE)(shape->kernel_h * shape->kernel_w * shape->in_c),
        .outputs = shape->out_c,
        .range = shape->range};
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++, out += shape->out_c) {
            ws_gather(shape, ws_taps_at(shape, y, x), in, scratch);
            ws_dot(&dot, row, weights, scratch, out, NULL);
        }
    }
}

/* Weights: tap by tap its weight in each channel. */
WS_KERNEL void ws_depthwise(const ws_conv_shape *shape, const ws_row *row, const int8_t *weights,
                            const int8_t *in, int8_t *out, int8_t *scratch) {
    (void)scratch;
    const int channels = shape->in_c, whole = channels / 4 * 4, eights = channels / 8 * 8;
    const int fill = shape->fill;
    const ws_range *range = &shape->range;
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++, out += channels) {
            const ws_taps taps = ws_taps_at(shape, y, x);
            const int8_t *first = in + taps.input, *own = weights + taps.weight * channels;
            const int weight_row = taps.weight_row * channels;
            for (int c = 0; c < whole; c += 4, first += 4, own += 4) {
                int32_t a = row->bias[c], b = row->bias[c + 1];
                int32_t d = row->bias[c + 2], e = row->bias[c + 3];
                const int8_t *at = first, *w = own;
                for (int i = 0; i < taps.rows; i++, at += taps.row_step, w += weight_row) {
                    const int8_t *tap = at, *v = w, *end = w + taps.columns * channels;
                    for (; v < end; v += channels, tap += taps.step) {
                        a = WS_ADD(a, (tap[0] - fill) * v[0]);
                        b = WS_ADD(b, (tap[1] - fill) * v[1]);
                        d = WS_ADD(d, (tap[2] - fill) * v[2]);
                        e = WS_ADD(e, (tap[3] - fill) * v[3]);
                    }
                }
                out[c] = ws_finish_depthwise(a, row, c, eights, range);
                out[c + 1] = ws_finish_depthwise(b, row, c + 1, eights, range);
                out[c + 2] = ws_finish_depthwise(d, row, c + 2, eights, range);
                out[c + 3] = ws_finish_depthwise(e, row, c + 3, eights, range);
            }
            for (int c = whole; c < channels; c++, first++, own++) {
                int32_t acc = row->bias[c];
                const int8_t *at = first, *w = own;
                for (int i = 0; i < taps.rows; i++, at += taps.row_step, w += weight_row) {
                    for (int j = 0; j < taps.columns; j++) {
                        acc = WS_ADD(acc, (at[j * taps.step] - fill) * w[j * channels]);
                    }
                }
                out[c] = ws_finish_depthwise(acc, row, c, eights, range);
            }
        }
    }
}

/* Channels that ws_sums_parallel takes. */
enum { WS_PARALLEL = 4 };

/* Adds `count` inputs, `step` bytes apart, of each of four adjacent channels. As values
 * from 0 to 255 they are added two in a word; 256 of them fit into 16 bits. */
WS_FUNCTION void ws_sums_parallel(const int8_t *in, int count, int step, int32_t *sum) {
    for (int block; count > 0; count -= block) {
        uint32_t even = 0, odd = 0;
        block = count < 256 ? count : 256;
        for (int i = 0; i < block; i++, in += step) {
            uint32_t four;
            memcpy(&four, in, sizeof four);
            four ^= UINT32_C(0x80808080);
            even += four & UINT32_C(0x00FF00FF);
            odd += (four >> 8) & UINT32_C(0x00FF00FF);
        }
        sum[0] = WS_ADD(sum[0], (int32_t)(even & 0xFFFFu) - 128 * block);
        sum[1] = WS_ADD(sum[1], (int32_t)(odd & 0xFFFFu) - 128 * block);
        sum[2] = WS_ADD(sum[2], (int32_t)(even >> 16) - 128 * block);
        sum[3] = WS_ADD(sum[3], (int32_t)(odd >> 16) - 128 * block);
    }
}

#define ws_products ws_products_each
#define ws_products16 ws_products16_each

#endif
