/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a WebAssembly module for web/page: it imports nothing, and its memory is its own.
 *
 * The page writes samples to pcm() and calls push(); the results are then at columns() and
 * events(). The words are those of the build, in their order. */
#include <string.h>

#include "ws_words.h"

#define EXPORT(name) __attribute__((export_name(#name)))

enum {
    PIECE = 8192, /* samples that one push takes at most */
    COLUMNS = PIECE / WS_HOP + 1,
    EVENT_FIELDS = 8, /* type, word, state, score, probability, sample, start, end */
    EVENTS = COLUMNS * WS_WORD_COUNT * 3
};

static ws_words_engine engine;
static int16_t pcm[PIECE];
static int8_t columns[COLUMNS][WS_BANDS];
static unsigned column_count;
static double events[EVENTS][EVENT_FIELDS]; /* all are integers, and exact */

/* The words with a front end that keeps each column, which the page draws. */
static const ws_lfbe *shipped;
static ws_lfbe recording_lfbe;
static ws_model models[WS_WORD_COUNT];

static void keep_column(const int16_t *window, int32_t *work, int8_t *column) {
    shipped->column(window, work, column);
    if (column_count < COLUMNS) memcpy(columns[column_count++], column, WS_BANDS);
}

/* Starts the engine, as its models ship; its status: 0 well. */
EXPORT(start) int ws_wasm_start(void) {
    const ws_model *given[WS_WORD_COUNT];
    shipped = ws_words_models[0]->lfbe;
    recording_lfbe = *shipped;
    recording_lfbe.column = keep_column;
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        models[word] = *ws_words_models[word];
        if (models[word].lfbe->hash == recording_lfbe.hash) models[word].lfbe = &recording_lfbe;
        given[word] = &models[word];
    }
    return (int)ws_init_words(&engine, given, WS_WORD_COUNT, NULL);
}

EXPORT(restart) int ws_wasm_restart(unsigned state) {
    return (int)ws_restart(&engine, state);
}

EXPORT(set_state) int ws_wasm_set_state(unsigned state) {
    return (int)ws_set_state(&engine, state);
}

EXPORT(configure) int ws_wasm_configure(unsigned word, int sensitivity, int near_miss, int off) {
    const ws_config config = {
        .sensitivity = (int16_t)sensitivity, .near_miss = (int16_t)near_miss, .off = off != 0};
    return (int)ws_configure(&engine, word, &config);
}

static void put(double fields[EVENT_FIELDS], const ws_event *event) {
    fields[0] = event->type;
    fields[1] = event->word;
    fields[2] = event->state;
    fields[3] = event->score;
    fields[4] = event->probability;
    fields[5] = (double)event->sample;
    fields[6] = (double)event->start;
    fields[7] = (double)event->end;
}

/* Processes the first `samples` of pcm(); how many events there are. */
EXPORT(push) unsigned ws_wasm_push(unsigned samples) {
    unsigned count = 0;
    column_count = 0;
    if (samples > PIECE) samples = PIECE;
    for (size_t used = 0; used < samples;) {
        ws_event event;
        used += ws_push(&engine, pcm + used, samples - used);
        while (ws_poll(&engine, &event) && count < EVENTS) {
            put(events[count++], &event);
        }
    }
    return count;
}

EXPORT(pcm) int16_t *ws_wasm_pcm(void) {
    return pcm;
}

EXPORT(piece) unsigned ws_wasm_piece(void) {
    return PIECE;
}

EXPORT(columns) int8_t *ws_wasm_columns(void) {
    return columns[0];
}

/* Of the last push. */
EXPORT(column_count) unsigned ws_wasm_column_count(void) {
    return column_count;
}

EXPORT(events) double *ws_wasm_events(void) {
    return events[0];
}

/* Facts, as the models have them. */
EXPORT(words) unsigned ws_wasm_words(void) {
    return WS_WORD_COUNT;
}

EXPORT(states) unsigned ws_wasm_states(void) {
    return WS_STATE_COUNT;
}

EXPORT(rate) unsigned ws_wasm_rate(void) {
    return WS_SAMPLE_RATE;
}

EXPORT(hop) unsigned ws_wasm_hop(void) {
    return WS_HOP;
}

EXPORT(window) unsigned ws_wasm_window(void) {
    return WS_WINDOW;
}

EXPORT(bands) unsigned ws_wasm_bands(void) {
    return WS_BANDS;
}

EXPORT(lfbe_hash) uint32_t ws_wasm_lfbe_hash(void) {
    return recording_lfbe.hash;
}

EXPORT(ram) unsigned ws_wasm_ram(void) {
    return sizeof engine;
}

EXPORT(word_name) const char *ws_wasm_word_name(unsigned word) {
    return models[word].name;
}

EXPORT(state_name) const char *ws_wasm_state_name(unsigned state) {
    return models[0].states[state];
}

EXPORT(threshold) int ws_wasm_threshold(unsigned word, unsigned state) {
    return models[word].thresholds[state];
}

EXPORT(smoothing) unsigned ws_wasm_smoothing(unsigned word) {
    return models[word].smoothing;
}

EXPORT(stride) unsigned ws_wasm_stride(unsigned word) {
    return models[word].stride;
}

/* [256], Q15: of the mean logit q at index q + 128. */
EXPORT(probability) const uint16_t *ws_wasm_probability(unsigned word) {
    return models[word].probability;
}
