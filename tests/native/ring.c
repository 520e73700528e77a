/* SPDX-License-Identifier: Apache-2.0 */
/* The ring buffer: a producer's thread and a consumer's, with items in pieces of any length; and
 * what it does when it is full, when positions go round, and as a history. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "wakestate/ring.h"

#define CHECK(condition) \
    if (!(condition)) return fprintf(stderr, "line %d: not so: " #condition "\n", __LINE__), 1

enum { CAPACITY = 37, ITEMS = 100000 };

typedef struct {
    uint32_t number;
    uint8_t copies[9]; /* of its lowest byte: whole, or torn */
} item;

static item items[CAPACITY];
static ws_ring shared = WS_RING(items);

static item numbered(uint32_t number) {
    item made = {.number = number};
    memset(made.copies, (int)(number & 0xFFu), sizeof made.copies);
    return made;
}

static void *produce(void *unused) {
    for (uint32_t next = 0; next < ITEMS;) {
        item some[5];
        uint32_t count = 1 + next % 5;
        if (count > ITEMS - next) count = ITEMS - next;
        for (uint32_t i = 0; i < count; i++) {
            some[i] = numbered(next + i);
        }
        const uint32_t put = ws_ring_put(&shared, some, count);
        if (put == 0) (void)sched_yield();
        next += put;
    }
    return unused;
}

/* Each item comes once, whole and in order. */
static int between_threads(void) {
    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, NULL) == 0);
    for (uint32_t next = 0; next < ITEMS;) {
        item some[7];
        const uint32_t count = ws_ring_get(&shared, some, 1 + next % 7);
        if (count == 0) (void)sched_yield();
        for (uint32_t i = 0; i < count; i++, next++) {
            const item expected = numbered(next);
            CHECK(some[i].number == next);
            CHECK(memcmp(some[i].copies, expected.copies, sizeof expected.copies) == 0);
        }
    }
    CHECK(pthread_join(producer, NULL) == 0 && ws_ring_count(&shared) == 0);
    return 0;
}

/* Of any capacity, from each position that there is. */
static int full_and_empty(void) {
    static const int16_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (uint32_t capacity = 1; capacity <= 5; capacity++) {
        int16_t places[5], out[8];
        ws_ring ring = WS_RING(places);
        ring.capacity = capacity;
        for (uint32_t turn = 0; turn < 4 * capacity; turn++) {
            CHECK(ws_ring_get(&ring, out, 8) == 0);
            CHECK(ws_ring_put(&ring, in, 8) == capacity && ws_ring_count(&ring) == capacity);
            CHECK(ws_ring_put(&ring, in, 1) == 0);
            CHECK(ws_ring_get(&ring, out, 8) == capacity);
            CHECK(memcmp(in, out, capacity * sizeof in[0]) == 0);
            CHECK(ws_ring_put(&ring, in, 1) == 1 && ws_ring_get(&ring, out, 1) == 1);
        }
    }
    return 0;
}

/* One side alone: it drops the oldest for the newest, and looks back. */
static int history(void) {
    uint8_t places[10], seen[3];
    ws_ring ring = WS_RING(places);
    for (uint8_t next = 0; next < 200; next++) {
        if (ws_ring_count(&ring) == sizeof places) ws_ring_drop(&ring, 1);
        CHECK(ws_ring_put(&ring, &next, 1) == 1);
        if (next < sizeof places) continue;
        ws_ring_peek(&ring, 4, seen, 3);
        CHECK(seen[0] == next - 5 && seen[1] == next - 4 && seen[2] == next - 3);
        CHECK(ws_ring_count(&ring) == sizeof places);
    }
    return 0;
}

int main(void) {
    return between_threads() || full_and_empty() || history();
}
