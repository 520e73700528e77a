/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products and convolutions, for mve.h. */
#ifndef WS_KERNELS_MVE_DOT_H
#define WS_KERNELS_MVE_DOT_H

#include "gather.h"
#include "mve_common.h"

/* A vector of weights, by the register, times inputs; added to a sum, or the sum's first. */
/* clang-format off */
#define WS_VECTOR(sum, into, inputs, weights)  \
    "vldrb.8 " weights ", [%[w]], #16\n"       \
    "vmladav" into ".s8 %[" sum "], %q[" inputs "], " weights "\n"
/* clang-format on */
#define WS_ROW_1(sum) WS_VECTOR(sum, "", "x0", "q4")
#define WS_ROW_2(sum) WS_ROW_1(sum) WS_VECTOR(sum, "a", "x1", "q5")
#define WS_ROW_3(sum) WS_ROW_2(sum) WS_VECTOR(sum, "a", "x2", "q4")
#define WS_ROW_4(sum) WS_ROW_3(sum) WS_VECTOR(sum, "a", "x3", "q5")

/* The same for a row without a neighbor. */
#define WS_LAST_1 vmladavaq_s8(0, x0, vldrbq_s8(w))
#define WS_LAST_2 vmladavaq_s8(WS_LAST_1, x1, vldrbq_s8(w + 16))
#define WS_LAST_3 vmladavaq_s8(WS_LAST_2, x2, vldrbq_s8(w + 32))
#define WS_LAST_4 vmladavaq_s8(WS_LAST_3, x3, vldrbq_s8(w + 48))

/* All rows, two at a time; `...`: the inputs, which stay in registers. */
#define WS_ALL_ROWS(vectors, ...)                                                             \
    do {                                                                                      \
        if (rows > 1) {                                                                       \
            __asm__ volatile(                                                               \
                "dls lr, %[pairs]\n"                                                        \
                "0:\n" WS_ROW_##vectors("sum") WS_ROW_##vectors("sum_2")                    \
                "strd %[sum], %[sum_2], [%[sums]], #8\n"                                    \
                "le lr, 0b\n"                                                               \
                : [w] "+&r"(w), [sums] "+&r"(sums), [sum] "=&Te"(sum), [sum_2] "=&Te"(sum_2) \
                : [pairs] "r"(rows / 2), __VA_ARGS__                                        \
                : "lr", "q4", "q5", "memory"); \
        }                                                                                     \
        if (rows % 2 == 1) *sums = WS_LAST_##vectors;                                         \
        return;                                                                               \
    } while (0)

