/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the frames of one wake, after more missed samples than the field of 32 bits holds. */
#include <stdio.h>

#include "uplink/uplink.h"

static size_t out(void *to, const uint8_t *bytes, size_t count) {
    (void)to;
    return fwrite(bytes, 1, count, stdout);
}

int main(void) {
    static ws_uplink uplink;
    static int16_t pcm[20000];
    ws_event wake = {.type = WS_EVENT_WAKE, .sample = 20000, .start = 12000, .end = 18000};
    ws_uplink_reset(&uplink);
    ws_uplink_switch(&uplink, true);
    for (int i = 0; i < 2; i++)
        ws_uplink_missed(&uplink, UINT32_MAX);
    ws_uplink_push(&uplink, pcm, 20000);
    ws_uplink_wake(&uplink, &wake);
    ws_uplink_input_ended(&uplink);
    while (ws_uplink_pump(&uplink, out, NULL)) {
    }
    return uplink.missed == 2 * (uint64_t)UINT32_MAX ? 0 : 1;
}
