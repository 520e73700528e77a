/* Bytes of a serial port on their way between its interrupt and the main loop. */
#ifndef WS_BYTES_H
#define WS_BYTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BYTES_MOST 128u /* a power of two */

typedef struct {
    uint8_t bytes[BYTES_MOST];
    atomic_uint put, got;
    bool lost; /* bytes, since the last one put; the writer's */
} byte_queue;

/* False when the queue is full, and the byte was dropped. */
static inline bool bytes_put(byte_queue *queue, uint8_t byte) {
    unsigned put = atomic_load_explicit(&queue->put, memory_order_relaxed);
    if (put - atomic_load_explicit(&queue->got, memory_order_acquire) == BYTES_MOST) {
        return false;
    }
    queue->bytes[put % BYTES_MOST] = byte;
    atomic_store_explicit(&queue->put, put + 1u, memory_order_release);
    return true;
}

static inline bool bytes_any(const byte_queue *queue) {
    return atomic_load_explicit(&queue->got, memory_order_relaxed) !=
           atomic_load_explicit(&queue->put, memory_order_relaxed);
}

/* The same for bytes that come in: a 0 stands where some were dropped, so that what is left of two
 * lines is not taken for one. */
static inline void bytes_put_marked(byte_queue *queue, uint8_t byte) {
    if (queue->lost && !bytes_put(queue, 0)) return;
    queue->lost = !bytes_put(queue, byte);
}

/* The oldest byte, or -1. */
static inline int bytes_get(byte_queue *queue) {
    unsigned got = atomic_load_explicit(&queue->got, memory_order_relaxed);
    if (got == atomic_load_explicit(&queue->put, memory_order_acquire)) return -1;
    int byte = queue->bytes[got % BYTES_MOST];
    atomic_store_explicit(&queue->got, got + 1u, memory_order_release);
    return byte;
}

#endif
