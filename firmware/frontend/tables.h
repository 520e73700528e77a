/* SPDX-License-Identifier: Apache-2.0 */
/* The LFBE front end's tables and constants, which the generated ws_frontend.c defines; it includes
 * this before them, and the loops of its core behind them: scalar.h or mve.h. They give the same
 * bits.
 *
 * A window of int16 PCM becomes WS_BANDS log mel band energies: Hann window, real FFT, HTK mel
 * bands, no normalization. Integers only, no division. Right shifts of negative values are
 * arithmetic, as on every compiler for Arm; convert/frontend.py holds the bit-exact reference.
 *
 *     WS_WINDOW, WS_FFT, WS_BANDS  samples, points of the real FFT, bands
 *     WS_FIRST_BIN, WS_BINS        the first bin of the first band, and how many the bands have
 *     WS_LOG_SCALE                 int8 steps in Q8 for a unit of Q15 log2, as a Q32 factor
 *     WS_LOG_OFFSET                what is taken off, so that the floor in dB comes out as -128
 */
#ifndef WS_FRONTEND_TABLES_H
#define WS_FRONTEND_TABLES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POINTS (WS_FFT / 2) /* complex points: even samples real, odd samples imaginary */
#define INLINE static inline __attribute__((always_inline))

/* Takes back what the fixed scalings leave in the band sums: 15 (window) - 3 - 5 (FFT) - 1 (split),
 * twice, since powers are squares, and - 31 + 15 (weights) are -4 in log2. */
#define LOG2_OFFSET 4

/* How many points of the first stage's butterflies are in the window, out of four, and the first
 * butterfly whose last one of these has no two samples. */
#define LEGS ((WS_WINDOW + POINTS / 2 - 1) / (POINTS / 2))
#define LAST_LEG ((WS_WINDOW - (LEGS - 1) * POINTS / 2) / 2)

typedef struct {
    int32_t re, im;
} complex;

/* The Hann window, Q15, negative: int16 holds -32768, but not 32768. */
static const int16_t hann[WS_WINDOW];

/* Base-4 digits of 0 .. POINTS / 4 - 1 reversed: the first FFT stage takes the points i,
 * i + POINTS / 4, i + POINTS / 2 and i + POINTS * 3 / 4 to the four from 4 * digit_reversed[i] on.
 */
static const uint8_t digit_reversed[POINTS / 4];

/* Twiddle factors of the last stage, Q15: cosine in the low half of a word, sine in the high half,
 * of 2 pi k / POINTS, twice and three times it. Stages before take every 4th and every 16th. */
static const uint32_t twiddles[3][POINTS / 4];

/* The same of 2 pi k / WS_FFT, for the split to the real spectrum. */
static const uint32_t split_twiddles[POINTS / 2];

/* How many bins are between two mel edges, from WS_FIRST_BIN on. In interval i band i - 1 falls and
 * band i rises; band_rise is a bin's weight in the rising one, Q15, the rest of it falls. */
static const uint8_t band_bins[WS_BANDS + 1];
static const uint16_t band_rise[WS_BINS];

/* log2(1 + i / LOG_STEPS), Q15, in the high half of a word; in the low half, how far it is to the
 * next. */
#define LOG_STEPS 64
static const uint32_t log2_table[LOG_STEPS];

INLINE int leading_zeros(uint32_t a) {
    return __builtin_clz(a);
}

#endif
