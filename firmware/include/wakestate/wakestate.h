/* SPDX-License-Identifier: Apache-2.0 */
/* Wakestate: detects wake words in 16 kHz mono PCM, knowing what its device is doing.
 *
 *     #include "wakestate/wakestate.h"
 *     #include "ws_alexa.h"                     generated, with ws_alexa.c
 *
 *     static WS_ENGINE(alexa) engine;           all the RAM that it needs
 *
 *     if (ws_init(&engine, &ws_alexa, NULL) != WS_OK) ...
 *     while (samples > 0) {
 *         size_t used = ws_push(&engine, pcm, samples);
 *         pcm += used;
 *         samples -= used;
 *         ws_event event;
 *         while (ws_poll(&engine, &event)) {
 *             if (event.type == WS_EVENT_WAKE) ...
 *         }
 *     }
 *
 * Several words share one front end:
 *
 *     static WS_ENGINE2(alexa, computer) engine;
 *     static const ws_model *const words[] = {&ws_alexa, &ws_computer};
 *     ws_init_words(&engine, words, 2, NULL);   event.word is the index into words
 *
 * An engine is memory of the caller's: no heap, no float, no recursion, no other state. It holds
 * pointers into itself, so it must not be moved. `engine` below is a WS_ENGINE, or any memory of
 * ws_NAME_ram bytes that starts at a multiple of 8. Calls on one engine must not overlap: push from
 * one task, not from an interrupt. Engines are independent.
 */
#ifndef WAKESTATE_H
#define WAKESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "model.h"
#include "version.h"

WS_BEGIN_C

#define WS_DEFAULT_STATE 0u /* the first value of every metadata field */
#define WS_FOREVER UINT64_MAX
#define WS_ANY_LENGTH UINT16_MAX

typedef enum {
    WS_OK = 0,
    WS_ERROR_SCHEMA,   /* a model was generated for another version of this code */
    WS_ERROR_FRONTEND, /* a model was trained with another front end than that compiled in, or than
                          the first word's */
    WS_ERROR_STATE,    /* no such device state: 0 .. state_count - 1 are allowed */
    WS_ERROR_ENGINE,   /* NULL instead of an engine, or one not started */
    WS_ERROR_WORD,  /* no such word; no word at all, or more than 255; NULL instead of a model; or
                       the device states of two words differ */
    WS_ERROR_CONFIG /* smoothing above WS_SMOOTHING_MAX */
} ws_status;

/* Settings of one word. All zeros: as its model ships. */
typedef struct {
    int16_t sensitivity; /* taken off the threshold of every state: above 0 it wakes more
                            readily. In the threshold's unit: a step of int8 logits, summed
                            over the model's smoothing */
    const int16_t
        *sensitivities;     /* the same of each state, added to that; NULL: 0. Is not copied */
    int16_t near_miss;      /* above 0: a score within that much of the threshold that
                               does not wake is a WS_EVENT_NEAR_MISS */
    uint16_t shortest_ms;   /* of a word that may wake; 0: the model's; WS_ANY_LENGTH: any */
    uint32_t refractory_ms; /* after a wake, up to 100,000,000; 0: the model's */
    uint8_t smoothing;      /* steps averaged; 0: the model's */
    bool off;               /* its network does not run */
} ws_config;

typedef enum {
    WS_EVENT_SCORE,    /* one network step; `score` is what the detector compares */
    WS_EVENT_WAKE,     /* the score reached the state's threshold, outside the refractory time and
                          not muted, and the word is long enough */
    WS_EVENT_NEAR_MISS /* the score was near and no longer is: the highest of these steps */
} ws_event_type;

typedef struct {
    ws_event_type type;
    uint8_t word;         /* index into the words of ws_init_words */
    uint8_t state;        /* index into the model's states */
    int16_t score;        /* sum of the newest logits, int8 each */
    uint16_t probability; /* sigmoid of their mean, Q15: 0 .. 32768 */
    uint64_t sample;      /* samples pushed since the start up to the end of the newest window */
    uint64_t start;       /* where the word starts and ends, in samples since the start; */
    uint64_t end;         /* 0 <= start < end <= sample */
} ws_event;

/* The network reports at every step how long ago the word started and ended. An event's start and
 * end are the mean over the steps that are averaged, each counted from the end of its own window,
 * rounded to a sample (halves to the earlier). First `end` is clipped to 1 .. sample: a word that
 * seems to continue ends now; then `start` to 0 .. end - 1. Of a SCORE they are what a wake at this
 * step would say, and mean nothing where no word is. */

