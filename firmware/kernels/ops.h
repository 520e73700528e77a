/* SPDX-License-Identifier: Apache-2.0 */
/* Operators without weights, a small part of a network's time. They compute what TFLM's reference
 * kernels do.
 */
#ifndef WS_KERNELS_OPS_H
#define WS_KERNELS_OPS_H

#include "arithmetic.h"
#include "ops_move.h"
#include "ops_pairs.h"
#include "ops_reduce.h"
#include "ops_weights.h"

/* table[0] is for -128. */
static inline void ws_op_table(const int8_t *table, const int8_t *in, int8_t *out, int count) {
    for (int i = 0; i < count; i++) {
        out[i] = table[in[i] + 128];
    }
}

/* Element i through table (i / inner) % count, each of 256 bytes. */
static inline void ws_op_tables(const int8_t *tables, int count, int inner, const int8_t *in,
                                int8_t *out, int size) {
    for (const int8_t *end = out + size; out < end;) {
        const int8_t *table = tables + 128;
        for (int c = 0; c < count; c++, table += 256) {
            for (int i = 0; i < inner; i++) {
                *out++ = table[*in++];
            }
        }
    }
}

/* Over each row of `depth`. */
WS_FUNCTION void ws_op_softmax(const int32_t *exps, int known, int rows, int depth,
                               const int8_t *in, int8_t *out) {
    for (int r = 0; r < rows; r++, in += depth, out += depth) {
        const ws_softmax_row row = ws_softmax_of(exps, known, depth, in);
        for (int c = 0; c < depth; c++) {
            int32_t value = 0;
            if (row.maximum - in[c] < known) {
                const int down = 35 - row.headroom; /* above 31, each shares so little: 0 */
                const int32_t share = ws_high_mul(row.one_over_sum, exps[row.maximum - in[c]]);
                if (down < 32) value = ws_divide(share, down);
            }
            out[c] = ws_clamp8(value - 128, -128, 127);
        }
    }
}

#endif
