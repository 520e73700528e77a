#include "detector.h"

#include <string.h>

#define STEP_SAMPLES ((uint32_t)(WS_STRIDE * WS_HOP))

void ws_detector_reset(ws_detector *detector, int8_t silence) {
    memset(detector->logits, silence, sizeof detector->logits);
    detector->oldest = 0;
    detector->refractory = 0;
}

bool ws_detector_push(ws_detector *detector, int8_t logit, int16_t threshold, int16_t *score) {
    detector->logits[detector->oldest] = logit;
    detector->oldest = (uint8_t)((detector->oldest + 1u) % WS_SMOOTHING);

    int sum = 0; /* added anew each step: WS_SMOOTHING is small, and nothing can drift */
    for (int i = 0; i < WS_SMOOTHING; i++) {
        sum += detector->logits[i];
    }
    *score = (int16_t)sum;

    /* The refractory time belongs to the listener, not to a state: it runs on through changes. */
    detector->refractory -=
        detector->refractory < STEP_SAMPLES ? detector->refractory : STEP_SAMPLES;
    if (detector->refractory > 0 || sum < threshold) {
        return false;
    }
    detector->refractory = WS_REFRACTORY;
    return true;
}
