#include "sensitivity.h"

#include <string.h>

#include "states.h"

/* The word whose name stands after a space, before another or the end; WS_WORD_COUNT: none. */
static unsigned word_in(const char **rest) {
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        const char *name = ws_words_models[word]->name;
        const size_t length = strlen(name);
        if (**rest != ' ' || strncmp(*rest + 1, name, length) != 0) continue;
        const char *behind = *rest + 1 + length;
        if (*behind != '\0' && *behind != ' ') continue;
        *rest = behind;
        return word;
    }
    return WS_WORD_COUNT;
}

bool ws_sensitivity_set(ws_words_settings *settings, const char *given, ws_text *problem) {
    const int sign = *given == '-' ? -1 : 1;
    const char *number = sign < 0 ? given + 1 : given, *rest = number;
    const int16_t value = (int16_t)(sign * (int)ws_number_in(&rest, INT16_MAX));
    const bool good = rest > number;
    const unsigned one = word_in(&rest);
    const char *items = *rest == ' ' ? rest + 1 : NULL; /* of a state; NULL: all states */
    uint8_t state;
    if (!good || (items == NULL && *rest != '\0')) {
        ws_text_add(problem, "sensitivity needs NUMBER [WORD] [STATE], given '");
        ws_text_escaped(problem, given);
        ws_text_char(problem, '\'');
        return false;
    }
    if (items != NULL && !ws_states_find(items, &state, problem)) {
        ws_text_add(problem, "; words: " WS_WORD_NAMES);
        return false;
    }
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        if (one < WS_WORD_COUNT && one != word) continue;
        settings->configs[word].sensitivities = settings->sensitivities[word];
        for (unsigned i = 0; i < WS_STATE_COUNT; i++) {
            if (items == NULL || ws_state_has(i, items)) settings->sensitivities[word][i] = value;
        }
    }
    return true;
}
