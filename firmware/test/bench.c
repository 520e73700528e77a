/* Counts what the engine costs, on an emulated Cortex-M board; bench/ runs it and does the sums.
 *
 * QEMU's -icount gives each guest instruction the same virtual time, and SysTick counts that time:
 * at 64 ns an instruction every board here ticks at least once for each, so that a difference of
 * two readings is a count of instructions, to within one, and the same in every run. One line a
 * counter on stdout:
 *
 *     name,times,ticks,least,most         ticks in all, and the fewest and the most at a time
 *
 * and "engine-bytes,N", "stack-bytes,N". Ticks are raw: "empty" and "empty trace" tell what the
 * reading itself takes, "loop" is LOOP_INSTRUCTIONS instructions for a check of the unit.
 *
 * Linked with the traced network, it counts each layer: from the trace before to its own. That
 * build's other counters hold the tracing too and are not used.
 */
#include <string.h>

#include "../../boards/common/board.h"
#include "../emulator/io.h"
#include "../emulator/text.h"
#include "wakestate.h"

void ws_trace(const char *stage, const int8_t *values, int count); /* called by ws_network.c */

enum {
    SECONDS = 3, /* a multiple of every stride in use, so that no step is counted half */
    HOPS = SECONDS * WS_SAMPLE_RATE / WS_HOP,
    REPEATS = 64,
    COUNTERS = 48,
};

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_RUN 5u /* enabled, of the processor's clock, no interrupt */
#define SYST_COUNTFLAG (1u << 16)
#define SYST_MOST 0xFFFFFFu

typedef struct {
    const char *name;
    uint32_t times, least, most;
    uint64_t ticks;
} counter;

static counter counters[COUNTERS];
static const char *problem; /* why the counts cannot be trusted */
static bool tracing;

static ws_engine engine;
static int16_t window[WS_WINDOW];
static int32_t work[WS_FFT];
static int8_t columns[HOPS][WS_BANDS];

/* Not inlined, so that both are a call and nothing moves past them; `empty` counts the rest. */
__attribute__((noinline)) static void start(void) {
    SYST_CVR = 0; /* any value: starts anew and clears COUNTFLAG */
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static uint32_t stop(void) {
    __asm__ volatile("" ::: "memory");
    return (0u - SYST_CVR) & SYST_MOST; /* down from 0, which the next tick turns to SYST_MOST */
}

static void add(const char *name, uint32_t ticks) {
    counter *c = counters;
    if (SYST_CSR & SYST_COUNTFLAG) problem = "a count of 2^24 ticks or more; a smaller shift helps";
    while (c < counters + COUNTERS && c->name != NULL && strcmp(c->name, name) != 0) {
        c++;
    }
    if (c == counters + COUNTERS) {
        problem = "more layers than bench.c has counters";
        return;
    }
    if (c->times == 0 || ticks < c->least) c->least = ticks;
    if (ticks > c->most) c->most = ticks;
    c->name = name;
    c->times++;
    c->ticks += ticks;
}

/* What the layers' counts hold of this, from its start to the next call's stop, is the same at
 * every call of a function that the compiler knows nothing of: `empty trace` tells it. */
__attribute__((noipa)) void ws_trace(const char *stage, const int8_t *values, int count) {
    uint32_t ticks = stop();
    (void)values;
    (void)count;
    if (tracing) add(stage, ticks);
    start();
}

/* Noise whose level goes up and down, the same every time: what the front end's block floating
 * point sees in a room, from a few LSB to nearly full scale. */
static void noise(int16_t *pcm, size_t samples) {
    static uint32_t random = 1, position;
    for (size_t i = 0; i < samples; i++, position++) {
        uint32_t level = position / 3200u % 14u; /* another every 200 ms */
        random = random * 1664525u + 1013904223u;
        pcm[i] = (int16_t)((int32_t)random >> (30u - level));
    }
}

static void calibrate(void) {
    for (int i = 0; i < REPEATS; i++) {
        start();
        add("empty", stop());
    }
    for (int i = 0; i < REPEATS; i++) {
        start();
        /* LOOP_INSTRUCTIONS of bench/measure.py: 1 + 2 * 1000. */
        __asm__ volatile("movw r3, #1000\n1: subs r3, #1\n bne 1b\n" ::: "r3", "cc");
        add("loop", stop());
    }
    for (int i = 0; i < REPEATS; i++) {
        tracing = false;
        ws_trace("", NULL, 0);
        tracing = true;
        ws_trace("empty trace", NULL, 0);
    }
    tracing = false;
}

/* The engine as an application calls it, a hop of PCM at a time. */
static void whole_engine(void) {
    ws_event event;
    if (ws_init(&engine, WS_DEFAULT_STATE) != WS_OK) {
        problem = "ws_init refuses the generated model";
        return;
    }
    /* From here on each hop of PCM fills the window. */
    noise(window, WS_WINDOW - WS_HOP);
    (void)ws_push(&engine, window, WS_WINDOW - WS_HOP);
    for (int i = 0; i < HOPS; i++) {
        noise(window, WS_HOP);
        start();
        for (size_t used = 0; used < WS_HOP;) {
            used += ws_push(&engine, window + used, WS_HOP - used);
            while (ws_poll(&engine, &event)) {
            }
        }
        add("engine", stop());
    }
}

static void front_end(void) {
    noise(window, WS_WINDOW);
    for (int i = 0; i < HOPS; i++) {
        start();
        ws_frontend(window, work, columns[i]);
        add("front end", stop());
        memmove(window, window + WS_HOP, (WS_WINDOW - WS_HOP) * sizeof window[0]);
        noise(window + WS_WINDOW - WS_HOP, WS_HOP);
    }
}

static void network(void) {
    int8_t logit;
    ws_network_reset(&engine.network, WS_DEFAULT_STATE);
    tracing = true;
    for (int i = 0; i < HOPS; i++) {
        start();
        bool step = ws_network_push(&engine.network, columns[i], &logit);
        add(step ? "step" : "no step", stop());
    }
    tracing = false;
}

static void state_change(void) {
    for (unsigned i = 0; i < REPEATS; i++) {
        start();
        (void)ws_set_state(&engine, i % WS_STATES);
        add("state change", stop());
    }
}

static void tell(ws_text *text, const char *name, const uint64_t *values, int count) {
    ws_text_add(text, name);
    for (int i = 0; i < count; i++) {
        ws_text_char(text, ',');
        ws_text_number(text, values[i], 1);
    }
    ws_text_char(text, '\n');
}

int ws_program(const ws_io *io, int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    SYST_RVR = SYST_MOST;
    SYST_CSR = SYST_RUN;
    whole_engine();
    uint64_t stack = ws_board_stack_used(); /* before printing goes deeper */
    calibrate();
    front_end();
    network();
    state_change();

    ws_text text;
    if (problem != NULL) {
        ws_text_begin(&text, io, io->err);
        ws_text_add(&text, "bench: ");
        ws_text_add(&text, problem);
        ws_text_char(&text, '\n');
        (void)ws_text_flush(&text);
        return 1;
    }
    ws_text_begin(&text, io, io->out);
    for (const counter *c = counters; c < counters + COUNTERS && c->name != NULL; c++) {
        tell(&text, c->name, (uint64_t[]){c->times, c->ticks, c->least, c->most}, 4);
    }
    tell(&text, "engine-bytes", (uint64_t[]){sizeof engine}, 1);
    tell(&text, "stack-bytes", &stack, 1);
    return ws_text_flush(&text) ? 0 : 1;
}
