/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine needs of C's library, without one: these become instructions of WebAssembly. */
#ifndef WS_WASM_STRING_H
#define WS_WASM_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

/* Not of the engine: a program that calls them defines them. */
int memcmp(const void *a, const void *b, size_t count);
size_t strlen(const char *text);

#endif
