/* Wakestate: hears a wake word in 16 kHz mono PCM, knowing what its device is doing.
 *
 * The engine is one caller-owned struct: no heap, no float, no recursion, no other state.
 *
 *     static ws_engine engine;
 *     if (ws_init(&engine, WS_DEFAULT_STATE) != WS_OK) ...
 *     while (samples > 0) {
 *         size_t used = ws_push(&engine, pcm, samples);
 *         pcm += used;
 *         samples -= used;
 *         ws_event event;
 *         while (ws_poll(&engine, &event)) ...
 *     }
 *
 * Calls on one engine must not overlap: push from one task, not from an interrupt.
 */
#ifndef WAKESTATE_H
#define WAKESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ws_model.h" /* generated: the sizes and names of the compiled model */

#ifdef __cplusplus
extern "C" {
#endif

#define WS_SCHEMA 2         /* version of the contract between this code and a generated model */
#define WS_DEFAULT_STATE 0u /* the first value of every metadata field */

typedef enum {
    WS_OK = 0,
    WS_ERROR_SCHEMA,   /* the generated model is for another version of this code */
    WS_ERROR_FRONTEND, /* network and front end were generated from different word files */
    WS_ERROR_STATE,    /* no such device state: 0 .. WS_STATES - 1 are allowed */
    WS_ERROR_ENGINE    /* NULL instead of an engine */
} ws_status;

typedef enum {
    WS_EVENT_SCORE, /* one network step; `score` is what the detector compares */
    WS_EVENT_WAKE   /* the score reached the state's threshold, outside the refractory time, and the
                       word is long enough (WS_SHORTEST) */
} ws_event_type;

typedef struct {
    ws_event_type type;
    uint64_t sample;      /* samples pushed since ws_init up to the end of the newest window */
    int16_t score;        /* sum of the last WS_SMOOTHING logits, int8 each */
    uint16_t probability; /* sigmoid of their mean, Q15: 0 .. 32768 */
    uint8_t state;        /* index into ws_state_names */
    uint64_t start;       /* where the word starts and ends, in samples since ws_init; */
    uint64_t end;         /* 0 <= start < end <= sample */
} ws_event;

/* The network says at every step how long ago the word started and ended. An event's start and end
 * are the mean over the last WS_SMOOTHING steps, each counted from the end of its own window,
 * rounded to a sample (halves to the earlier). First `end` is clipped to 1 .. sample: a word that
 * seems to go on ends now; then `start` to 0 .. end - 1. Of a WAKE they are the word's; of a SCORE
 * they are what a wake at this step would say, and mean nothing where no word is. */

/* What turns logits into wakes (detector.h); a field of the engine. */
typedef struct {
    int8_t outputs[WS_SMOOTHING][WS_OUTPUTS]; /* ring, the newest replaces the oldest */
    uint8_t oldest;                           /* index into outputs */
    uint32_t refractory;                      /* samples until the next wake is allowed */
} ws_detector;

/* Everything the engine remembers; its size is the engine's whole RAM. Fields are private. All
 * zeros, as static memory is, it is an engine not started. */
typedef struct {
    ws_network network;
    uint8_t state;
    uint8_t pending; /* bit per event type that ws_poll still has to give */
    uint16_t room;   /* samples that `window` still takes; 0: not started by ws_init */
    int32_t fft[WS_FFT];
    int16_t window[WS_WINDOW];
    uint64_t samples; /* samples consumed since ws_init */
    ws_detector detector;
    ws_event last;
} ws_engine;

/* Start anew in `state`, as if digital silence had been heard before. Checks that the generated
 * parts fit this code and each other. Where it returns an error the engine is not started: it takes
 * sound and gives no event. */
ws_status ws_init(ws_engine *engine, unsigned state);

/* Hear up to `samples` samples; returns how many were consumed. Stops early after a network
 * step, so that ws_poll can give its events; events not polled before the next step are lost. An
 * engine not started, or NULL instead of one or of sound, consumes all and hears nothing. */
size_t ws_push(ws_engine *engine, const int16_t *pcm, size_t samples);

/* The device now is in `state`: re-points the network's tables, costs nothing per step. */
ws_status ws_set_state(ws_engine *engine, unsigned state);

/* Take one event (the score first, then the wake); false when there is none. */
bool ws_poll(ws_engine *engine, ws_event *event);

#ifdef __cplusplus
}
#endif

#endif
