/* SPDX-License-Identifier: Apache-2.0 */
/* What the test programs share that take a file of inputs and write a file of results.
 *
 *     out: items of u32 record, u32 name bytes, u32 item bytes, u32 count, then name and values
 *
 * Everything little-endian, as are all machines here.
 */
#ifndef WS_RECORDS_H
#define WS_RECORDS_H

#include <string.h>

#include "programs/common/io.h"

/* Number of the input, in what is written and reported. */
extern uint32_t ws_record;

/* Open the files that the arguments name, INPUTS and RESULTS, the first beginning with `magic`;
 * NULL, or what is wrong. */
const char *ws_records_open(int argc, const char *const *argv, const char *magic);

/* False at the input's end. */
bool ws_records_get(void *bytes, size_t count);

void ws_records_put(const char *name, const void *values, size_t item, size_t count);

/* Print the problem, NULL for none, or that writing failed; returns the exit status. */
int ws_records_close(const char *problem);

#endif
