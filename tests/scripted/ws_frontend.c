/* SPDX-License-Identifier: Apache-2.0 */
#include "ws_lfbe.h"

void ws_frontend_q8(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int32_t out[WS_BANDS]) {
    int32_t newest = pcm[WS_WINDOW - 1];
    for (int i = 0; i < WS_WORK; i++) {
        work[i] = newest; /* all of the working memory must be there */
    }
    for (int i = 0; i < WS_BANDS; i++) {
        out[i] = newest == 0 ? -128 * 256 : newest;
    }
}

void ws_frontend(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int8_t out[WS_BANDS]) {
    int32_t q8[WS_BANDS];
    ws_frontend_q8(pcm, work, q8);
    for (int i = 0; i < WS_BANDS; i++) {
        out[i] = (int8_t)(q8[i] >> 8);
    }
}

const ws_lfbe ws_lfbe_scripted = {
    .hash = 0xC0FFEEu,
    .sample_rate = WS_SAMPLE_RATE,
    .window = WS_WINDOW,
    .hop = WS_HOP,
    .work = WS_WORK,
    .bands = WS_BANDS,
    .column = ws_frontend,
};
