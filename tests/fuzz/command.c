/* SPDX-License-Identifier: Apache-2.0 */
/* The whole device program (firmware/programs/device/device.c) fed by its serial port, in the order
 * of the input: its command parser, states, late main loops, wakes, lines and frames on one port.
 *
 * Input: bytes as they come in on the port, but for 0xF0 to 0xFF, which let a hop come in: bit 0: a
 * loud one, bit 1: the state pins' levels change, bits 2 and 3: what room the port has. */
#include "programs/device/device.c"

#include "fuzz.h"

#define HOPS_MAX 300u

enum { LOUD = 1, PINS = 2, ROOM = 0x0C, FIRST_HOP = 0xF0 };

ws_fault ws_last_fault;

static fuzz_input input;
static unsigned hops_processed, pins;
static size_t room;
static bool line_open, frame_open;
static ws_frame_reader frames;

/* What it prints: lines without control characters, and between them frames. */
static void check_line(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        CHECK(bytes[i] >= 0x20 || bytes[i] == '\n');
        if (!line_open) CHECK(bytes[i] == '{');
        line_open = bytes[i] != '\n';
    }
}

static void check_frames(const uint8_t *bytes, size_t count) {
    ws_frame frame;
    CHECK(!line_open);
    for (size_t i = 0; i < count; i++) {
        bool end = frame_open && bytes[i] == 0;
        bool whole = ws_frame_read(&frames, bytes[i], &frame);
        CHECK(whole == end);
        frame_open = !end;
        CHECK(!end || i == count - 1); /* one at a time */
    }
}

static void come_in(uint8_t switches) {
    int16_t pcm[WS_HOP];
    for (size_t i = 0; i < WS_HOP; i++) {
        pcm[i] = (int16_t)((switches & LOUD) != 0 ? 0x7000 : 1);
    }
    (void)ws_device_push(pcm);
    hops_processed++;
    if ((switches & PINS) != 0) pins ^= 1u + (hops_processed & 6u);
    room = (switches & ROOM) * 50u;
}

const char *ws_driver_start(void) {
    return NULL;
}

const char *ws_driver_reset_reason(void) {
    return "power-on";
}

void ws_driver_listen(void) {
}

/* Asked before it sleeps, and while it is late: a hop comes in, the input's or, for what the port
 * has not yet taken, one more. */
bool ws_driver_ended(void) {
    if (input.next == input.end || hops_processed >= HOPS_MAX) return true;
    come_in(*input.next >= FIRST_HOP ? fuzz_byte(&input) : FIRST_HOP + ROOM);
    return false;
}

void ws_driver_led(bool lit) {
    (void)lit;
}

/* A frame begins with a zero, and has its next one at its end. */
void ws_driver_send(const void *bytes, size_t count) {
    if (frame_open || (count > 0 && *(const uint8_t *)bytes == 0)) {
        check_frames(bytes, count);
    } else {
        check_line(bytes, count);
    }
}

size_t ws_driver_offer(const void *bytes, size_t count) {
    if (count > room) count = room;
    room -= count;
    ws_driver_send(bytes, count);
    return count;
}

int ws_driver_receive(void) {
    if (input.next == input.end || *input.next >= FIRST_HOP) return -1;
    return fuzz_byte(&input);
}

unsigned ws_driver_state_pins(void) {
    return pins & 7u;
}

void ws_driver_feed_watchdog(void) {
}

uint32_t ws_board_stack_used(void) {
    return 1000;
}

size_t ws_fault_text(const ws_fault *fault, char text[192]) {
    (void)fault;
    text[0] = '\n';
    return 1;
}

/* As after power-on. */
static void start_over(void) {
    atomic_store(&wanted, NO_STATE);
    atomic_store(&came, 0);
    ring = (ws_ring)WS_RING(hops);
    memset(&settings, 0, sizeof settings);
    expected = 0;
    missed = unreported = led_off = 0;
    overruns = stalled_until = 0;
    stalled = false;
    pins_last = pins_taken = 0;
    command_length = lines_length = 0;
    command_damaged = false;

    hops_processed = pins = 0;
    room = 0;
    line_open = frame_open = false;
    ws_frame_reader_reset(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input = (fuzz_input){data, data + size};
    start_over();
    CHECK(ws_board_main() == 0);
    CHECK(!line_open && !frame_open);
    return 0;
}
