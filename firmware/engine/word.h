/* SPDX-License-Identifier: Apache-2.0 */
/* One word's network in an engine, hop by hop. Not for applications. */
#ifndef WS_WORD_H
#define WS_WORD_H

#include "wakestate/wakestate.h"

/* Start as after digital silence in `state`; `silence` becomes the outputs for it. Config and model
 * of the word are set before. */
void ws_word_reset(ws_word_state *word, unsigned state, int8_t silence[WS_OUTPUTS]);

/* From the next step on the device is in `state`. */
void ws_word_select(ws_word_state *word, unsigned state);

/* Where the next hop's column goes: as many bytes as there are bands. */
int8_t *ws_word_column(ws_word_state *word);

/* That column is there: true, with `out` written, at a step. */
bool ws_word_advance(ws_word_state *word, int8_t out[WS_OUTPUTS]);

#endif
