/* SPDX-License-Identifier: Apache-2.0 */
/* From a microphone's one-bit stream (PDM) to 16 kHz PCM. boards/pdm.py designs it and says what
 * it does in floating point.
 *
 * Stage 1: a fourth-order running sum (CIC) of the bits at 128 times the rate, taken every 64.
 * Stage 2: a 64-tap filter that takes every second value; it stops what would alias into the band
 * (67 dB), lifts the droop of stage 1, and gives 100 Hz .. 7 kHz within 0.05 dB. Sound above 23 kHz
 * falls into the band of stage 1 itself, at least 40 dB lower. Then what is below 10 Hz, a
 * microphone's offset, is taken off.
 *
 * A chip that does stage 1 itself (DFSDM) begins with stage 2.
 */
#ifndef WS_PDM_H
#define WS_PDM_H

#include <stddef.h>
#include <stdint.h>

#include "ws_lfbe.h"

#define WS_PDM_OVERSAMPLING 128u                         /* bits for each sample of PCM */
#define WS_PDM_WORDS (WS_HOP * WS_PDM_OVERSAMPLING / 16) /* of 16 bits, for each hop */
#define WS_HALFBAND_TAPS 64u
#define WS_HALFBAND_SAMPLES (2u * WS_HOP) /* at 32 kHz, for each hop */
#define WS_HALFBAND_FULL_SCALE (1 << 24)  /* of stage 1, and the 32767 of PCM */

typedef struct {
    int32_t history[WS_HALFBAND_TAPS - 2u +
                    WS_HALFBAND_SAMPLES]; /* the newest of before, then this hop */
    int32_t offset;                       /* Q8 */
    uint8_t gain;                         /* as a shift: 6 dB each */
} ws_halfband;

typedef struct {
    uint32_t a, b, c, d; /* of the bits; of a; of b; of c */
} ws_pdm_sums;

typedef struct {
    uint16_t added[256][4]; /* what eight bits, the first at the top, add to sums of 0 */
    ws_pdm_sums sums;
    uint32_t differences[4];
    ws_halfband half;
} ws_pdm;

/* As after silence. `gain_db`: 0, 6, 12 or 18. */
void ws_halfband_reset(ws_halfband *half, unsigned gain_db);
void ws_pdm_reset(ws_pdm *pdm, unsigned gain_db);

/* Where the next WS_HALFBAND_SAMPLES values go, within +-WS_HALFBAND_FULL_SCALE. */
int32_t *ws_halfband_input(ws_halfband *half);

/* A hop of them becomes a hop of PCM, clipped where the gain is too much. */
void ws_halfband_hop(ws_halfband *half, int16_t pcm[WS_HOP]);

/* A hop of bits, the oldest at the top of each word, becomes a hop of PCM. */
void ws_pdm_hop(ws_pdm *pdm, const uint16_t words[WS_PDM_WORDS], int16_t pcm[WS_HOP]);

#endif
