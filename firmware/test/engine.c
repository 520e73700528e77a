/* Unit tests of engine and detector, for any word: they run on the host and in QEMU. */
#include <string.h>

#include "engine/detector.h"
#include "programs/common/text.h"
#include "ws_words.h"

#define MODEL (ws_words_models[0])
#define STRIDE (MODEL->stride)
#define SMOOTHING (MODEL->smoothing)
#define STEP ((uint32_t)STRIDE * WS_HOP)
/* A receptive field after a reset ends on a step; so the first hops up to a step: */
#define FIRST_HOPS (MODEL->receptive_hops % STRIDE ? MODEL->receptive_hops % STRIDE : STRIDE)
#define FIRST (WS_WINDOW + (size_t)(FIRST_HOPS - 1) * WS_HOP)
#define SAMPLES 40000
#ifdef __arm__
#define SETTINGS 6 /* QEMU is slow */
#else
#define SETTINGS 50
#endif
#define EVENTS_MOST (3 * SAMPLES / WS_HOP)

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

/* The first word's model with one threshold in all states. */
static const ws_model *model_of(int threshold) {
    static ws_model model;
    static int16_t thresholds[WS_STATE_COUNT];
    model = *MODEL;
    model.thresholds = thresholds;
    for (int i = 0; i < WS_STATE_COUNT; i++) {
        thresholds[i] = (int16_t)threshold;
    }
    return &model;
}

static void reset(ws_word_state *word, int threshold, int8_t logit) {
    const int8_t silence[WS_OUTPUTS] = {logit, 127, -128};
    memset(word, 0, sizeof *word);
    word->model = model_of(threshold);
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
    for (int i = 0; i < 2 * WS_SMOOTHING_MOST; i++) {
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
        for (uint32_t heard = STEP; heard < rest; heard += STEP) {
            CHECK(!push(&word, 127).wake);
        }
        CHECK(push(&word, 127).wake);
    }
}

static void test_detector_averages_as_many_steps_as_asked(void) {
    ws_word_state word;
    for (int steps = 1; steps <= WS_SMOOTHING_MOST; steps++) {
        reset(&word, 20 * SMOOTHING, 0);
        word.config.smoothing = (uint8_t)steps;
        for (int i = 1; i < steps; i++) {
            CHECK(!push(&word, 20).wake);
        }
        ws_decision decision = push(&word, 20); /* a mean of 20 at last */
        CHECK(decision.wake && decision.score == 20 * steps);
    }
}

/* Of steps that come near the highest is told, once they are over; and none that wakes. */
static void test_detector_tells_near_misses(void) {
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

/* Where the word lies when every step says the same. */
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
    word_of(127, -128, late, &start, &end); /* it goes on */
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
        int64_t said = (int64_t)(outs[age][output] - MODEL->endpoint_zero) * MODEL->endpoint_q16;
        sum += said * SMOOTHING + (int64_t)age * STEP * 65536;
    }
    int64_t off = sum - back * 65536 * SMOOTHING;
    return off >= -32768 * SMOOTHING && off < 32768 * SMOOTHING;
}

static void test_endpoints_are_the_mean_of_the_newest_steps(void) {
    static int8_t outs[WS_SMOOTHING_MOST][WS_OUTPUTS];
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
    static ws_words_engine engine;
    const int16_t *pcm = sound();
    int count = 0;
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
    for (size_t used = 0; used < SAMPLES;) {
        size_t part = SAMPLES - used < chunk ? SAMPLES - used : chunk;
        if (used == change) CHECK(ws_set_state(&engine, WS_STATE_COUNT - 1) == WS_OK);
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
        CHECK(expected >= (int)((SAMPLES - FIRST) / STEP + 1));
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
            CHECK(events[i].score >= MODEL->thresholds[events[i].state]);
            continue;
        }
        CHECK(events[i].sample == next);
        CHECK(events[i].state ==
              (events[i].sample > 20000 ? WS_STATE_COUNT - 1 : WS_DEFAULT_STATE));
        CHECK(events[i].probability <= 32768);
        CHECK(events[i].start < events[i].end && events[i].end <= events[i].sample);
        next += STEP;
    }
    CHECK(next > SAMPLES - STEP);
}

