/* SPDX-License-Identifier: Apache-2.0 */
/* nRF52840: crystal, supply, serial port, LED, state pins, watchdog (product specification). */
#include <stddef.h>

#include "bytes.h"
#include "nrf52840.h"
#include "programs/device/driver.h"

/* BAUDRATE, as in the specification: of 16 MHz, in 2^-32, rounded to its upper 20 bits. */
#define UART_BAUDRATE \
    ((uint32_t)((((uint64_t)BOARD_UART_BAUD << 32) / 16000000u + 0x800u) & 0xFFFFF000u))
#define UART_ON 4u
#define FROM_CRYSTAL 1u
#define POF_2V3 10u
#define RELOAD_KEY 0x6E524635u

static byte_queue received = BYTE_QUEUE(received), to_send = BYTE_QUEUE(to_send);
static volatile bool sending; /* a byte is on its way; TXDRDY is set when it is out */
static uint32_t reset_flags;

const char *ws_driver_start(void) {
    reset_flags = reg_read(POWER_RESETREAS);
    reg_write(POWER_RESETREAS, reset_flags); /* ones clear */

    /* The supply: the chip resets itself below 1.7 V at all times; this warns at 2.3 V. */
    const char *problem = NULL;
    reg_write(POWER_EVENTS_POFWARN, 0);
    reg_write(POWER_POFCON, POWER_POFCON_POF | reg_field(POWER_POFCON_THRESHOLD, POF_2V3));
    if (reg_read(POWER_EVENTS_POFWARN) != 0) problem = "the supply is below 2.3 V";

    /* The crystal, for a true sample rate; the core runs at 64 MHz with and without. */
    reg_write(CLOCK_EVENTS_HFCLKSTARTED, 0);
    reg_write(CLOCK_TASKS_HFCLKSTART, 1);
    if (!reg_wait(CLOCK_EVENTS_HFCLKSTARTED, 1, 1) ||
        !reg_wait(CLOCK_HFCLKSTAT, CLOCK_HFCLKSTAT_SRC, FROM_CRYSTAL)) {
        problem = "the crystal does not start";
    }

    ws_driver_led(false);
    pin_configure(BOARD_LED_PORT, BOARD_LED_PIN, PIN_OUTPUT);
#define INPUT(port, pin) pin_configure(port, pin, PIN_PULLED_DOWN);
    BOARD_STATE_PINS(INPUT)
#undef INPUT

    /* Pins first, as inputs and outputs of their own; then the port. */
    pin_write(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, true);
    pin_configure(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, PIN_OUTPUT);
    pin_configure(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, PIN_PULLED_UP); /* open is silence */
    reg_write(UART0_PSEL_TXD, pin_select(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN));
    reg_write(UART0_PSEL_RXD, pin_select(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN));
    reg_write(UART0_BAUDRATE, UART_BAUDRATE);
    reg_write(UART0_ENABLE, UART_ON);
    reg_write(UART0_EVENTS_RXDRDY, 0);
    reg_write(UART0_INTENSET, UART0_INTENSET_RXDRDY);
    reg_write(UART0_TASKS_STARTTX, 1);
    reg_write(UART0_TASKS_STARTRX, 1);
    reg_enable_interrupt(WS_IRQ_UARTE0_UART0, BOARD_UART_PRIORITY);

    /* 2 s of 32768 Hz, asleep too, not while a debugger halts; once started it never stops. */
    reg_write(WDT_CONFIG, WDT_CONFIG_SLEEP);
    reg_write(WDT_CRV, 2u * 32768u - 1u);
    reg_write(WDT_RREN, WDT_RREN_RR0);
    reg_write(WDT_TASKS_START, 1);
    return problem;
}

/* No flag at all is power-on or brown-out: the chip does not distinguish them. */
const char *ws_driver_reset_reason(void) {
    if (reset_flags & POWER_RESETREAS_DOG) return "watchdog";
    if (reset_flags & POWER_RESETREAS_LOCKUP) return "lock-up";
    if (reset_flags & POWER_RESETREAS_SREQ) return "software";
    if (reset_flags & POWER_RESETREAS_RESETPIN) return "pin";
    return reset_flags == 0 ? "power-on or brown-out" : "wake-up";
}

void ws_driver_led(bool lit) {
    pin_write(BOARD_LED_PORT, BOARD_LED_PIN, lit == (BOARD_LED_LIT != 0));
}

/* The next byte that waits, once the one before is out. The interrupt does the same, so it is off
 * meanwhile. */
static void send_waiting(void) {
    if (sending && reg_read(UART0_EVENTS_TXDRDY) == 0) return;
    reg_write(UART0_EVENTS_TXDRDY, 0);
    int byte = bytes_get(&to_send);
    sending = byte >= 0;
    if (sending) reg_write(UART0_TXD, (uint8_t)byte);
}

static void send_byte(uint8_t byte) {
    reg_write(UART0_EVENTS_TXDRDY, 0);
    reg_write(UART0_TXD, byte);
    (void)reg_wait(UART0_EVENTS_TXDRDY, 1, 1);
}

/* Without interrupts: a fault's handler calls it too. */
void ws_driver_send(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    reg_write(UART0_INTENCLR, UART0_INTENCLR_TXDRDY);
    reg_barrier();
    if (sending) (void)reg_wait(UART0_EVENTS_TXDRDY, 1, 1);
    for (int byte = bytes_get(&to_send); byte >= 0; byte = bytes_get(&to_send)) {
        send_byte((uint8_t)byte);
    }
    for (; count > 0; count--) {
        send_byte(*next++);
    }
    sending = false;
}

size_t ws_driver_offer(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    size_t taken = 0;
    reg_write(UART0_INTENCLR, UART0_INTENCLR_TXDRDY);
    reg_barrier();
    while (taken < count && bytes_put(&to_send, next[taken])) {
        taken++;
        send_waiting();
    }
    if (sending) reg_write(UART0_INTENSET, UART0_INTENSET_TXDRDY);
    return taken;
}

/* The event before the data: a byte that comes in between sets it again. */
void ws_on_UARTE0_UART0(void) {
    while (reg_read(UART0_EVENTS_RXDRDY) != 0) {
        reg_write(UART0_EVENTS_RXDRDY, 0);
        bytes_put_marked(&received, (uint8_t)reg_read(UART0_RXD));
    }
    if (reg_read(UART0_INTENSET) & UART0_INTENSET_TXDRDY) send_waiting();
}

int ws_driver_receive(void) {
    return bytes_get(&received);
}

unsigned ws_driver_state_pins(void) {
    unsigned levels = 0;
    unsigned bit = 0;
#define READ(port, pin) levels |= pin_read(port, pin) << bit++;
    BOARD_STATE_PINS(READ)
#undef READ
    (void)bit;
    return levels;
}

void ws_driver_feed_watchdog(void) {
    reg_write(WDT_RR_0, RELOAD_KEY);
}
