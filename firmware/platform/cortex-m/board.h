#ifndef WS_BOARD_H
#define WS_BOARD_H

#include <stdint.h>

#define BOARD_STATUS_FAULT 70

/* What startup.c calls once memory is ready; returns the exit status. */
int ws_board_main(void);

/* What becomes of the board when that is done. */
_Noreturn void ws_board_exit(int status);

/* Bytes of stack in use at the deepest so far. */
uint32_t ws_board_stack_used(void);

#endif
