#include "wakestate.h"

#include <string.h>

#include "detector.h"

#define PENDING(type) (1u << (unsigned)(type))

ws_status ws_init(ws_engine *engine, unsigned state) {
    if (WS_MODEL_SCHEMA != WS_SCHEMA) {
        return WS_ERROR_SCHEMA;
    }
    if (ws_frontend_hash != ws_network_frontend_hash) {
        return WS_ERROR_FRONTEND;
    }
    if (state >= WS_STATES) {
        return WS_ERROR_STATE;
    }
    memset(engine, 0, sizeof *engine);
    engine->state = (uint8_t)state;
    ws_network_reset(&engine->network, state);

    /* One more step of silence leaves the network as it is, and tells its logit. */
    int8_t column[WS_BANDS];
    int8_t silence = INT8_MIN;
    memset(column, INT8_MIN, sizeof column);
    for (int hop = 0; hop < WS_STRIDE; hop++) {
        (void)ws_network_push(&engine->network, column, &silence);
    }
    ws_detector_reset(&engine->detector, silence);
    return WS_OK;
}

ws_status ws_set_state(ws_engine *engine, unsigned state) {
    if (state >= WS_STATES) {
        return WS_ERROR_STATE;
    }
    engine->state = (uint8_t)state;
    ws_network_state(&engine->network, state);
    return WS_OK;
}

/* The window is full: one hop through front end and network; true after a network step. */
static bool hop(ws_engine *engine) {
    int8_t column[WS_BANDS];
    int8_t logit;
    ws_frontend(engine->window, engine->fft, column);
    memmove(engine->window, engine->window + WS_HOP,
            (WS_WINDOW - WS_HOP) * sizeof engine->window[0]);
    engine->filled = WS_WINDOW - WS_HOP;
    if (!ws_network_push(&engine->network, column, &logit)) {
        return false;
    }

    ws_event *event = &engine->last;
    bool wake =
        ws_detector_push(&engine->detector, logit, ws_thresholds[engine->state], &event->score);
    event->sample = engine->samples;
    /* All that this step saw, until the network itself tells where the word is. */
    uint64_t seen = (WS_RECEPTIVE_HOPS - 1) * WS_HOP + WS_WINDOW;
    event->start = event->sample > seen ? event->sample - seen : 0;
    event->end = event->sample;
    event->state = engine->state;
    /* The mean of the logits, rounded, as an index 0 .. 255: the offset makes it positive. */
    event->probability =
        ws_probability[(event->score + 128 * WS_SMOOTHING + WS_SMOOTHING / 2) / WS_SMOOTHING];
    engine->pending = (uint8_t)(PENDING(WS_EVENT_SCORE) | (wake ? PENDING(WS_EVENT_WAKE) : 0u));
    return true;
}

size_t ws_push(ws_engine *engine, const int16_t *pcm, size_t samples) {
    size_t used = 0;
    while (used < samples) {
        size_t count = (size_t)WS_WINDOW - engine->filled;
        if (count > samples - used) {
            count = samples - used;
        }
        memcpy(engine->window + engine->filled, pcm + used, count * sizeof *pcm);
        engine->filled = (uint16_t)(engine->filled + count);
        engine->samples += count;
        used += count;
        if (engine->filled == WS_WINDOW && hop(engine)) {
            break;
        }
    }
    return used;
}

bool ws_poll(ws_engine *engine, ws_event *event) {
    for (unsigned type = WS_EVENT_SCORE; type <= WS_EVENT_WAKE; type++) {
        if (engine->pending & PENDING(type)) {
            engine->pending = (uint8_t)(engine->pending & ~PENDING(type));
            *event = engine->last;
            event->type = (ws_event_type)type;
            return true;
        }
    }
    return false;
}
