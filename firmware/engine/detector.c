/* SPDX-License-Identifier: Apache-2.0 */
#include "detector.h"

#include <string.h>

unsigned ws_detector_smoothing(const ws_word_state *word) {
    return word->config.smoothing > 0 ? word->config.smoothing : word->model->smoothing;
}

static uint32_t step_samples(const ws_word_state *word) {
    return (uint32_t)word->model->stride * word->model->lfbe->hop;
}

static uint32_t samples_of(const ws_word_state *word, uint32_t ms) {
    return ms * (word->model->lfbe->sample_rate / 1000u);
}

static uint32_t shortest(const ws_word_state *word) {
    const uint16_t ms = word->config.shortest_ms;
    return ms == 0 ? word->model->shortest : ms == WS_ANY_LENGTH ? 0 : samples_of(word, ms);
}

static int threshold_of(const ws_word_state *word, unsigned state) {
    const ws_config *config = &word->config;
    const int own = config->sensitivities == NULL ? 0 : config->sensitivities[state];
    return word->model->thresholds[state] - config->sensitivity - own;
}

void ws_detector_reset(ws_word_state *word, const int8_t silence[WS_OUTPUTS]) {
    for (int i = 0; i < WS_SMOOTHING_MAX; i++) {
        memcpy(word->outputs[i], silence, sizeof word->outputs[i]);
    }
    word->newest = 0;
    word->refractory = 0;
    word->pending = 0;
    word->near_open = false;
}

/* Over the newest steps; added again each step: they are few, and nothing can drift. */
static int sum_of(const ws_word_state *word, int output) {
    int sum = 0;
    const int8_t *first = word->outputs[0];
    const int8_t *at = word->outputs[word->newest];
    for (unsigned left = ws_detector_smoothing(word); left > 0; left--) {
        sum += at[output];
        at = (at == first ? first + WS_SMOOTHING_MAX * WS_OUTPUTS : at) - WS_OUTPUTS;
    }
    return sum;
}

/* Samples of one int8 step of START or END, over the steps that are averaged, Q16. */
static int32_t endpoint_q16(const ws_word_state *word) {
    const int32_t shipped = word->model->endpoint_q16, own = word->config.smoothing;
    return own == 0 ? shipped : (shipped * word->model->smoothing + own / 2) / own;
}

bool ws_detector_long_enough(const ws_word_state *word) {
    const int64_t minimum = shortest(word);
    const int64_t steps = sum_of(word, WS_OUT_START) - sum_of(word, WS_OUT_END);
    return minimum == 0 || steps * endpoint_q16(word) >= minimum * 65536;
}

/* Samples from the end of the newest window back to an endpoint. The steps' ages are 0 .. smoothing
 * - 1; half of the last is their mean. */
static int32_t ago(const ws_word_state *word, int output) {
    const int smoothing = (int)ws_detector_smoothing(word);
    const int32_t steps = sum_of(word, output) - smoothing * word->model->endpoint_zero;
    const int64_t age = (int64_t)(smoothing - 1) * step_samples(word);
    return (int32_t)(((int64_t)steps * endpoint_q16(word) + (age << 15) + (1 << 15)) >> 16);
}

/* `sample` minus an age, clipped to 0 .. sample. */
static uint64_t back(uint64_t sample, int32_t samples) {
    return samples < 0 ? sample : (uint64_t)samples > sample ? 0 : sample - (uint64_t)samples;
}

static void fill(const ws_word_state *word, int score, int32_t start_ago, int32_t end_ago,
                 ws_event *event) {
    const int smoothing = (int)ws_detector_smoothing(word);
    event->score = (int16_t)score;
    /* The mean of the logits, rounded, as an index 0 .. 255: the offset makes it positive. */
    event->probability =
        word->model->probability[(score + 128 * smoothing + smoothing / 2) / smoothing];
    event->end = back(event->sample, end_ago);
    if (event->end == 0) event->end = 1;
    event->start = back(event->sample, start_ago);
    if (event->start >= event->end) event->start = event->end - 1;
}

void ws_detector_event(const ws_word_state *word, ws_event *event) {
    fill(word, sum_of(word, WS_OUT_LOGIT), ago(word, WS_OUT_START), ago(word, WS_OUT_END), event);
}

void ws_detector_near_miss(const ws_word_state *word, ws_event *event) {
    event->sample -= word->near_age;
    event->state = word->near_state;
    fill(word, word->near_score, word->near_start, word->near_end, event);
}

/* Keep the highest step of those that are near; true when they have ended without a wake. */
static bool track_near(ws_word_state *word, int score, unsigned state, bool is_near, bool wake) {
    const bool ended = word->near_open && !is_near && !wake;
    if (wake || !is_near) word->near_open = false;
    word->near_age += step_samples(word);
    if (is_near && !wake && (!word->near_open || score > word->near_score)) {
        word->near_open = true;
        word->near_score = (int16_t)score;
        word->near_state = (uint8_t)state;
        word->near_age = 0;
        word->near_start = ago(word, WS_OUT_START);
        word->near_end = ago(word, WS_OUT_END);
    }
    return ended;
}

ws_decision ws_detector_push(ws_word_state *word, const int8_t out[WS_OUTPUTS], unsigned state,
                             bool muted) {
    word->newest = (uint8_t)((word->newest + 1u) % WS_SMOOTHING_MAX);
    memcpy(word->outputs[word->newest], out, sizeof word->outputs[0]);

    /* The refractory time belongs to the listener, not to a state: it continues through changes. */
    const uint32_t step = step_samples(word);
    word->refractory -= word->refractory < step ? word->refractory : step;

    ws_decision decision = {.score = (int16_t)sum_of(word, WS_OUT_LOGIT)};
    /* The threshold is for as many steps as the model ships with. */
    const int smoothing = (int)ws_detector_smoothing(word);
    const int32_t threshold = (int32_t)threshold_of(word, state) * smoothing;
    const int32_t score = (int32_t)decision.score * word->model->smoothing;
    const bool listens = !muted && word->refractory == 0;
    decision.wake = listens && score >= threshold && ws_detector_long_enough(word);
    if (decision.wake) {
        const uint32_t ms = word->config.refractory_ms;
        word->refractory = ms == 0 ? word->model->refractory : samples_of(word, ms);
    }
    if (word->config.near_miss > 0) {
        const bool is_near =
            listens && score >= threshold - (int32_t)word->config.near_miss * smoothing;
        decision.near_miss =
            track_near(word, decision.score, state, is_near, decision.wake) && !muted;
    }
    return decision;
}
