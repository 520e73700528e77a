/* SPDX-License-Identifier: Apache-2.0 */
/* Layers with weights that the fast kernels do not take, for ops.h. */
#ifndef WS_KERNELS_OPS_WEIGHTS_H
#define WS_KERNELS_OPS_WEIGHTS_H

#include "arithmetic.h"
#include "types.h"

/* The output of a sum, both as TFLM has them: int32 that wraps. */
static inline int8_t ws_op_output(uint32_t sum, int32_t multiplier, int shift,
                                  const ws_range *range) {
    const int32_t scaled = ws_rescale((int32_t)sum, multiplier, shift);
    const int32_t value = (int32_t)((uint32_t)scaled + (uint32_t)range->zero_point);
    return ws_clamp8(value, range->low, range->high);
}

/* A convolution whose sums may wrap. Weights: output by output, tap by tap, the `inside` inputs of
 * its group. The row is TFLM's: no zero point in the bias; shifts to the right, negative: to the
 * left. */
WS_FUNCTION void ws_op_exact(const ws_conv_shape *shape, const ws_row *row, const int8_t *weights,
                             int inside, const int8_t *in, int8_t *out) {
    const int in_group = shape->out_c / (shape->in_c / inside); /* outputs */
    const int all = shape->kernel_h * shape->kernel_w * inside;
    for (int y = 0; y < shape->out_h; y++) {
        for (int x = 0; x < shape->out_w; x++) {
            const ws_taps taps = ws_taps_at(shape, y, x);
            for (int o = 0; o < shape->out_c; o++) {
                const int8_t *first = in + taps.input + o / in_group * inside;
                const int8_t *w = weights + o * all + taps.weight * inside;
                uint32_t sum = (uint32_t)row->bias[o];
                for (int i = 0; i < taps.rows; i++, w += taps.weight_row * inside) {
                    for (int j = 0; j < taps.columns; j++) {
                        const int8_t *tap = first + i * taps.row_step + j * taps.step;
                        for (int c = 0; c < inside; c++) {
                            sum += (uint32_t)((tap[c] - shape->fill) * w[j * inside + c]);
                        }
                    }
                }
                *out++ = ws_op_output(sum, row->multiplier[o], row->shift[o], &shape->range);
            }
        }
    }
}

/* Three loops over matrices, then rows of a, columns of b and the depth; a stride of 0 broadcasts.
 */
typedef struct {
    int32_t n[6], a[6], b[6];
    int16_t a_zero, b_zero;
    int32_t multiplier;
    int8_t shift;
    ws_range range;
} ws_op_matmul_shape;

/* One matrix; `bias` one for each column, or NULL. */
WS_FUNCTION int8_t *ws_op_matrix(const ws_op_matmul_shape *shape, const int32_t *bias,
                                 const int8_t *a, const int8_t *b, int8_t *out) {
    const int32_t a_step = shape->a[5], b_step = shape->b[5], a_zero = shape->a_zero,
                  b_zero = shape->b_zero;
    for (int32_t i = 0; i < shape->n[3]; i++) {
        for (int32_t j = 0; j < shape->n[4]; j++) {
            const int8_t *x = a + i * shape->a[3], *y = b + j * shape->b[4];
            uint32_t sum = bias != NULL ? (uint32_t)bias[j] : 0;
            for (int32_t k = shape->n[5]; k > 0; k--, x += a_step, y += b_step) {
                sum += (uint32_t)((*x - a_zero) * (*y - b_zero));
            }
            *out++ = ws_op_output(sum, shape->multiplier, shape->shift, &shape->range);
        }
    }
    return out;
}

WS_FUNCTION void ws_op_matmul(const ws_op_matmul_shape *shape, const int32_t *bias, const int8_t *a,
                              const int8_t *b, int8_t *out) {
    const int32_t *n = shape->n, *as = shape->a, *bs = shape->b;
    WS_EACH(i, j, k, n) {
        out = ws_op_matrix(shape, bias, a + i * as[0] + j * as[1] + k * as[2],
                           b + i * bs[0] + j * bs[1] + k * bs[2], out);
    }
}

#endif
