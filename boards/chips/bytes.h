/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a serial port on their way between its interrupt and the main loop. */
#ifndef WS_BYTES_H
#define WS_BYTES_H

#include <stdbool.h>

#include "wakestate/ring.h"

#define BYTES_MAX 128u

typedef struct {
    ws_ring ring;
    uint8_t bytes[BYTES_MAX];
    bool lost; /* bytes, since the last one put; the producer's */
} byte_queue;

#define BYTE_QUEUE(queue) {.ring = WS_RING((queue).bytes)}

/* False when the queue is full, and the byte was dropped. */
static inline bool bytes_put(byte_queue *queue, uint8_t byte) {
    return ws_ring_put(&queue->ring, &byte, 1) == 1;
}

/* The same for bytes that come in: a 0 is where some were dropped, so that what is left of two
 * lines is not taken for one. */
static inline void bytes_put_marked(byte_queue *queue, uint8_t byte) {
    if (queue->lost && !bytes_put(queue, 0)) return;
    queue->lost = !bytes_put(queue, byte);
}

/* The oldest byte, or -1. */
static inline int bytes_get(byte_queue *queue) {
    uint8_t byte;
    return ws_ring_get(&queue->ring, &byte, 1) == 1 ? byte : -1;
}

#endif
