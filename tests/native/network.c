/* SPDX-License-Identifier: Apache-2.0 */
/* A word's network behind plain functions, for tests/support/executors.py (ctypes). */
#include <string.h>

#include "engine/word.h"
#include "ws_words.h"

static union {
    ws_word_state word;
    uint64_t memory[sizeof(ws_words_engine) / 8];
} network;
static int8_t *sink; /* where traced columns go, one after another; NULL: nowhere */

void ws_trace(const char *stage, const int8_t *values, int count);
void test_reset(unsigned state, int8_t *trace);
void test_state(unsigned state);
int test_push(const int8_t *column, int8_t *out);

void ws_trace(const char *stage, const int8_t *values, int count) {
    if (sink && strncmp(stage, "slice", 5) != 0) { /* of columns that a step does not look at */
        memcpy(sink, values, (size_t)count);
        sink += count;
    }
}

/* Reset; from then on every layer's column goes to `trace`. */
void test_reset(unsigned state, int8_t *trace) {
    int8_t silence[WS_OUTPUTS];
    sink = NULL;
    network.word.model = ws_words_models[0];
    ws_word_reset(&network.word, state, silence);
    sink = trace;
}

void test_state(unsigned state) {
    ws_word_select(&network.word, state);
}

int test_push(const int8_t *column, int8_t *out) {
    memcpy(ws_word_column(&network.word), column, WS_BANDS);
    return ws_word_advance(&network.word, out);
}
