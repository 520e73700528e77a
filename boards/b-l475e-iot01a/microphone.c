/* SPDX-License-Identifier: Apache-2.0 */
/* STM32L475: the DFSDM takes two microphones' bits and sums them to 32 kHz (fourth order, 50 bits),
 * DMA collects both, and the half-rate filter of pdm.c makes 16 kHz of their sum.
 *
 * Both microphones share one data line, each on its own clock edge: channel 2 takes the rising
 * one; channel 1 looks at channel 2's pin, and takes the falling one.
 *
 * Full scale: 2 x 50^4 is 2.55 dB below that of pdm.c. RM0351, 24.4 and 24.7; 11.4 for DMA. */
#include "../chips/stm32.h"
#include "programs/device/driver.h"
#include "programs/device/pdm.h"

#define CLOCK_FUNCTION 6u /* of both pins: DFSDM1 */
#define SUM_BITS 50u
#define SINC4 4u
#define SPI_RISING 0u
#define SPI_FALLING 1u
#define SPI_OWN_CLOCK 1u /* SPICKSEL: CKOUT */
#define WORD 2u          /* DMA sizes: 32 bits */

_Static_assert(BOARD_MIC_HZ / SUM_BITS == 2 * WS_SAMPLE_RATE, "stage 2 halves the rate");
_Static_assert(BOARD_CLOCK_HZ % BOARD_MIC_HZ == 0, "a whole divider");

static ws_halfband half;
static int32_t left[2][WS_HALFBAND_SAMPLES], right[2][WS_HALFBAND_SAMPLES]; /* two buffers each */

void ws_driver_listen(void) {
    ws_halfband_reset(&half, BOARD_MIC_GAIN_DB);
    pin_function(BOARD_MIC_CLOCK_PORT, BOARD_MIC_CLOCK_PIN, CLOCK_FUNCTION);
    pin_function(BOARD_MIC_DATA_PORT, BOARD_MIC_DATA_PIN, CLOCK_FUNCTION);
    reg_set(RCC_AHB1ENR, RCC_AHB1ENR_DMA1EN);
    reg_set(RCC_CCIPR, RCC_CCIPR_DFSDMSEL); /* the system clock */
    reg_set(RCC_APB2ENR, RCC_APB2ENR_DFSDMEN);

    /* DMA: filter 0 on channel 4, filter 1 on channel 5, both request 0; circular, words. */
    reg_change(DMA1_CSELR, DMA1_CSELR_C4S, 0);
    reg_change(DMA1_CSELR, DMA1_CSELR_C5S, 0);
    reg_write(DMA1_CPAR4, DFSDM_DFSDM0_RDATAR);
    reg_write(DMA1_CMAR4, (uint32_t)(uintptr_t)left);
    reg_write(DMA1_CNDTR4, 2u * WS_HALFBAND_SAMPLES);
    reg_write(DMA1_CCR4, reg_field(DMA1_CCR4_MSIZE, WORD) | reg_field(DMA1_CCR4_PSIZE, WORD) |
                             DMA1_CCR4_MINC | DMA1_CCR4_CIRC | DMA1_CCR4_EN);
    reg_write(DMA1_CPAR5, DFSDM_DFSDM1_RDATAR);
    reg_write(DMA1_CMAR5, (uint32_t)(uintptr_t)right);
    reg_write(DMA1_CNDTR5, 2u * WS_HALFBAND_SAMPLES);
    reg_write(DMA1_CCR5, reg_field(DMA1_CCR5_MSIZE, WORD) | reg_field(DMA1_CCR5_PSIZE, WORD) |
                             DMA1_CCR5_MINC | DMA1_CCR5_CIRC | DMA1_CCR5_HTIE | DMA1_CCR5_TCIE |
                             DMA1_CCR5_EN);
    reg_enable_interrupt(WS_IRQ_DMA1_Channel5, BOARD_MIC_PRIORITY);

    /* Channels: set up, then the output clock, the whole on, and the channels. */
    reg_write(DFSDM_CHCFG2R1, reg_field(DFSDM_CHCFG2R1_SPICKSEL, SPI_OWN_CLOCK) |
                                  reg_field(DFSDM_CHCFG2R1_SITP, SPI_RISING));
    reg_write(DFSDM_CHCFG1R1, reg_field(DFSDM_CHCFG1R1_SPICKSEL, SPI_OWN_CLOCK) |
                                  reg_field(DFSDM_CHCFG1R1_SITP, SPI_FALLING) |
                                  DFSDM_CHCFG1R1_CHINSEL);
    reg_write(DFSDM_CHCFG0R1,
              reg_field(DFSDM_CHCFG0R1_CKOUTDIV, BOARD_CLOCK_HZ / BOARD_MIC_HZ - 1u));
    reg_set(DFSDM_CHCFG0R1, DFSDM_CHCFG0R1_DFSDMEN);
    reg_set(DFSDM_CHCFG2R1, DFSDM_CHCFG2R1_CHEN);
    reg_set(DFSDM_CHCFG1R1, DFSDM_CHCFG1R1_CHEN);

    /* Filters: 0 takes channel 2, 1 takes channel 1 and starts with 0. */
    uint32_t sums =
        reg_field(DFSDM_DFSDM0_FCR_FORD, SINC4) | reg_field(DFSDM_DFSDM0_FCR_FOSR, SUM_BITS - 1u);
    reg_write(DFSDM_DFSDM0_FCR, sums);
    reg_write(DFSDM_DFSDM1_FCR, sums);
    reg_write(DFSDM_DFSDM1_CR1, reg_field(DFSDM_DFSDM1_CR1_RCH, 1) | DFSDM_DFSDM1_CR1_RDMAEN |
                                    DFSDM_DFSDM1_CR1_RCONT | DFSDM_DFSDM1_CR1_RSYNC |
                                    DFSDM_DFSDM1_CR1_FAST);
    reg_set(DFSDM_DFSDM1_CR1, DFSDM_DFSDM1_CR1_DFEN);
    reg_write(DFSDM_DFSDM0_CR1, reg_field(DFSDM_DFSDM0_CR1_RCH, 2) | DFSDM_DFSDM0_CR1_RDMAEN |
                                    DFSDM_DFSDM0_CR1_RCONT | DFSDM_DFSDM0_CR1_FAST);
    reg_set(DFSDM_DFSDM0_CR1, DFSDM_DFSDM0_CR1_DFEN);
    reg_set(DFSDM_DFSDM0_CR1, DFSDM_DFSDM0_CR1_RSWSTART);
}

/* The data are in the upper 24 bits, the channel in the lowest. */
static void take(const int32_t *first, const int32_t *second) {
    static int16_t pcm[WS_HOP];
    int32_t *input = ws_halfband_input(&half);
    reg_barrier();
    for (unsigned i = 0; i < WS_HALFBAND_SAMPLES; i++) {
        input[i] = (first[i] >> 8) + (second[i] >> 8);
    }
    ws_halfband_hop(&half, pcm);
    (void)ws_device_push(pcm);
}

/* Both filters end a value at once; DMA then serves channel 4 first, so it is done as well. */
void ws_on_DMA1_Channel5(void) {
    uint32_t flags = reg_read(DMA1_ISR);
    if (flags & DMA1_ISR_HTIF5) {
        reg_write(DMA1_IFCR, DMA1_IFCR_CHTIF5);
        take(left[0], right[0]);
    }
    if (flags & DMA1_ISR_TCIF5) {
        reg_write(DMA1_IFCR, DMA1_IFCR_CTCIF5);
        take(left[1], right[1]);
    }
}

bool ws_driver_ended(void) {
    return false;
}
