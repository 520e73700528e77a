/* SPDX-License-Identifier: Apache-2.0 */
/* STM32F407: I2S2 clocks the microphone and takes its bits as 16-bit words, DMA collects them, and
 * pdm.c makes PCM of them. I2S knows left and right words; the microphone sends one stream of bits.
 *
 * RM0090: 28.4 (I2S), 7.3.23 (its PLL), 10.3 and 10.5 (DMA1, stream 3, channel 0: SPI2_RX). */
#include "../chips/stm32.h"
#include "programs/device/driver.h"
#include "programs/device/pdm.h"

#define MIC_FUNCTION 5u /* of both pins: I2S2 */
/* 8 MHz / 8 * 258 / 3 = 86 MHz; / 42 is 2.0476 MHz: 16 kHz - 0.02 %. */
#define PLLI2S_N 258u
#define PLLI2S_R 3u
#define I2S_DIVIDE 42u
#define I2S_RECEIVE 3u /* as master */
#define HALF_WORD 1u   /* DMA sizes: 16 bits */

#define I2S_HZ (BOARD_SOURCE_HZ / BOARD_PLL_M * PLLI2S_N / PLLI2S_R / I2S_DIVIDE)
_Static_assert(I2S_HZ > BOARD_MIC_HZ - BOARD_MIC_HZ / 1000 &&
                   I2S_HZ < BOARD_MIC_HZ + BOARD_MIC_HZ / 1000,
               "the bit clock is within 0.1 %");
_Static_assert(BOARD_MIC_HZ == WS_SAMPLE_RATE * WS_PDM_OVERSAMPLING, "as pdm.c takes it");

static ws_pdm pdm;
static uint16_t bits[2][WS_PDM_WORDS];

void ws_driver_listen(void) {
    ws_pdm_reset(&pdm, BOARD_MIC_GAIN_DB);
    pin_function(BOARD_MIC_CLOCK_PORT, BOARD_MIC_CLOCK_PIN, MIC_FUNCTION);
    pin_function(BOARD_MIC_DATA_PORT, BOARD_MIC_DATA_PIN, MIC_FUNCTION);

    reg_write(RCC_PLLI2SCFGR, reg_field(RCC_PLLI2SCFGR_PLLI2SN, PLLI2S_N) |
                                  reg_field(RCC_PLLI2SCFGR_PLLI2SR, PLLI2S_R));
    reg_set(RCC_CR, RCC_CR_PLLI2SON);
    (void)reg_wait(RCC_CR, RCC_CR_PLLI2SRDY, 1); /* without it no hop comes: the watchdog bites */
    reg_set(RCC_AHB1ENR, RCC_AHB1ENR_DMA1EN);
    reg_set(RCC_APB1ENR, RCC_APB1ENR_SPI2EN);

    reg_write(DMA1_S3CR, 0);
    (void)reg_wait(DMA1_S3CR, DMA1_S3CR_EN, 0);
    reg_write(DMA1_LIFCR, DMA1_LIFCR_CTCIF3 | DMA1_LIFCR_CHTIF3 | DMA1_LIFCR_CTEIF3 |
                              DMA1_LIFCR_CDMEIF3 | DMA1_LIFCR_CFEIF3);
    reg_write(DMA1_S3PAR, SPI2_DR);
    reg_write(DMA1_S3M0AR, (uint32_t)(uintptr_t)bits);
    reg_write(DMA1_S3NDTR, 2u * WS_PDM_WORDS);
    reg_write(DMA1_S3CR, reg_field(DMA1_S3CR_CHSEL, 0) | reg_field(DMA1_S3CR_MSIZE, HALF_WORD) |
                             reg_field(DMA1_S3CR_PSIZE, HALF_WORD) | DMA1_S3CR_MINC |
                             DMA1_S3CR_CIRC | DMA1_S3CR_HTIE | DMA1_S3CR_TCIE);
    reg_set(DMA1_S3CR, DMA1_S3CR_EN);
    reg_enable_interrupt(WS_IRQ_DMA1_Stream3, BOARD_MIC_PRIORITY);

    /* 16-bit frames, the clock high when idle: the bit is taken where the microphone holds it. */
    reg_write(SPI2_I2SPR, I2S_DIVIDE / 2u);
    reg_write(SPI2_I2SCFGR, SPI2_I2SCFGR_I2SMOD | reg_field(SPI2_I2SCFGR_I2SCFG, I2S_RECEIVE) |
                                SPI2_I2SCFGR_CKPOL);
    reg_set(SPI2_CR2, SPI2_CR2_RXDMAEN);
    reg_set(SPI2_I2SCFGR, SPI2_I2SCFGR_I2SE);
}

static void take(const uint16_t *words) {
    static int16_t pcm[WS_HOP];
    reg_barrier();
    ws_pdm_hop(&pdm, words, pcm);
    (void)ws_device_push(pcm);
}

void ws_on_DMA1_Stream3(void) {
    uint32_t flags = reg_read(DMA1_LISR);
    if (flags & DMA1_LISR_HTIF3) {
        reg_write(DMA1_LIFCR, DMA1_LIFCR_CHTIF3);
        take(bits[0]);
    }
    if (flags & DMA1_LISR_TCIF3) {
        reg_write(DMA1_LIFCR, DMA1_LIFCR_CTCIF3);
        take(bits[1]);
    }
}

bool ws_driver_ended(void) {
    return false;
}
