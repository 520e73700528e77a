/* The detector: smooths the network's logits and decides what is a wake. */
#ifndef WS_DETECTOR_H
#define WS_DETECTOR_H

#include "wakestate.h"

/* Start as if `silence`, the logit of digital silence, had been heard for long. */
void ws_detector_reset(ws_detector *detector, int8_t silence);

/* Take the logit of one network step; true when it wakes. `score` becomes the sum of the newest
 * WS_SMOOTHING logits: a sum, not a mean, so that nothing is rounded before the comparison. */
bool ws_detector_push(ws_detector *detector, int8_t logit, int16_t threshold, int16_t *score);

#endif
