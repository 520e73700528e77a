/* SPDX-License-Identifier: Apache-2.0 */
/* Counting instructions on an emulated Cortex-M board; bench/ runs the programs and does the sums.
 *
 * QEMU's -icount gives each guest instruction the same virtual time, and SysTick counts that time:
 * at 64 ns an instruction every board here ticks at least once for each, so that a difference of
 * two readings is a count of instructions, to within one, and the same in every run. One line a
 * counter on stdout:
 *
 *     name,times,ticks,least,most         ticks in all, and the fewest and the most at a time
 *
 * and "stack-bytes,N". Ticks are raw: "empty" and "empty trace" are what the reading itself takes,
 * "loop" is LOOP_INSTRUCTIONS instructions for a check of the unit.
 *
 * Linked with traced C, a program counts each stage: from the trace before to its own. That build's
 * other counters hold the tracing too and are not used.
 */
#ifndef WS_COUNT_H
#define WS_COUNT_H

#include "programs/common/io.h"
#include "programs/common/text.h"

/* Why the counts cannot be trusted, or NULL. */
extern const char *ws_count_problem;

/* While true, ws_trace counts. */
extern bool ws_count_traces;

/* Counts "empty", "loop" and "empty trace". */
void ws_count_begin(void);

void ws_count_start(void);

/* Ticks since the start, for ws_count_add. */
uint32_t ws_count_stop(void);

/* `name` must stay; equal names are one counter. */
void ws_count_add(const char *name, uint32_t ticks);

/* Called by generated C that is built with WS_TRACE. */
void ws_trace(const char *stage, const int8_t *values, int count);

/* The counters as lines, and how many bytes `name` and the stack take; or, where there is a
 * problem, that on stderr. Returns the exit status. */
int ws_count_report(const char *name, uint64_t bytes, uint64_t stack);

#endif
