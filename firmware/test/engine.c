/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the engine, for any word: they run on the host and in QEMU; and of its detector. */
#include <string.h>

#include "programs/common/text.h"
#include "unit.h"

/* A receptive field after a reset ends on a step; so the first hops up to a step: */
#define FIRST_HOPS (MODEL->receptive_hops % STRIDE ? MODEL->receptive_hops % STRIDE : STRIDE)
#define FIRST (WS_WINDOW + (size_t)(FIRST_HOPS - 1) * WS_HOP)
#define SAMPLES 40000
#ifdef __arm__
#define SETTINGS 6 /* QEMU is slow */
#else
#define SETTINGS 50
#endif
#define EVENTS_MAX (3 * SAMPLES / WS_HOP)

static int failures;
static ws_words_engine engine; /* each test starts it */

void ws_test_check(bool good, const char *condition, const char *file, unsigned line) {
    if (good) return;
    failures++;
    ws_text text;
    ws_text_begin(&text, ws_io_write, ws_io.err);
    ws_text_add(&text, file);
    ws_text_char(&text, ':');
    ws_text_number(&text, line, 1);
    ws_text_add(&text, ": not so: ");
    ws_text_add(&text, condition);
    ws_text_char(&text, '\n');
    (void)ws_text_flush(&text);
}

const ws_model *ws_test_model(int threshold) {
    static ws_model model;
    static int16_t thresholds[WS_STATE_COUNT];
    model = *MODEL;
    model.thresholds = thresholds;
    for (int i = 0; i < WS_STATE_COUNT; i++) {
        thresholds[i] = (int16_t)threshold;
    }
    return &model;
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

/* Process all of the sound in chunks; `change` is the sample at which the last state begins. */
static int run(size_t chunk, size_t change, ws_event events[EVENTS_MAX]) {
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
        while (count < EVENTS_MAX && ws_poll(&engine, &events[count])) {
            count++;
        }
    }
    return count;
}

static void test_chunks_do_not_matter(void) {
    static const size_t chunks[] = {1, 7, WS_HOP - 1, WS_HOP, WS_HOP + 1, WS_WINDOW, 1024, 12345};
    static ws_event whole[EVENTS_MAX];
    static ws_event parts[EVENTS_MAX];
    static const size_t changes[] = {SAMPLES /* none */, 12001};
    for (int c = 0; c < 2; c++) {
        size_t change = changes[c];
        int expected = run(SAMPLES, change, whole);
        CHECK(expected >= (int)((SAMPLES - FIRST) / STEP + 1));
        for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
            CHECK(run(chunks[i], change, parts) == expected);
            for (int event = 0; event < expected; event++) {
                CHECK(same(&whole[event], &parts[event]));
            }
        }
    }
}

static void test_steps_come_when_they_should(void) {
    static ws_event events[EVENTS_MAX];
    int count = run(SAMPLES, 20000, events);
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
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_restart(&engine, WS_STATE_COUNT) == WS_ERROR_STATE);
    CHECK(ws_restart(&engine, WS_STATE_COUNT - 1) == WS_OK);
    CHECK(ws_set_state(&engine, WS_STATE_COUNT) == WS_ERROR_STATE);
    CHECK(engine.engine.state == WS_STATE_COUNT - 1);
}

/* Whatever is called in which order: no event, and a caller's loop comes to its end. */
static void never_wakes(ws_words_engine *which) {
    ws_event event;
    CHECK(ws_push(which, sound(), SAMPLES) == SAMPLES);
    CHECK(ws_push(which, sound(), 0) == 0);
    CHECK(!ws_poll(which, &event));
    CHECK(ws_set_state(which, 0) == WS_ERROR_ENGINE && ws_restart(which, 0) == WS_ERROR_ENGINE);
    CHECK(ws_configure(which, 0, &(ws_config){0}) == WS_ERROR_WORD);
    CHECK(ws_words(which) == 0 && ws_word_model(which, 0) == NULL);
    ws_mute(which, 1);
    CHECK(ws_push(which, sound(), SAMPLES) == SAMPLES);
    CHECK(!ws_poll(which, &event));
}

