/* SPDX-License-Identifier: Apache-2.0 */
#include "semihosting.h"

#include <string.h>

#include "platform/cortex-m/startup.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_ISTTY = 0x09,
    SYS_FLEN = 0x0C,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};

enum { MODE_READ = 1, MODE_WRITE = 5, MODE_APPEND = 9 }; /* as fopen's "rb", "wb" and "ab" */

#define APPLICATION_EXIT 0x20026u
#define CONSOLE ":tt" /* reading is stdin, writing stdout, appending stderr */

static int32_t call(int32_t operation, const void *block) {
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int open_as(const char *path, uintptr_t mode) {
    uintptr_t block[3] = {(uintptr_t)path, mode, strlen(path)};
    return call(SYS_OPEN, block);
}

int ws_io_open(const char *path) {
    return open_as(path, MODE_READ);
}

int ws_io_create(const char *path) {
    return open_as(path, MODE_WRITE);
}

int32_t ws_io_read(int file, void *bytes, size_t count) {
    uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)bytes, count};
    int32_t not_read = call(SYS_READ, block);
    return not_read < 0 || (size_t)not_read > count ? -1 : (int32_t)(count - (size_t)not_read);
}

bool ws_io_write(int file, const void *bytes, size_t count) {
    uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)bytes, count};
    return call(SYS_WRITE, block) == 0; /* the bytes not written */
}

int64_t ws_io_length(int file) {
    uintptr_t block[1] = {(uintptr_t)file};
    return call(SYS_FLEN, block);
}

void ws_io_close(int file) {
    uintptr_t block[1] = {(uintptr_t)file};
    (void)call(SYS_CLOSE, block);
}

ws_streams ws_io;

void ws_semihosting_start(void) {
    ws_io.in = open_as(CONSOLE, MODE_READ);
    ws_io.out = open_as(CONSOLE, MODE_WRITE);
    ws_io.err = open_as(CONSOLE, MODE_APPEND);
    uintptr_t block[1] = {(uintptr_t)ws_io.out};
    ws_io.terminal = call(SYS_ISTTY, block) == 1;
}

bool ws_semihosting_arguments(char *text, size_t capacity) {
    uintptr_t block[2] = {(uintptr_t)text, capacity};
    return call(SYS_GET_CMDLINE, block) == 0;
}

_Noreturn void ws_board_stop(const char *text, size_t length) {
    (void)ws_io_write(open_as(CONSOLE, MODE_APPEND), text, length);
    ws_board_exit(BOARD_STATUS_FAULT);
}

_Noreturn void ws_board_exit(int status) {
    uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)status};
    (void)call(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}
