/* SPDX-License-Identifier: Apache-2.0 */
/* Arm's MPS2 and MPS3 boards as QEMU emulates them: a CMSDK UART, and little else is needed. */
#include "board_facts.h"
#include "platform/cortex-m/registers.h"
#include "programs/device/driver.h"

#define UART_DATA (BOARD_UART_BASE + 0x00u)
#define UART_STATE (BOARD_UART_BASE + 0x04u)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL (BOARD_UART_BASE + 0x08u)
#define UART_CTRL_TX_RX 3u
#define UART_BAUDDIV (BOARD_UART_BASE + 0x10u)

const char *ws_driver_start(void) {
    reg_write(UART_BAUDDIV, BOARD_CLOCK_HZ / BOARD_UART_BAUD);
    reg_write(UART_CTRL, UART_CTRL_TX_RX);
    return NULL;
}

const char *ws_driver_reset_reason(void) {
    return "power-on"; /* QEMU keeps nothing over a reset */
}

void ws_driver_led(bool lit) {
    (void)lit; /* there is none to see */
}

void ws_driver_send(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    for (; count > 0; count--) {
        (void)reg_wait(UART_STATE, UART_STATE_TX_FULL, 0);
        reg_write(UART_DATA, *next++);
    }
}

/* QEMU's port takes bytes as fast as they come; where it does not, the next hop asks again. */
size_t ws_driver_offer(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    size_t taken = 0;
    while (taken < count && (reg_read(UART_STATE) & UART_STATE_TX_FULL) == 0) {
        reg_write(UART_DATA, next[taken++]);
    }
    return taken;
}

int ws_driver_receive(void) {
    if ((reg_read(UART_STATE) & UART_STATE_RX_FULL) == 0) return -1;
    return (int)(reg_read(UART_DATA) & 0xFFu);
}

unsigned ws_driver_state_pins(void) {
    return 0;
}

void ws_driver_feed_watchdog(void) {
}
