/* SPDX-License-Identifier: Apache-2.0 */
/* The sending half of an STM32's serial port. Before it is included the family's file says when the
 * port takes a byte, and gives it one: ready_to_send(), await_sent() and write_byte(). */
#ifndef WS_STM32_UART_H
#define WS_STM32_UART_H

#include <stddef.h>

#include "bytes.h"
#include "stm32.h"

static byte_queue to_send = BYTE_QUEUE(to_send);

/* Bytes that wait go as the port takes them. The interrupt does the same, so it is off meanwhile.
 */
static void send_waiting(void) {
    while (ready_to_send()) {
        int byte = bytes_get(&to_send);
        if (byte < 0) return;
        write_byte((uint8_t)byte);
    }
}

static void send_byte(uint8_t byte) {
    await_sent();
    write_byte(byte);
}

/* Without interrupts: a fault's handler calls it too. */
void ws_driver_send(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    reg_clear(BOARD_UART(CR1), BOARD_UART(CR1_TXEIE));
    reg_barrier();
    for (int byte = bytes_get(&to_send); byte >= 0; byte = bytes_get(&to_send)) {
        send_byte((uint8_t)byte);
    }
    for (; count > 0; count--) {
        send_byte(*next++);
    }
}

size_t ws_driver_offer(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    size_t taken = 0;
    reg_clear(BOARD_UART(CR1), BOARD_UART(CR1_TXEIE));
    reg_barrier();
    while (taken < count && bytes_put(&to_send, next[taken])) {
        taken++;
        send_waiting();
    }
    if (ws_ring_count(&to_send.ring) > 0) reg_set(BOARD_UART(CR1), BOARD_UART(CR1_TXEIE));
    return taken;
}

/* In the interrupt: sends what waits, as far as the port takes it. */
static void send_from_interrupt(void) {
    if (reg_read(BOARD_UART(CR1)) & BOARD_UART(CR1_TXEIE)) {
        send_waiting();
        if (ws_ring_count(&to_send.ring) == 0) reg_clear(BOARD_UART(CR1), BOARD_UART(CR1_TXEIE));
    }
}

#endif
