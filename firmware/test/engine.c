/* Unit tests of engine and detector, for any model: they run on the host and in QEMU. */
#include <string.h>

#include "../detector.h"
#include "../emulator/text.h"
#include "wakestate.h"

#define STEP (WS_STRIDE * WS_HOP)
/* A receptive field after a reset ends on a step; so the first hops up to a step: */
#define FIRST_HOPS (WS_RECEPTIVE_HOPS % WS_STRIDE ? WS_RECEPTIVE_HOPS % WS_STRIDE : WS_STRIDE)
#define FIRST (WS_WINDOW + (FIRST_HOPS - 1) * WS_HOP)
#define SAMPLES 40000
#define EVENTS_MOST (2 * SAMPLES / STEP + 2)

static const ws_io *machine;
static int failures;

#define CHECK(condition) check(condition, #condition, __LINE__)

static void check(bool good, const char *condition, unsigned line) {
    if (good) return;
    failures++;
    ws_text text;
    ws_text_begin(&text, machine, machine->err);
    ws_text_add(&text, "firmware/test/engine.c:");
    ws_text_number(&text, line, 1);
    ws_text_add(&text, ": not so: ");
    ws_text_add(&text, condition);
    ws_text_char(&text, '\n');
    (void)ws_text_flush(&text);
}

/* Of a word as long as can be said. */
static int16_t score_of(ws_detector *detector, int8_t logit, int16_t threshold, bool *wake) {
    const int8_t out[WS_OUTPUTS] = {logit, 127, -128};
    int16_t score;
    *wake = ws_detector_push(detector, out, threshold, &score);
    return score;
}

static void reset(ws_detector *detector, int8_t logit) {
    const int8_t silence[WS_OUTPUTS] = {logit, 127, -128};
    ws_detector_reset(detector, silence);
}

static void test_detector_sums_the_newest_logits(void) {
    ws_detector detector;
    bool wake;
    reset(&detector, -128);
    CHECK(score_of(&detector, -128, 1, &wake) == -128 * WS_SMOOTHING && !wake);
    for (int i = 0; i < 2 * WS_SMOOTHING; i++) {
        int known = i + 1 < WS_SMOOTHING ? i + 1 : WS_SMOOTHING;
        int expected = 127 * known - 128 * (WS_SMOOTHING - known);
        CHECK(score_of(&detector, 127, INT16_MAX, &wake) == expected && !wake);
    }
    CHECK(score_of(&detector, 0, INT16_MAX, &wake) == 127 * (WS_SMOOTHING - 1));
}

static void test_detector_threshold_is_reached_exactly(void) {
    ws_detector detector;
    bool wake;
    reset(&detector, 10);
    (void)score_of(&detector, 10, 10 * WS_SMOOTHING + 1, &wake);
    CHECK(!wake);
    (void)score_of(&detector, 10, 10 * WS_SMOOTHING, &wake);
    CHECK(wake);
}

/* Lengths over the newest steps that add up to just enough, and to one too little. */
static void test_detector_needs_a_word_that_is_long_enough(void) {
    const int64_t samples = (int64_t)WS_SHORTEST * 65536;
    const int enough = (int)((samples + WS_ENDPOINT_Q16 - 1) / WS_ENDPOINT_Q16);
    int16_t score;
    CHECK(enough <= 255 * WS_SMOOTHING);
    for (int lacks = 0; lacks <= 1; lacks++) {
        int left = enough - lacks;
        bool wake = true;
        ws_detector detector;
        reset(&detector, 127);
        for (int i = 0; i < WS_SMOOTHING; i++) {
            int length = left / (WS_SMOOTHING - i);
            const int8_t out[WS_OUTPUTS] = {127, (int8_t)(length < 127 ? length : 127),
                                            (int8_t)(length < 127 ? 0 : 127 - length)};
            wake = ws_detector_push(&detector, out, i + 1 < WS_SMOOTHING ? INT16_MAX : 0, &score);
            left -= length;
        }
        CHECK(score == 127 * WS_SMOOTHING);
        CHECK(wake == (!lacks || WS_SHORTEST == 0));
        CHECK(ws_detector_long_enough(&detector) == wake);
    }
}

static void test_detector_rests_after_a_wake(void) {
    ws_detector detector;
    bool wake;
    reset(&detector, 127);
    (void)score_of(&detector, 127, 0, &wake);
    CHECK(wake);
    for (uint32_t heard = STEP; heard < WS_REFRACTORY; heard += STEP) {
        (void)score_of(&detector, 127, 0, &wake);
        CHECK(!wake);
    }
    (void)score_of(&detector, 127, 0, &wake);
    CHECK(wake);
}

/* Where the word lies when every step says the same. */
static void word_of(int8_t start_out, int8_t end_out, uint64_t sample, uint64_t *start,
                    uint64_t *end) {
    const int8_t out[WS_OUTPUTS] = {0, start_out, end_out};
    ws_detector detector;
    ws_detector_reset(&detector, out);
    ws_detector_endpoints(&detector, sample, start, end);
}