static void test_events_not_polled_are_lost(void) {
    static ws_words_engine engine;
    ws_event event;
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
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
    static ws_words_engine engine;
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_restart(&engine, WS_STATE_COUNT) == WS_ERROR_STATE);
    CHECK(ws_restart(&engine, WS_STATE_COUNT - 1) == WS_OK);
    CHECK(ws_set_state(&engine, WS_STATE_COUNT) == WS_ERROR_STATE);
    CHECK(engine.engine.state == WS_STATE_COUNT - 1);
}

/* Whatever is called in which order: no event, and a caller's loop comes to its end. */
static void is_deaf(ws_words_engine *engine) {
    ws_event event;
    CHECK(ws_push(engine, sound(), SAMPLES) == SAMPLES);
    CHECK(ws_push(engine, sound(), 0) == 0);
    CHECK(!ws_poll(engine, &event));
    CHECK(ws_set_state(engine, 0) == WS_ERROR_ENGINE && ws_restart(engine, 0) == WS_ERROR_ENGINE);
    CHECK(ws_configure(engine, 0, &(ws_config){0}) == WS_ERROR_WORD);
    CHECK(ws_words(engine) == 0 && ws_word_model(engine, 0) == NULL);
    ws_mute(engine, 1);
    CHECK(ws_push(engine, sound(), SAMPLES) == SAMPLES);
    CHECK(!ws_poll(engine, &event));
}

static void test_an_engine_not_started_is_deaf(void) {
    static ws_words_engine engine;
    ws_model other = *MODEL;
    is_deaf(&engine);
    memset(&engine, 0xA5, sizeof engine);
    CHECK(ws_init(&engine, NULL, NULL) == WS_ERROR_WORD);
    is_deaf(&engine);
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK && ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    other.schema++;
    CHECK(ws_init(&engine, &other, NULL) == WS_ERROR_SCHEMA); /* with an event to give */
    is_deaf(&engine);
    other = *MODEL;
    other.lfbe_hash++;
    CHECK(ws_init(&engine, &other, NULL) == WS_ERROR_FRONTEND);
    CHECK(ws_init(&engine, MODEL, &(ws_config){.smoothing = WS_SMOOTHING_MOST + 1}) ==
          WS_ERROR_CONFIG);
    is_deaf(&engine);
}

static void test_words_of_one_engine_must_fit(void) {
    static ws_words_engine engine;
    ws_model other = *MODEL;
    const ws_model *const words[] = {MODEL, &other};
    other.state_count--;
    CHECK(ws_init_words(&engine, words, 2, NULL) == WS_ERROR_WORD);
    other = *MODEL;
    ws_lfbe lfbe = *MODEL->lfbe;
    lfbe.hash = other.lfbe_hash = MODEL->lfbe_hash + 1;
    other.lfbe = &lfbe;
    CHECK(ws_init_words(&engine, words, 2, NULL) == WS_ERROR_FRONTEND);
    CHECK(ws_init_words(&engine, words, 0, NULL) == WS_ERROR_WORD);
    CHECK(ws_init_words(&engine, words, 256, NULL) == WS_ERROR_WORD);
}

static void test_null_is_refused(void) {
    static ws_words_engine engine;
    CHECK(ws_init(NULL, MODEL, NULL) == WS_ERROR_ENGINE);
    is_deaf(NULL);
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_push(&engine, NULL, 0) == 0);
    CHECK(ws_push(&engine, NULL, SAMPLES) == SAMPLES && engine.engine.samples == 0);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    CHECK(!ws_poll(&engine, NULL));
    ws_event event;
    CHECK(ws_poll(&engine, &event) && event.sample == FIRST);
}

/* A change of state must leave what was heard: only the tables are other ones. */
static void test_a_change_and_back_is_no_change(void) {
    static ws_words_engine one, other;
    ws_event a, b;
    CHECK(ws_init(&one, MODEL, NULL) == WS_OK && ws_init(&other, MODEL, NULL) == WS_OK);
    for (size_t used = 0; used + STEP <= SAMPLES;) {
        CHECK(ws_set_state(&other, WS_STATE_COUNT - 1) == WS_OK);
        CHECK(ws_set_state(&other, 0) == WS_OK);
        size_t pushed = ws_push(&one, sound() + used, SAMPLES - used);
        CHECK(ws_push(&other, sound() + used, SAMPLES - used) == pushed);
        used += pushed;
        while (ws_poll(&one, &a)) {
            CHECK(ws_poll(&other, &b) && same(&a, &b));
        }
    }
}

