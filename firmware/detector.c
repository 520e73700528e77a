#include "detector.h"

#include <string.h>

#define STEP_SAMPLES ((uint32_t)(WS_STRIDE * WS_HOP))

void ws_detector_reset(ws_detector *detector, const int8_t silence[WS_OUTPUTS]) {
    for (int i = 0; i < WS_SMOOTHING; i++) {
        memcpy(detector->outputs[i], silence, sizeof detector->outputs[i]);
    }
    detector->oldest = 0;
    detector->refractory = 0;
}

/* Over the newest steps; added anew each step: WS_SMOOTHING is small, and nothing can drift. */
static int sum_of(const ws_detector *detector, int output) {
    int sum = 0;
    for (int i = 0; i < WS_SMOOTHING; i++) {
        sum += detector->outputs[i][output];
    }
    return sum;
}

bool ws_detector_long_enough(const ws_detector *detector) {
    int64_t steps = sum_of(detector, WS_OUT_START) - sum_of(detector, WS_OUT_END);
    return WS_SHORTEST == 0 || steps * WS_ENDPOINT_Q16 >= (int64_t)WS_SHORTEST * 65536;
}

bool ws_detector_push(ws_detector *detector, const int8_t out[WS_OUTPUTS], int16_t threshold,
                      int16_t *score) {
    memcpy(detector->outputs[detector->oldest], out, sizeof detector->outputs[0]);
    detector->oldest = (uint8_t)((detector->oldest + 1u) % WS_SMOOTHING);

    int sum = sum_of(detector, WS_OUT_LOGIT);
    *score = (int16_t)sum;

    /* The refractory time belongs to the listener, not to a state: it runs on through changes. */
    detector->refractory -=
        detector->refractory < STEP_SAMPLES ? detector->refractory : STEP_SAMPLES;
    if (detector->refractory > 0 || sum < threshold || !ws_detector_long_enough(detector)) {
        return false;
    }
    detector->refractory = WS_REFRACTORY;
    return true;
}

/* Samples from the end of the newest window back to an endpoint. The steps' ages are 0 ..
 * WS_SMOOTHING - 1; half of the last is their mean. */
static int64_t ago(const ws_detector *detector, int output) {
    int64_t steps = sum_of(detector, output) - WS_SMOOTHING * WS_ENDPOINT_ZERO;
    int64_t age = (int64_t)(WS_SMOOTHING - 1) * STEP_SAMPLES;
    return (steps * WS_ENDPOINT_Q16 + (age << 15) + (1 << 15)) >> 16;
}

static int64_t clip(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

void ws_detector_endpoints(const ws_detector *detector, uint64_t sample, uint64_t *start,
                           uint64_t *end) {
    int64_t now = (int64_t)sample;
    int64_t last = clip(now - ago(detector, WS_OUT_END), 1, now);
    *start = (uint64_t)clip(now - ago(detector, WS_OUT_START), 0, last - 1);
    *end = (uint64_t)last;
}
