#include "wakestate.h"

#include <string.h>

#include "detector.h"

#define PENDING(type) (1u << (unsigned)(type))

ws_status ws_init(ws_engine *engine, unsigned state) {
    if (engine == NULL) {
        return WS_ERROR_ENGINE;
    }
    memset(engine, 0, sizeof *engine);
    if (WS_MODEL_SCHEMA != WS_SCHEMA) {
        return WS_ERROR_SCHEMA;
    }
    if (ws_frontend_hash != ws_network_frontend_hash) {
        return WS_ERROR_FRONTEND;
    }
    if (state >= WS_STATES) {
        return WS_ERROR_STATE;
    }
    engine->state = (uint8_t)state;
    ws_network_reset(&engine->network, state);

    /* One more step of silence leaves the network as it is, and tells its outputs. */
    int8_t column[WS_BANDS];
    int8_t silence[WS_OUTPUTS] = {0};
    memset(column, INT8_MIN, sizeof column);
    for (int hop = 0; hop < WS_STRIDE; hop++) {
        (void)ws_network_push(&engine->network, column, silence);
    }
    ws_detector_reset(&engine->detector, silence);
    engine->room = WS_WINDOW;
    return WS_OK;
}

ws_status ws_set_state(ws_engine *engine, unsigned state) {
    if (engine == NULL) {
        return WS_ERROR_ENGINE;
    }
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
    int8_t out[WS_OUTPUTS];
    ws_frontend(engine->window, engine->fft, column);
    memmove(engine->window, engine->window + WS_HOP,
            (WS_WINDOW - WS_HOP) * sizeof engine->window[0]);
    engine->room = WS_HOP;
    if (!ws_network_push(&engine->network, column, out)) {
        return false;
    }

    ws_event *event = &engine->last;
    bool wake =
        ws_detector_push(&engine->detector, out, ws_thresholds[engine->state], &event->score);
    event->sample = engine->samples;
    ws_detector_endpoints(&engine->detector, event->sample, &event->start, &event->end);
    event->state = engine->state;
    /* The mean of the logits, rounded, as an index 0 .. 255: the offset makes it positive. */
    event->probability =
        ws_probability[(event->score + 128 * WS_SMOOTHING + WS_SMOOTHING / 2) / WS_SMOOTHING];
    engine->pending = (uint8_t)(PENDING(WS_EVENT_SCORE) | (wake ? PENDING(WS_EVENT_WAKE) : 0u));
    return true;
}

size_t ws_push(ws_engine *engine, const int16_t *pcm, size_t samples) {
    if (engine == NULL || pcm == NULL || engine->room == 0) {
        return samples; /* a caller's loop ends as ever */
    }
    size_t used = 0;
    while (used < samples) {
        size_t count = engine->room;
        if (count > samples - used) {
            count = samples - used;
        }
        memcpy(engine->window + WS_WINDOW - engine->room, pcm + used, count * sizeof *pcm);
        engine->room = (uint16_t)(engine->room - count);
        engine->samples += count;
        used += count;
        if (engine->room == 0 && hop(engine)) {
            break;
        }
    }
    return used;
}

bool ws_poll(ws_engine *engine, ws_event *event) {
    if (engine == NULL || event == NULL) {
        return false;
    }
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
