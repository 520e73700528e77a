/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer gets, in all kernel sets:
 *
 *   ws_dot        dot products: each pixel is `length` inputs in a row, pixels `step` apart
 *   ws_conv       2-D convolution, NHWC; each patch is gathered into scratch, then as ws_dot
 *   ws_depthwise  2-D convolution of each channel for itself; taps beyond the edge are left out
 *   ws_slide      bytes move to a lower address; the two may overlap
 *
 * Integers only. Right shifts of negative values are arithmetic, as on every compiler for Arm. No
 * accumulator can overflow: the generator has checked every layer's worst case.
 */
#ifndef WS_KERNELS_TYPES_H
#define WS_KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "config.h"

/* An operand of assembly: the offset of a field in a struct, as NAME_at. */
#define WS_AT(type, field) [field##_at] "i"(offsetof(type, field))

/* The outer three of four loops of n runs. */
#define WS_EACH(i, j, k, n)                  \
    for (int32_t i = 0; i < (n)[0]; i++)     \
        for (int32_t j = 0; j < (n)[1]; j++) \
            for (int32_t k = 0; k < (n)[2]; k++)

/* Words and halves of them in memory that is int8_t elsewhere. */
typedef uint32_t __attribute__((may_alias)) ws_u32;
typedef int32_t __attribute__((may_alias)) ws_i32;
typedef int16_t __attribute__((may_alias)) ws_i16;

/* acc + the sum of products, which wraps: for what no instruction of a kernel set takes. */
static inline int32_t ws_products_each(const int8_t *a, const int8_t *b, int count, int32_t acc) {
    for (; count > 0; count--) {
        acc = (int32_t)((uint32_t)acc + (uint32_t)(*a++ * *b++));
    }
    return acc;
}

static inline int32_t ws_products16_each(const int16_t *a, const ws_i16 *b, int count,
                                         int32_t acc) {
    for (; count > 0; count--) {
        acc = (int32_t)((uint32_t)acc + (uint32_t)(*a++ * *b++));
    }
    return acc;
}

/* One layer's numbers for each output channel. acc * multiplier / 2^(31 + shift), rounded twice,
 * is exactly what TFLite's reference kernels make of it. The input's zero point is folded into the
 * bias, but for ws_depthwise of plain and dsp. dsp has biases doubled; mve has shifts to the left.
 */
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier; /* Q31, not negative */
    const int8_t *shift;       /* to the right; negative: to the left, if WS_ANY_SHIFT */
} ws_row;

/* An output's zero point, and what it is clamped to after that was added. */
typedef struct {
    int16_t zero_point, low, high;
} ws_range;

typedef struct {
    WS_SIZE_TYPE pixels, step, length, outputs;
    ws_range range;
} ws_dot_shape;

typedef struct {
    WS_SIZE_TYPE in_h, in_w, in_c, out_h, out_w, out_c;
    WS_WINDOW_TYPE kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    WS_WINDOW_TYPE pad_top, pad_left;
    int8_t fill; /* the input's zero point, which is used beyond the edge */
    ws_range range;
} ws_conv_shape;
/* The taps of one output that are within the input: `rows` of `columns`. */
typedef struct {
    int rows, columns;
    int input, row_step, step; /* index of the first tap's channel 0; to the next ones */
    int weight, weight_row;    /* number of the first tap; to the next row's */
} ws_taps;

/* Of `kernel` taps from `first` on, `dilation` apart: the first at 0 or more, and how many from
 * there are below `size`. */
static inline void ws_clip(int first, int dilation, int kernel, int size, int *from, int *count) {
    int begin = 0, end = kernel;
    while (begin < end && first + begin * dilation < 0)
        begin++;
    while (end > begin && first + (end - 1) * dilation >= size)
        end--;
    *from = begin;
    *count = end - begin;
}

static inline ws_taps ws_taps_at(const ws_conv_shape *shape, int y, int x) {
    const int top = y * shape->stride_h - shape->pad_top;
    const int left = x * shape->stride_w - shape->pad_left;
    const int channels = shape->in_c, row_inputs = shape->in_w * channels;
    int row, column, rows, columns;
    ws_clip(top, shape->dilation_h, shape->kernel_h, shape->in_h, &row, &rows);
    ws_clip(left, shape->dilation_w, shape->kernel_w, shape->in_w, &column, &columns);
    ws_taps taps = {
        .rows = rows,
        .columns = columns,
        .input = (top + row * shape->dilation_h) * row_inputs +
                 (left + column * shape->dilation_w) * channels,
        .row_step = shape->dilation_h * row_inputs,
        .step = shape->dilation_w * channels,
        .weight = row * shape->kernel_w + column,
        .weight_row = shape->kernel_w,
    };
    if (shape->kernel_w == 1 && columns == 1) { /* one long row instead of many of one tap */
        taps.columns = rows;
        taps.step = taps.row_step;
        taps.rows = 1;
    }
    return taps;
}

#endif
