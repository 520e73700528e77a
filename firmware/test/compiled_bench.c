/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what a compiled model costs: see count.h. "run" is one run, "model-bytes,N" its memory. */
#include "count.h"
#include "platform/cortex-m/startup.h"
#include "ws_compiled.h"

enum { RUNS = 4 };

static ws_compiled model;
static _Alignas(4) int8_t given[WS_COMPILED_IN], found[WS_COMPILED_OUT];

/* Every value equally often: what a network costs hardly depends on it. */
static void noise(void) {
    static uint32_t random = 1;
    for (int i = 0; i < WS_COMPILED_IN; i++) {
        random = random * 1664525u + 1013904223u;
        given[i] = (int8_t)(random >> 24);
    }
}

int ws_program(int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    ws_count_begin();
    ws_compiled_reset(&model);
    ws_compiled_run(&model, given, found);
    uint64_t stack = ws_board_stack_used(); /* before printing goes deeper */
    for (int i = 0; i < RUNS; i++) {
        noise();
        ws_count_traces = true;
        ws_count_start();
        ws_compiled_run(&model, given, found);
        ws_count_add("run", ws_count_stop());
        ws_count_traces = false;
    }
    return ws_count_report("model-bytes", sizeof model, stack);
}
