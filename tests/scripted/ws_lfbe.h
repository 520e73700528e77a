/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WS_LFBE_H
#define WS_LFBE_H

#include "wakestate/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WS_SAMPLE_RATE 16000
#define WS_WINDOW 400
#define WS_HOP 160
#define WS_WORK 512
#define WS_BANDS 8

extern const ws_lfbe ws_lfbe_scripted;

void ws_frontend(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int8_t out[WS_BANDS]);
void ws_frontend_q8(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int32_t out[WS_BANDS]);

#ifdef __cplusplus
}
#endif

#endif
