/* The detector: smooths the network's logits, decides what is a wake, and where the word lies. */
#ifndef WS_DETECTOR_H
#define WS_DETECTOR_H

#include "wakestate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Start as if `silence`, the outputs for digital silence, had been heard for long. */
void ws_detector_reset(ws_detector *detector, const int8_t silence[WS_OUTPUTS]);

/* Take the outputs of one network step; true when it wakes. `score` becomes the sum of the newest
 * WS_SMOOTHING logits: a sum, not a mean, so that nothing is rounded before the comparison. */
bool ws_detector_push(ws_detector *detector, const int8_t out[WS_OUTPUTS], int16_t threshold,
                      int16_t *score);

/* Whether the word that the newest WS_SMOOTHING steps place is WS_SHORTEST long, unclipped: where
 * it is not, no score wakes. */
bool ws_detector_long_enough(const ws_detector *detector);

/* Where the word starts and ends, in samples, by the newest WS_SMOOTHING steps; `sample` (at least
 * 1) is where the newest step's window ends. See ws_event. */
void ws_detector_endpoints(const ws_detector *detector, uint64_t sample, uint64_t *start,
                           uint64_t *end);

#ifdef __cplusplus
}
#endif

#endif
