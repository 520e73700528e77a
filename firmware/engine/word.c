/* SPDX-License-Identifier: Apache-2.0 */
#include "word.h"

#include <string.h>

static uint8_t *memory_of(ws_word_state *word) {
    return (uint8_t *)word + WS_RAM_UP(sizeof *word);
}

int8_t *ws_word_column(ws_word_state *word) {
    const ws_model *model = word->model;
    WS_ASSERT(word->phase < model->stride);
    return (int8_t *)memory_of(word) + model->columns + word->phase * model->lfbe->bands;
}

static bool advance(ws_word_state *word, int8_t out[WS_OUTPUTS], bool runs) {
    word->phase++;
    if (word->phase < word->model->stride) return false;
    word->phase = 0;
    if (runs) word->model->run(memory_of(word), out);
    return runs;
}

bool ws_word_advance(ws_word_state *word, int8_t out[WS_OUTPUTS]) {
    return advance(word, out, !word->config.off);
}

void ws_word_select(ws_word_state *word, unsigned state) {
    word->model->select(memory_of(word), state);
}

void ws_word_reset(ws_word_state *word, unsigned state, int8_t silence[WS_OUTPUTS]) {
    const ws_model *model = word->model;
    const unsigned stride = model->stride, hops = model->receptive_hops;
    model->reset(memory_of(word));
    model->select(memory_of(word), state);
    /* Steps end where a whole window does that begins with the first hop. */
    word->phase = (uint8_t)((stride - hops % stride) % stride);
    if (model->cold) {
        memset(silence, INT8_MIN, WS_OUTPUTS);
        return;
    }
    /* One step more than fills the window leaves the network as it is, and gives its outputs. */
    for (unsigned hop = 0; hop < (hops + 2u * stride - 1u) / stride * stride; hop++) {
        memset(ws_word_column(word), INT8_MIN, model->lfbe->bands);
        (void)advance(word, silence, true);
    }
}