/* Row by row of weights against `x`, each row filled up with zeros to whole vectors: a sum each. */
WS_KERNEL_NOINLINE void ws_sums(const int8_t *w, const int8_t *x, int length, int rows,
                                int32_t *sums) {
    const mve_pred16_t rest = vctp8q((uint32_t)((length - 1) % 16 + 1));
    const int vectors = (length + 15) / 16;
    int32_t sum, sum_2;
    switch (vectors) {
        case 1: {
            const int8x16_t x0 = vldrbq_z_s8(x, rest);
            WS_ALL_ROWS(1, [x0] "w"(x0));
        }
        case 2: {
            const int8x16_t x0 = vldrbq_s8(x), x1 = vldrbq_z_s8(x + 16, rest);
            WS_ALL_ROWS(2, [x0] "w"(x0), [x1] "w"(x1));
        }
        case 3: {
            const int8x16_t x0 = vldrbq_s8(x), x1 = vldrbq_s8(x + 16);
            const int8x16_t x2 = vldrbq_z_s8(x + 32, rest);
            WS_ALL_ROWS(3, [x0] "w"(x0), [x1] "w"(x1), [x2] "w"(x2));
        }
        case 4: {
            const int8x16_t x0 = vldrbq_s8(x), x1 = vldrbq_s8(x + 16), x2 = vldrbq_s8(x + 32);
            const int8x16_t x3 = vldrbq_z_s8(x + 48, rest);
            WS_ALL_ROWS(4, [x0] "w"(x0), [x1] "w"(x1), [x2] "w"(x2), [x3] "w"(x3));
        }
        default:
            break;
    }
    const int row = 16 * vectors;
    for (; rows >= 4; rows -= 4, w += 3 * row + 16) {
        const int8_t *w1 = w + row, *w2 = w1 + row, *w3 = w2 + row, *at = x;
        int32_t a = 0, b = 0, c = 0, d = 0;
        __asm__(
            "dls lr, %[count]\n"
            "0:\n"
            "vldrb.8 q0, [%[x]], #16\n"
            "vldrb.8 q1, [%[w]], #16\n"
            "vmladava.s8 %[a], q0, q1\n"
            "vldrb.8 q2, [%[w1]], #16\n"
            "vmladava.s8 %[b], q0, q2\n"
            "vldrb.8 q1, [%[w2]], #16\n"
            "vmladava.s8 %[c], q0, q1\n"
            "vldrb.8 q2, [%[w3]], #16\n"
            "vmladava.s8 %[d], q0, q2\n"
            "le lr, 0b\n"
            : [a] "+&Te"(a), [b] "+&Te"(b), [c] "+&Te"(c), [d] "+&Te"(d), [x] "+&r"(at),
              [w] "+&r"(w), [w1] "+&r"(w1), [w2] "+&r"(w2), [w3] "+&r"(w3)
            : [count] "r"(vectors - 1)
            : "lr", "q0", "q1", "q2", "memory");
        const int8x16_t inputs = vldrbq_z_s8(at, rest);
        *sums++ = vmladavaq_s8(a, inputs, vldrbq_s8(w));
        *sums++ = vmladavaq_s8(b, inputs, vldrbq_s8(w1));
        *sums++ = vmladavaq_s8(c, inputs, vldrbq_s8(w2));
        *sums++ = vmladavaq_s8(d, inputs, vldrbq_s8(w3));
    }
    for (; rows > 0; rows--) {
        const int8_t *at = x;
        sum = 0;
        for (int i = 1; i < vectors; i++, at += 16, w += 16) {
            sum = vmladavaq_s8(sum, vldrbq_s8(at), vldrbq_s8(w));
        }
        *sums++ = vmladavaq_s8(sum, vldrbq_z_s8(at, rest), vldrbq_s8(w));
        w += 16;
    }
}

/* Four sums to outputs: the steps of ws_scale, with q0 the sums, q1 the biases, q2 the multipliers,
 * q3 the shifts to the right and q6 those to the left. */
#if WS_ANY_SHIFT
#define WS_SHIFTS           \
    "vmov.i32 q7, #0\n"     \
    "vmin.s32 q7, q7, q3\n" \
    "vsub.i32 q6, q3, q7\n" \
    "vmov q3, q7\n"
#define WS_TO_THE_LEFT "vshl.s32 q0, q0, q6\n"
#define WS_AWAY              \
    "vand q7, q0, q3\n"      \
    "vshr.s32 q7, q7, #31\n" \
    "vadd.i32 q0, q0, q7\n"
#define WS_CLOBBERED "lr", "q0", "q1", "q2", "q3", "q6", "q7", "memory"
#else
#define WS_SHIFTS
#define WS_TO_THE_LEFT
#define WS_AWAY              \
    "vshr.s32 q7, q0, #31\n" \
    "vadd.i32 q0, q0, q7\n"
#define WS_CLOBBERED "lr", "q0", "q1", "q2", "q3", "q7", "memory"
#endif
#if WS_HALVES_UP
#undef WS_AWAY
#define WS_AWAY
#endif
/* Without it, results below the ReLU's zero are not rounded exactly. */
#if WS_ANY_SHIFT || WS_SIGNED_DOTS
#define WS_DOT_AWAY WS_AWAY
#else
#define WS_DOT_AWAY
#endif
/* clang-format off */
#define WS_FINISH(sums, away, out)          \
    "vldrw.32 q0, [%[" sums "]], #16\n"     \
    "vadd.i32 q0, q0, q1\n"                 \
    WS_TO_THE_LEFT                          \
    "vqrdmulh.s32 q0, q0, q2\n"             \
    away                                    \
    "vrshl.s32 q0, q0, q3\n"                \
    "vadd.i32 q0, q0, %[zero_point]\n"      \
    "vmax.s32 q0, q0, %q[low]\n"            \
    "vmin.s32 q0, q0, %q[high]\n"           \
    "vstrb.32 q0, [%[" out "]], #4\n"
