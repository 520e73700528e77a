/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolutions, for dsp.h. */
#ifndef WS_KERNELS_DSP_DEPTHWISE_H
#define WS_KERNELS_DSP_DEPTHWISE_H

#include "dsp_common.h"

/* Sums of four channels. */
typedef struct {
    int32_t a, b, c, d;
} ws_four;

/* The sums of four channels: `x` their inputs at the first tap, `w` their weights. */
static inline ws_four ws_four_channels(const int8_t *x, const int16_t *w, const ws_taps *taps,
                                       uint32_t center) {
    ws_four sums = {0, 0, 0, 0};
    for (int i = 0; i < taps->rows; i++, x += taps->row_step, w += 4 * taps->weight_row) {
        for (int j = 0; j < taps->columns; j++) {
            const uint32_t inputs = ws_word(x + j * taps->step);
            const uint32_t even = ws_even_plus(center, inputs), odd = ws_odd_plus(center, inputs);
            sums.a = ws_lower(even, ws_word(w + 4 * j), sums.a);
            sums.c = ws_upper(even, ws_word(w + 4 * j), sums.c);
            sums.b = ws_lower(odd, ws_word(w + 4 * j + 2), sums.b);
            sums.d = ws_upper(odd, ws_word(w + 4 * j + 2), sums.d);
        }
    }
    return sums;
}

#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
/* What the loop below keeps in memory, where it loads x and w, and others, two at a time. */
typedef struct {
    const int8_t *x;
    const int16_t *w;
    int32_t rows, columns, row_step, weight_row;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int8_t *out;
    int32_t zero_point, groups, weight_group;
    int32_t row_whole, weight_row_again; /* from the row's first tap; next to it for one load */
} ws_groups;

/* clang-format off */
/* A tap of four channels. */
#define WS_TAP(input)                           \
    "ldr %[in], " input "\n"                    \
    "ldrd %[w0], %[w1], [%[w]], #8\n"           \
    "sxtab16 %[even], %[center], %[in]\n"       \
    "sxtab16 %[in], %[center], %[in], ror #8\n" \
    "smlabb %[a], %[even], %[w0], %[a]\n"       \
    "smlatt %[c], %[even], %[w0], %[c]\n"       \
    "smlabb %[b], %[in], %[w1], %[b]\n"         \
    "smlatt %[d], %[in], %[w1], %[d]\n"
#define WS_TAP_1 WS_TAP("[%[x]]")
#define WS_TAP_2 WS_TAP("[%[x], %[step]]")
#define WS_TAP_3 WS_TAP("[%[x], %[step], lsl #1]")

/* Rows of that many taps. */
#define WS_ROWS_OF(label, taps)                                       \
    label ":\n"                                                       \
    "str %[in], %[rows]\n"                                            \
    taps                                                              \
    "ldrd %[w0], %[w1], [%[from], %[row_whole_at]]\n"                 \
    "ldr %[in], %[rows]\n"                                            \
    "add %[x], %[x], %[w0]\n"                                         \
    "add %[w], %[w], %[w1]\n"                                         \
    "subs %[in], %[in], #1\n"                                         \
    "bne " label "b\n"                                                \
    "b 6f\n"

#define WS_IF_COLUMNS(count, label) "cmp %[even], #" count "\nbeq " label "f\n"
#define WS_STORE(sum) "strb %[" sum "], [%[x]], #1\n"

/* A sum to an output, as ws_scale. */
#if WS_SIGNED_DEPTHWISE && !WS_HALVES_UP
#define WS_DEPTHWISE_AWAY(sum) "add %[" sum "], %[" sum "], %[" sum "], asr #31\n"
#else
#define WS_DEPTHWISE_AWAY(sum)
#endif
#define WS_DEPTHWISE_SCALE(sum, multiplier)               \
    "ldrsb %[in], [%[w]], #1\n"                           \
    "smmulr %[" sum "], %[" sum "], %[" multiplier "]\n"  \
    WS_DEPTHWISE_AWAY(sum)                                \
    "asrs %[" sum "], %[" sum "], %[in]\n"                \
    "adc %[" sum "], %[" sum "], %[even]\n"               \
    "ssat %[" sum "], #8, %[" sum "]\n"

