/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move bytes, for ops.h. */
#ifndef WS_KERNELS_OPS_MOVE_H
#define WS_KERNELS_OPS_MOVE_H

#include "types.h"

static inline void ws_op_fill(int8_t *out, int8_t value, int count) {
    memset(out, value, (size_t)count);
}

/* n elements, with strides, in four loops. */
typedef struct {
    int32_t n[4], from[4], to[4];
} ws_op_copy_shape;

WS_INLINE void ws_op_copies(const ws_op_copy_shape *shape, const int8_t *in, int8_t *out,
                            bool runs) {
    const int32_t *n = shape->n, *from = shape->from, *to = shape->to;
    const int32_t source_step = from[3], result_step = to[3];
    WS_EACH(i, j, k, n) {
        const int8_t *source = in + i * from[0] + j * from[1] + k * from[2];
        int8_t *result = out + i * to[0] + j * to[1] + k * to[2];
        if (runs) ws_run(result, source, n[3]);
        for (int32_t l = runs ? 0 : n[3]; l > 0; l--) {
            *result = *source;
            source += source_step;
            result += result_step;
        }
    }
}

WS_FUNCTION void ws_op_copy(const ws_op_copy_shape *shape, const int8_t *in, int8_t *out) {
    ws_op_copies(shape, in, out, false);
}

/* Of bytes in a row in the innermost loop. */
WS_FUNCTION void ws_op_copy_runs(const ws_op_copy_shape *shape, const int8_t *in, int8_t *out) {
    ws_op_copies(shape, in, out, true);
}

/* `count` runs of `bytes` each; the numbers of their first bytes are listed. */
static inline void ws_op_gather(const uint16_t *starts, int count, int bytes, const int8_t *in,
                                int8_t *out) {
    for (int i = 0; i < count; i++, out += bytes) {
        ws_run(out, in + starts[i], bytes);
    }
}

static inline void ws_op_gather_long(const int32_t *starts, int count, int bytes, const int8_t *in,
                                     int8_t *out) {
    for (int i = 0; i < count; i++, out += bytes) {
        ws_run(out, in + starts[i], bytes);
    }
}

/* `rows` and `columns` list of each two inputs and how far it is from the first to the second, in
 * 1/1024. */
WS_FUNCTION void ws_op_bilinear(const int16_t *rows, const int16_t *columns, int height, int width,
                                int in_width, int channels, const int8_t *in, int8_t *out) {
    for (int y = 0; y < height; y++, rows += 3) {
        const int8_t *top = in + rows[0] * in_width * channels;
        const int8_t *bottom = in + rows[1] * in_width * channels;
        const int32_t down = rows[2], up = 1024 - down;
        const int16_t *column = columns;
        for (int x = 0; x < width; x++, column += 3) {
            const int left = column[0] * channels, right = column[1] * channels;
            const int32_t after = column[2], before = 1024 - after;
            for (int c = 0; c < channels; c++) {
                const int32_t sum = top[left + c] * up * before + bottom[left + c] * down * before +
                                    top[right + c] * up * after + bottom[right + c] * down * after;
                *out++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}

#endif
