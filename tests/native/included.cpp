/* SPDX-License-Identifier: Apache-2.0 */
// A program in C++ that includes every header of the engine; tests/qemu/test_cxx.py.
#include "programs/device/device.h"
#include "tiny.h"
#include "uplink/uplink.h"
#include "wakestate/ring.h"
#include "wakestate/wakestate.h"
#include "ws_toy.h"

static WS_ENGINE(toy) engine;
static ws_uplink uplink;
static tiny model;
static const int16_t sound[16000] = {1};
alignas(4) static int8_t in[TINY_IN_BYTES], out[TINY_OUT_BYTES];

static size_t count(void *to, const uint8_t *, size_t bytes) {
    *static_cast<size_t *>(to) += bytes;
    return bytes;
}

int main() {
    if (ws_init(&engine, &ws_toy, nullptr) != WS_OK || ws_set_state(&engine, 1) != WS_OK) return 1;
    ws_uplink_reset(&uplink);
    ws_uplink_switch(&uplink, true);
    ws_event event = ws_event();
    for (size_t used = 0; used < 16000;) {
        size_t took = ws_push(&engine, sound + used, 16000 - used);
        ws_uplink_push(&uplink, sound + used, took);
        used += took;
        while (ws_poll(&engine, &event)) {
        }
    }
    ws_uplink_wake(&uplink, &event);
    size_t bytes = 0;
    while (ws_uplink_pump(&uplink, count, &bytes)) {
    }
    tiny_reset(&model);
    tiny_run(&model, in, out);
    return event.sample > 0 && bytes > 0 && ws_toy.states[0] != nullptr ? 0 : 2;
}
