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

/* The oldest byte, or -1. */
static inline int bytes_get(byte_queue *queue) {
    unsigned got = atomic_load_explicit(&queue->got, memory_order_relaxed);
    if (got == atomic_load_explicit(&queue->put, memory_order_acquire)) return -1;
    int byte = queue->bytes[got % BYTES_MOST];
    atomic_store_explicit(&queue->got, got + 1u, memory_order_release);
    return byte;
}

#endif
