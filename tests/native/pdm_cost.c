/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the ticks of one hop of the PDM filter, and of the half that follows a decimator in
 * hardware. */
#include "programs/common/text.h"
#include "programs/device/pdm.h"

#define SYST(offset) (*(volatile uint32_t *)(0xE000E010u + (offset)))

static uint16_t words[WS_PDM_WORDS];
static int16_t pcm[WS_HOP];
static ws_pdm pdm;

static uint32_t ticks(void (*call)(void)) {
    SYST(8) = 0;
    call();
    return 0xFFFFFFu - SYST(8);
}

static void whole(void) {
    ws_pdm_hop(&pdm, words, pcm);
}
static void half(void) {
    ws_halfband_hop(&pdm.half, pcm);
}

int ws_program(int argc, const char *const *argv) {
    (void)argc, (void)argv;
    for (unsigned i = 0; i < WS_PDM_WORDS; i++)
        words[i] = (uint16_t)(i * 40503u);
    ws_pdm_reset(&pdm, 0);
    SYST(4) = 0xFFFFFFu;
    SYST(0) = 5;
    ws_text text;
    ws_text_begin(&text, ws_io_write, ws_io.out);
    ws_text_number(&text, ticks(whole), 1);
    ws_text_char(&text, ' ');
    ws_text_number(&text, ticks(half), 1);
    return !ws_text_flush(&text);
}
