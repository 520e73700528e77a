/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a real board at its program's end: the line on the serial port, and a restart. */
#include "cpu.h"
#include "programs/device/driver.h"
#include "registers.h"
#include "startup.h"

#define AIRCR_RESET 0x05FA0004u /* the key, and SYSRESETREQ */

_Noreturn void ws_board_stop(const char *text, size_t length) {
    ws_driver_send(text, length);
    reg_write(SCB_AIRCR, AIRCR_RESET);
    for (;;) {
    }
}

/* The program cannot continue and has reported why; it reports it again at each watchdog reset. */
_Noreturn void ws_board_exit(int status) {
    (void)status;
    for (;;) {
        cpu_sleep();
    }
}
