/* How the words of a program are heard, as commands and options set it. */
#ifndef WS_SENSITIVITY_H
#define WS_SENSITIVITY_H

#include "text.h"
#include "ws_words.h"

/* All zeros: as shipped. */
typedef struct {
    ws_config configs[WS_WORD_COUNT];
    int16_t sensitivities[WS_WORD_COUNT][WS_STATE_COUNT]; /* the configs point to them */
} ws_words_settings;

/* NUMBER [WORD] [STATE]: the sensitivity of all words or of one, in all states or in those that
 * have the given values. False, with `problem`, when it is not so; nothing is set then. */
bool ws_sensitivity_set(ws_words_settings *settings, const char *given, ws_text *problem);

#endif
