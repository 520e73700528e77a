/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a program, as the emulator and the device start, set and print them. */
#ifndef WS_PROGRAM_WORDS_H
#define WS_PROGRAM_WORDS_H

#include "text.h"
#include "ws_words.h"

/* Their settings. All zeros: as shipped. */
typedef struct {
    ws_config configs[WS_WORD_COUNT];
    int16_t sensitivities[WS_WORD_COUNT][WS_STATE_COUNT]; /* the configs point to them */
} ws_words_settings;

/* Starts the engine; NULL, or why it does not. */
const char *ws_words_start(ws_words_engine *engine, const ws_words_settings *settings);

/* NUMBER [WORD] [STATE]: the sensitivity of all words or of one, in all states or in those that
 * have the given values. False, with `problem`, when it is not so; nothing is set then. */
bool ws_sensitivity_set(ws_words_settings *settings, const char *given, ws_text *problem);

/* "player=music,volume=high"; the same in all words of a program. */
const char *ws_state_name(unsigned state);

/* The first state that has all of the given values; fields not given so take their first value.
 * False, with `problem` saying what is allowed, when a field or value is not the model's. */
bool ws_states_find(const char *given, uint8_t *state, ws_text *problem);

uint64_t ws_milliseconds(uint64_t sample);
uint64_t ws_ten_thousandths(uint16_t probability);

/* "score", "wake", "near" */
const char *ws_event_name(const ws_event *event);

/* One JSON object without its closing brace; `event` is NULL for a change to `state`, `file` where
 * there is none. */
void ws_event_json(ws_text *line, const char *file, uint64_t sample, const ws_event *event,
                   unsigned state);

#endif