static void test_endpoints_are_clipped(void) {
    const int8_t now = WS_ENDPOINT_ZERO;
    const uint64_t late = UINT64_C(1) << 40;
    uint64_t start, end;
    word_of(127, -128, late, &start, &end); /* it goes on */
    CHECK(end == late && start < late - STEP);
    word_of(127, -128, 1, &start, &end); /* the least that is allowed */
    CHECK(start == 0 && end == 1);
    word_of(127, now, WS_WINDOW + STEP * WS_SMOOTHING, &start, &end); /* before all sound */
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
    for (int age = 0; age < WS_SMOOTHING; age++) {
        /* The constant is divided by WS_SMOOTHING already. */
        int64_t said = (int64_t)(outs[age][output] - WS_ENDPOINT_ZERO) * WS_ENDPOINT_Q16;
        sum += said * WS_SMOOTHING + (int64_t)age * STEP * 65536;
    }
    int64_t off = sum - back * 65536 * WS_SMOOTHING;
    return off >= -32768 * WS_SMOOTHING && off < 32768 * WS_SMOOTHING;
}

static void test_endpoints_are_the_mean_of_the_newest_steps(void) {
    static int8_t outs[WS_SMOOTHING][WS_OUTPUTS];
    ws_detector detector;
    uint32_t seed = 7;
    int compared = 0;
    reset(&detector, 0);
    for (int i = 0; i < 2000; i++) {
        int16_t score;
        uint64_t start, end, sample = 100000u + (uint64_t)i * STEP;
        memmove(outs + 1, outs, sizeof outs - sizeof outs[0]);
        for (int output = 0; output < WS_OUTPUTS; output++) {
            seed = seed * 1664525u + 1013904223u;
            outs[0][output] = (int8_t)((int32_t)(seed >> 24) - 128);
        }
        (void)ws_detector_push(&detector, (const int8_t *)outs[0], INT16_MAX, &score);
        if (i < WS_SMOOTHING) continue;
        ws_detector_endpoints(&detector, sample, &start, &end);
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

/* Bursts of noise between silences, the same on every machine. */
static const int16_t *sound(void) {
    static int16_t pcm[SAMPLES];
    uint32_t seed = 1;
    for (int i = 0; i < SAMPLES; i++) {
        seed = seed * 1664525u + 1013904223u;
        int32_t noise = (int32_t)(seed >> 16) - 32768;
        pcm[i] = (int16_t)(i / 5000 % 3 == 0 ? 0 : i / 5000 % 3 == 1 ? noise : noise / 16);
    }
    return pcm;
}

static bool same(const ws_event *a, const ws_event *b) {
    return a->type == b->type && a->sample == b->sample && a->score == b->score &&
           a->probability == b->probability && a->state == b->state && a->start == b->start &&
           a->end == b->end;
}

/* Hear all of the sound in chunks; `change` is the sample at which the last state begins. */
static int hear(size_t chunk, size_t change, ws_event events[EVENTS_MOST]) {
    static ws_engine engine;
    const int16_t *pcm = sound();
    int count = 0;
    CHECK(ws_init(&engine, WS_DEFAULT_STATE) == WS_OK);
    for (size_t used = 0; used < SAMPLES;) {
        size_t part = SAMPLES - used < chunk ? SAMPLES - used : chunk;
        if (used == change) CHECK(ws_set_state(&engine, WS_STATES - 1) == WS_OK);
        if (used < change && part > change - used) part = change - used;
        size_t pushed = ws_push(&engine, pcm + used, part);
        CHECK(pushed > 0 && pushed <= part);
        used += pushed;
        while (count < EVENTS_MOST && ws_poll(&engine, &events[count])) {
            count++;
        }
    }
    return count;
}

static void test_chunks_do_not_matter(void) {
    static const size_t chunks[] = {1, 7, WS_HOP - 1, WS_HOP, WS_HOP + 1, WS_WINDOW, 1024, 12345};
    static ws_event whole[EVENTS_MOST];
    static ws_event parts[EVENTS_MOST];
    static const size_t changes[] = {SAMPLES /* none */, 12001};
    for (int c = 0; c < 2; c++) {
        size_t change = changes[c];
        int expected = hear(SAMPLES, change, whole);
        CHECK(expected >= (SAMPLES - FIRST) / STEP + 1);
        for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
            CHECK(hear(chunks[i], change, parts) == expected);
            for (int event = 0; event < expected; event++) {
                CHECK(same(&whole[event], &parts[event]));
            }
        }
    }
}

static void test_steps_come_when_they_should(void) {
    static ws_event events[EVENTS_MOST];
    int count = hear(SAMPLES, 20000, events);
    uint64_t next = FIRST;
    for (int i = 0; i < count; i++) {
        if (events[i].type == WS_EVENT_WAKE) { /* after the score of the same step */
            CHECK(i > 0 && events[i - 1].type == WS_EVENT_SCORE);
            CHECK(i > 0 && events[i - 1].sample == events[i].sample);
            CHECK(events[i].score >= ws_thresholds[events[i].state]);
            continue;
        }
        CHECK(events[i].sample == next);
        CHECK(events[i].state == (events[i].sample > 20000 ? WS_STATES - 1 : WS_DEFAULT_STATE));
        CHECK(events[i].probability <= 32768);
        CHECK(events[i].start < events[i].end && events[i].end <= events[i].sample);
        next += STEP;
    }
    CHECK(next > SAMPLES - STEP);
}

static void test_events_not_polled_are_lost(void) {
    static ws_engine engine;
    ws_event event;
    CHECK(ws_init(&engine, 0) == WS_OK);
    CHECK(!ws_poll(&engine, &event));
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    CHECK(ws_push(&engine, sound(), SAMPLES) == STEP);
    CHECK(ws_poll(&engine, &event) && event.sample == FIRST + STEP);
    CHECK(event.type == WS_EVENT_SCORE);
    while (ws_poll(&engine, &event)) {
        CHECK(event.type == WS_EVENT_WAKE);
    }
    CHECK(ws_push(&engine, sound(), 0) == 0);
}

static void test_states_are_checked(void) {
    static ws_engine engine;
    CHECK(ws_init(&engine, WS_STATES) == WS_ERROR_STATE);
    CHECK(ws_init(&engine, WS_STATES - 1) == WS_OK);
    CHECK(ws_set_state(&engine, WS_STATES) == WS_ERROR_STATE);
    CHECK(engine.state == WS_STATES - 1);
}

/* Whatever is called in which order: no event, and a caller's loop comes to its end. */
static void is_deaf(ws_engine *engine) {
    ws_event event;
    CHECK(ws_push(engine, sound(), SAMPLES) == SAMPLES);
    CHECK(ws_push(engine, sound(), 0) == 0);
    CHECK(!ws_poll(engine, &event));
    CHECK(ws_set_state(engine, 0) == (engine == NULL ? WS_ERROR_ENGINE : WS_OK));
    CHECK(ws_set_state(engine, WS_STATES) != WS_OK);
    CHECK(ws_push(engine, sound(), SAMPLES) == SAMPLES);
    CHECK(!ws_poll(engine, &event));
}

static void test_an_engine_not_started_is_deaf(void) {
    static ws_engine engine;
    is_deaf(&engine);
    memset(&engine, 0xA5, sizeof engine);
    CHECK(ws_init(&engine, WS_STATES) == WS_ERROR_STATE);
    is_deaf(&engine);
    CHECK(ws_init(&engine, 0) == WS_OK && ws_init(&engine, 0) == WS_OK);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    CHECK(ws_init(&engine, (unsigned)-1) == WS_ERROR_STATE); /* with an event to give */
    is_deaf(&engine);
}

static void test_null_is_refused(void) {
    static ws_engine engine;
    CHECK(ws_init(NULL, 0) == WS_ERROR_ENGINE);
    is_deaf(NULL);
    CHECK(ws_init(&engine, 0) == WS_OK);
    CHECK(ws_push(&engine, NULL, 0) == 0);
    CHECK(ws_push(&engine, NULL, SAMPLES) == SAMPLES && engine.samples == 0);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    CHECK(!ws_poll(&engine, NULL));
    ws_event event;
    CHECK(ws_poll(&engine, &event) && event.sample == FIRST);
}

/* A change of state must leave what was heard: only the tables are other ones. */
static void test_a_change_and_back_is_no_change(void) {
    static ws_engine one, other;
    ws_event a, b;
    CHECK(ws_init(&one, 0) == WS_OK && ws_init(&other, 0) == WS_OK);
    for (size_t used = 0; used + STEP <= SAMPLES;) {
        CHECK(ws_set_state(&other, WS_STATES - 1) == WS_OK);
        CHECK(ws_set_state(&other, 0) == WS_OK);
        size_t pushed = ws_push(&one, sound() + used, SAMPLES - used);
        CHECK(ws_push(&other, sound() + used, SAMPLES - used) == pushed);
        used += pushed;
        while (ws_poll(&one, &a)) {
            CHECK(ws_poll(&other, &b) && same(&a, &b));
        }
    }
}

int ws_program(const ws_io *io, int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    machine = io;
    test_detector_sums_the_newest_logits();
    test_detector_threshold_is_reached_exactly();
    test_detector_needs_a_word_that_is_long_enough();
    test_detector_rests_after_a_wake();
    test_endpoints_are_clipped();
    test_endpoints_are_the_mean_of_the_newest_steps();
    test_chunks_do_not_matter();
    test_steps_come_when_they_should();
    test_events_not_polled_are_lost();
    test_states_are_checked();
    test_an_engine_not_started_is_deaf();
    test_null_is_refused();
    test_a_change_and_back_is_no_change();
    return failures == 0 ? 0 : 1;
}
