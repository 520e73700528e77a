/* Device states as a person writes them: "player=music,volume=high", or a part of it. */
#ifndef WS_STATES_H
#define WS_STATES_H

#include "text.h"

/* The same in all words of a program. */
const char *ws_state_name(unsigned state);

/* Whether it has all of the given values. */
bool ws_state_has(unsigned state, const char *given);

/* The first state that has all of the given values; fields not given so take their first value.
 * False, with `problem` saying what is allowed, when a field or value is not the model's. */
bool ws_states_find(const char *given, uint8_t *state, ws_text *problem);

#endif
