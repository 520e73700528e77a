#include "ring.h"

#include <string.h>

_Static_assert((WS_RING_HOPS & (WS_RING_HOPS - 1u)) == 0, "counts may run over");

void ws_ring_reset(ws_ring *ring) {
    memset(ring, 0, sizeof *ring);
}

bool ws_ring_put(ws_ring *ring, const int16_t pcm[WS_HOP]) {
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    uint32_t number = atomic_load_explicit(&ring->heard, memory_order_relaxed);
    atomic_store_explicit(&ring->heard, number + 1u, memory_order_relaxed);
    if (written - atomic_load_explicit(&ring->read, memory_order_acquire) == WS_RING_HOPS) {
        return false;
    }
    memcpy(ring->pcm[written % WS_RING_HOPS], pcm, sizeof ring->pcm[0]);
    ring->number[written % WS_RING_HOPS] = number;
    atomic_store_explicit(&ring->written, written + 1u, memory_order_release);
    return true;
}

bool ws_ring_empty(const ws_ring *ring) {
    return atomic_load_explicit(&ring->written, memory_order_acquire) ==
           atomic_load_explicit(&ring->read, memory_order_relaxed);
}

uint32_t ws_ring_heard(const ws_ring *ring) {
    return atomic_load_explicit(&ring->heard, memory_order_relaxed);
}

bool ws_ring_get(ws_ring *ring, int16_t pcm[WS_HOP], uint32_t *missed) {
    if (ws_ring_empty(ring)) return false;
    unsigned read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    memcpy(pcm, ring->pcm[read % WS_RING_HOPS], sizeof ring->pcm[0]);
    uint32_t number = ring->number[read % WS_RING_HOPS];
    *missed = number - ring->expected;
    ring->expected = number + 1u;
    atomic_store_explicit(&ring->read, read + 1u, memory_order_release);
    return true;
}
