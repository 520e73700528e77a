/* What dot products of both layouts share. */
#ifndef WS_KERNELS_DSP_SUMS_H
#define WS_KERNELS_DSP_SUMS_H

#include "dsp_common.h"
#include "gather.h"

/* Sums of two pairs of outputs, A B and C D, or of one pair in two pixels. */
typedef struct {
    int32_t a, b, c, d;
} ws_sums;

enum { WS_BLOCK = 512 }; /* inputs at a time */

#if !WS_ANY_SHIFT && !WS_CLAMPS && defined(__ARM_FEATURE_DSP)
/* What ws_double_pairs keeps in memory; out and outputs are loaded together. */
typedef struct {
    const ws_u32 *x;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int8_t *out;
    int32_t outputs, zero_point, left;
} ws_pairs;

/* A sum to an output, as ws_scale. */
#if WS_SIGNED_DOTS
#define WS_DOT_AWAY(sum) "add %[" sum "], %[" sum "], %[" sum "], asr #31\n"
#else
#define WS_DOT_AWAY(sum)
#endif
/* clang-format off */
#define WS_DOT_SCALE(sum, multiplier, shift)              \
    "smmulr %[" sum "], %[" sum "], %[" multiplier "]\n"  \
    WS_DOT_AWAY(sum)                                      \
    "asrs %[" sum "], %[" sum "], %[" shift "]\n"         \
    "adc %[" sum "], %[" sum "], %[even]\n"               \
    "ssat %[" sum "], #8, %[" sum "]\n"
/* clang-format on */
#endif

#endif
