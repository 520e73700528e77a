/* SPDX-License-Identifier: Apache-2.0 */
/* The nRF52840's PDM interface: it decimates to 16 kHz itself, into one of two buffers by DMA. */
#include "../chips/nrf52840.h"
#include "programs/device/driver.h"
#include "programs/device/pdm.h"

#define FREQUENCY_1280_KHZ 0x0A000000u /* / 80 is 16 kHz */
#define DIVIDE_BY_80 1u
#define GAIN_0_DB 0x28u /* and half a dB a step */

_Static_assert(BOARD_MIC_HZ == 1280000 && WS_SAMPLE_RATE == 16000, "1.28 MHz / 80");

static int16_t buffers[2][WS_HOP];
static unsigned filling; /* index of the buffer that DMA fills */

static void fill(unsigned index) {
    reg_barrier();
    reg_write(PDM_SAMPLE_PTR, (uint32_t)(uintptr_t)buffers[index]);
}

void ws_driver_listen(void) {
    filling = 0;
    pin_write(BOARD_MIC_CLOCK_PORT, BOARD_MIC_CLOCK_PIN, false);
    pin_configure(BOARD_MIC_CLOCK_PORT, BOARD_MIC_CLOCK_PIN, PIN_OUTPUT);
    pin_configure(BOARD_MIC_DATA_PORT, BOARD_MIC_DATA_PIN, PIN_INPUT);
    pin_write(BOARD_MIC_POWER_PORT, BOARD_MIC_POWER_PIN, true);
    pin_configure(BOARD_MIC_POWER_PORT, BOARD_MIC_POWER_PIN, PIN_OUTPUT);

    reg_write(PDM_PSEL_CLK, pin_select(BOARD_MIC_CLOCK_PORT, BOARD_MIC_CLOCK_PIN));
    reg_write(PDM_PSEL_DIN, pin_select(BOARD_MIC_DATA_PORT, BOARD_MIC_DATA_PIN));
    reg_write(PDM_PDMCLKCTRL, FREQUENCY_1280_KHZ);
    reg_write(PDM_RATIO, DIVIDE_BY_80);
    reg_write(PDM_MODE, PDM_MODE_OPERATION); /* mono, the left bit: at the clock's falling edge */
    reg_write(PDM_GAINL, GAIN_0_DB + 2u * BOARD_MIC_GAIN_DB);
    reg_write(PDM_SAMPLE_MAXCNT, WS_HOP);
    fill(0);
    reg_write(PDM_EVENTS_STARTED, 0);
    reg_write(PDM_EVENTS_END, 0);
    reg_write(PDM_INTENSET, PDM_INTENSET_STARTED | PDM_INTENSET_END);
    reg_write(PDM_ENABLE, PDM_ENABLE_ENABLE);
    reg_enable_interrupt(WS_IRQ_PDM, BOARD_MIC_PRIORITY);
    reg_write(PDM_TASKS_START, 1);
}

/* STARTED: the pointer was taken, and may be set for the time after. END: a buffer is full, and
 * the other one is begun by the hardware itself. */
void ws_on_PDM(void) {
    if (reg_read(PDM_EVENTS_END) != 0) {
        reg_write(PDM_EVENTS_END, 0);
        reg_barrier();
        (void)ws_device_push(buffers[filling]);
        filling ^= 1u;
    }
    if (reg_read(PDM_EVENTS_STARTED) != 0) {
        reg_write(PDM_EVENTS_STARTED, 0);
        fill(filling ^ 1u);
    }
}

bool ws_driver_ended(void) {
    return false;
}
