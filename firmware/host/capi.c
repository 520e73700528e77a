/* The engine as a shared library for Python's ctypes: evaluation and tests hear what a device
 * would. Every call works on an engine of its own, so calls may run side by side. */
#include "../detector.h"

size_t ws_capi_steps(const int16_t *pcm, size_t samples, unsigned state, int16_t *scores,
                     int64_t *starts, int64_t *ends, bool *long_enough, size_t capacity);
const char *ws_capi_state(unsigned state);
int ws_capi_threshold(unsigned state);
size_t ws_capi_sizes(int32_t *sizes, size_t capacity);

/* The smoothed score, start and end of each network step from a fresh engine, and whether the word
 * is long enough to wake at some threshold; returns the number of steps. */
size_t ws_capi_steps(const int16_t *pcm, size_t samples, unsigned state, int16_t *scores,
                     int64_t *starts, int64_t *ends, bool *long_enough, size_t capacity) {
    ws_engine engine;
    size_t steps = 0;
    if (ws_init(&engine, state) != WS_OK) return 0;
    for (size_t used = 0; used < samples && steps < capacity;) {
        ws_event event;
        used += ws_push(&engine, pcm + used, samples - used);
        while (ws_poll(&engine, &event)) {
            if (event.type != WS_EVENT_SCORE) continue;
            scores[steps] = event.score;
            long_enough[steps] = ws_detector_long_enough(&engine.detector);
            starts[steps] = (int64_t)event.start;
            ends[steps++] = (int64_t)event.end;
        }
    }
    return steps;
}

const char *ws_capi_state(unsigned state) {
    return state < WS_STATES ? ws_state_names[state] : NULL;
}

int ws_capi_threshold(unsigned state) {
    return state < WS_STATES ? ws_thresholds[state] : 0;
}

/* In this order; returns how many there are. */
size_t ws_capi_sizes(int32_t *sizes, size_t capacity) {
    static const int32_t all[] = {WS_WINDOW,         WS_HOP,
                                  WS_BANDS,          WS_STRIDE,
                                  WS_STATES,         WS_SMOOTHING,
                                  WS_RECEPTIVE_HOPS, WS_REFRACTORY,
                                  WS_SHORTEST,       (int32_t)sizeof(ws_engine)};
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count && i < capacity; i++) {
        sizes[i] = all[i];
    }
    return count;
}
