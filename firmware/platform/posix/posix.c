/* SPDX-License-Identifier: Apache-2.0 */
/* io.h by POSIX calls, unbuffered: a live stream's events come out at once; and main. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/common/io.h"

ws_streams ws_io = {.in = STDIN_FILENO, .out = STDOUT_FILENO, .err = STDERR_FILENO};

int ws_io_open(const char *path) {
    return open(path, O_RDONLY);
}

int ws_io_create(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
}

int32_t ws_io_read(int file, void *bytes, size_t count) {
    return (int32_t)read(file, bytes, count);
}

bool ws_io_write(int file, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t done = write(file, next, count);
        if (done <= 0) return false;
        next += done;
        count -= (size_t)done;
    }
    return true;
}

int64_t ws_io_length(int file) {
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? (int64_t)status.st_size : -1;
}

void ws_io_close(int file) {
    (void)close(file);
}

int main(int argc, char **argv) {
    ws_io.terminal = isatty(STDOUT_FILENO) != 0;
    return ws_program(argc > 0 ? argc - 1 : 0, (const char *const *)(argv + 1));
}