static void test_an_engine_not_started_does_nothing(void) {
    memset(&engine, 0, sizeof engine);
    ws_model other = *MODEL;
    never_wakes(&engine);
    memset(&engine, 0xA5, sizeof engine);
    CHECK(ws_init(&engine, NULL, NULL) == WS_ERROR_WORD);
    never_wakes(&engine);
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK && ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    other.schema++;
    CHECK(ws_init(&engine, &other, NULL) == WS_ERROR_SCHEMA); /* with an event to give */
    never_wakes(&engine);
    other = *MODEL;
    other.lfbe_hash++;
    CHECK(ws_init(&engine, &other, NULL) == WS_ERROR_FRONTEND);
    CHECK(ws_init(&engine, MODEL, &(ws_config){.smoothing = WS_SMOOTHING_MAX + 1}) ==
          WS_ERROR_CONFIG);
    never_wakes(&engine);
}

static void test_words_of_one_engine_must_fit(void) {
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
    CHECK(ws_init(NULL, MODEL, NULL) == WS_ERROR_ENGINE);
    never_wakes(NULL);
    CHECK(ws_init(&engine, MODEL, NULL) == WS_OK);
    CHECK(ws_push(&engine, NULL, 0) == 0);
    CHECK(ws_push(&engine, NULL, SAMPLES) == SAMPLES && engine.engine.samples == 0);
    CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
    CHECK(!ws_poll(&engine, NULL));
    ws_event event;
    CHECK(ws_poll(&engine, &event) && event.sample == FIRST);
}

/* A change of state must keep the history: only the tables are other ones. */
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
static int wakes(const ws_model *model, const ws_config *config, ws_event events[EVENTS_MAX]) {
    int count = 0;
    CHECK(ws_init(&engine, model, config) == WS_OK);
    for (size_t used = 0; used < SAMPLES;) {
        used += ws_push(&engine, sound() + used, SAMPLES - used);
        while (count < EVENTS_MAX && ws_poll(&engine, &events[count])) {
            count += events[count].type == WS_EVENT_WAKE;
        }
    }
    return count;
}

/* Whatever the threshold: a word that is off and on, or muted, and other sensitivities. */
static void test_sensitivity_is_another_threshold(void) {
    static ws_event rebuilt[EVENTS_MAX], set[EVENTS_MAX];
    int maximum = 0;
    for (int step = 0; step < SETTINGS; step++) {
        const int threshold = (step * 255 / (SETTINGS - 1) - 128) * SMOOTHING;
        const ws_model *model = ws_test_model(threshold);
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
        if (expected > maximum) maximum = expected;
    }
    CHECK(maximum > 10);
}

/* The score of a near miss is a sum over the smoothing of its time: it does not outlive that. */
static void test_settings_drop_a_near_miss(void) {
    const unsigned last = WS_STATE_COUNT - 1;
    int16_t offsets[WS_STATE_COUNT] = {0};
    offsets[last] = -10000;
    const ws_config all_near = {
        .sensitivity = -20000, .sensitivities = offsets, .near_miss = 22000, .smoothing = 16};
    const ws_config other = {.smoothing = 1};
    for (int change = 0; last > 0 && change < 2; change++) {
        ws_event event;
        CHECK(ws_init(&engine, MODEL, &all_near) == WS_OK);
        CHECK(ws_push(&engine, sound(), SAMPLES) == FIRST);
        CHECK(ws_set_state(&engine, last) == WS_OK);
        CHECK(ws_push(&engine, sound(), SAMPLES) == STEP);
        if (change) CHECK(ws_configure(&engine, 0, &other) == WS_OK);
        CHECK(ws_poll(&engine, &event) && event.type == WS_EVENT_SCORE);
        CHECK(ws_poll(&engine, &event) == !change);
        CHECK(change || event.type == WS_EVENT_NEAR_MISS);
    }
}

static void test_muted_and_off(void) {
    static ws_event events[EVENTS_MAX];
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
    for (uint32_t pushed_samples = 0;
         pushed_samples < MODEL->receptive_hops * (uint32_t)WS_HOP - 2 * STEP;) {
        pushed_samples += (uint32_t)ws_push(&engine, sound(), STEP);
        while (ws_poll(&engine, &event)) {
            CHECK(event.type == WS_EVENT_SCORE);
        }
    }
}

int ws_program(int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    ws_test_detector();
    test_chunks_do_not_matter();
    test_steps_come_when_they_should();
    test_events_not_polled_are_lost();
    test_states_are_checked();
    test_an_engine_not_started_does_nothing();
    test_words_of_one_engine_must_fit();
    test_null_is_refused();
    test_sensitivity_is_another_threshold();
    test_settings_drop_a_near_miss();
    test_muted_and_off();
    test_a_change_and_back_is_no_change();
    return failures == 0 ? 0 : 1;
}
