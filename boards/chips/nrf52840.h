/* SPDX-License-Identifier: Apache-2.0 */
/* Pins of the nRF52840. */
#ifndef WS_NRF52840_H
#define WS_NRF52840_H

#include "board_facts.h"
#include "board_registers.h"
#include "platform/cortex-m/registers.h"

/* Values of PIN_CNF: direction in bit 0, input buffer off in bit 1, pull in bits 2 and 3. */
enum { PIN_INPUT = 0, PIN_OUTPUT = 3, PIN_PULLED_DOWN = 4, PIN_PULLED_UP = 12 };

static inline void pin_configure(uint32_t port, uint32_t pin, uint32_t configuration) {
    reg_write(port + (P0_PIN_CNF_0 - P0_BASE) + 4u * pin, configuration);
}

static inline void pin_write(uint32_t port, uint32_t pin, bool high) {
    reg_write(port + ((high ? P0_OUTSET : P0_OUTCLR) - P0_BASE), 1u << pin);
}

static inline uint32_t pin_read(uint32_t port, uint32_t pin) {
    return reg_read(port + (P0_IN - P0_BASE)) >> pin & 1u;
}

/* What PSEL registers take: the pin, the port in bit 5, connected by a 0 in bit 31. */
static inline uint32_t pin_select(uint32_t port, uint32_t pin) {
    return pin | (port == P0_BASE ? 0u : 1u << 5);
}

#endif
