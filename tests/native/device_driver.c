/* SPDX-License-Identifier: Apache-2.0 */
/* A board for the device program on the host. Arguments: a raw PCM file, then what happens at
 * which hop: 100:+10 lets ten hops come in at once, as if the main loop were late; 100:=2 sets the
 * state pins to 2; 100:!3 calls ws_device_set_state(3); 100:^50 makes ROOM 50; 100:text sends the
 * line `text`. The serial port is stdout; with ROOM=n it takes no more than n offered bytes a hop,
 * and what the driver itself prints (LED, fed) is left out, as it would part frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/cortex-m/startup.h"
#include "programs/device/device.h"
#include "programs/device/driver.h"

ws_fault ws_last_fault;

static FILE *audio;
static char **happenings;
static unsigned hop, pins, fed;
static const char *line = "";
static bool ended, line_end;
static size_t room, room_a_hop = SIZE_MAX; /* SIZE_MAX: no limit */

size_t ws_fault_text(const ws_fault *fault, char text[192]) {
    return (size_t)snprintf(text, 192, "board: fault %u\n", fault->number);
}

const char *ws_driver_start(void) {
    return getenv("PROBLEM");
}

const char *ws_driver_reset_reason(void) {
    return "power-on";
}

void ws_driver_listen(void) {
}

void ws_driver_led(bool lit) {
    if (room_a_hop == SIZE_MAX) printf("LED %d\n", lit);
}

void ws_driver_send(const void *bytes, size_t count) {
    (void)fwrite(bytes, 1, count, stdout);
}

size_t ws_driver_offer(const void *bytes, size_t count) {
    if (count > room) count = room;
    room -= count;
    ws_driver_send(bytes, count);
    return count;
}

unsigned ws_driver_state_pins(void) {
    return pins;
}

void ws_driver_feed_watchdog(void) {
    fed++;
}

uint32_t ws_board_stack_used(void) {
    return 1000;
}

static void come_in(void) {
    static int16_t pcm[WS_HOP];
    ended = fread(pcm, sizeof pcm[0], WS_HOP, audio) < WS_HOP;
    if (!ended) (void)ws_device_push(pcm);
    hop++;
    room = room_a_hop;
}

int ws_driver_receive(void) {
    if (*line != '\0') return *line++;
    if (!line_end) return -1;
    line_end = false;
    return '\n';
}

/* The main loop asks before it sleeps: the next hop comes, and what belongs to it. */
bool ws_driver_ended(void) {
    unsigned now = hop;
    come_in();
    for (char **item = happenings; *item != NULL; item++) {
        char *what;
        if (strtoul(*item, &what, 10) != now) continue;
        unsigned number = (unsigned)strtoul(what + 2, NULL, 10);
        if (what[1] == '+') {
            for (unsigned i = 1; i < number; i++)
                come_in();
        } else if (what[1] == '=') {
            pins = number;
        } else if (what[1] == '^') {
            room_a_hop = number;
        } else if (what[1] == '!') {
            printf("api %d\n", ws_device_set_state(number));
        } else {
            line = what + 1;
            line_end = true;
        }
    }
    return ended;
}

int main(int argc, char **argv) {
    if (argc < 2 || (audio = fopen(argv[1], "rb")) == NULL) return 2;
    happenings = argv + 2;
    if (getenv("ROOM") != NULL) room_a_hop = strtoul(getenv("ROOM"), NULL, 10);
    if (getenv("FAULT") != NULL) {
        ws_last_fault.magic = WS_FAULT_MAGIC;
        ws_last_fault.number = 4;
    }
    int status = ws_board_main();
    if (room_a_hop == SIZE_MAX) printf("fed %u\n", fed);
    (void)fclose(audio);
    return status;
}
