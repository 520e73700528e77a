/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a compiled model on extreme and on random input. The model, its input and its output are
 * heap blocks of their own size, so that the address sanitizer sees any step outside. */
#include <stdlib.h>

#include "ws_compiled.h"

enum { RUNS = 12 };

/* -128, 127, both by turns, then noise. */
static int8_t value(int run, int index, uint32_t *noise) {
    *noise = *noise * 1664525u + 1013904223u;
    if (run == 0 || (run == 2 && index % 2 == 0)) return -128;
    return run <= 2 ? 127 : (int8_t)((int)(*noise >> 24) - 128);
}

int main(void) {
    ws_compiled *model = malloc(sizeof *model);
    int8_t *in = malloc(WS_COMPILED_IN), *out = malloc(WS_COMPILED_OUT);
    uint32_t noise = 1;
    if (!model || !in || !out) return 1;
    ws_compiled_reset(model);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < WS_COMPILED_IN; i++) {
            in[i] = value(run, i, &noise);
        }
        ws_compiled_run(model, in, out);
    }
    free(model);
    free(in);
    free(out);
    return 0;
}
