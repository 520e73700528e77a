/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the detector, for any word; engine.c runs them. */
#include "engine/detector.h"

#include <string.h>

#include "unit.h"

static void reset(ws_word_state *word, int threshold, int8_t logit) {
    const int8_t silence[WS_OUTPUTS] = {logit, 127, -128};
    memset(word, 0, sizeof *word);
    word->model = ws_test_model(threshold);
    ws_detector_reset(word, silence);
}

/* Of a word as long as can be said. */
static ws_decision push(ws_word_state *word, int8_t logit) {
    const int8_t out[WS_OUTPUTS] = {logit, 127, -128};
    return ws_detector_push(word, out, 0, false);
}

static void test_detector_sums_the_newest_logits(void) {
    ws_word_state word;
    reset(&word, INT16_MAX, -128);
    CHECK(push(&word, -128).score == -128 * SMOOTHING);
    for (int i = 0; i < 2 * WS_SMOOTHING_MAX; i++) {
        int known = i + 1 < SMOOTHING ? i + 1 : SMOOTHING;
        ws_decision decision = push(&word, 127);
        CHECK(decision.score == 127 * known - 128 * (SMOOTHING - known) && !decision.wake);
    }
    CHECK(push(&word, 0).score == 127 * (SMOOTHING - 1));
}

static void test_detector_threshold_is_reached_exactly(void) {
    ws_word_state word;
    reset(&word, 10 * SMOOTHING + 1, 10);
    CHECK(!push(&word, 10).wake);
    word.config.sensitivity = 1;
    CHECK(push(&word, 10).wake);
}

/* Lengths over the newest steps that add up to just enough, and to one too little. */
static void test_detector_needs_a_word_that_is_long_enough(void) {
    const int64_t samples = (int64_t)MODEL->shortest * 65536, q16 = MODEL->endpoint_q16;
    const int enough = (int)((samples + q16 - 1) / q16);
    CHECK(enough <= 255 * SMOOTHING);
    for (int lacks = 0; lacks <= 1; lacks++) {
        int left = enough - lacks;
        ws_decision decision = {0};
        ws_word_state word;
        reset(&word, 127 * SMOOTHING, -128);
        for (int i = 0; i < SMOOTHING; i++) {
            int length = left / (SMOOTHING - i);
            const int8_t out[WS_OUTPUTS] = {127, (int8_t)(length < 127 ? length : 127),
                                            (int8_t)(length < 127 ? 0 : 127 - length)};
            decision = ws_detector_push(&word, out, 0, false);
            left -= length;
        }
        CHECK(decision.score == 127 * SMOOTHING);
        CHECK(decision.wake == (!lacks || MODEL->shortest == 0));
        CHECK(ws_detector_long_enough(&word) == decision.wake);
        word.config.shortest_ms = WS_ANY_LENGTH;
        CHECK(ws_detector_long_enough(&word));
    }
}

static void test_detector_rests_after_a_wake(void) {
    for (uint32_t ms = 0; ms <= 500; ms += 500) {
        const uint32_t rest = ms == 0 ? MODEL->refractory : ms * WS_SAMPLE_RATE / 1000;
        ws_word_state word;
        reset(&word, 0, 127);
        word.config.refractory_ms = ms;
        CHECK(push(&word, 127).wake);
        for (uint32_t elapsed = STEP; elapsed < rest; elapsed += STEP) {
            CHECK(!push(&word, 127).wake);
        }
        CHECK(push(&word, 127).wake);
    }
}

static void test_detector_averages_as_many_steps_as_asked(void) {
    ws_word_state word;
    for (int steps = 1; steps <= WS_SMOOTHING_MAX; steps++) {
        reset(&word, 20 * SMOOTHING, 0);
        word.config.smoothing = (uint8_t)steps;
        for (int i = 1; i < steps; i++) {
            CHECK(!push(&word, 20).wake);
        }
        ws_decision decision = push(&word, 20); /* a mean of 20 at last */
        CHECK(decision.wake && decision.score == 20 * steps);
    }
}

/* Of steps that come near the highest is reported, once they are over; and none that wakes. */
static void test_detector_reports_near_misses(void) {
    ws_word_state word;
    ws_event event = {.sample = 1000000};
    reset(&word, 100, 0);
    word.config = (ws_config){.near_miss = 50, .smoothing = 1, .sensitivity = 0};
    word.config.sensitivity = (int16_t)(100 - 100 * SMOOTHING); /* 100 at one step */
    CHECK(!push(&word, 40).near_miss && !push(&word, 93).near_miss && !push(&word, 99).near_miss);
    CHECK(!push(&word, 97).near_miss);
    CHECK(push(&word, 0).near_miss);
    ws_detector_near_miss(&word, &event);
    CHECK(event.score == 99 && event.sample == 1000000 - 2 * STEP);
    CHECK(event.start < event.end && event.end <= event.sample);
    CHECK(!push(&word, 0).near_miss);
    CHECK(!push(&word, 99).near_miss && push(&word, 100).wake && !push(&word, 0).near_miss);
    word.refractory = 0;
    const int8_t low[WS_OUTPUTS] = {0, 127, -128};
    CHECK(!push(&word, 99).near_miss && !ws_detector_push(&word, low, 0, true).near_miss);
    CHECK(!push(&word, 0).near_miss);
}

