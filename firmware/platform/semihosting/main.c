/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program (the emulator, or the test vectors) on the board, its machine being QEMU's. */
#include <string.h>

#include "platform/cortex-m/startup.h"
#include "programs/common/text.h"
#include "semihosting.h"

#define ARGUMENTS_MAX 32

/* A first argument that is the board's, not the program's: report the depth of the stack. */
#define STACK_REPORT "--board-stack"

static int refuse(const char *problem) {
    (void)ws_io_write(ws_io.err, problem, strlen(problem));
    return 2;
}

/* Apart, so that its text takes no stack while the program runs. */
__attribute__((noinline)) static void report_stack(bool wanted) {
    if (!wanted) return;
    ws_text line;
    ws_text_begin(&line, ws_io_write, ws_io.err);
    ws_text_add(&line, "board: stack used, bytes: ");
    ws_text_number(&line, ws_board_stack_used(), 1);
    ws_text_char(&line, '\n');
    (void)ws_text_flush(&line);
}

int ws_board_main(void) {
    static char text[8192];
    static const char *arguments[ARGUMENTS_MAX];
    ws_semihosting_start();
    if (!ws_semihosting_arguments(text, sizeof text)) {
        return refuse("board: the arguments are too long; give fewer files at a time\n");
    }
    int count = 0;
    for (char *c = text; *c != '\0';) {
        if (count == ARGUMENTS_MAX) {
            return refuse("board: too many arguments; give fewer files at a time\n");
        }
        arguments[count++] = c;
        while (*c != '\0' && *c != '\n') {
            c++;
        }
        if (*c == '\n') *c++ = '\0';
    }
    bool report = count > 0 && strcmp(arguments[0], STACK_REPORT) == 0;
    int status = ws_program(count - report, arguments + report);
    report_stack(report);
    return status;
}
