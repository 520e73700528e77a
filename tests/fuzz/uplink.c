/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-roll and uplink (firmware/uplink/) in any order of calls, with a link of any speed.
 *
 * Input: operations of three bytes, what, and a number of 16 bits. The samples that are put in
 * count up, so what comes out shows where it was; what goes out is read as a program would. */
#include "uplink/uplink.h"

#include "fuzz.h"

#define START_BYTES 34u

static ws_uplink *uplink;
static ws_frame_reader reader;
static uint64_t processed;
static size_t room;

/* Of the message in progress. */
static bool active;
static uint16_t utterance;
static uint64_t wake_at;       /* where it woke, by the counts of the engine */
static uint64_t first_of_wake; /* the message's first sample, by the same */
static uint32_t next_index;    /* the least that the next AUDIO may begin with */

static uint32_t number(const uint8_t *bytes, unsigned count) {
    uint32_t value = 0;
    for (unsigned i = count; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

static void on_start(const ws_frame *frame) {
    CHECK(!active && frame->count >= START_BYTES);
    uint32_t start = number(frame->payload + 8, 4);
    uint32_t end = number(frame->payload + 12, 4);
    uint32_t wake = number(frame->payload + 16, 4);
    CHECK(start <= WS_PREROLL_SAMPLES && start < end);
    CHECK(wake <= WS_PREROLL_SAMPLES + WS_WORD_MAX);
    utterance = (uint16_t)number(frame->payload, 2);
    active = true;
    next_index = 0;
    first_of_wake = uplink->first;
}

static void on_audio(const ws_frame *frame) {
    uint32_t index = number(frame->payload + 2, 4);
    CHECK(active && frame->count > 6 && frame->count % 2 == 0);
    CHECK(number(frame->payload, 2) == utterance && index >= next_index);
    for (size_t i = 6; i < frame->count; i += 2) {
        uint64_t at = first_of_wake + index++;
        CHECK(at < processed && number(frame->payload + i, 2) == (uint16_t)at);
    }
    next_index = index;
}

static void on_end(const ws_frame *frame) {
    CHECK(active && frame->count == 15 && number(frame->payload, 2) == utterance);
    CHECK(frame->payload[2] <= WS_UPLINK_INPUT_ENDED);
    CHECK(number(frame->payload + 3, 4) >= next_index);
    active = false;
}

static size_t take(void *to, const uint8_t *bytes, size_t count) {
    (void)to;
    if (count > room) count = room;
    room -= count;
    for (size_t i = 0; i < count; i++) {
        ws_frame frame;
        if (!ws_frame_read(&reader, bytes[i], &frame)) continue;
        CHECK(frame.type >= WS_UPLINK_START && frame.type <= WS_UPLINK_END);
        (frame.type == WS_UPLINK_START   ? on_start
         : frame.type == WS_UPLINK_AUDIO ? on_audio
                                         : on_end)(&frame);
    }
    CHECK(reader.damaged == 0);
    return count;
}

static void process(size_t count) {
    int16_t pcm[WS_HOP];
    for (; count > 0; count -= count < WS_HOP ? count : WS_HOP) {
        size_t part = count < WS_HOP ? count : WS_HOP;
        for (size_t i = 0; i < part; i++) {
            pcm[i] = (int16_t)processed++;
        }
        ws_uplink_push(uplink, pcm, part);
    }
}

/* As the engine would say it: 0 <= start < end <= sample. */
static void wake(unsigned value) {
    if (processed < wake_at + WS_HOP) return; /* wakes have a refractory time */
    wake_at = processed;
    uint64_t end = processed - value % 256u * 64u % processed;
    uint64_t start = end - 1 - (uint64_t)(value >> 8) * 256u % end;
    ws_event event = {.type = WS_EVENT_WAKE, .sample = processed, .start = start, .end = end};
    event.state = (uint8_t)(value % WS_STATE_COUNT);
    event.probability = (uint16_t)value;
    ws_uplink_wake(uplink, &event);
}

static void operate(unsigned what, unsigned value) {
    room = 0;
    switch (what % 8u) {
        case 0:
            process(value % (WS_PREROLL_CAPACITY + WS_PREROLL_SLACK));
            break;
        case 1:
            wake(value);
            break;
        case 2:
            ws_uplink_switch(uplink, value % 8u != 0);
            break;
        case 3:
            ws_uplink_stop(uplink, (uint16_t)value);
            break;
        case 4:
            ws_uplink_missed(uplink, (uint64_t)value << value % 48u);
            break;
        case 5:
            room = value % 512u;
            (void)ws_uplink_finish(uplink, take, NULL);
            break;
        case 6:
            process(WS_HOP); /* fall through: as a device does */
        default:
            room = value;
            while (ws_uplink_pump(uplink, take, NULL)) {
            }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, data + size};
    uplink = malloc(sizeof *uplink);
    CHECK(uplink != NULL);
    ws_uplink_reset(uplink);
    ws_uplink_switch(uplink, true);
    ws_frame_reader_reset(&reader);
    processed = wake_at = 0;
    active = false;
    while (input.next < input.end) {
        unsigned what = fuzz_byte(&input);
        unsigned low = fuzz_byte(&input);
        operate(what, low | (unsigned)fuzz_byte(&input) << 8);
    }
    ws_uplink_input_ended(uplink);
    room = SIZE_MAX;
    while (ws_uplink_pump(uplink, take, NULL)) {
    }
    CHECK(!active); /* each message has its end */
    free(uplink);
    return 0;
}
