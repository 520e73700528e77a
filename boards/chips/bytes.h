/* Bytes of a serial port on their way from its interrupt to the main loop; a full queue drops. */
#ifndef WS_BYTES_H
#define WS_BYTES_H

#include <stdatomic.h>
#include <stdint.h>

#define BYTES_MOST 128u /* a power of two */

typedef struct {
    uint8_t bytes[BYTES_MOST];
    atomic_uint put, got;
} byte_queue;

static inline void bytes_put(byte_queue *queue, uint8_t byte) {
    unsigned put = atomic_load_explicit(&queue->put, memory_order_relaxed);
    if (put - atomic_load_explicit(&queue->got, memory_order_acquire) == BYTES_MOST) return;
    queue->bytes[put % BYTES_MOST] = byte;
    atomic_store_explicit(&queue->put, put + 1u, memory_order_release);
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
