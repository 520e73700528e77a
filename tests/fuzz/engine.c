/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with the network of "alexa": any sound, pushed in any pieces, with changes of state.
 *
 * Input: operations of three bytes, what, and a number of 16 bits: a number of samples, made of the
 * operation; or a state; or a state to start again in. The same sound goes into a second engine
 * sample by sample where the first takes it in pieces: both must say the same. */
#include "ws_words.h"

#include "engine/detector.h"
#include "fuzz.h"

#define SAMPLES_MAX 8000u /* of an input: half a second */

static void check_event(const ws_event *event, uint64_t samples, int smoothing) {
    CHECK(event->sample <= samples && event->start < event->end && event->end <= event->sample);
    CHECK(event->probability <= 32768 && event->state < WS_STATE_COUNT);
    CHECK(event->score >= -128 * smoothing && event->score <= 127 * smoothing);
}

static bool same(const ws_event *a, const ws_event *b) {
    return a->type == b->type && a->sample == b->sample && a->score == b->score &&
           a->probability == b->probability && a->state == b->state && a->start == b->start &&
           a->end == b->end;
}

/* All events of both are the same, one by one. */
static void poll(ws_words_engine *whole, ws_words_engine *pieces) {
    for (;;) {
        ws_event event, twin;
        bool any = ws_poll(whole, &event);
        CHECK(ws_poll(pieces, &twin) == any);
        if (!any) break;
        check_event(&event, whole->engine.samples, (int)ws_detector_smoothing(whole->engine.words));
        CHECK(same(&event, &twin));
    }
}

/* All of `pcm` into both; the events of the last step may stay for later. */
static void push(ws_words_engine *whole, ws_words_engine *pieces, const int16_t *pcm, size_t count,
                 bool polled) {
    for (size_t used = 0, other = 0; used < count;) {
        size_t took = ws_push(whole, pcm + used, count - used);
        CHECK(took > 0 && took <= count - used);
        used += took;
        for (; other < used; other++) {
            CHECK(ws_push(pieces, pcm + other, 1) == 1);
        }
        CHECK(whole->engine.samples == pieces->engine.samples);
        if (polled) poll(whole, pieces);
    }
}

/* Silence, a square wave, noise, or full scale. */
static void sound(int16_t *pcm, size_t count, unsigned what, uint32_t *random) {
    for (size_t i = 0; i < count; i++) {
        *random = *random * 1664525u + 1013904223u;
        int noise = (int)(*random >> 16) - 32768;
        int wave = (i >> (what >> 3 & 7u) & 1u) != 0 ? INT16_MAX : INT16_MIN;
        int value = (what & 6u) == 0 ? 0 : (what & 6u) == 2 ? noise >> (what >> 6) : wave;
        pcm[i] = (int16_t)value;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, data + size};
    ws_words_engine *whole = malloc(sizeof *whole), *pieces = malloc(sizeof *pieces);
    int16_t *pcm = malloc(SAMPLES_MAX * sizeof *pcm);
    CHECK(whole != NULL && pieces != NULL && pcm != NULL);
    memset(whole, 0xA5, sizeof *whole); /* ws_init owes nothing to what was there */
    memset(pieces, 0, sizeof *pieces);
    unsigned state = fuzz_byte(&input) % WS_STATE_COUNT;
    CHECK(ws_init(whole, &ws_alexa, NULL) == WS_OK && ws_init(pieces, &ws_alexa, NULL) == WS_OK);
    CHECK(ws_restart(whole, state) == WS_OK && ws_restart(pieces, state) == WS_OK);

    uint32_t random = 1;
    size_t left = SAMPLES_MAX;
    while (input.next < input.end && left > 0) {
        unsigned what = fuzz_byte(&input);
        unsigned value = fuzz_byte(&input);
        value |= (unsigned)fuzz_byte(&input) << 8;
        if ((what & 3u) == 3 && value % 16u == 15) {
            ws_status status = ws_restart(whole, value >> 8);
            CHECK(status == (value >> 8 < WS_STATE_COUNT ? WS_OK : WS_ERROR_STATE));
            CHECK(ws_restart(pieces, value >> 8) == status);
        } else if ((what & 3u) == 3 && value % 16u == 14) {
            const ws_config config = {.sensitivity = (int16_t)(value >> 4),
                                      .near_miss = (int16_t)(what >> 2),
                                      .shortest_ms = (uint16_t)(value >> 6),
                                      .smoothing = (uint8_t)((value >> 4) % 18u),
                                      .off = (what & 0x80u) != 0};
            ws_status status = ws_configure(whole, value >> 15, &config);
            CHECK(ws_configure(pieces, value >> 15, &config) == status);
            poll(whole, pieces);
        } else if ((what & 3u) == 3 && value % 16u == 13) {
            ws_mute(whole, value);
            ws_mute(pieces, value);
        } else if ((what & 1u) != 0) {
            ws_status expected = value < WS_STATE_COUNT ? WS_OK : WS_ERROR_STATE;
            CHECK(ws_set_state(whole, value) == expected);
            CHECK(ws_set_state(pieces, value) == expected);
        } else {
            size_t count = value % (left + 1);
            left -= count;
            sound(pcm, count, what, &random);
            push(whole, pieces, pcm, count, count % 2u == 0);
        }
    }
    free(pcm);
    free(pieces);
    free(whole);
    return 0;
}
