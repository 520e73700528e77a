/* SPDX-License-Identifier: Apache-2.0 */
/* Access to hardware registers: on a board a load or a store. Compiled with WS_REGISTERS_MOCKED,
 * for the host, each access is a call that a test answers. */
#ifndef WS_REGISTERS_H
#define WS_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef WS_REGISTERS_MOCKED
uint32_t reg_read(uint32_t address);
void reg_write(uint32_t address, uint32_t value);
void reg_barrier(void);
#else
static inline uint32_t reg_read(uint32_t address) {
    return *(volatile uint32_t *)(uintptr_t)address;
}
static inline void reg_write(uint32_t address, uint32_t value) {
    *(volatile uint32_t *)(uintptr_t)address = value;
}
/* What was read and written before, in memory and in registers, is done before what follows: after
 * a flag reports that DMA has filled a buffer, before a buffer is given back, and after an
 * interrupt was switched off. */
static inline void reg_barrier(void) {
#ifdef __arm__
    __asm__ volatile("dsb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}
#endif

/* The core's own, the same on every Cortex-M. */
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define NVIC_ISER0 0xE000E100u /* and following: one bit an interrupt */
#define NVIC_ICER0 0xE000E180u
#define NVIC_IPR0 0xE000E400u /* and following: a byte an interrupt */
#define SCB_VTOR 0xE000ED08u
#define SCB_AIRCR 0xE000ED0Cu
#define SCB_SHPR3 0xE000ED20u
#define SCB_SHCSR 0xE000ED24u
#define SCB_CFSR 0xE000ED28u
#define SCB_HFSR 0xE000ED2Cu
#define SCB_MMFAR 0xE000ED34u
#define SCB_BFAR 0xE000ED38u
#define SCB_CPACR 0xE000ED88u
#define MPU_TYPE 0xE000ED90u
#define MPU_CTRL 0xE000ED94u
#define MPU_RNR 0xE000ED98u
#define MPU_RBAR 0xE000ED9Cu
#define MPU_RASR 0xE000EDA0u

#define REG_PATIENCE 100000u /* reads before a wait gives up: some ms on the slowest clock */

static inline void reg_set(uint32_t address, uint32_t bits) {
    reg_write(address, reg_read(address) | bits);
}
static inline void reg_clear(uint32_t address, uint32_t bits) {
    reg_write(address, reg_read(address) & ~bits);
}

/* `value` in the place of the bits of `mask`. */
static inline uint32_t reg_field(uint32_t mask, uint32_t value) {
    return value * (mask & (~mask + 1u)) & mask;
}
static inline void reg_change(uint32_t address, uint32_t mask, uint32_t value) {
    reg_write(address, (reg_read(address) & ~mask) | reg_field(mask, value));
}

/* Wait until the field of `mask` is `value`; false when it does not come: nothing hangs. */
static inline bool reg_wait(uint32_t address, uint32_t mask, uint32_t value) {
    for (uint32_t i = 0; i < REG_PATIENCE; i++) {
        if ((reg_read(address) & mask) == reg_field(mask, value)) return true;
    }
    return false;
}

/* `priority` as in board_facts.h. */
static inline void reg_enable_interrupt(uint32_t number, uint32_t priority) {
    reg_change(NVIC_IPR0 + number / 4u * 4u, 0xFFu << number % 4u * 8u, priority);
    reg_write(NVIC_ISER0 + number / 32u * 4u, 1u << number % 32u);
}

#endif
