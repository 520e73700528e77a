/* SPDX-License-Identifier: Apache-2.0 */
/* All that the device program asks of its board. Drivers in boards/ answer. */
#ifndef WS_DRIVER_H
#define WS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ws_lfbe.h"

/* Clocks, LED, serial port, state pins, watchdog. Returns NULL, or what did not come up: the
 * board then runs on without it. */
const char *ws_driver_start(void);

/* Why it started: "power-on", "brown-out", "pin", "watchdog", "software" ... */
const char *ws_driver_reset_reason(void);

/* From now on the microphone's interrupt gives each hop to ws_device_push. */
void ws_driver_listen(void);

/* Takes a hop into the ring that the main loop empties; false when it is so late that there is no
 * room, and the hop is dropped. */
bool ws_device_push(const int16_t pcm[WS_HOP]);

/* The recording is at its end; a real microphone never is. */
bool ws_driver_ended(void);

void ws_driver_led(bool lit);

/* Serial port: send all bytes, waiting, after those taken before; take as many bytes as there is
 * room for, to be sent meanwhile, and return how many; give one byte that came in, or -1; a byte 0
 * is where some were lost. */
void ws_driver_send(const void *bytes, size_t count);
size_t ws_driver_offer(const void *bytes, size_t count);
int ws_driver_receive(void);

/* The levels of the state pins as a number, the first pin its lowest bit. */
unsigned ws_driver_state_pins(void);

/* The main loop is alive; without this for about 2 s the watchdog restarts the board. */
void ws_driver_feed_watchdog(void);

#endif
