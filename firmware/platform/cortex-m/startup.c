/* SPDX-License-Identifier: Apache-2.0 */
/* From reset to main for every Cortex-M board: vectors, memory, stack and its guard, faults.
 * Symbols named ws_link_* come from the generated linker script. */
#include "startup.h"

#include <string.h>

#include "registers.h"

extern uint32_t ws_link_stack_guard[], ws_link_stack_bottom[], ws_link_stack_top[];
extern uint32_t ws_link_data_start[], ws_link_data_end[], ws_link_data_load[];
extern uint32_t ws_link_bss_start[], ws_link_bss_end[];

#define CPACR_FPU (0xFu << 20)    /* full access to CP10 and CP11: FPU, and Helium on the M55 */
#define AIRCR_PREEMPT 0x05FA0000u /* the key; each level of priority interrupts those below */
#define SHCSR_FAULTS (7u << 16)   /* memory, bus and usage faults have their own handlers */
#define MPU_CTRL_ON 5u            /* enabled; what no region covers stays as without MPU */
#define MPU_RASR_NO_ACCESS 0x10000009u /* 32 bytes, no access, no execution, enabled */
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define PAINT 0xC5C5C5C5u /* what the stack holds where nothing was put yet */

void ws_reset(void);
static void fault(void);

__attribute__((section(".noinit"))) ws_fault ws_last_fault;

__attribute__((weak)) void ws_systick(void) {
    ws_unexpected_interrupt();
}

/* The stack's top, reset, the faults, SysTick. A chip's interrupts follow: board_vectors.c. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)ws_link_stack_top,
    (uintptr_t)ws_reset,
    (uintptr_t)fault, /* NMI */
    (uintptr_t)fault, /* hard fault */
    (uintptr_t)fault, /* memory management: the stack's guard */
    (uintptr_t)fault, /* bus */
    (uintptr_t)fault, /* usage */
    (uintptr_t)fault, /* secure */
    0,
    0,
    0,
    (uintptr_t)fault, /* SVC */
    (uintptr_t)fault, /* debug monitor */
    0,
    (uintptr_t)fault, /* PendSV */
    (uintptr_t)ws_systick,
};

uint32_t ws_board_stack_used(void) {
    const uint32_t *word = ws_link_stack_bottom;
    while (word < ws_link_stack_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((const char *)ws_link_stack_top - (const char *)word);
}

static char *put(char *text, const char *name, uint32_t value) {
    while (*name != '\0') {
        *text++ = *name++;
    }
    for (int shift = 28; shift >= 0; shift -= 4) {
        *text++ = "0123456789abcdef"[value >> shift & 15u];
    }
    return text;
}

size_t ws_fault_text(const ws_fault *fault, char text[192]) {
    static const char *const names[] = {"board: fault 0x", " pc=0x",   " lr=0x",   " psr=0x",
                                        " sp=0x",          " cfsr=0x", " hfsr=0x", " address=0x"};
    const uint32_t *value = &fault->number;
    char *end = text;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        end = put(end, names[i], value[i]);
    }
    *end++ = '\n';
    return (size_t)(end - text);
}

__attribute__((used)) static _Noreturn void report_fault(const uint32_t *sp) {
    ws_fault *record = &ws_last_fault;
    memset(record, 0, sizeof *record);
    uint32_t number;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    record->number = number;
    record->sp = (uint32_t)(uintptr_t)sp;
    /* Pushed by the core: r0-r3, r12, lr, pc, psr; after an overflow there was no room for it. */
    if (sp >= ws_link_stack_bottom && sp + 8 <= ws_link_stack_top) {
        record->lr = sp[5];
        record->pc = sp[6];
        record->psr = sp[7];
    }
    record->cfsr = reg_read(SCB_CFSR);
    record->hfsr = reg_read(SCB_HFSR);
    if (record->cfsr & CFSR_MMARVALID) record->address = reg_read(SCB_MMFAR);
    if (record->cfsr & CFSR_BFARVALID) record->address = reg_read(SCB_BFAR);
    record->magic = WS_FAULT_MAGIC;
    char text[192];
    ws_board_stop(text, ws_fault_text(record, text));
}

/* There may be no stack left here; begin a new one. */
__attribute__((naked)) static void fault(void) {
    __asm__ volatile(
        "mov r0, sp\n"
        "ldr r1, =ws_link_stack_top\n"
        "mov sp, r1\n"
        "b report_fault\n");
}

__attribute__((naked)) void ws_unexpected_interrupt(void) {
    __asm__ volatile("b %0\n" ::"i"(fault));
}

/* The stack is at the bottom of RAM, so an overflow spoils no data; and it faults at once: by
 * the stack limit register of Armv8-M, by an MPU region without access on Armv7-M. */
static void guard_stack(void) {
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" ::"r"(ws_link_stack_bottom));
#else
    if (reg_read(MPU_TYPE) == 0) return; /* this chip has no MPU */
    reg_write(MPU_RNR, 0);
    reg_write(MPU_RBAR, (uint32_t)(uintptr_t)ws_link_stack_guard);
    reg_write(MPU_RASR, MPU_RASR_NO_ACCESS);
    reg_write(MPU_CTRL, MPU_CTRL_ON);
    __asm__ volatile("dsb\n isb");
#endif
}

__attribute__((noinline)) static void run(void) {
    /* Nothing calls anything while this paints, so all below the stack pointer is free. */
    volatile uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t *word = ws_link_stack_bottom; word < top; word++) {
        *word = PAINT;
    }
    ws_board_exit(ws_board_main());
}

void ws_reset(void) {
    /* A boot loader may have left interrupts on, its own vectors, and its grouping of priorities.
     */
    reg_write(SYST_CSR, 0);
    for (uint32_t i = 0; i < 8; i++) {
        reg_write(NVIC_ICER0 + 4 * i, 0xFFFFFFFFu);
    }
    reg_write(SCB_AIRCR, AIRCR_PREEMPT);
    reg_write(SCB_VTOR, (uint32_t)(uintptr_t)vectors);
    reg_set(SCB_SHCSR, SHCSR_FAULTS);
#ifdef BOARD_HAS_FPU
    reg_set(SCB_CPACR, CPACR_FPU);
    __asm__ volatile("dsb\n isb");
#endif
    guard_stack();
    memcpy(ws_link_data_start, ws_link_data_load,
           (size_t)((char *)ws_link_data_end - (char *)ws_link_data_start));
    memset(ws_link_bss_start, 0, (size_t)((char *)ws_link_bss_end - (char *)ws_link_bss_start));
    run();
}
