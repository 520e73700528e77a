/* SPDX-License-Identifier: Apache-2.0 */
// A program in C++ with two words and threads of its own; tests/qemu/test_words_together.py.
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "wakestate/wakestate.h"
#include "ws_alexa.h"
#include "ws_computer.h"

namespace {

WS_ENGINE2(alexa, computer) together;
WS_ENGINE(alexa) alone;
const ws_model *const words[] = {&ws_alexa, &ws_computer};

int steps(void *engine, const std::vector<std::int16_t> &pcm) {
    int count = 0;
    ws_event event{};
    for (std::size_t used = 0; used < pcm.size();) {
        used += ws_push(engine, pcm.data() + used, pcm.size() - used);
        while (ws_poll(engine, &event))
            count += event.type == WS_EVENT_SCORE ? 1 : 0;
    }
    return count;
}

}  // namespace

int main() {
    const std::vector<std::int16_t> pcm(16000, 1);
    ws_config configs[2] = {};
    configs[1].sensitivity = 10;
    if (ws_init_words(&together, words, 2, configs) != WS_OK) return 1;
    if (ws_init(&alone, &ws_alexa, nullptr) != WS_OK) return 2;
    int both = 0, one = 0;
    std::thread first([&] { both = steps(&together, pcm); });
    std::thread second([&] { one = steps(&alone, pcm); });
    first.join();
    second.join();
    std::printf("%d %d\n", one, both);
    return one > 0 && both == 2 * one && ws_words(&together) == 2 ? 0 : 3;
}
