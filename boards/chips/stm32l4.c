/* SPDX-License-Identifier: Apache-2.0 */
/* STM32L475: clocks, supply, serial port, LED, state pins, watchdog (reference manual RM0351). */
#include <stddef.h>

#include "bytes.h"
#include "programs/device/driver.h"
#include "stm32.h"

#define MSI_HZ 4000000u /* at reset */
#define MSI_16MHZ 8u    /* without wait states */
#define PVD_LEVEL 3u    /* 2.45 V */

static byte_queue received = BYTE_QUEUE(received);
static uint32_t reset_flags;
static uint32_t clock_hz = MSI_HZ;

/* RM0351: 5.1 (supply; range 1 is chosen at reset), 3.3.3 (wait states), 6.2 (clocks). */
static const char *start_clock(void) {
    reg_set(RCC_APB1ENR1, RCC_APB1ENR1_PWREN);
    reg_change(PWR_CR2, PWR_CR2_PLS, PVD_LEVEL);
    reg_set(PWR_CR2, PWR_CR2_PVDE);
    if (!reg_wait(PWR_SR2, PWR_SR2_PVDO, 0)) return "the supply is below 2.45 V";
    if (!reg_wait(PWR_SR2, PWR_SR2_VOSF, 0)) return "the core's supply does not come up";

    reg_write(RCC_PLLCFGR, reg_field(RCC_PLLCFGR_PLLSRC, 1) /* MSI */ |
                               reg_field(RCC_PLLCFGR_PLLM, BOARD_PLL_M - 1u) |
                               reg_field(RCC_PLLCFGR_PLLN, BOARD_PLL_N) |
                               reg_field(RCC_PLLCFGR_PLLR, BOARD_PLL_DIVIDE / 2u - 1u));
    reg_set(RCC_CR, RCC_CR_PLLON);
    reg_set(RCC_PLLCFGR, RCC_PLLCFGR_PLLREN);
    if (!reg_wait(RCC_CR, RCC_CR_PLLRDY, 1)) return "the PLL does not lock";

    /* Wait states before the faster clock; the caches are on since reset. */
    reg_change(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_FLASH_WAIT_STATES);
    reg_set(FLASH_ACR, FLASH_ACR_PRFTEN);
    if (!reg_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_FLASH_WAIT_STATES)) {
        return "the flash does not take its wait states";
    }
    reg_change(RCC_CFGR, RCC_CFGR_SW, 3); /* the PLL */
    if (!reg_wait(RCC_CFGR, RCC_CFGR_SWS, 3)) return "the PLL is not taken as clock";
    clock_hz = BOARD_CLOCK_HZ;
    return NULL;
}

static void start_uart(void) {
    if (clock_hz / BOARD_UART_BAUD < 16u) { /* BRR would be less than it may be */
        reg_set(RCC_CR, RCC_CR_MSIRGSEL);
        reg_change(RCC_CR, RCC_CR_MSIRANGE, MSI_16MHZ);
        (void)reg_wait(RCC_CR, RCC_CR_MSIRDY, 1);
        clock_hz = 16000000u;
    }
    reg_set(BOARD_UART_ENABLE_REGISTER, BOARD_UART_ENABLE);
    reg_write(BOARD_UART(BRR), (clock_hz + BOARD_UART_BAUD / 2) / BOARD_UART_BAUD);
    reg_write(BOARD_UART(CR1), BOARD_UART(CR1_UE) | BOARD_UART(CR1_TE) | BOARD_UART(CR1_RE) |
                                   BOARD_UART(CR1_RXNEIE));
    reg_enable_interrupt(BOARD_UART_IRQ, BOARD_UART_PRIORITY);
}

const char *ws_driver_start(void) {
    reset_flags = reg_read(RCC_CSR);
    reg_set(RCC_CSR, RCC_CSR_RMVF);
    const char *problem = start_clock();
    reg_set(RCC_AHB2ENR, port_bits());
    set_up_pins();
    start_uart();
    start_watchdog();
    return problem;
}

/* Power-on, too, sets the brown-out flag: the chip does not distinguish them. */
const char *ws_driver_reset_reason(void) {
    if (reset_flags & RCC_CSR_LPWRSTF) return "low-power";
    if (reset_flags & (RCC_CSR_IWDGRSTF | RCC_CSR_WWDGRSTF)) return "watchdog";
    if (reset_flags & RCC_CSR_SFTRSTF) return "software";
    if (reset_flags & RCC_CSR_BORRSTF) return "power-on or brown-out";
    return "pin";
}

void ws_driver_led(bool lit) {
    pin_write(BOARD_LED_PORT, BOARD_LED_PIN, lit == (BOARD_LED_LIT != 0));
}

static bool ready_to_send(void) {
    return (reg_read(BOARD_UART(ISR)) & BOARD_UART(ISR_TXE)) != 0;
}

static void await_sent(void) {
    (void)reg_wait(BOARD_UART(ISR), BOARD_UART(ISR_TXE), 1);
}

static void write_byte(uint8_t byte) {
    reg_write(BOARD_UART(TDR), byte);
}

#include "stm32_uart.h"

void BOARD_UART_HANDLER(void) {
    uint32_t flags = reg_read(BOARD_UART(ISR));
    if (flags & BOARD_UART(ISR_RXNE)) {
        bytes_put_marked(&received, (uint8_t)reg_read(BOARD_UART(RDR)));
    }
    /* Bytes that were too fast would interrupt for ever. */
    if (flags & BOARD_UART(ISR_ORE)) reg_write(BOARD_UART(ICR), BOARD_UART(ICR_ORECF));
    send_from_interrupt();
}

int ws_driver_receive(void) {
    return bytes_get(&received);
}

unsigned ws_driver_state_pins(void) {
    return read_state_pins();
}

void ws_driver_feed_watchdog(void) {
    feed_watchdog();
}