/* One word in an engine; private. Its network's memory follows it. */
typedef struct ws_word_state {
    struct ws_word_state *next; /* NULL: the last */
    const ws_model *model;
    ws_config config;
    uint32_t refractory;          /* samples until the next wake is allowed */
    uint32_t near_age;            /* samples since the highest near step */
    int32_t near_start, near_end; /* samples from there back to the word's ends */
    int16_t near_score;
    int8_t outputs[WS_SMOOTHING_MAX][WS_OUTPUTS]; /* ring */
    uint8_t newest;                               /* index into outputs */
    uint8_t phase;                                /* columns there of the next step */
    uint8_t pending;                              /* bit for each event that ws_poll has to give */
    uint8_t state;                                /* at the newest step */
    uint8_t near_state;
    bool near_open;
} ws_word_state;

/* An engine; private. The front end's memory and the words follow it. All zeros, as static memory
 * is, it is an engine not started. */
typedef struct {
    uint64_t samples; /* consumed since the start */
    uint64_t muted;   /* no wake before this sample */
    const ws_lfbe *lfbe;
    ws_word_state *words; /* NULL: not started */
    uint16_t room;        /* samples that the window still takes */
    uint8_t state;
} ws_engine;

/* Bytes of an engine for one word, and more for each other: ws_NAME.h has them of its word. */
#define WS_RAM_UP(bytes) (((bytes) + 7u) / 8u * 8u)
#define WS_RAM_OF_LFBE(work, window) \
    (WS_RAM_UP(sizeof(ws_engine)) + WS_RAM_UP(4u * (work) + 2u * (window)))
#define WS_RAM_OF_WORD(network) (WS_RAM_UP(sizeof(ws_word_state)) + WS_RAM_UP(network))

/* A type with the memory of an engine for one word, or for several. */
#define WS_ENGINE(word) WS_MEMORY_(ws_##word##_ram)
#define WS_ENGINE2(a, b) WS_MEMORY_(ws_##a##_ram + ws_##b##_more_ram)
#define WS_ENGINE3(a, b, c) WS_MEMORY_(ws_##a##_ram + ws_##b##_more_ram + ws_##c##_more_ram)
#define WS_MEMORY_(bytes)                     \
    union {                                   \
        ws_engine engine;                     \
        uint64_t memory[((bytes) + 7u) / 8u]; \
    }

/* Start with one word, in WS_DEFAULT_STATE, as if digital silence had come before. Checks
 * that the generated parts fit this code and each other. `config` is copied; NULL: all zeros. Where
 * it returns an error the engine is not started: it takes sound and gives no event. */
ws_status ws_init(void *engine, const ws_model *model, const ws_config *config);

/* The same with `count` words, 1 to 255, and a config for each; `configs` NULL: all zeros. */
ws_status ws_init_words(void *engine, const ws_model *const *models, unsigned count,
                        const ws_config *configs);

/* Start again at sample 0 in `state`, as if digital silence had come before, and not muted;
 * the configs stay. */
ws_status ws_restart(void *engine, unsigned state);

/* From the next step on, word number `word` has these settings. A near miss that was not polled is
 * dropped. A word that is switched on again does not wake before its network has a whole window
 * of sound. */
ws_status ws_configure(void *engine, unsigned word, const ws_config *config);

/* Process up to `samples` samples; returns how many were consumed. Stops early after a network
 * step, so that ws_poll can give its events; events not polled before the next step are lost. An
 * engine not started, or NULL instead of one or of sound, consumes all and does nothing. */
size_t ws_push(void *engine, const int16_t *pcm, size_t samples);

/* The device now is in `state`: re-points the networks' tables, costs nothing per step. */
ws_status ws_set_state(void *engine, unsigned state);

/* For that many samples no word wakes and none is near; processing continues. 0 ends it,
 * which WS_FOREVER needs. */
void ws_mute(void *engine, uint64_t samples);

/* Take one event (of the first word its score, then its wake or near miss, then of the next word);
 * false when there is none. */
bool ws_poll(void *engine, ws_event *event);

/* How many words there are, and each one's model; NULL: there is no such word. */
unsigned ws_words(const void *engine);
const ws_model *ws_word_model(const void *engine, unsigned word);

WS_END_C

#endif
