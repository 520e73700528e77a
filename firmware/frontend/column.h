/* SPDX-License-Identifier: Apache-2.0 */
/* A column of bands from a window of samples, by the loops included before. */
#ifndef WS_FRONTEND_COLUMN_H
#define WS_FRONTEND_COLUMN_H

/* The spectrum, half of it over 32, in `work`; returns the shift of the windowed block. */
static int spectrum(const int16_t *pcm, int32_t *work) {
    const int shift = headroom(pcm);
    WS_CHECK(shift >= 0 && shift < 30);
    first_stage(pcm, work, shift);
    later_stages(work);
    return shift;
}

/* How far the spectrum can be shifted up: all of it comes to be within +-(2^31 - 1). */
static int lift_of(uint32_t used) {
    WS_CHECK(used < UINT32_C(1) << 31);
    return leading_zeros(used + 1) - 1;
}

void ws_frontend_q8(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int32_t out[WS_BANDS]) {
    const int shift = spectrum(pcm, work);
    bands(work, shift, lift_of(split(work)), out, NULL);
}

void ws_frontend(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int8_t out[WS_BANDS]) {
    const int shift = spectrum(pcm, work);
    bands(work, shift, lift_of(split(work)), NULL, out);
}

#endif
