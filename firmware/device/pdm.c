#include "pdm.h"

#include <string.h>

#define TAPS_Q 15
#define OFFSET_Q 8 /* 16 kHz / (2 pi 2^8) = 10 Hz */

/* Q15, the first half; the second is its mirror. `python -m boards pdm` prints it. */
static const int16_t taps[WS_HALF_TAPS / 2] = {
    -13,   -3,    35,   21,   -57,   -44,   85,   75,   /**/
    -123,  -118,  170,  174,  -231,  -247,  308,  342,  /**/
    -405,  -465,  529,  627,  -691,  -847,  908,  1161, /**/
    -1216, -1654, 1692, 2562, -2540, -4829, 4348, 16827,
};

/* What four bits, the first at the top, add to each running sum: bit k (0 the first) is counted
 * C(3 - k + m, m) times in sum m = 0 .. 3. */
static const uint8_t added[16][4] = {
    {0, 0, 0, 0},   {1, 1, 1, 1},   {1, 2, 3, 4},   {2, 3, 4, 5},   /**/
    {1, 3, 6, 10},  {2, 4, 7, 11},  {2, 5, 9, 14},  {3, 6, 10, 15}, /**/
    {1, 4, 10, 20}, {2, 5, 11, 21}, {2, 6, 13, 24}, {3, 7, 14, 25}, /**/
    {2, 7, 16, 30}, {3, 8, 17, 31}, {3, 9, 19, 34}, {4, 10, 20, 35},
};

void ws_half_reset(ws_half *half, unsigned gain_db) {
    memset(half, 0, sizeof *half);
    half->gain = (uint8_t)(gain_db / 6u);
}

void ws_pdm_reset(ws_pdm *pdm, unsigned gain_db) {
    memset(pdm, 0, sizeof *pdm);
    ws_half_reset(&pdm->half, gain_db);
}

int32_t *ws_half_input(ws_half *half) {
    return half->held + WS_HALF_TAPS - 2;
}

static int16_t clip(int64_t value) {
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

void ws_half_hop(ws_half *half, int16_t pcm[WS_HOP]) {
    /* From 24 bits and taps of 15 down to 15 bits, and the gain; two hops of bits to spare. */
    int shift = 24 + TAPS_Q - 15 - half->gain;
    for (size_t i = 0; i < WS_HOP; i++) {
        const int32_t *first = half->held + 2 * i;
        const int32_t *last = first + WS_HALF_TAPS - 1;
        int64_t sum = (int64_t)1 << (shift - 1); /* rounds */
        for (size_t k = 0; k < WS_HALF_TAPS / 2; k++) {
            sum += (int64_t)taps[k] * (*first++ + *last--);
        }
        int32_t value = (int32_t)(sum >> shift);
        int32_t without = value - (half->offset >> OFFSET_Q);
        half->offset += without;
        pcm[i] = clip(without);
    }
    memmove(half->held, half->held + WS_HALF_SAMPLES, (WS_HALF_TAPS - 2u) * sizeof half->held[0]);
}

/* Four bits into the running sums: as if one after the other were added to the first sum, and each
 * sum to the next. They may run over; the differences make that good. */
static inline void add_bits(uint32_t sums[4], unsigned bits) {
    const uint8_t *add = added[bits];
    sums[3] += 4 * sums[2] + 10 * sums[1] + 20 * sums[0] + add[3];
    sums[2] += 4 * sums[1] + 10 * sums[0] + add[2];
    sums[1] += 4 * sums[0] + add[1];
    sums[0] += add[0];
}

void ws_pdm_hop(ws_pdm *pdm, const uint16_t words[WS_PDM_WORDS], int16_t pcm[WS_HOP]) {
    int32_t *input = ws_half_input(&pdm->half);
    for (size_t i = 0; i < WS_HALF_SAMPLES; i++) {
        for (int word = 0; word < 4; word++, words++) {
            for (int shift = 12; shift >= 0; shift -= 4) {
                add_bits(pdm->sums, *words >> shift & 15u);
            }
        }
        uint32_t value = pdm->sums[3];
        for (int order = 0; order < 4; order++) {
            uint32_t before = pdm->differences[order];
            pdm->differences[order] = value;
            value -= before;
        }
        /* 0 .. 2^24 for bits 0 and 1 becomes -2^24 .. 2^24 for -1 and 1. */
        input[i] = 2 * (int32_t)value - WS_HALF_FULL_SCALE;
    }
    ws_half_hop(&pdm->half, pcm);
}
