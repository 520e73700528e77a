/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <string.h>

const char *ws_words_start(ws_words_engine *engine, const ws_words_settings *settings) {
    switch (ws_init_words(engine, ws_words_models, WS_WORD_COUNT, settings->configs)) {
        case WS_OK:
            return NULL;
        case WS_ERROR_FRONTEND:
            return "trained with another front end than the word file's; train it again, or "
                   "restore "
                   "the word file";
        case WS_ERROR_WORD:
            return "the device states of the words differ; give their word files the same "
                   "[metadata], and generate all of them again: wakestate model generate";
        default:
            return "generated for another version of this firmware; generate it again: "
                   "wakestate model generate";
    }
}

/* A name is a list of "field=value" separated by commas, in the same order in every name. */
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

/* Whether it has all of the given values. */
static bool state_has(unsigned state, const char *given) {
    for (; given != NULL; given = next_item(given)) {
        if (!has_item(ws_state_name(state), given)) return false;
    }
    return true;
}

bool ws_states_find(const char *given, uint8_t *state, ws_text *problem) {
    for (unsigned i = 0; i < WS_STATE_COUNT; i++) {
        if (state_has(i, given)) {
            *state = (uint8_t)i;
            return true;
        }
    }
    ws_text_add(problem, "unknown state '");
    ws_text_escaped(problem, given);
    ws_text_add(problem, "'; allowed: " WS_STATES);
    return false;
}

/* The word whose name follows a space, before another or the end; WS_WORD_COUNT: none. */
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
            if (items == NULL || state_has(i, items)) settings->sensitivities[word][i] = value;
        }
    }
    return true;
}

uint64_t ws_milliseconds(uint64_t sample) {
    return (sample * 1000u + WS_SAMPLE_RATE / 2) / WS_SAMPLE_RATE;
}

uint64_t ws_ten_thousandths(uint16_t probability) {
    return ((uint64_t)probability * 10000u + 16384u) >> 15;
}

const char *ws_event_name(const ws_event *event) {
    static const char *const names[] = {"score", "wake", "near"};
    return names[event->type];
}

void ws_event_json(ws_text *line, const char *file, uint64_t sample, const ws_event *event,
                   unsigned state) {
    const bool score = event != NULL && event->type == WS_EVENT_SCORE;
    ws_json_begin(line, event == NULL ? "state" : ws_event_name(event));
    if (event != NULL && WS_WORD_COUNT > 1) {
        ws_json_string(line, "word", ws_words_models[event->word]->name);
    }
    if (!score && file != NULL) ws_json_string(line, "file", file);
    ws_json_number(line, "t", ws_milliseconds(sample), 3);
    if (event != NULL && !score) {
        ws_json_number(line, "start", ws_milliseconds(event->start), 3);
        ws_json_number(line, "end", ws_milliseconds(event->end), 3);
    }
    if (event != NULL) ws_json_number(line, "p", ws_ten_thousandths(event->probability), 4);
    if (!score) ws_json_string(line, "state", ws_state_name(state));
}
