/* SPDX-License-Identifier: Apache-2.0 */
#include "count.h"

#include <string.h>

#include "platform/cortex-m/registers.h"

enum {
    REPEATS = 64,
    COUNTERS = 64,
};

#define SYST_RUN 5u /* enabled, of the processor's clock, no interrupt */
#define SYST_COUNTFLAG (1u << 16)
#define SYST_MAX 0xFFFFFFu

typedef struct {
    const char *name;
    uint32_t times, minimum, maximum;
    uint64_t ticks;
} counter;

static counter counters[COUNTERS];
const char *ws_count_problem;
bool ws_count_traces;

/* Not inlined, so that both are a call and nothing moves past them; `empty` counts the rest. */
__attribute__((noinline)) void ws_count_start(void) {
    reg_write(SYST_CVR, 0); /* any value: starts again and clears COUNTFLAG */
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) uint32_t ws_count_stop(void) {
    __asm__ volatile("" ::: "memory");
    return (0u - reg_read(SYST_CVR)) &
           SYST_MAX; /* down from 0, which the next tick turns to SYST_MAX */
}

void ws_count_add(const char *name, uint32_t ticks) {
    counter *c = counters;
    if (reg_read(SYST_CSR) & SYST_COUNTFLAG)
        ws_count_problem = "a count of 2^24 ticks or more; a smaller shift helps";
    while (c < counters + COUNTERS && c->name != NULL && strcmp(c->name, name) != 0) {
        c++;
    }
    if (c == counters + COUNTERS) {
        ws_count_problem = "more layers than count.c has counters";
        return;
    }
    if (c->times == 0 || ticks < c->minimum) c->minimum = ticks;
    if (ticks > c->maximum) c->maximum = ticks;
    c->name = name;
    c->times++;
    c->ticks += ticks;
}

/* What the layers' counts hold of this, from its start to the next call's stop, is the same at
 * every call of a function that the compiler knows nothing of: `empty trace` measures it. */
__attribute__((noipa)) void ws_trace(const char *stage, const int8_t *values, int count) {
    uint32_t ticks = ws_count_stop();
    (void)values;
    (void)count;
    if (ws_count_traces) ws_count_add(stage, ticks);
    ws_count_start();
}

void ws_count_begin(void) {
    reg_write(SYST_RVR, SYST_MAX);
    reg_write(SYST_CSR, SYST_RUN);
    for (int i = 0; i < REPEATS; i++) {
        ws_count_start();
        ws_count_add("empty", ws_count_stop());
    }
    for (int i = 0; i < REPEATS; i++) {
        ws_count_start();
        /* LOOP_INSTRUCTIONS of bench/measure.py: 1 + 2 * 1000. */
        __asm__ volatile("movw r3, #1000\n1: subs r3, #1\n bne 1b\n" ::: "r3", "cc");
        ws_count_add("loop", ws_count_stop());
    }
    for (int i = 0; i < REPEATS; i++) {
        ws_count_traces = false;
        ws_trace("", NULL, 0);
        ws_count_traces = true;
        ws_trace("empty trace", NULL, 0);
    }
    ws_count_traces = false;
}

static void print(ws_text *text, const char *name, const uint64_t *values, int count) {
    ws_text_add(text, name);
    for (int i = 0; i < count; i++) {
        ws_text_char(text, ',');
        ws_text_number(text, values[i], 1);
    }
    ws_text_char(text, '\n');
}

int ws_count_report(const char *name, uint64_t bytes, uint64_t stack) {
    ws_text text;
    const bool good = ws_count_problem == NULL;
    ws_text_begin(&text, ws_io_write, good ? ws_io.out : ws_io.err);
    if (!good) {
        ws_text_add(&text, "bench: ");
        ws_text_add(&text, ws_count_problem);
        ws_text_char(&text, '\n');
    }
    for (const counter *c = counters; good && c < counters + COUNTERS && c->name != NULL; c++) {
        print(&text, c->name, (uint64_t[]){c->times, c->ticks, c->minimum, c->maximum}, 4);
    }
    if (good) print(&text, name, &bytes, 1);
    if (good) print(&text, "stack-bytes", &stack, 1);
    return ws_text_flush(&text) && good ? 0 : 1;
}