/* One pixel's groups of four channels: rows of taps, three taps at a time, then four times
 * ws_scale. `groups` itself is needed so seldom that its register serves another end within a row.
 */
static inline void ws_group_taps(ws_groups groups, int step, uint32_t center) {
    int32_t a, b, c, d;
    uint32_t in, even, w0, w1;
    const int8_t *x;
    const int16_t *w;
    ws_groups *from = &groups, *home; /* `from` counts taps too: there is no other register */
    int32_t rows;
    __asm__ volatile(
        "str %[from], %[home]\n"
        "0:\n"
        "ldrd %[x], %[w], [%[from]]\n"
        "ldr %[in], [%[from], %[bias_at]]\n"
        "ldrd %[a], %[b], [%[in]], #8\n"
        "ldrd %[c], %[d], [%[in]], #8\n"
        "str %[in], [%[from], %[bias_at]]\n"
        "ldrd %[in], %[even], [%[from], %[rows_at]]\n"
        WS_IF_COLUMNS("3", "13") WS_IF_COLUMNS("2", "12") WS_IF_COLUMNS("1", "11")
        "b 1f\n"
        WS_ROWS_OF("13", WS_TAP_1 WS_TAP_2 WS_TAP_3)
        WS_ROWS_OF("12", WS_TAP_1 WS_TAP_2)
        WS_ROWS_OF("11", WS_TAP_1)
        "1:\n"
        "str %[in], %[rows]\n"
        "ldr %[from], [%[from], %[columns_at]]\n"
        "subs %[from], %[from], #3\n"
        "blt 3f\n"
        "2:\n"
        WS_TAP_1 WS_TAP_2 WS_TAP_3
        "add %[x], %[x], %[step]\n"
        "add %[x], %[x], %[step], lsl #1\n"
        "subs %[from], %[from], #3\n"
        "bge 2b\n"
        "3:\n"
        "adds %[from], %[from], #3\n"
        "beq 5f\n"
        "4:\n"
        WS_TAP_1
        "add %[x], %[x], %[step]\n"
        "subs %[from], %[from], #1\n"
        "bne 4b\n"
        "5:\n"
        "ldr %[in], %[rows]\n"
        "ldr %[from], %[home]\n"
        "subs %[in], %[in], #1\n"
        "beq 6f\n"
        "ldrd %[w0], %[w1], [%[from], %[row_step_at]]\n"
        "add %[x], %[x], %[w0]\n"
        "add %[w], %[w], %[w1]\n"
        "b 1b\n"
        "6:\n"
        "ldrd %[x], %[w], [%[from], %[multiplier_at]]\n"
        "ldr %[even], [%[from], %[zero_point_at]]\n"
        "ldrd %[w0], %[w1], [%[x]], #8\n"
        WS_DEPTHWISE_SCALE("a", "w0") WS_DEPTHWISE_SCALE("b", "w1")
        "ldrd %[w0], %[w1], [%[x]], #8\n"
        WS_DEPTHWISE_SCALE("c", "w0") WS_DEPTHWISE_SCALE("d", "w1")
        "strd %[x], %[w], [%[from], %[multiplier_at]]\n"
        "ldr %[x], [%[from], %[out_at]]\n"
        WS_STORE("a") WS_STORE("b") WS_STORE("c") WS_STORE("d")
        "str %[x], [%[from], %[out_at]]\n"
        "ldrd %[x], %[w], [%[from]]\n"
        "ldrd %[w0], %[w1], [%[from], %[groups_at]]\n"
        "add %[x], %[x], #4\n"
        "add %[w], %[w], %[w1]\n"
        "strd %[x], %[w], [%[from]]\n"
        "subs %[w0], %[w0], #1\n"
        "str %[w0], [%[from], %[groups_at]]\n"
        "bne 0b\n"
        : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [x] "=&r"(x), [w] "=&r"(w),
          [in] "=&r"(in), [even] "=&r"(even), [w0] "=&r"(w0), [w1] "=&r"(w1), [from] "+&r"(from),
          [home] "=m"(home), [rows] "=m"(rows)
        : [step] "r"(step), [center] "r"(center), WS_AT(ws_groups, rows), WS_AT(ws_groups, columns),
          WS_AT(ws_groups, row_step), WS_AT(ws_groups, bias), WS_AT(ws_groups, multiplier),
          WS_AT(ws_groups, out), WS_AT(ws_groups, zero_point), WS_AT(ws_groups, groups),
          WS_AT(ws_groups, row_whole)
        : "memory", "cc");
}
/* clang-format on */
#endif

