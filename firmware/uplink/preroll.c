#include "preroll.h"

#include <string.h>

void ws_preroll_reset(ws_preroll *ring) {
    ring->end = 0;
    ring->next = 0;
}

/* What of `count` samples from `at` on lies before the ring's seam. */
static size_t before_seam(size_t at, size_t count) {
    size_t left = WS_PREROLL_CAPACITY - at;
    return count < left ? count : left;
}

void ws_preroll_put(ws_preroll *ring, const int16_t *pcm, size_t count) {
    ring->end += count;
    while (count > 0) {
        size_t part = before_seam(ring->next, count);
        memcpy(ring->pcm + ring->next, pcm, part * sizeof *pcm);
        ring->next = ring->next + part == WS_PREROLL_CAPACITY ? 0 : ring->next + part;
        pcm += part;
        count -= part;
    }
}

uint64_t ws_preroll_oldest(const ws_preroll *ring) {
    return ring->end < WS_PREROLL_CAPACITY ? 0 : ring->end - WS_PREROLL_CAPACITY;
}

void ws_preroll_get(const ws_preroll *ring, uint64_t first, int16_t *pcm, size_t count) {
    size_t back = (size_t)(ring->end - first);
    size_t at = ring->next >= back ? ring->next - back : ring->next + WS_PREROLL_CAPACITY - back;
    size_t part = before_seam(at, count);
    memcpy(pcm, ring->pcm + at, part * sizeof *pcm);
    memcpy(pcm + part, ring->pcm, (count - part) * sizeof *pcm);
}
