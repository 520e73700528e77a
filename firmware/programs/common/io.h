/* All that a program here asks of its machine. The host answers by POSIX calls, a board in QEMU
 * by semihosting; so both run the very same program and print the same lines. */
#ifndef WS_IO_H
#define WS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int (*open)(const char *path);   /* for reading; negative when it cannot be */
    int (*create)(const char *path); /* for writing, emptied; negative when it cannot be */
    int32_t (*read)(int file, void *bytes, size_t count); /* 0 at the end, negative on a fault */
    bool (*write)(int file, const void *bytes, size_t count);
    int64_t (*length)(int file); /* bytes, or negative where there is no telling: a pipe */
    void (*close)(int file);
    int in, out, err; /* files that are always open */
    bool terminal;    /* a person reads `out` */
} ws_io;

/* What a program defines; `argv` holds the arguments without the program's name. Returns the exit
 * status: 0 well, 1 bad input, 2 bad usage. */
int ws_program(const ws_io *io, int argc, const char *const *argv);

#endif
