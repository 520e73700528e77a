/* SPDX-License-Identifier: Apache-2.0 */
/* How a patch of a convolution is gathered, in all kernel sets. */
#ifndef WS_KERNELS_GATHER_H
#define WS_KERNELS_GATHER_H

#include "types.h"

#ifndef ws_run /* a set has its own */
/* A few bytes. */
static inline void ws_run(int8_t *to, const int8_t *from, int bytes) {
    for (; bytes >= 4; bytes -= 4, from += 4, to += 4) {
        memcpy(to, from, 4);
    }
    while (bytes-- > 0)
        *to++ = *from++;
}
#endif

/* One output's patch: kernel_h * kernel_w * in_c inputs in a row, beyond the edge `fill`. */
static inline void ws_gather(const ws_conv_shape *shape, ws_taps taps, const int8_t *in,
                             int8_t *patch) {
    const int channels = shape->in_c, bytes = shape->kernel_h * shape->kernel_w * channels;
    if (taps.rows * taps.columns * channels < bytes) {
        const uint32_t fill = 0x01010101u * (uint8_t)shape->fill;
        for (int8_t *to = patch; to < patch + bytes; to += 4) { /* up to three bytes too many */
            memcpy(to, &fill, 4);
        }
    }
    in += taps.input;
    patch += taps.weight * channels;
    /* A row's taps are one run of bytes where they are consecutive, else many. */
    const bool one = taps.step == channels;
    const int runs = one ? 1 : taps.columns, run = one ? taps.columns * channels : channels;
    const int patch_step = taps.weight_row * channels;
    for (int i = taps.rows; i > 0; i--, in += taps.row_step, patch += patch_step) {
        for (int j = 0; j < runs; j++) {
            ws_run(patch + j * channels, in + j * taps.step, run);
        }
    }
}

#endif
