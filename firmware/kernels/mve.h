/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for cores with Helium (Cortex-M55): sixteen products an instruction. */
#ifndef WS_KERNELS_H
#define WS_KERNELS_H

#include "mve_common.h"
#include "mve_depthwise.h"
#include "mve_dot.h"

/* Channels that ws_sums_parallel takes. */
enum { WS_PARALLEL = 8 };

/* Adds `count` inputs, `step` bytes apart, of each of eight adjacent channels. 255 of
 * them fit into 16 bits. */
WS_FUNCTION void ws_sums_parallel(const int8_t *in, int count, int step, int32_t *sum) {
    for (int block; count > 0; count -= block) {
        int16x8_t part = vdupq_n_s16(0);
        block = count < 255 ? count : 255;
        for (int i = 0; i < block; i++, in += step) {
            part = vaddq_s16(part, vldrbq_s16(in));
        }
        for (int i = 0; i < 8; i++) {
            sum[i] += part[i];
        }
    }
}

/* acc + the sum of products, which wraps. */
static inline int32_t ws_products(const int8_t *weights, const int8_t *in, int count, int32_t acc) {
    for (; count > 0; count -= 16, weights += 16, in += 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)count);
        acc = vmladavaq_p_s8(acc, vldrbq_z_s8(weights, lanes), vldrbq_z_s8(in, lanes), lanes);
    }
    return acc;
}

#define ws_products16 ws_products16_each

#endif
