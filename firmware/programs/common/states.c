#include "states.h"

#include <string.h>

#include "ws_words.h"

/* A name is a list of "field=value" parted by commas, in the same order in every name. */
static size_t item_length(const char *item) {
    return strcspn(item, ",");
}

static const char *next_item(const char *item) {
    item += item_length(item);
    return *item == ',' ? item + 1 : NULL;
}

static bool same_item(const char *a, const char *b) {
    return item_length(a) == item_length(b) && strncmp(a, b, item_length(a)) == 0;
}

static bool has_item(const char *name, const char *item) {
    for (; name != NULL; name = next_item(name)) {
        if (same_item(name, item)) return true;
    }
    return false;
}

const char *ws_state_name(unsigned state) {
    return ws_words_models[0]->states[state];
}

bool ws_state_has(unsigned state, const char *given) {
    for (; given != NULL; given = next_item(given)) {
        if (!has_item(ws_state_name(state), given)) return false;
    }
    return true;
}

bool ws_states_find(const char *given, uint8_t *state, ws_text *problem) {
    for (unsigned i = 0; i < WS_STATE_COUNT; i++) {
        if (ws_state_has(i, given)) {
            *state = (uint8_t)i;
            return true;
        }
    }
    ws_text_add(problem, "unknown state '");
    ws_text_escaped(problem, given);
    ws_text_add(problem, "'; allowed: " WS_STATES);
    return false;
}
