/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up, which comes to a board's main, and its faults. */
#ifndef WS_STARTUP_H
#define WS_STARTUP_H

#include <stddef.h>
#include <stdint.h>

/* What startup.c calls once memory is ready; returns the exit status. */
int ws_board_main(void);

/* What becomes of the board when that is done. */
_Noreturn void ws_board_exit(int status);

/* Bytes of stack in use at the deepest so far. */
uint32_t ws_board_stack_used(void);

#define BOARD_STATUS_FAULT 70
#define WS_FAULT_MAGIC 0xFA017EDu

/* The registers at a fault. It is in memory that a reset leaves alone. */
typedef struct {
    uint32_t magic;  /* WS_FAULT_MAGIC: there was one */
    uint32_t number; /* of the exception: 3 hard fault, 4 memory, 5 bus, 6 usage, 16 + interrupt */
    uint32_t pc, lr, psr, sp; /* pc, lr and psr are 0 where the stack could not be read */
    uint32_t cfsr, hfsr;      /* why: Configurable and HardFault Status Registers */
    uint32_t address;         /* of the bad access, where MMFAR or BFAR is valid */
} ws_fault;

extern ws_fault ws_last_fault;

/* One line: "board: fault 4 pc=0x.. lr=0x.. ..."; returns its length. */
size_t ws_fault_text(const ws_fault *fault, char text[192]);

/* Handler of an interrupt that nobody handles: a fault. */
void ws_unexpected_interrupt(void);

/* Handler of SysTick; a driver may define one. */
void ws_systick(void);

/* The machine's side: print the line, then stop or restart. */
_Noreturn void ws_board_stop(const char *text, size_t length);

#endif
