# SPDX-License-Identifier: Apache-2.0
"""What the drivers of the real boards write, in order: each register by name, and the value."""

from __future__ import annotations

HOP = 160
#: Pointers to buffers, whatever they are.
POINTER = -1
Writes = list[tuple[str, int]]

# nRF52840 product specification: POWER 5.3, CLOCK 5.4, GPIO 6.9, UART 6.33, WDT 6.36, PDM 6.15.
NANO_START: Writes = [
    ("POWER_RESETREAS", 0),  # ones clear what was read
    ("POWER_EVENTS_POFWARN", 0),
    ("POWER_POFCON", 10 << 1 | 1),  # 2.3 V, on
    ("CLOCK_EVENTS_HFCLKSTARTED", 0),
    ("CLOCK_TASKS_HFCLKSTART", 1),
    ("P0_OUTCLR", 1 << 13),  # LED off before it is an output
    ("P0_PIN_CNF_13", 3),
    ("P1_PIN_CNF_11", 1 << 2),  # state pins: inputs, pulled down
    ("P1_PIN_CNF_12", 1 << 2),
    ("P1_PIN_CNF_15", 1 << 2),
    ("P1_OUTSET", 1 << 3),  # TX idles high
    ("P1_PIN_CNF_3", 3),
    ("P1_PIN_CNF_10", 3 << 2),  # RX, pulled up
    ("UART0_PSEL_TXD", 1 << 5 | 3),
    ("UART0_PSEL_RXD", 1 << 5 | 10),
    ("UART0_BAUDRATE", 0x10000000),
    ("UART0_ENABLE", 4),
    ("UART0_EVENTS_RXDRDY", 0),
    ("UART0_INTENSET", 1 << 2),
    ("UART0_TASKS_STARTTX", 1),
    ("UART0_TASKS_STARTRX", 1),
    ("NVIC_IPR0", 0x20 << 16),  # priority 1 of 3 bits
    ("NVIC_ISER0", 1 << 2),
    ("WDT_CONFIG", 1),  # runs on in sleep, stops while halted
    ("WDT_CRV", 2 * 32768 - 1),
    ("WDT_RREN", 1),
    ("WDT_TASKS_START", 1),  # last: from now on its settings are locked
]
NANO_LISTEN: Writes = [
    ("P0_OUTCLR", 1 << 26),
    ("P0_PIN_CNF_26", 3),  # clock: output, low
    ("P0_PIN_CNF_25", 0),  # data: input
    ("P0_OUTSET", 1 << 17),  # the microphone's supply
    ("P0_PIN_CNF_17", 3),
    ("PDM_PSEL_CLK", 26),
    ("PDM_PSEL_DIN", 25),
    ("PDM_PDMCLKCTRL", 0x0A000000),  # 1.28 MHz
    ("PDM_RATIO", 1),  # / 80
    ("PDM_MODE", 1),  # mono, left at the falling edge
    ("PDM_GAINL", 0x28 + 2 * 18),
    ("PDM_SAMPLE_MAXCNT", HOP),
    ("PDM_SAMPLE_PTR", POINTER),
    ("PDM_EVENTS_STARTED", 0),
    ("PDM_EVENTS_END", 0),
    ("PDM_INTENSET", 1 << 0 | 1 << 2),
    ("PDM_ENABLE", 1),
    ("NVIC_IPR7", 0x40 << 8),  # priority 2: the serial port interrupts it
    ("NVIC_ISER0", 1 << 29),
    ("PDM_TASKS_START", 1),
]
IWDG: Writes = [  # RM0351 36.4, RM0090 21.4: started, unlocked, set, fed
    ("IWDG_KR", 0xCCCC),
    ("IWDG_KR", 0x5555),
    ("IWDG_PR", 4),
    ("IWDG_RLR", 1000),
    ("IWDG_KR", 0xAAAA),
]
L475_START: Writes = [
    ("RCC_CSR", 0x0C000600 | 1 << 23),  # the flags were read; RMVF clears them
    ("RCC_APB1ENR1", 1 << 28),
    ("PWR_CR2", 3 << 1),
    ("PWR_CR2", 3 << 1 | 1),  # 2.45 V, on
    ("RCC_PLLCFGR", 1 | 0 << 4 | 40 << 8 | 0 << 25),  # MSI 4 MHz / 1 * 40 / 2
    ("RCC_CR", 0x63 | 1 << 24),
    ("RCC_PLLCFGR", 1 | 40 << 8 | 1 << 24),
    ("FLASH_ACR", 0x600 | 4),  # wait states before the faster clock
    ("FLASH_ACR", 0x600 | 1 << 8 | 4),
    ("RCC_CFGR", 3),
    ("RCC_AHB2ENR", 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4),  # ports A, B, D, E
    ("GPIOB_BSRR", 1 << 30),  # LED off before it is an output
    ("GPIOB_PUPDR", 0x100),
    ("GPIOB_MODER", 0x280 | 1 << 28),
    ("GPIOD_PUPDR", 2 << 28),
    ("GPIOD_MODER", 0),
    ("GPIOB_PUPDR", 0x102),
    ("GPIOB_MODER", 0x280 | 1 << 28),
    ("GPIOA_PUPDR", 0x64000000 | 2 << 6),
    ("GPIOA_MODER", 0xA8000000),
    ("GPIOB_AFRL", 7 << 24),
    ("GPIOB_PUPDR", 0x102),
    ("GPIOB_MODER", 0x280 | 1 << 28 | 2 << 12),
    ("GPIOB_AFRL", 7 << 24 | 7 << 28),
    ("GPIOB_PUPDR", 0x102),
    ("GPIOB_MODER", 0x280 | 1 << 28 | 2 << 12 | 2 << 14),
    ("GPIOB_PUPDR", 0x102 | 1 << 14),  # RX, pulled up
    ("GPIOB_MODER", 0x280 | 1 << 28 | 2 << 12 | 2 << 14),
    ("RCC_APB2ENR", 1 << 14),
    ("USART1_BRR", 80),  # 80 MHz for 1 Mbaud
    ("USART1_CR1", 1 << 5 | 1 << 3 | 1 << 2 | 1),
    ("NVIC_IPR9", 0x10 << 8),  # priority 1 of 4 bits
    ("NVIC_ISER1", 1 << 37 - 32),
    *IWDG,
]
L475_LISTEN: Writes = [
    ("GPIOE_AFRH", 6 << 4),
    ("GPIOE_PUPDR", 0),
    ("GPIOE_MODER", 2 << 18),
    ("GPIOE_AFRL", 6 << 28),
    ("GPIOE_PUPDR", 0),
    ("GPIOE_MODER", 2 << 18 | 2 << 14),
    ("RCC_AHB1ENR", 0x100 | 1),
    ("RCC_CCIPR", 1 << 31),
    ("RCC_APB2ENR", 1 << 14 | 1 << 24),
    ("DMA1_CSELR", 0),  # RM0351 table 41: request 0 on channel 4 is filter 0, on 5 filter 1
    ("DMA1_CSELR", 0),
    ("DMA1_CPAR4", 0x4001611C),
    ("DMA1_CMAR4", POINTER),
    ("DMA1_CNDTR4", 4 * HOP),
    ("DMA1_CCR4", 2 << 10 | 2 << 8 | 1 << 7 | 1 << 5 | 1),
    ("DMA1_CPAR5", 0x4001621C),
    ("DMA1_CMAR5", POINTER),
    ("DMA1_CNDTR5", 4 * HOP),
    ("DMA1_CCR5", 2 << 10 | 2 << 8 | 1 << 7 | 1 << 5 | 1 << 2 | 1 << 1 | 1),
    ("NVIC_IPR3", 0x20 << 24),  # priority 2: the serial port interrupts it
    ("NVIC_ISER0", 1 << 15),
    ("DFSDM_CHCFG2R1", 1 << 2),  # rising edge of CKOUT
    ("DFSDM_CHCFG1R1", 1 << 8 | 1 << 2 | 1),  # channel 2's pin, falling edge
    ("DFSDM_CHCFG0R1", 49 << 16),  # 80 MHz / 50 = 1.6 MHz
    ("DFSDM_CHCFG0R1", 1 << 31 | 49 << 16),
    ("DFSDM_CHCFG2R1", 1 << 7 | 1 << 2),
    ("DFSDM_CHCFG1R1", 1 << 8 | 1 << 7 | 1 << 2 | 1),
    ("DFSDM_DFSDM0_FCR", 4 << 29 | 49 << 16),  # sinc4 of 50
    ("DFSDM_DFSDM1_FCR", 4 << 29 | 49 << 16),
    ("DFSDM_DFSDM1_CR1", 1 << 29 | 1 << 24 | 1 << 21 | 1 << 19 | 1 << 18),
    ("DFSDM_DFSDM1_CR1", 1 << 29 | 1 << 24 | 1 << 21 | 1 << 19 | 1 << 18 | 1),
    ("DFSDM_DFSDM0_CR1", 1 << 29 | 2 << 24 | 1 << 21 | 1 << 18),
    ("DFSDM_DFSDM0_CR1", 1 << 29 | 2 << 24 | 1 << 21 | 1 << 18 | 1),
    ("DFSDM_DFSDM0_CR1", 1 << 29 | 2 << 24 | 1 << 21 | 1 << 18 | 1 << 17 | 1),  # starts both
]
F407_START: Writes = [
    ("RCC_CSR", 0x0E000000 | 1 << 24),
    ("RCC_APB1ENR", 1 << 28),
    ("PWR_CR", 0xC000 | 5 << 5),
    ("PWR_CR", 0xC000 | 5 << 5 | 1 << 4),  # 2.7 V, on
    ("RCC_CR", 0x83 | 1 << 16),
    ("RCC_PLLCFGR", 7 << 24 | 1 << 22 | 0 << 16 | 336 << 6 | 8),  # HSE 8 MHz / 8 * 336 / 2
    ("RCC_CR", 0x83 | 1 << 16 | 1 << 17 | 1 << 24),
    ("FLASH_ACR", 1 << 10 | 1 << 9 | 1 << 8 | 5),  # wait states before the faster clock
    ("RCC_CFGR", 4 << 13 | 5 << 10),  # APB2 / 2, APB1 / 4, before the clock they divide
    ("RCC_CFGR", 4 << 13 | 5 << 10 | 2),
    ("RCC_AHB1ENR", 0x100000 | 0b11111),  # ports A to E
    ("GPIOD_BSRR", 1 << 28),
    ("GPIOD_PUPDR", 0),
    ("GPIOD_MODER", 1 << 24),
    ("GPIOE_PUPDR", 2 << 14),
    ("GPIOE_MODER", 0),
    ("GPIOE_PUPDR", 2 << 14 | 2 << 16),
    ("GPIOE_MODER", 0),
    ("GPIOE_PUPDR", 2 << 14 | 2 << 16 | 2 << 18),
    ("GPIOE_MODER", 0),
    ("GPIOA_AFRL", 7 << 8),
    ("GPIOA_PUPDR", 0x64000000),
    ("GPIOA_MODER", 0xA8000000 | 2 << 4),
    ("GPIOA_AFRL", 7 << 8 | 7 << 12),
    ("GPIOA_PUPDR", 0x64000000),
    ("GPIOA_MODER", 0xA8000000 | 2 << 4 | 2 << 6),
    ("GPIOA_PUPDR", 0x64000000 | 1 << 6),  # RX, pulled up
    ("GPIOA_MODER", 0xA8000000 | 2 << 4 | 2 << 6),
    ("RCC_APB1ENR", 1 << 28 | 1 << 17),
    ("USART2_BRR", 42),  # 42 MHz for 1 Mbaud
    ("USART2_CR1", 1 << 13 | 1 << 5 | 1 << 3 | 1 << 2),
    ("NVIC_IPR9", 0x10 << 16),
    ("NVIC_ISER1", 1 << 38 - 32),
    *IWDG,
]
F407_LISTEN: Writes = [
    ("GPIOB_AFRH", 5 << 8),
    ("GPIOB_PUPDR", 0x100),
    ("GPIOB_MODER", 0x280 | 2 << 20),
    ("GPIOC_AFRL", 5 << 12),
    ("GPIOC_PUPDR", 0),
    ("GPIOC_MODER", 2 << 6),
    ("RCC_PLLI2SCFGR", 3 << 28 | 258 << 6),  # 1 MHz * 258 / 3 = 86 MHz
    ("RCC_CR", 0x83 | 0b11 << 16 | 0b11 << 24 | 1 << 26),
    ("RCC_AHB1ENR", 0x100000 | 0b11111 | 1 << 21),
    ("RCC_APB1ENR", 1 << 28 | 1 << 17 | 1 << 14),
    ("DMA1_S3CR", 0),  # RM0090 10.3.17: off, flags cleared, then set up, then on
    ("DMA1_LIFCR", 0b11110100 << 20),
    ("DMA1_S3PAR", 0x4000380C),
    ("DMA1_S3M0AR", POINTER),
    ("DMA1_S3NDTR", 2 * HOP * 128 // 16),
    ("DMA1_S3CR", 1 << 13 | 1 << 11 | 1 << 10 | 1 << 8 | 1 << 4 | 1 << 3),
    ("DMA1_S3CR", 1 << 13 | 1 << 11 | 1 << 10 | 1 << 8 | 1 << 4 | 1 << 3 | 1),
    ("NVIC_IPR3", 0x20 << 16),
    ("NVIC_ISER0", 1 << 14),
    ("SPI2_I2SPR", 21),  # 86 MHz / 42 = 2.0476 MHz
    ("SPI2_I2SCFGR", 1 << 11 | 3 << 8 | 1 << 3),
    ("SPI2_CR2", 1),
    ("SPI2_I2SCFGR", 1 << 11 | 1 << 10 | 3 << 8 | 1 << 3),  # on, last
]
SEQUENCES = {
    "arduino-nano-33-ble-sense": (NANO_START, NANO_LISTEN),
    "b-l475e-iot01a": (L475_START, L475_LISTEN),
    "stm32f4-discovery": (F407_START, F407_LISTEN),
}
