/* The engine as a shared library for Python's ctypes: evaluation and tests hear what a device
 * would. Every call works on an engine of its own, so calls may run side by side. */
#include "../wakestate.h"

size_t ws_capi_scores(const int16_t *pcm, size_t samples, unsigned state, int16_t *scores,
                      size_t capacity);
size_t ws_capi_logits(const int16_t *pcm, size_t samples, unsigned state, int8_t *logits,
                      size_t capacity);
int ws_capi_window(unsigned state, const int8_t *columns, size_t hops, int8_t *logit);
size_t ws_capi_columns(unsigned state, const int8_t *columns, size_t hops, int8_t *logits,
                       size_t capacity);
size_t ws_capi_features(const int16_t *pcm, size_t samples, int8_t *out);
size_t ws_capi_features_q8(const int16_t *pcm, size_t samples, int32_t *out);
const char *ws_capi_state(unsigned state);
int ws_capi_threshold(unsigned state);
size_t ws_capi_sizes(int32_t *sizes, size_t capacity);

/* The smoothed score of each network step from a fresh engine; returns the number of steps. */
size_t ws_capi_scores(const int16_t *pcm, size_t samples, unsigned state, int16_t *scores,
                      size_t capacity) {
    ws_engine engine;
    size_t steps = 0;
    if (ws_init(&engine, state) != WS_OK) return 0;
    for (size_t used = 0; used < samples && steps < capacity;) {
        ws_event event;
        used += ws_push(&engine, pcm + used, samples - used);
        while (ws_poll(&engine, &event)) {
            if (event.type == WS_EVENT_SCORE) scores[steps++] = event.score;
        }
    }
    return steps;
}

/* The same, each step's own logit. */
size_t ws_capi_logits(const int16_t *pcm, size_t samples, unsigned state, int8_t *logits,
                      size_t capacity) {
    ws_engine engine;
    size_t steps = 0;
    if (ws_init(&engine, state) != WS_OK) return 0;
    for (size_t used = 0; used < samples && steps < capacity;) {
        ws_event event;
        used += ws_push(&engine, pcm + used, samples - used);
        while (ws_poll(&engine, &event)) {
            const ws_detector *detector = &engine.detector;
            unsigned newest = (detector->oldest + WS_SMOOTHING - 1u) % WS_SMOOTHING;
            if (event.type == WS_EVENT_SCORE) logits[steps++] = detector->logits[newest];
        }
    }
    return steps;
}

/* Push feature columns through a reset network; one logit a step. */
size_t ws_capi_columns(unsigned state, const int8_t *columns, size_t hops, int8_t *logits,
                       size_t capacity) {
    ws_network network;
    size_t steps = 0;
    if (state >= WS_STATES) return 0;
    ws_network_reset(&network, state);
    for (size_t hop = 0; hop < hops && steps < capacity; hop++) {
        if (ws_network_push(&network, columns + hop * WS_BANDS, &logits[steps])) steps++;
    }
    return steps;
}

/* The logit after the last of `hops` columns; 0 when they did not end on a network step. */
int ws_capi_window(unsigned state, const int8_t *columns, size_t hops, int8_t *logit) {
    ws_network network;
    bool step = false;
    if (state >= WS_STATES) return 0;
    ws_network_reset(&network, state);
    for (size_t hop = 0; hop < hops; hop++) {
        step = ws_network_push(&network, columns + hop * WS_BANDS, logit);
    }
    return step ? 1 : 0;
}

/* One column of WS_BANDS for each whole window; returns the number of columns. */
size_t ws_capi_features(const int16_t *pcm, size_t samples, int8_t *out) {
    int32_t work[WS_FFT];
    size_t hops = 0;
    for (; hops * WS_HOP + WS_WINDOW <= samples; hops++) {
        ws_frontend(pcm + hops * WS_HOP, work, out + hops * WS_BANDS);
    }
    return hops;
}

size_t ws_capi_features_q8(const int16_t *pcm, size_t samples, int32_t *out) {
    int32_t work[WS_FFT];
    size_t hops = 0;
    for (; hops * WS_HOP + WS_WINDOW <= samples; hops++) {
        ws_frontend_q8(pcm + hops * WS_HOP, work, out + hops * WS_BANDS);
    }
    return hops;
}

const char *ws_capi_state(unsigned state) {
    return state < WS_STATES ? ws_state_names[state] : NULL;
}

int ws_capi_threshold(unsigned state) {
    return state < WS_STATES ? ws_thresholds[state] : 0;
}

/* In this order; returns how many there are. */
size_t ws_capi_sizes(int32_t *sizes, size_t capacity) {
    static const int32_t all[] = {WS_WINDOW,         WS_HOP,        WS_BANDS,
                                  WS_STRIDE,         WS_STATES,     WS_SMOOTHING,
                                  WS_RECEPTIVE_HOPS, WS_REFRACTORY, (int32_t)sizeof(ws_engine)};
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count && i < capacity; i++) {
        sizes[i] = all[i];
    }
    return count;
}
