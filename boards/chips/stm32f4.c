/* SPDX-License-Identifier: Apache-2.0 */
/* STM32F405/407: clocks, supply, serial port, LED, state pins, watchdog (reference manual RM0090).
 * The SVD is the STM32F429's, of the same manual: what is named here is the same on both. */
#include <stddef.h>

#include "bytes.h"
#include "programs/device/driver.h"
#include "stm32.h"

#define HSI_HZ 16000000u /* at reset */
#define APB2_BASE 0x40010000u
#define PVD_LEVEL 5u /* 2.7 V: below, 168 MHz at 5 wait states is not allowed */

static byte_queue received = BYTE_QUEUE(received);
static uint32_t reset_flags;
static uint32_t clock_hz = HSI_HZ;

static uint32_t divider_code(uint32_t divide) { /* APB prescalers: 1, 2, 4, 8, 16 */
    return divide == 1 ? 0 : divide == 2 ? 4 : divide == 4 ? 5 : divide == 8 ? 6 : 7;
}

/* RM0090: 5.2.3 (supply; the regulator is at scale 1 since reset), 3.5.1 (wait states), 7.2
 * (clocks). */
static const char *start_clock(void) {
    reg_set(RCC_APB1ENR, RCC_APB1ENR_PWREN);
    reg_change(PWR_CR, PWR_CR_PLS, PVD_LEVEL);
    reg_set(PWR_CR, PWR_CR_PVDE);
    if (!reg_wait(PWR_CSR, PWR_CSR_PVDO, 0)) return "the supply is below 2.7 V";

    reg_set(RCC_CR, RCC_CR_HSEON);
    if (!reg_wait(RCC_CR, RCC_CR_HSERDY, 1)) return "the crystal does not start";
    /* M at bit 0, N at 6, P at 16 as 0 for 2, 1 for 4 ..., source HSE, Q at 24 for no USB. */
    reg_write(RCC_PLLCFGR, BOARD_PLL_M | BOARD_PLL_N << 6 | (BOARD_PLL_DIVIDE / 2u - 1u) << 16 |
                               RCC_PLLCFGR_PLLSRC | 7u << 24);
    reg_set(RCC_CR, RCC_CR_PLLON);
    if (!reg_wait(RCC_CR, RCC_CR_PLLRDY, 1)) return "the PLL does not lock";

    /* Wait states before the faster clock; caches and prefetch make up for them. */
    reg_write(FLASH_ACR, reg_field(FLASH_ACR_LATENCY, BOARD_FLASH_WAIT_STATES) | FLASH_ACR_PRFTEN |
                             FLASH_ACR_ICEN | FLASH_ACR_DCEN);
    if (!reg_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_FLASH_WAIT_STATES)) {
        return "the flash does not take its wait states";
    }
    reg_write(RCC_CFGR, reg_field(RCC_CFGR_PPRE1, divider_code(BOARD_APB1_DIVIDE)) |
                            reg_field(RCC_CFGR_PPRE2, divider_code(BOARD_APB2_DIVIDE)));
    reg_set(RCC_CFGR, RCC_CFGR_SW1); /* SW = 2: the PLL */
    if (!reg_wait(RCC_CFGR, RCC_CFGR_SWS1, 1)) return "the PLL is not taken as clock";
    clock_hz = BOARD_CLOCK_HZ;
    return NULL;
}

static void start_uart(void) {
    bool apb2 = BOARD_UART(BASE) >= APB2_BASE;
    uint32_t divide = apb2 ? BOARD_APB2_DIVIDE : BOARD_APB1_DIVIDE;
    uint32_t hz = clock_hz == BOARD_CLOCK_HZ ? clock_hz / divide : clock_hz;
    reg_set(BOARD_UART_ENABLE_REGISTER, BOARD_UART_ENABLE);
    reg_write(BOARD_UART(BRR), (hz + BOARD_UART_BAUD / 2) / BOARD_UART_BAUD);
    reg_write(BOARD_UART(CR1), BOARD_UART(CR1_UE) | BOARD_UART(CR1_TE) | BOARD_UART(CR1_RE) |
                                   BOARD_UART(CR1_RXNEIE));
    reg_enable_interrupt(BOARD_UART_IRQ, BOARD_UART_PRIORITY);
}

const char *ws_driver_start(void) {
    reset_flags = reg_read(RCC_CSR);
    reg_set(RCC_CSR, RCC_CSR_RMVF);
    const char *problem = start_clock();
    reg_set(RCC_AHB1ENR, port_bits());
    set_up_pins();
    start_uart();
    start_watchdog();
    return problem;
}

const char *ws_driver_reset_reason(void) {
    if (reset_flags & RCC_CSR_LPWRRSTF) return "low-power";
    if (reset_flags & (RCC_CSR_WDGRSTF | RCC_CSR_WWDGRSTF)) return "watchdog";
    if (reset_flags & RCC_CSR_SFTRSTF) return "software";
    if (reset_flags & RCC_CSR_PORRSTF) return "power-on";
    if (reset_flags & RCC_CSR_BORRSTF) return "brown-out";
    return "pin";
}

void ws_driver_led(bool lit) {
    pin_write(BOARD_LED_PORT, BOARD_LED_PIN, lit == (BOARD_LED_LIT != 0));
}

static bool ready_to_send(void) {
    return (reg_read(BOARD_UART(SR)) & BOARD_UART(SR_TXE)) != 0;
}

static void await_sent(void) {
    (void)reg_wait(BOARD_UART(SR), BOARD_UART(SR_TXE), 1);
}

static void write_byte(uint8_t byte) {
    reg_write(BOARD_UART(DR), byte);
}

#include "stm32_uart.h"

/* Reading the data clears both flags: a byte, and bytes that were too fast. */
void BOARD_UART_HANDLER(void) {
    if (reg_read(BOARD_UART(SR)) & (BOARD_UART(SR_RXNE) | BOARD_UART(SR_ORE))) {
        bytes_put_marked(&received, (uint8_t)reg_read(BOARD_UART(DR)));
    }
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
