/* SPDX-License-Identifier: Apache-2.0 */
/* The device program on this computer against a driver of virtual time: a serial port at line rate
 * in both directions with a queue of 128 bytes each way, a hop every WS_HOP samples, and some work
 * for each. A host sends a file of commands over and over, without a pause.
 *
 *     device-flood COMMANDS BAUD WORK_US SECONDS >what-it-says
 *
 * Every second of sound ends in a loud half, which wakes. On stderr: hops that came, hops lost, and
 * the longest time in microseconds between two feeds of the watchdog. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chips/bytes.h"
#include "platform/cortex-m/startup.h"
#include "programs/device/device.h"
#include "programs/device/driver.h"

#define HOP_NS (WS_HOP * 1000000000ull / WS_SAMPLE_RATE)
#define HOPS_A_SECOND (WS_SAMPLE_RATE / WS_HOP)

ws_fault ws_last_fault;

static uint64_t now, end, fed, longest, byte_ns, work_ns; /* nanoseconds */
static uint64_t next_hop, next_in, next_out;
static char commands[4096];
static size_t command_count, at;
static byte_queue in = BYTE_QUEUE(in);
static size_t out_waits;
static bool listening;
static unsigned hops, lost;

static void hop_comes(void) {
    int16_t pcm[WS_HOP];
    for (size_t i = 0; i < WS_HOP; i++) {
        pcm[i] = (int16_t)(hops % HOPS_A_SECOND >= HOPS_A_SECOND / 2 ? 0x7000 : 1);
    }
    hops++;
    if (!ws_device_push(pcm)) lost++;
    next_hop += HOP_NS;
}

static void byte_comes(void) {
    bytes_put_marked(&in, (uint8_t)commands[at]);
    at = (at + 1) % command_count;
    next_in += byte_ns;
}

static void pass(uint64_t ns) {
    now += ns;
    if (!listening) return;
    for (; now >= next_hop && next_hop <= end; hop_comes()) {
    }
    for (; command_count > 0 && now >= next_in; byte_comes()) {
    }
    for (; out_waits > 0 && now >= next_out; next_out += byte_ns) {
        out_waits--;
    }
    if (now < end && now - fed > longest) longest = now - fed;
}

size_t ws_fault_text(const ws_fault *fault, char text[192]) {
    (void)fault;
    text[0] = '\n';
    return 1;
}

const char *ws_driver_start(void) {
    return NULL;
}

const char *ws_driver_reset_reason(void) {
    return "power-on";
}

void ws_driver_listen(void) {
    listening = true;
    fed = now;
    next_hop = now + HOP_NS;
    next_in = now;
}

bool ws_driver_ended(void) {
    pass(20000); /* so long it sleeps at a time */
    return now >= end;
}

void ws_driver_led(bool lit) {
    (void)lit;
}

void ws_driver_send(const void *bytes, size_t count) {
    pass((out_waits + count) * byte_ns);
    out_waits = 0;
    (void)fwrite(bytes, 1, count, stdout);
}

size_t ws_driver_offer(const void *bytes, size_t count) {
    pass(1000);
    if (out_waits == 0) next_out = now + byte_ns;
    if (count > BYTES_MAX - out_waits) count = BYTES_MAX - out_waits;
    out_waits += count;
    (void)fwrite(bytes, 1, count, stdout);
    return count;
}

int ws_driver_receive(void) {
    pass(1000);
    return bytes_get(&in);
}

unsigned ws_driver_state_pins(void) {
    return 0;
}

void ws_driver_feed_watchdog(void) {
    fed = now;
    pass(work_ns);
}

uint32_t ws_board_stack_used(void) {
    return 1000;
}

int main(int argc, char **argv) {
    FILE *file = argc == 5 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) return 2;
    command_count = fread(commands, 1, sizeof commands, file);
    (void)fclose(file);
    byte_ns = 10000000000ull / strtoul(argv[2], NULL, 10); /* 10 bits */
    work_ns = strtoul(argv[3], NULL, 10) * 1000ull;
    end = strtoul(argv[4], NULL, 10) * 1000000000ull;
    int status = ws_board_main();
    (void)fprintf(stderr, "%u %u %llu\n", hops, lost, (unsigned long long)(longest / 1000));
    return status;
}
