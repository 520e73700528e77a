/* The last seconds of what the engine heard, always. Samples are counted as the engine counts them,
 * from ws_init on. */
#ifndef WS_PREROLL_H
#define WS_PREROLL_H

#include "ws_words.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WS_PREROLL_SAMPLES 8000u /* before the word: half a second, as AVS asks */
/* The longest word: what the steps that wake together see. */
#define WS_WORD_MOST ((WS_SEEN_HOPS - 1u) * WS_HOP + WS_WINDOW)
/* A quarter of a second in which the link may stand still before it catches up. */
#define WS_PREROLL_SLACK (WS_SAMPLE_RATE / 4u)
#define WS_PREROLL_CAPACITY (WS_PREROLL_SAMPLES + WS_WORD_MOST + WS_PREROLL_SLACK)

typedef struct {
    uint64_t end; /* samples put in all */
    size_t next;  /* where the next one goes */
    int16_t pcm[WS_PREROLL_CAPACITY];
} ws_preroll;

void ws_preroll_reset(ws_preroll *ring);
void ws_preroll_put(ws_preroll *ring, const int16_t *pcm, size_t count);

/* The first sample that is still there. */
uint64_t ws_preroll_oldest(const ws_preroll *ring);

/* Samples first .. first + count - 1, which must be there. */
void ws_preroll_get(const ws_preroll *ring, uint64_t first, int16_t *pcm, size_t count);

#ifdef __cplusplus
}
#endif

#endif
