/* Hops of PCM on their way from an interrupt to the main loop.
 *
 * One writer (the interrupt), one reader (the main loop), no locks. When the reader is late and the
 * ring is full, new hops are dropped; hops are numbered, so the reader learns where, and how many.
 */
#ifndef WS_RING_H
#define WS_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ws_lfbe.h"

#define WS_RING_HOPS 8u /* a power of two; 80 ms at a hop of 10 ms */

typedef struct {
    int16_t pcm[WS_RING_HOPS][WS_HOP];
    uint32_t number[WS_RING_HOPS]; /* of the hop, counted from 0 with those dropped */
    atomic_uint heard;             /* hops given to ws_ring_put; the writer's */
    uint32_t expected;             /* number of the next hop; the reader's */
    atomic_uint written, read;     /* hops in all; each has one that writes it */
} ws_ring;

/* Before any put or get. */
void ws_ring_reset(ws_ring *ring);

/* Put one hop in; false when the ring is full and it was dropped. */
bool ws_ring_put(ws_ring *ring, const int16_t pcm[WS_HOP]);

/* Take the oldest hop; false when there is none. `missed` becomes the number of hops that were
 * dropped directly before it. */
bool ws_ring_get(ws_ring *ring, int16_t pcm[WS_HOP], uint32_t *missed);

bool ws_ring_empty(const ws_ring *ring);

/* Hops given to ws_ring_put so far, with those dropped. */
uint32_t ws_ring_heard(const ws_ring *ring);

#endif
