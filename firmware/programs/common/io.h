/* SPDX-License-Identifier: Apache-2.0 */
/* All that a program here asks of its machine. The host answers by POSIX calls, a board in QEMU
 * by semihosting; so both run the very same program and print the same lines. */
#ifndef WS_IO_H
#define WS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int ws_io_open(const char *path);   /* for reading; negative when it cannot be */
int ws_io_create(const char *path); /* for writing, emptied; negative when it cannot be */
int32_t ws_io_read(int file, void *bytes, size_t count); /* 0 at the end, negative on a fault */
bool ws_io_write(int file, const void *bytes, size_t count);
int64_t ws_io_length(int file); /* bytes, or negative where there is no telling: a pipe */
void ws_io_close(int file);

/* Set before the program is called. */
typedef struct {
    int in, out, err; /* files that are always open */
    bool terminal;    /* a person reads `out` */
} ws_streams;
extern ws_streams ws_io;

/* What a program defines; `argv` holds the arguments without the program's name. Returns the exit
 * status: 0 well, 1 bad input, 2 bad usage. */
int ws_program(int argc, const char *const *argv);

#endif
