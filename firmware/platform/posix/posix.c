/* ws_io by POSIX calls, unbuffered: a live stream's events come out at once. */
#define _POSIX_C_SOURCE 200809L

#include "posix.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path) {
    return open(path, O_RDONLY);
}

static int create_file(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
}

static int32_t read_file(int file, void *bytes, size_t count) {
    return (int32_t)read(file, bytes, count);
}

static bool write_file(int file, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t done = write(file, next, count);
        if (done <= 0) return false;
        next += done;
        count -= (size_t)done;
    }
    return true;
}

static int64_t length_of(int file) {
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? (int64_t)status.st_size : -1;
}

static void close_file(int file) {
    (void)close(file);
}

ws_io ws_posix_io(void) {
    return (ws_io){
        .open = open_file,
        .create = create_file,
        .read = read_file,
        .write = write_file,
        .length = length_of,
        .close = close_file,
        .in = STDIN_FILENO,
        .out = STDOUT_FILENO,
        .err = STDERR_FILENO,
        .terminal = isatty(STDOUT_FILENO) != 0,
    };
}
