/* From reset to main for every Cortex-M board that QEMU emulates: vectors, memory, stack, faults.
 * Symbols named ws_link_* come from the generated linker script. */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "semihosting.h"

extern uint32_t ws_link_stack_bottom[], ws_link_stack_top[];
extern uint32_t ws_link_data_start[], ws_link_data_end[], ws_link_data_load[];
extern uint32_t ws_link_bss_start[], ws_link_bss_end[];

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_FPU (0xFu << 20) /* full access to CP10 and CP11: FPU, and Helium on the M55 */
#define PAINT 0xC5C5C5C5u      /* what the stack holds where nothing was put yet */

void ws_reset(void);
static void fault(void);

/* The stack's top, reset, and the faults; no interrupt is ever enabled. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)ws_link_stack_top,
    (uintptr_t)ws_reset,
    (uintptr_t)fault, /* NMI */
    (uintptr_t)fault, /* hard fault: all others escalate to it, none is enabled */
    (uintptr_t)fault,
    (uintptr_t)fault,
    (uintptr_t)fault,
    (uintptr_t)fault,
};

uint32_t ws_board_stack_used(void) {
    const uint32_t *word = ws_link_stack_bottom;
    while (word < ws_link_stack_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((const char *)ws_link_stack_top - (const char *)word);
}

__attribute__((used)) static void report_fault(void) {
    static const char text[] = "board: fault (a bad access, or the stack has overflowed)\n";
    ws_io io = ws_semihosting_io();
    (void)io.write(io.err, text, sizeof text - 1);
    ws_semihosting_exit(BOARD_STATUS_FAULT);
}

/* The stack lies at the bottom of RAM: an overflow leaves RAM rather than spoil data, which faults
 * on most boards. QEMU's MPS2 lets it pass: hence the look at the stack's last word in the end.
 * There may be no stack left here; begin a new one. */
__attribute__((naked)) static void fault(void) {
    __asm__ volatile(
        "ldr r0, =ws_link_stack_top\n"
        "mov sp, r0\n"
        "b report_fault\n");
}

__attribute__((noinline)) static void run(void) {
    /* Nothing calls anything while this paints, so all below the stack pointer is free. */
    volatile uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t *word = ws_link_stack_bottom; word < top; word++) {
        *word = PAINT;
    }
    int status = ws_board_main();
    if (ws_link_stack_bottom[0] != PAINT) fault();
    ws_semihosting_exit(status);
}

void ws_reset(void) {
#ifdef BOARD_HAS_FPU
    CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\n isb");
#endif
    memcpy(ws_link_data_start, ws_link_data_load,
           (size_t)((char *)ws_link_data_end - (char *)ws_link_data_start));
    memset(ws_link_bss_start, 0, (size_t)((char *)ws_link_bss_end - (char *)ws_link_bss_start));
    run();
}