/* The next output of a channel; `last`: halves go away from zero in any case. */
WS_INSTRUCTION void ws_finish_channel(ws_finisher *to, int32_t twice, bool last) {
    if (!WS_HALVES_UP || !last || *to->shift < 1) {
        ws_finish(to, twice);
        return;
    }
    const int32_t value =
        ws_scale_in_c(twice + *to->bias++, *to->multiplier++, *to->shift++, to->zero_point, false);
    *to->out++ = (int8_t)(value < to->low ? to->low : value > to->high ? to->high : value);
}

/* Weights, doubled: groups of four channels, tap by tap, as int16 in the order 0, 2, 1, 3; then the
 * channels that make no whole group, one by one. */
WS_KERNEL void ws_depthwise(const ws_conv_shape *shape, const ws_row *row, const int16_t *weights,
                            const int8_t *in, int8_t *out, int8_t *scratch) {
    (void)scratch;
    const int channels = shape->in_c, whole = channels / 4 * 4;
    const int alike = WS_HALVES_UP ? channels / 8 * 8 : whole; /* in how they are rounded */
    const int all_taps = shape->kernel_h * shape->kernel_w;
    const uint32_t center = 0x10001u * (uint16_t)-shape->fill;
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++, out += channels) {
            const ws_taps taps = ws_taps_at(shape, y, x);
            ws_finisher to = ws_finishing(row, &shape->range, out);
            const int8_t *first = in + taps.input;
            int c = 0;
#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
            if (alike > 0) {
                const ws_groups groups = {.x = first,
                                          .w = weights + 4 * taps.weight,
                                          .rows = taps.rows,
                                          .columns = taps.columns,
                                          .row_step = taps.row_step - taps.columns * taps.step,
                                          .weight_row = 8 * (taps.weight_row - taps.columns),
                                          .bias = row->bias,
                                          .multiplier = row->multiplier,
                                          .shift = row->shift,
                                          .out = out,
                                          .zero_point = shape->range.zero_point,
                                          .groups = alike / 4,
                                          .weight_group = 8 * all_taps,
                                          .row_whole = taps.row_step,
                                          .weight_row_again = 8 * (taps.weight_row - taps.columns)};
                ws_group_taps(groups, taps.step, center);
                c = alike;
                first += alike;
                ws_skip(&to, alike);
            }
#endif
            for (; c < whole; c += 4, first += 4) {
                const ws_four sums = ws_four_channels(
                    first, weights + all_taps * c + 4 * taps.weight, &taps, center);
                ws_finish_channel(&to, sums.a, c >= alike);
                ws_finish_channel(&to, sums.b, c >= alike);
                ws_finish_channel(&to, sums.c, c >= alike);
                ws_finish_channel(&to, sums.d, c >= alike);
            }
            for (; c < channels; c++, first++) {
                int32_t sum = 0;
                const int8_t *at = first;
                const int16_t *w = weights + all_taps * c + taps.weight;
                for (int i = 0; i < taps.rows; i++, at += taps.row_step, w += taps.weight_row) {
                    for (int j = 0; j < taps.columns; j++) {
                        sum += (at[j * taps.step] - shape->fill) * w[j]; /* doubled */
                    }
                }
                ws_finish_channel(&to, sum, true);
            }
        }
    }
}

#endif
