/* SPDX-License-Identifier: Apache-2.0 */
/* The device program: microphone to wake, on a board.
 *
 * A microphone's DMA fills one buffer while its interrupt puts the other into a ring; the main loop
 * takes hops from the ring, processes them, and sleeps until the next. On a wake the LED lights for
 * a second. The serial port has one JSON object a line:
 *
 *     {"type":"ready","board":"...","word":"alexa","reset":"power-on","state":"..."}
 *     {"type":"wake","t":1.835,"start":1.105,"end":1.705,"p":1.0000,"state":"player=..."}
 *     {"type":"fault","text":"board: fault ..."}    after a restart: the cause of the crash
 *     {"type":"error","text":"..."}
 *
 * "t" is the time since listening began, with what was missed; "start" and "end", of the word, are
 * times of the same clock. When the main loop was so late that samples were lost, the next event
 * has how many: "lost":320. Commands, their answers, and the frames that send the sound of a wake:
 * docs/protocol.md. The state pins set the state whose index they show, when they change.
 */
#ifndef WS_DEVICE_H
#define WS_DEVICE_H

#include <stdbool.h>

#include "wakestate/config.h"

WS_BEGIN_C

/* The device now is in `state`; from any context. False when there is no such state. */
bool ws_device_set_state(unsigned state);

WS_END_C

#endif
