/* SPDX-License-Identifier: Apache-2.0 */
/* The detector of one word: smooths its network's logits, decides what is a wake, and where the
 * word is. Not for applications. */
#ifndef WS_DETECTOR_H
#define WS_DETECTOR_H

#include "wakestate/wakestate.h"

/* What came of a step. */
typedef struct {
    int16_t
        score; /* sum of the newest logits: a sum, so that nothing is rounded before comparing */
    bool wake; /* it wakes */
    bool near_miss; /* one ended before this step: ws_detector_near_miss */
} ws_decision;

/* How many steps are averaged. */
unsigned ws_detector_smoothing(const ws_word_state *word);

/* Start as if `silence`, the outputs for digital silence, had come for long. */
void ws_detector_reset(ws_word_state *word, const int8_t silence[WS_OUTPUTS]);

/* Take the outputs of one network step in `state`. A muted one neither wakes nor is near. */
ws_decision ws_detector_push(ws_word_state *word, const int8_t out[WS_OUTPUTS], unsigned state,
                             bool muted);

/* Whether the word that the newest steps place is long enough, unclipped: else no score wakes. */
bool ws_detector_long_enough(const ws_word_state *word);

/* Fill in score, probability, start and end as of the newest step; event->sample, at least 1, is
 * where its window ends. */
void ws_detector_event(const ws_word_state *word, ws_event *event);

/* The same, and the sample, of the near miss that ended; event->sample as above. */
void ws_detector_near_miss(const ws_word_state *word, ws_event *event);

#endif
