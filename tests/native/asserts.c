/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what WS_ASSERT finds: nothing in an engine that is used as it should be, and one that does
 * not start at a multiple of 8. Built with WS_ASSERT(c)=failed_if(!(c)). */
#include <stdio.h>

static int failed;

static void failed_if(int bad) {
    failed += bad;
}

#include "engine/detector.c"
#include "engine/engine.c"
#include "engine/word.c"
#include "ws_words.h"

int main(void) {
    static ws_words_engine engine[2];
    static const int16_t pcm[16000];
    (void)ws_init(&engine[0], &ws_scripted, NULL);
    for (size_t used = 0; used < 16000;) {
        used += ws_push(&engine[0], pcm + used, 16000 - used);
    }
    printf("%d ", failed);
    (void)ws_init((char *)engine + 4, &ws_scripted, NULL);
    printf("%d\n", failed > 0);
    return 0;
}
