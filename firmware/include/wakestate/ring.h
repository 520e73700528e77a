/* SPDX-License-Identifier: Apache-2.0 */
/* A ring buffer from one producer to one consumer: an interrupt and the main loop, or two threads.
 * No locks; neither side waits for the other.
 *
 *     static int16_t samples[4000];
 *     static ws_ring ring = WS_RING(samples);
 *
 *     taken = ws_ring_put(&ring, pcm, count);       the producer
 *     given = ws_ring_get(&ring, pcm, count);       the consumer
 *
 * Each side calls its own functions; where one context is both, it calls all. The barriers are in
 * them: the consumer sees an item once it is whole, and its place is used again once it is copied.
 */
#ifndef WAKESTATE_RING_H
#define WAKESTATE_RING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define WS_RING_CAST_(type, pointer) static_cast<type>(pointer)
#else
#define WS_RING_CAST_(type, pointer) ((type)(pointer))
#endif

/* Private. Positions go round twice the capacity, so that a full ring is not an empty one. */
typedef struct {
    void *items;
    uint32_t capacity, size; /* items, below 2^31; bytes of each */
    uint32_t written, read;  /* positions: the producer's and the consumer's */
} ws_ring;

/* An empty ring in an array, which has to stay. */
#define WS_RING(array) {(array), sizeof(array) / sizeof((array)[0]), sizeof((array)[0]), 0, 0}

static inline uint32_t ws_ring_on_(const ws_ring *ring, uint32_t position, uint32_t count) {
    const uint32_t left = 2u * ring->capacity - position;
    return count < left ? position + count : count - left;
}

/* The item at a position, and how many bytes of `count` items from there are before the seam. */
static inline uint8_t *ws_ring_at_(const ws_ring *ring, uint32_t position, uint32_t count,
                                   size_t *before) {
    const uint32_t index = position < ring->capacity ? position : position - ring->capacity;
    const uint32_t left = ring->capacity - index;
    *before = (count < left ? count : left) * WS_RING_CAST_(size_t, ring->size);
    return WS_RING_CAST_(uint8_t *, ring->items) + WS_RING_CAST_(size_t, index) * ring->size;
}

/* Both: items in it; the other side may change it meanwhile, for the better alone. */
static inline uint32_t ws_ring_count(const ws_ring *ring) {
    const uint32_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
    const uint32_t read = __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE);
    return written >= read ? written - read : written + 2u * ring->capacity - read;
}

/* The producer: put up to `count` items; how many there was room for. */
static inline uint32_t ws_ring_put(ws_ring *ring, const void *items, uint32_t count) {
    const uint32_t written = ring->written, room = ring->capacity - ws_ring_count(ring);
    size_t before;
    if (count > room) count = room;
    uint8_t *at = ws_ring_at_(ring, written, count, &before);
    memcpy(at, items, before);
    memcpy(ring->items, WS_RING_CAST_(const uint8_t *, items) + before,
           WS_RING_CAST_(size_t, count) * ring->size - before);
    __atomic_store_n(&ring->written, ws_ring_on_(ring, written, count), __ATOMIC_RELEASE);
    return count;
}

/* The consumer: copy `count` items that are there, `skipped` behind the oldest; they stay. */
static inline void ws_ring_peek(const ws_ring *ring, uint32_t skipped, void *items,
                                uint32_t count) {
    size_t before;
    const uint8_t *at = ws_ring_at_(ring, ws_ring_on_(ring, ring->read, skipped), count, &before);
    memcpy(items, at, before);
    memcpy(WS_RING_CAST_(uint8_t *, items) + before, ring->items,
           WS_RING_CAST_(size_t, count) * ring->size - before);
}

/* The consumer: let the oldest `count` items go, which are there. */
static inline void ws_ring_drop(ws_ring *ring, uint32_t count) {
    __atomic_store_n(&ring->read, ws_ring_on_(ring, ring->read, count), __ATOMIC_RELEASE);
}

/* The consumer: take up to `count` of the oldest items; how many there were. */
static inline uint32_t ws_ring_get(ws_ring *ring, void *items, uint32_t count) {
    const uint32_t there = ws_ring_count(ring);
    if (count > there) count = there;
    ws_ring_peek(ring, 0, items, count);
    ws_ring_drop(ring, count);
    return count;
}

#undef WS_RING_CAST_

#endif