/* Where the word is when every step reports the same. */
static void word_of(int8_t start_out, int8_t end_out, uint64_t sample, uint64_t *start,
                    uint64_t *end) {
    const int8_t out[WS_OUTPUTS] = {0, start_out, end_out};
    ws_event event = {.sample = sample};
    ws_word_state word;
    reset(&word, INT16_MAX, 0);
    ws_detector_reset(&word, out);
    ws_detector_event(&word, &event);
    *start = event.start;
    *end = event.end;
}

static void test_endpoints_are_clipped(void) {
    const int8_t now = (int8_t)MODEL->endpoint_zero;
    const uint64_t late = UINT64_C(1) << 40;
    uint64_t start, end;
    word_of(127, -128, late, &start, &end); /* it continues */
    CHECK(end == late && start < late - STEP);
    word_of(127, -128, 1, &start, &end); /* the least that is allowed */
    CHECK(start == 0 && end == 1);
    word_of(127, now, WS_WINDOW + STEP * SMOOTHING, &start, &end); /* before all sound */
    CHECK(start == 0 && end > 1);
    word_of(127, 127, WS_WINDOW, &start, &end); /* over before all sound */
    CHECK(start == 0 && end == 1);
    word_of(-128, now, late, &start, &end); /* a start after the end */
    CHECK(start + 1 == end && end <= late);
    word_of(now, now, late, &start, &end); /* no length */
    CHECK(start + 1 == end && end <= late);
    word_of(-128, -128, late, &start, &end); /* both to come */
    CHECK(start == late - 1 && end == late);
}

/* That n times the samples back to `at` are the sum of what the n newest steps say of `output`,
 * each moved by its age; halves count as one more. `outs` has the newest first. */
static bool is_mean(uint64_t sample, uint64_t at, const int8_t outs[][WS_OUTPUTS], int output) {
    int64_t sum = 0, back = (int64_t)(sample - at);
    for (int age = 0; age < SMOOTHING; age++) {
        /* The constant is divided by SMOOTHING already. */
        int64_t offset = (int64_t)(outs[age][output] - MODEL->endpoint_zero) * MODEL->endpoint_q16;
        sum += offset * SMOOTHING + (int64_t)age * STEP * 65536;
    }
    int64_t off = sum - back * 65536 * SMOOTHING;
    return off >= -32768 * SMOOTHING && off < 32768 * SMOOTHING;
}

static void test_endpoints_are_the_mean_of_the_newest_steps(void) {
    static int8_t outs[WS_SMOOTHING_MAX][WS_OUTPUTS];
    ws_word_state word;
    uint32_t seed = 7;
    int compared = 0;
    reset(&word, INT16_MAX, 0);
    for (int i = 0; i < 2000; i++) {
        ws_event event = {.sample = 100000u + (uint64_t)i * STEP};
        memmove(outs + 1, outs, sizeof outs - sizeof outs[0]);
        for (int output = 0; output < WS_OUTPUTS; output++) {
            seed = seed * 1664525u + 1013904223u;
            outs[0][output] = (int8_t)((int32_t)(seed >> 24) - 128);
        }
        (void)ws_detector_push(&word, (const int8_t *)outs[0], 0, false);
        if (i < SMOOTHING) continue;
        ws_detector_event(&word, &event);
        const uint64_t sample = event.sample, start = event.start, end = event.end;
        CHECK(start < end && end <= sample);
        if (end < sample)
            CHECK(is_mean(sample, end, (const int8_t(*)[WS_OUTPUTS])outs, WS_OUT_END));
        if (start + 1 < end) {
            CHECK(is_mean(sample, start, (const int8_t(*)[WS_OUTPUTS])outs, WS_OUT_START));
            compared++;
        }
    }
    CHECK(compared > 200);
}

void ws_test_detector(void) {
    test_detector_sums_the_newest_logits();
    test_detector_threshold_is_reached_exactly();
    test_detector_needs_a_word_that_is_long_enough();
    test_detector_rests_after_a_wake();
    test_detector_averages_as_many_steps_as_asked();
    test_detector_reports_near_misses();
    test_endpoints_are_clipped();
    test_endpoints_are_the_mean_of_the_newest_steps();
}
