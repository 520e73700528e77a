/* SPDX-License-Identifier: Apache-2.0 */
/* The least firmware with a compiled model, for its size: start-up, the model, its memory, no
 * printing. Input and output are words in memory, as drivers are not ours. It is linked and
 * measured, not run: it never ends. */
#include "platform/cortex-m/startup.h"
#include "ws_compiled.h"

volatile int8_t ws_image_sensor, ws_image_led;

int ws_board_main(void) {
    static ws_compiled model;
    static _Alignas(4) int8_t given[WS_COMPILED_IN], found[WS_COMPILED_OUT];
    ws_compiled_reset(&model);
    for (;;) {
        for (int i = 0; i < WS_COMPILED_IN; i++) {
            given[i] = ws_image_sensor;
        }
        ws_compiled_run(&model, given, found);
        for (int i = 0; i < WS_COMPILED_OUT; i++) {
            ws_image_led = found[i];
        }
    }
}
