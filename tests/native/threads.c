/* SPDX-License-Identifier: Apache-2.0 */
/* Engines in threads: 16 of one word at the same time, each with its own memory. Reads raw PCM
 * from stdin and prints, for each, a hash of all its events. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ws_words.h"

enum { THREADS = 16, SAMPLES = 48000 };

static int16_t pcm[SAMPLES];
static ws_words_engine engines[THREADS];
static uint64_t hashes[THREADS];

static void mix(uint64_t *hash, uint64_t value) {
    *hash = (*hash ^ value) * UINT64_C(1099511628211);
}

static void *process(void *argument) {
    const size_t number = (size_t)(uintptr_t)argument;
    ws_words_engine *engine = &engines[number];
    ws_event event;
    if (ws_init_words(engine, ws_words_models, WS_WORD_COUNT, NULL) != WS_OK) return NULL;
    for (size_t used = 0; used < SAMPLES;) {
        used += ws_push(engine, pcm + used, SAMPLES - used);
        while (ws_poll(engine, &event)) {
            mix(&hashes[number], event.sample);
            mix(&hashes[number], (uint64_t)event.type << 32 | (uint16_t)event.score);
            mix(&hashes[number], event.start << 32 | event.end);
        }
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    if (fread(pcm, sizeof pcm[0], SAMPLES, stdin) != SAMPLES) return 2;
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, process, (void *)(uintptr_t)i) != 0) return 3;
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        printf("%016llx\n", (unsigned long long)hashes[i]);
    }
    return 0;
}
