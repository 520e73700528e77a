/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WS_WORDS_H
#define WS_WORDS_H

#include "ws_scripted.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WS_WORD_COUNT 1
#define WS_WORD_NAMES "scripted"
#define WS_STATE_COUNT 4
#define WS_STATES "player=idle|music,volume=low|high"
#define WS_SEEN_HOPS 12

typedef union {
    ws_engine engine;
    uint64_t memory[(ws_scripted_ram + 7) / 8];
} ws_words_engine;

extern const ws_model *const ws_words_models[WS_WORD_COUNT];

#ifdef __cplusplus
}
#endif

#endif
