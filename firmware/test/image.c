/* SPDX-License-Identifier: Apache-2.0 */
/* The least firmware that wakes, for its size: start-up, engine, model, and no printing. The
 * microphone, the application's state and its LED are words in memory, as drivers are not ours.
 * It is linked and measured, not run: it never ends. */
#include "platform/cortex-m/startup.h"
#include "ws_words.h"

volatile int16_t ws_image_microphone;
volatile uint8_t ws_image_state;
volatile bool ws_image_led;

int ws_board_main(void) {
    static ws_words_engine engine;
    static int16_t pcm[WS_HOP];
    if (ws_init_words(&engine, ws_words_models, WS_WORD_COUNT, NULL) != WS_OK) return 1;
    for (;;) {
        for (int i = 0; i < WS_HOP; i++) {
            pcm[i] = ws_image_microphone;
        }
        (void)ws_set_state(&engine, ws_image_state);
        for (size_t used = 0; used < WS_HOP;) {
            ws_event event;
            used += ws_push(&engine, pcm + used, WS_HOP - used);
            while (ws_poll(&engine, &event)) {
                if (event.type == WS_EVENT_WAKE) ws_image_led = true;
            }
        }
    }
}
