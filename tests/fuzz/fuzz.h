/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: a check that is a finding where it fails, and bytes as choices. */
#ifndef WS_FUZZ_H
#define WS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* libFuzzer calls this with each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const uint8_t *next, *end;
} fuzz_input;

/* The next byte of the input; 0 behind its end. */
static inline uint8_t fuzz_byte(fuzz_input *input) {
    return (uint8_t)(input->next < input->end ? *input->next++ : 0);
}

#endif
