/* SPDX-License-Identifier: Apache-2.0 */
/* The microphone of an emulated board: a WAV file given as semihosting argument, a hop for each
 * SysTick interrupt as a DMA would give it. */
#include "board_facts.h"
#include "platform/cortex-m/registers.h"
#include "platform/cortex-m/startup.h"
#include "platform/semihosting/semihosting.h"
#include "programs/common/wav.h"
#include "programs/device/driver.h"

#define SYST_CSR_RUN 7u /* enabled, with interrupt, of the core's clock */
#define SHPR3_SYSTICK (0xFFu << 24)

static ws_wav wav;
static volatile bool ended; /* the interrupt writes it */

void ws_systick(void) {
    static int16_t pcm[WS_HOP];
    if (ended) return;
    for (size_t got = 0; got < WS_HOP;) {
        size_t part = ws_wav_read(&wav, pcm + got, WS_HOP - got);
        ended = part == 0;
        if (ended) return;
        got += part;
    }
    (void)ws_device_push(pcm);
}

bool ws_driver_ended(void) {
    return ended;
}

void ws_driver_listen(void) {
    static char path[1024];
    int file = ws_semihosting_arguments(path, sizeof path) ? ws_io_open(path) : -1;
    ended = file < 0 || !ws_wav_open(&wav, file, false);
#ifdef BOARD_MIC_PRIORITY
    reg_change(SCB_SHPR3, SHPR3_SYSTICK, BOARD_MIC_PRIORITY);
#endif
    reg_write(SYST_RVR, BOARD_CLOCK_HZ / WS_SAMPLE_RATE * WS_HOP - 1u);
    reg_write(SYST_CVR, 0);
    reg_write(SYST_CSR, SYST_CSR_RUN);
}
