/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what the engine costs: see count.h. Also "engine-bytes,N". */
#include <string.h>

#include "count.h"
#include "engine/word.h"
#include "platform/cortex-m/startup.h"
#include "ws_words.h"

enum {
    SECONDS = 3, /* a multiple of every stride in use, so that no step is counted half */
    HOPS = SECONDS * WS_SAMPLE_RATE / WS_HOP,
    REPEATS = 64,
};

static ws_words_engine engine;
static int16_t window[WS_WINDOW];
static int32_t work[WS_WORK];
static int8_t columns[HOPS][WS_BANDS];

/* Noise whose level goes up and down, the same every time: what the front end's block floating
 * point sees in a room, from a few LSB to nearly full scale. */
static void noise(int16_t *pcm, size_t samples) {
    static uint32_t random = 1, position;
    for (size_t i = 0; i < samples; i++, position++) {
        uint32_t level = position / 3200u % 14u; /* another every 200 ms */
        random = random * 1664525u + 1013904223u;
        pcm[i] = (int16_t)((int32_t)random >> (30u - level));
    }
}

/* The engine as an application calls it, a hop of PCM at a time. */
static void whole_engine(void) {
    ws_event event;
    if (ws_init_words(&engine, ws_words_models, WS_WORD_COUNT, NULL) != WS_OK) {
        ws_count_problem = "ws_init refuses the generated model";
        return;
    }
    /* From here on each hop of PCM fills the window. */
    noise(window, WS_WINDOW - WS_HOP);
    (void)ws_push(&engine, window, WS_WINDOW - WS_HOP);
    for (int i = 0; i < HOPS; i++) {
        noise(window, WS_HOP);
        ws_count_start();
        for (size_t used = 0; used < WS_HOP;) {
            used += ws_push(&engine, window + used, WS_HOP - used);
            while (ws_poll(&engine, &event)) {
            }
        }
        ws_count_add("engine", ws_count_stop());
    }
}

static void front_end(void) {
    noise(window, WS_WINDOW);
    for (int i = 0; i < HOPS; i++) {
        ws_count_start();
        ws_frontend(window, work, columns[i]);
        ws_count_add("front end", ws_count_stop());
        memmove(window, window + WS_HOP, (WS_WINDOW - WS_HOP) * sizeof window[0]);
        noise(window + WS_WINDOW - WS_HOP, WS_HOP);
    }
}

static void network(void) {
    int8_t outputs[WS_OUTPUTS];
    ws_word_state *word = engine.engine.words;
    (void)ws_restart(&engine, WS_DEFAULT_STATE);
    ws_count_traces = true;
    for (int i = 0; i < HOPS; i++) {
        ws_count_start();
        memcpy(ws_word_column(word), columns[i], WS_BANDS);
        bool step = ws_word_advance(word, outputs);
        ws_count_add(step ? "step" : "no step", ws_count_stop());
    }
    ws_count_traces = false;
}

static void state_change(void) {
    for (unsigned i = 0; i < REPEATS; i++) {
        ws_count_start();
        (void)ws_set_state(&engine, i % WS_STATE_COUNT);
        ws_count_add("state change", ws_count_stop());
    }
}

int ws_program(int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    ws_count_begin();
    whole_engine();
    uint64_t stack = ws_board_stack_used(); /* before printing goes deeper */
    front_end();
    network();
    state_change();

    return ws_count_report("engine-bytes", sizeof engine, stack);
}