/* All wakes of the sound, in the first state. */
static int wakes(const ws_model *model, const ws_config *config, ws_event events[EVENTS_MOST]) {
    static ws_words_engine engine;
    int count = 0;
    CHECK(ws_init(&engine, model, config) == WS_OK);
    for (size_t used = 0; used < SAMPLES;) {
        used += ws_push(&engine, sound() + used, SAMPLES - used);
        while (count < EVENTS_MOST && ws_poll(&engine, &events[count])) {
            count += events[count].type == WS_EVENT_WAKE;
        }
    }
    return count;
}

/* Whatever the threshold: a word that is off and on, or muted, and other sensitivities. */
static void test_sensitivity_is_another_threshold(void) {
    static ws_event rebuilt[EVENTS_MOST], set[EVENTS_MOST];
    int most = 0;
    for (int step = 0; step < SETTINGS; step++) {
        const int threshold = (step * 255 / (SETTINGS - 1) - 128) * SMOOTHING;
        const ws_model *model = model_of(threshold);
        int16_t offsets[WS_STATE_COUNT] = {0};
        ws_config config = {.shortest_ms = WS_ANY_LENGTH, .refractory_ms = 100};
        int expected = wakes(model, &config, rebuilt);
        config.sensitivity = (int16_t)(MODEL->thresholds[0] - threshold);
        if (step % 2) { /* of all states, and of each */
            offsets[0] = config.sensitivity;
            config.sensitivity = 0;
            config.sensitivities = offsets;
        }
        CHECK(wakes(MODEL, &config, set) == expected);
        for (int i = 0; i < expected; i++) {
            CHECK(same(&rebuilt[i], &set[i]));
        }
        if (expected > most) most = expected;
    }
    CHECK(most > 10);
}

static void test_muted_and_off(void) {
    static ws_words_engine engine;
    static ws_event events[EVENTS_MOST];
    ws_config config = {.sensitivity = 12000, .shortest_ms = WS_ANY_LENGTH, .refractory_ms = 1};
    ws_event event;
    CHECK(wakes(MODEL, &config, events) == (int)((SAMPLES - FIRST) / STEP + 1));
    CHECK(ws_init(&engine, MODEL, &config) == WS_OK);
    ws_mute(&engine, 10000);
    for (size_t used = 0; used < SAMPLES;) {
        used += ws_push(&engine, sound() + used, SAMPLES - used);
        int woke = 0, scores = 0;
        while (ws_poll(&engine, &event)) {
            woke += event.type == WS_EVENT_WAKE;
            scores += event.type == WS_EVENT_SCORE;
        }
        if (used == SAMPLES && scores == 0) break; /* no step ends with the sound */
        CHECK(scores == 1 && woke == (event.sample >= 10000));
    }
    config.off = true;
    CHECK(ws_configure(&engine, 0, &config) == WS_OK);
    CHECK(ws_push(&engine, sound(), SAMPLES) == SAMPLES && !ws_poll(&engine, &event));
    config.off = false;
    CHECK(ws_configure(&engine, 0, &config) == WS_OK);
    CHECK(ws_configure(&engine, 1, &config) == WS_ERROR_WORD);
    for (uint32_t heard = 0; heard < MODEL->receptive_hops * (uint32_t)WS_HOP - 2 * STEP;) {
        heard += (uint32_t)ws_push(&engine, sound(), STEP);
        while (ws_poll(&engine, &event)) {
            CHECK(event.type == WS_EVENT_SCORE);
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
    test_detector_averages_as_many_steps_as_asked();
    test_detector_tells_near_misses();
    test_endpoints_are_clipped();
    test_endpoints_are_the_mean_of_the_newest_steps();
    test_chunks_do_not_matter();
    test_steps_come_when_they_should();
    test_events_not_polled_are_lost();
    test_states_are_checked();
    test_an_engine_not_started_is_deaf();
    test_words_of_one_engine_must_fit();
    test_null_is_refused();
    test_sensitivity_is_another_threshold();
    test_muted_and_off();
    test_a_change_and_back_is_no_change();
    return failures == 0 ? 0 : 1;
}
