/* SPDX-License-Identifier: Apache-2.0 */
/* What all kernels of mve.h are made of. */
#ifndef WS_KERNELS_MVE_COMMON_H
#define WS_KERNELS_MVE_COMMON_H

#include <arm_mve.h>

#include "types.h"

/* Whole vectors first, so that `to` may be anywhere below `from`. */
WS_NOINLINE void ws_slide(int8_t *to, const int8_t *from, size_t bytes) {
    if (bytes == 0) return;
    __asm__ volatile(
        "dlstp.8 lr, %[bytes]\n"
        "0:\n"
        "vldrb.8 q0, [%[from]], #16\n"
        "vstrb.8 q0, [%[to]], #16\n"
        "letp lr, 0b\n"
        : [to] "+&r"(to), [from] "+&r"(from)
        : [bytes] "r"(bytes)
        : "lr", "q0", "memory");
}

/* A few bytes. */
#define ws_run ws_run_vectors
static inline void ws_run(int8_t *to, const int8_t *from, int bytes) {
    for (; bytes > 0; bytes -= 16, to += 16, from += 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)bytes);
        vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
    }
}

/* Requantized: SaturatingRoundingDoublingHighMul is VQRDMULH; RoundingDivideByPOT, whose halves go
 * away from zero, is VRSHL of what is made one less where it is negative. Where halves may go up,
 * they do in lanes whose `away` is 0; else it is -1. */
WS_INLINE int32x4_t ws_scale(int32x4_t acc, int32x4_t multiplier, int32x4_t shift, int32x4_t away) {
#if WS_ANY_SHIFT
    const int32x4_t down = vminq_s32(shift, vdupq_n_s32(0));
    acc = vshlq_s32(acc, vsubq_s32(shift, down));
    acc = vqrdmulhq_s32(acc, multiplier);
    int32x4_t negative = vshrq_n_s32(vandq_s32(acc, down), 31);
#else
    const int32x4_t down = shift;
    acc = vqrdmulhq_s32(acc, multiplier);
    int32x4_t negative = vshrq_n_s32(acc, 31);
#endif
    if (WS_HALVES_UP) negative = vandq_s32(negative, away);
    return vrshlq_s32(vaddq_s32(acc, negative), down);
}

#endif
