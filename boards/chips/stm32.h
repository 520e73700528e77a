/* SPDX-License-Identifier: Apache-2.0 */
/* What the STM32 families here share: GPIO, the independent watchdog, and no more. */
#ifndef WS_STM32_H
#define WS_STM32_H

#include "board_facts.h"
#include "board_registers.h"
#include "platform/cortex-m/registers.h"

enum { PIN_INPUT = 0, PIN_OUTPUT = 1, PIN_FUNCTION = 2 };
enum { PULL_NONE = 0, PULL_UP = 1, PULL_DOWN = 2 };

/* Offsets are the same in every port. */
static inline void pin_mode(uint32_t port, uint32_t pin, uint32_t mode, uint32_t pull) {
    reg_change(port + (GPIOA_PUPDR - GPIOA_BASE), 3u << 2 * pin, pull);
    reg_change(port + (GPIOA_MODER - GPIOA_BASE), 3u << 2 * pin, mode);
}

static inline void pin_function(uint32_t port, uint32_t pin, uint32_t function) {
    uint32_t half = pin < 8 ? GPIOA_AFRL - GPIOA_BASE : GPIOA_AFRH - GPIOA_BASE;
    reg_change(port + half, 15u << 4 * (pin % 8), function);
    pin_mode(port, pin, PIN_FUNCTION, PULL_NONE);
}

static inline void pin_write(uint32_t port, uint32_t pin, bool high) {
    reg_write(port + (GPIOA_BSRR - GPIOA_BASE), 1u << (high ? pin : pin + 16u));
}

static inline uint32_t pin_read(uint32_t port, uint32_t pin) {
    return reg_read(port + (GPIOA_IDR - GPIOA_BASE)) >> pin & 1u;
}

/* The bit of a port in RCC's GPIO enables: A is 0. */
static inline uint32_t port_bit(uint32_t port) {
    return 1u << (port - GPIOA_BASE) / (GPIOB_BASE - GPIOA_BASE);
}

/* All ports that the board uses. */
static inline uint32_t port_bits(void) {
    uint32_t bits =
        port_bit(BOARD_LED_PORT) | port_bit(BOARD_UART_TX_PORT) | port_bit(BOARD_UART_RX_PORT);
#ifdef BOARD_MIC_HZ
    bits |= port_bit(BOARD_MIC_CLOCK_PORT) | port_bit(BOARD_MIC_DATA_PORT);
#endif
#define BIT(port, pin) bits |= port_bit(port);
    BOARD_STATE_PINS(BIT)
#undef BIT
    return bits;
}

/* LED, state pins (pulled down) and serial pins. */
static inline void set_up_pins(void) {
    pin_write(BOARD_LED_PORT, BOARD_LED_PIN, BOARD_LED_LIT == 0);
    pin_mode(BOARD_LED_PORT, BOARD_LED_PIN, PIN_OUTPUT, PULL_NONE);
#define INPUT(port, pin) pin_mode(port, pin, PIN_INPUT, PULL_DOWN);
    BOARD_STATE_PINS(INPUT)
#undef INPUT
    pin_function(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_FUNCTION);
    pin_function(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_FUNCTION);
    pin_mode(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, PIN_FUNCTION, PULL_UP); /* open is silence */
}

static inline unsigned read_state_pins(void) {
    unsigned levels = 0;
    unsigned bit = 0;
#define READ(port, pin) levels |= pin_read(port, pin) << bit++;
    BOARD_STATE_PINS(READ)
#undef READ
    (void)bit;
    return levels;
}

/* The watchdog: 32 kHz / 64 counted down from 1000 is 2 s. Once started it never stops. */
static inline void start_watchdog(void) {
    reg_write(IWDG_KR, 0xCCCCu); /* start */
    reg_write(IWDG_KR, 0x5555u); /* unlock */
    reg_write(IWDG_PR, 4u);      /* / 64 */
    reg_write(IWDG_RLR, 1000u);
    (void)reg_wait(IWDG_SR, IWDG_SR_PVU | IWDG_SR_RVU, 0);
    reg_write(IWDG_KR, 0xAAAAu); /* feed */
}

static inline void feed_watchdog(void) {
    reg_write(IWDG_KR, 0xAAAAu);
}

#endif
