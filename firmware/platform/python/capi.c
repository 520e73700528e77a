/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a shared library for Python's ctypes: evaluation and tests get what a device
 * would. Every call works on an engine of its own, so calls may run side by side. It has the
 * first word. */
#include "engine/detector.h"
#include "ws_words.h"

static const ws_model *model(void) {
    return ws_words_models[0];
}

/* The smoothed score, start and end of each network step from a fresh engine, and whether the word
 * is long enough to wake at some threshold; returns the number of steps. */
size_t ws_capi_steps(const int16_t *pcm, size_t samples, unsigned state, int16_t *scores,
                     int64_t *starts, int64_t *ends, bool *long_enough, size_t capacity) {
    ws_words_engine engine;
    size_t steps = 0;
    if (ws_init(&engine, model(), NULL) != WS_OK || ws_restart(&engine, state) != WS_OK) return 0;
    for (size_t used = 0; used < samples && steps < capacity;) {
        ws_event event;
        used += ws_push(&engine, pcm + used, samples - used);
        while (ws_poll(&engine, &event)) {
            if (event.type != WS_EVENT_SCORE) continue;
            scores[steps] = event.score;
            long_enough[steps] = ws_detector_long_enough(engine.engine.words);
            starts[steps] = (int64_t)event.start;
            ends[steps++] = (int64_t)event.end;
        }
    }
    return steps;
}

const char *ws_capi_state(unsigned state) {
    return state < model()->state_count ? model()->states[state] : NULL;
}

int ws_capi_threshold(unsigned state) {
    return state < model()->state_count ? model()->thresholds[state] : 0;
}

uint32_t ws_capi_lfbe_hash(void) {
    return model()->lfbe_hash;
}

/* In this order; returns how many there are. */
size_t ws_capi_sizes(int32_t *sizes, size_t capacity) {
    const ws_model *m = model();
    const int32_t all[] = {m->lfbe->window,      m->lfbe->hop,
                           m->lfbe->bands,       m->stride,
                           m->state_count,       m->smoothing,
                           m->receptive_hops,    (int32_t)m->refractory,
                           (int32_t)m->shortest, (int32_t)sizeof(ws_words_engine)};
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count && i < capacity; i++) {
        sizes[i] = all[i];
    }
    return count;
}
