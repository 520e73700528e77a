/* SPDX-License-Identifier: Apache-2.0 */
#include "pdm.h"

#include <string.h>

#define TAPS_Q 15
#define OFFSET_Q 8 /* 16 kHz / (2 pi 2^8) = 10 Hz */

/* Q15, the first half; the second is its mirror. `wakestate board pdm` prints it. */
static const int16_t taps[WS_HALFBAND_TAPS / 2] = {
    -13,   -3,    35,   21,   -57,   -44,   85,   75,   /**/
    -123,  -118,  170,  174,  -231,  -247,  308,  342,  /**/
    -405,  -465,  529,  627,  -691,  -847,  908,  1161, /**/
    -1216, -1654, 1692, 2562, -2540, -4829, 4348, 16827,
};

void ws_halfband_reset(ws_halfband *half, unsigned gain_db) {
    memset(half, 0, sizeof *half);
    half->gain = (uint8_t)(gain_db / 6u);
}

void ws_pdm_reset(ws_pdm *pdm, unsigned gain_db) {
    memset(pdm, 0, sizeof *pdm);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint16_t *added = pdm->added[byte];
        for (int shift = 7; shift >= 0; shift--) {
            added[0] = (uint16_t)(added[0] + (byte >> shift & 1u));
            added[1] = (uint16_t)(added[1] + added[0]);
            added[2] = (uint16_t)(added[2] + added[1]);
            added[3] = (uint16_t)(added[3] + added[2]);
        }
    }
    ws_halfband_reset(&pdm->half, gain_db);
}

int32_t *ws_halfband_input(ws_halfband *half) {
    return half->history + WS_HALFBAND_TAPS - 2;
}

static int16_t clip(int64_t value) {
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

void ws_halfband_hop(ws_halfband *half, int16_t pcm[WS_HOP]) {
    /* From 24 bits and taps of 15 down to 15 bits, and the gain; two hops of bits to spare. */
    int shift = 24 + TAPS_Q - 15 - half->gain;
    for (size_t i = 0; i < WS_HOP; i++) {
        const int32_t *first = half->history + 2 * i;
        const int32_t *last = first + WS_HALFBAND_TAPS - 1;
        int64_t sum = (int64_t)1 << (shift - 1); /* rounds */
        for (size_t k = 0; k < WS_HALFBAND_TAPS / 2; k++) {
            sum += (int64_t)taps[k] * (*first++ + *last--);
        }
        int32_t value = (int32_t)(sum >> shift);
        int32_t without = value - (half->offset >> OFFSET_Q);
        half->offset += without;
        pcm[i] = clip(without);
    }
    memmove(half->history, half->history + WS_HALFBAND_SAMPLES,
            (WS_HALFBAND_TAPS - 2u) * sizeof half->history[0]);
}

/* Eight bits into the sums, as if bit after bit were added to the first, and each sum to the next:
 * what was there is counted C(7 + n, n) times n sums on. They may run over; the differences make
 * that good. */
static inline ws_pdm_sums add_byte(const ws_pdm *pdm, ws_pdm_sums s, unsigned byte) {
    const uint16_t *added = pdm->added[byte];
    s.d += 8 * s.c + 36 * s.b + 120 * s.a + added[3];
    s.c += 8 * s.b + 36 * s.a + added[2];
    s.b += 8 * s.a + added[1];
    s.a += added[0];
    return s;
}

void ws_pdm_hop(ws_pdm *pdm, const uint16_t words[WS_PDM_WORDS], int16_t pcm[WS_HOP]) {
    int32_t *input = ws_halfband_input(&pdm->half);
    ws_pdm_sums sums = pdm->sums;
    for (size_t i = 0; i < WS_HALFBAND_SAMPLES; i++) {
        for (int word = 0; word < 4; word++) {
            unsigned bits = *words++;
            sums = add_byte(pdm, sums, bits >> 8);
            sums = add_byte(pdm, sums, bits & 0xFFu);
        }
        uint32_t value = sums.d;
        for (int order = 0; order < 4; order++) {
            uint32_t before = pdm->differences[order];
            pdm->differences[order] = value;
            value -= before;
        }
        /* 0 .. 2^24 for bits 0 and 1 becomes -2^24 .. 2^24 for -1 and 1. */
        input[i] = 2 * (int32_t)value - WS_HALFBAND_FULL_SCALE;
    }
    pdm->sums = sums;
    ws_halfband_hop(&pdm->half, pcm);
}
