/* SPDX-License-Identifier: Apache-2.0 */
/* What a generated model is: constants in flash, and the functions of its network.
 *
 * `wakestate model generate` writes one for each word: ws_NAME.h declares `extern const
 * ws_model ws_NAME`, ws_NAME.c defines it. Programs hand it to ws_init and need not look inside.
 */
#ifndef WAKESTATE_MODEL_H
#define WAKESTATE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

WS_BEGIN_C

/* What a network gives every step. START and END say how long before the newest window's end the
 * word started and ended; below zero: it continues. */
enum { WS_OUT_LOGIT, WS_OUT_START, WS_OUT_END, WS_OUTPUTS };

/* A front end: PCM to log mel filter bank energies (LFBE). */
typedef struct {
    uint32_t hash;        /* of all that decides what it gives */
    uint32_t sample_rate; /* Hz, a multiple of 1000 */
    uint16_t window;      /* samples that one column is made of */
    uint16_t hop;         /* samples from one window's start to the next's */
    uint16_t work;        /* elements of `work`, which `column` keeps; zero at the start */
    uint16_t bands;       /* elements of a column */
    void (*column)(const int16_t *pcm, int32_t *work, int8_t *column);
} ws_lfbe;

typedef struct {
    uint32_t schema;             /* WS_SCHEMA of the engine that it was generated for */
    const char *name;            /* of the word */
    const ws_lfbe *lfbe;         /* the front end that was generated with it */
    uint32_t lfbe_hash;          /* of the front end that it was trained with */
    const char *const *states;   /* names of the device states, as "player=music,volume=low" */
    const int16_t *thresholds;   /* of each state, on the sum of `smoothing` logits */
    const uint16_t *probability; /* [256]: Q15 sigmoid of logit q at index q + 128 */
    uint32_t refractory;         /* samples after a wake in which there is no other */
    uint32_t shortest;           /* samples of a word, at least; 0: any number */
    int32_t endpoint_q16;        /* samples of one step of START or END, over `smoothing`, Q16;
                                    times `smoothing` it is below 2^31 */
    int16_t endpoint_zero;       /* the START or END that means now */
    uint16_t ram;                /* bytes of `memory`, which starts at a multiple of 8 */
    uint16_t columns;            /* where in it the new columns of a step go */
    uint16_t receptive_hops;     /* hops that one step depends on */
    uint8_t state_count;
    uint8_t smoothing; /* steps averaged, as shipped */
    uint8_t stride;    /* hops of a step */
    bool cold;         /* nothing comes before the start, not even silence */
    /* Empty all windows; then select a state below state_count, which may change at any step. */
    void (*reset)(void *memory);
    void (*select)(void *memory, unsigned state);
    void (*run)(void *memory, int8_t out[WS_OUTPUTS]);
} ws_model;

WS_END_C

#endif
