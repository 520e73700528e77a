/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of a microphone and the device program, on a chip in QEMU: the microphone's
 * interrupt takes long, and a byte must come in meanwhile. It prints "in the handler", and then
 * which byte came, or "none" after PATIENCE looks. */
#include <stdbool.h>

#include "board_facts.h"
#include "board_registers.h"
#include "platform/cortex-m/registers.h"
#include "platform/cortex-m/startup.h"
#include "programs/device/driver.h"

#define NVIC_ISPR0 0xE000E200u

static volatile bool done;

void ws_on_DMA1_Stream3(void) {
    int byte = -1;
    ws_driver_send("in the handler\n", 15);
    for (uint32_t i = 0; i < PATIENCE && byte < 0; i++) {
        byte = ws_driver_receive();
    }
    char text[] = "x came\n";
    text[0] = (char)byte;
    if (byte < 0) {
        ws_driver_send("none\n", 5);
    } else {
        ws_driver_send(text, sizeof text - 1);
    }
    done = true;
}

bool ws_driver_ended(void) {
    return false;
}

void ws_driver_listen(void) {
}

int ws_board_main(void) {
    (void)ws_driver_start();
    reg_enable_interrupt(WS_IRQ_DMA1_Stream3, BOARD_MIC_PRIORITY);
    reg_write(NVIC_ISPR0 + WS_IRQ_DMA1_Stream3 / 32u * 4u, 1u << WS_IRQ_DMA1_Stream3 % 32u);
    while (!done) {
    }
    return 0;
}
