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
    ws_text_add(problem, "'; allowed: ");
    ws_states_list(problem);
    return false;
}

/* The item of the same field, `index` fields into the name. */
static const char *item_at(const char *name, int index) {
    for (; index > 0; index--) {
        name = next_item(name);
    }
    return name;
}

void ws_states_list(ws_text *text) {
    int index = 0;
    const char *item = ws_state_name(0);
    for (; item != NULL; item = next_item(item), index++) {
        size_t field = strcspn(item, "=") + 1;
        if (index > 0) ws_text_char(text, ',');
        for (size_t i = 0; i < field; i++) {
            ws_text_char(text, item[i]);
        }
        for (unsigned state = 0; state < WS_STATE_COUNT; state++) {
            const char *mine = item_at(ws_state_name(state), index);
            bool listed = false;
            for (unsigned earlier = 0; earlier < state; earlier++) {
                listed = listed || same_item(item_at(ws_state_name(earlier), index), mine);
            }
            if (listed) continue;
            if (state > 0) ws_text_char(text, '|');
            for (size_t i = field; i < item_length(mine); i++) {
                ws_text_char(text, mine[i]);
            }
        }
    }
}