#define WS_FINISH_LOOP(pixels)                                                                   \
    __asm__ volatile(                                                                            \
        "dlstp.32 lr, %[outputs]\n"                                                              \
        "0:\n"                                                                                   \
        "vldrw.32 q1, [%[bias]], #16\n"                                                          \
        "vldrw.32 q2, [%[multiplier]], #16\n"                                                    \
        "vldrb.s32 q3, [%[shift]], #4\n"                                                         \
        WS_SHIFTS                                                                                \
        pixels                                                                                   \
        "letp lr, 0b\n"                                                                          \
        : [sums] "+&r"(sums), [second] "+&r"(second), [bias] "+&r"(bias), [shift] "+&l"(shift),  \
          [multiplier] "+&r"(multiplier), [out] "+&l"(out), [next] "+&l"(next)                   \
        : [outputs] "r"(outputs), [zero_point] "r"(zero_point), [low] "w"(low), [high] "w"(high) \
        : WS_CLOBBERED)
/* clang-format on */

/* Sums of one pixel, or of two, `outputs` apart, become outputs. */
WS_KERNEL_NOINLINE void ws_finish(const int32_t *sums, bool two, const ws_row *row, int outputs,
                                  const ws_range *range, int8_t *out) {
    const int32_t *bias = row->bias, *multiplier = row->multiplier, *second = sums + outputs;
    const int8_t *shift = row->shift;
    int8_t *next = out + outputs;
    const int32_t zero_point = range->zero_point;
    const int32x4_t low = vdupq_n_s32(range->low), high = vdupq_n_s32(range->high);
    if (two) {
        WS_FINISH_LOOP(WS_FINISH("sums", WS_DOT_AWAY, "out")
                           WS_FINISH("second", WS_DOT_AWAY, "next"));
    } else {
        WS_FINISH_LOOP(WS_FINISH("sums", WS_AWAY, "out"));
    }
}

/* Weights: output by output a row, filled up with zeros to whole vectors. */
WS_KERNEL void ws_dot(const ws_dot_shape *shape, const ws_row *row, const int8_t *weights,
                      const int8_t *in, int8_t *out, int8_t *scratch) {
    const int outputs = shape->outputs, length = shape->length;
    int32_t *sums = (int32_t *)(void *)scratch;
    for (int left = shape->pixels; left > 0; left -= 2, in += 2 * shape->step, out += 2 * outputs) {
        ws_sums(weights, in, length, outputs, sums);
        if (left > 1) ws_sums(weights, in + shape->step, length, outputs, sums + outputs);
        ws_finish(sums, left > 1, row, outputs, &shape->range, out);
    }
}

static inline void ws_conv(const ws_conv_shape *shape, const ws_row *row, const int8_t *weights,
                           const int8_t *in, int8_t *out, int8_t *scratch) {
    const int outputs = shape->out_c, pixels = shape->out_h * shape->out_w;
    const int length = shape->kernel_h * shape->kernel_w * shape->in_c;
    int32_t *sums = (int32_t *)(void *)scratch;
    int8_t *patch = (int8_t *)(sums + (pixels > 1 ? 2 : 1) * outputs);
    for (int p = 0, y = 0, x = 0; p < pixels; p++) {
        const bool first = p % 2 == 0;
        ws_gather(shape, ws_taps_at(shape, y, x), in, patch);
        ws_sums(weights, patch, length, outputs, first ? sums : sums + outputs);
        if (!first || p + 1 == pixels) {
            ws_finish(sums, !first, row, outputs, &shape->range, out);
            out += 2 * outputs;
        }
        if (++x == shape->out_w) {
            x = 0;
            y++;
        }
    }
}

#endif
