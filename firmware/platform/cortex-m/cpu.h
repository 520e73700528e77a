/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts off and on, and sleep. On the host, where drivers are tested, they do nothing. */
#ifndef WS_CPU_H
#define WS_CPU_H

static inline void cpu_disable_interrupts(void) {
#ifdef __arm__
    __asm__ volatile("cpsid i" ::: "memory");
#endif
}

static inline void cpu_enable_interrupts(void) {
#ifdef __arm__
    __asm__ volatile("cpsie i\n isb" ::: "memory");
#endif
}

/* Until the next interrupt; one that is pending already ends it at once. */
static inline void cpu_sleep(void) {
#ifdef __arm__
    __asm__ volatile("dsb\n wfi" ::: "memory");
#endif
}

#endif
