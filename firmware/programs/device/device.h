/* The device program: microphone to wake, on a board.
 *
 * A microphone's DMA fills one buffer while its interrupt puts the other into a ring; the main loop
 * takes hops from the ring, hears them, and sleeps until the next. On a wake the lamp lights for a
 * second. One JSON object a line on the serial port:
 *
 *     {"type":"ready","board":"...","word":"alexa","reset":"power-on","state":"..."}
 *     {"type":"wake","t":1.835,"start":1.105,"end":1.705,"p":1.0000,"state":"player=..."}
 *     {"type":"state","t":2.000,"state":"player=music,volume=high"}
 *     {"type":"stats","t":3.000,"overruns":1,"lost":320,"unsent":0,"skipped":0,"stack":1320,...}
 *     {"type":"uplink","on":true,"baud":1000000}
 *     {"type":"word","word":"alexa","on":true,"sensitivity":[0,...],"near":0}
 *     {"type":"near","t":...                        as a wake; where `near` asked for it
 *     {"type":"fault","text":"board: fault ..."}    after a restart: what the one before died of
 *     {"type":"error","text":"..."}
 *
 * "t" is the time since listening began, with what was missed; "start" and "end", of the word, are
 * times of the same clock. When the main loop was so late that samples were lost, the next event
 * says how many: "lost":320.
 *
 * Commands, one a line: `state player=music`, `stats`, `words`, `word alexa off`, `sensitivity 40`,
 * `near 100`, `mute 2000` (without a number: until `unmute`), `unmute`, `late 100` (does nothing
 * for 100 ms, at most 1000, to see an overrun): docs/protocol.md. The next is taken when the answer
 * to the one before is on its way. The state pins set the state whose index they show, when they
 * change.
 *
 * After `uplink on`, the sound of each wake goes out in frames between the lines, until `stop`:
 * uplink.h, docs/protocol.md. "unsent" counts samples that the port was too slow for, "skipped"
 * wakes that it was too busy for.
 */
#ifndef WS_DEVICE_H
#define WS_DEVICE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The device now is in `state`; from any context. False when there is no such state. */
bool ws_device_set_state(unsigned state);

#ifdef __cplusplus
}
#endif

#endif
