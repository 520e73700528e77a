/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detector.h"
#include "word.h"

#define PENDING(type) ((uint8_t)(1u << (unsigned)(type)))

/* The front end's memory: what it works in, then the newest window of PCM. */
static int32_t *work_of(ws_engine *engine) {
    return (int32_t *)(void *)((uint8_t *)engine + WS_RAM_UP(sizeof *engine));
}

static int16_t *window_of(ws_engine *engine) {
    return (int16_t *)(void *)(work_of(engine) + engine->lfbe->work);
}

static bool same_name(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static ws_status check(const ws_model *const *models, unsigned count, const ws_config *configs) {
    if (models == NULL || count == 0 || count > UINT8_MAX) return WS_ERROR_WORD;
    for (unsigned i = 0; i < count; i++) {
        const ws_model *model = models[i], *first = models[0];
        if (model == NULL) return WS_ERROR_WORD;
        if (model->schema != WS_SCHEMA) return WS_ERROR_SCHEMA;
        if (model->lfbe_hash != model->lfbe->hash || model->lfbe_hash != first->lfbe_hash) {
            return WS_ERROR_FRONTEND;
        }
        if (model->state_count != first->state_count) return WS_ERROR_WORD;
        for (unsigned state = 0; state < model->state_count; state++) {
            if (!same_name(model->states[state], first->states[state])) return WS_ERROR_WORD;
        }
        if (model->smoothing > WS_SMOOTHING_MAX ||
            (configs != NULL && configs[i].smoothing > WS_SMOOTHING_MAX)) {
            return WS_ERROR_CONFIG;
        }
    }
    return WS_OK;
}

ws_status ws_init_words(void *memory, const ws_model *const *models, unsigned count,
                        const ws_config *configs) {
    ws_engine *engine = memory;
    if (engine == NULL) return WS_ERROR_ENGINE;
    WS_ASSERT(((uintptr_t)memory & 7u) == 0);
    memset(engine, 0, sizeof *engine);
    const ws_status status = check(models, count, configs);
    if (status != WS_OK) return status;

    const ws_lfbe *lfbe = models[0]->lfbe;
    uint8_t *at = (uint8_t *)engine + WS_RAM_OF_LFBE(lfbe->work, lfbe->window);
    ws_word_state **link = &engine->words;
    engine->lfbe = lfbe;
    for (unsigned i = 0; i < count; i++) {
        ws_word_state *word = (ws_word_state *)(void *)at;
        memset(word, 0, sizeof *word);
        word->model = models[i];
        if (configs != NULL) word->config = configs[i];
        *link = word;
        link = &word->next;
        at += WS_RAM_OF_WORD(models[i]->ram);
    }
    return ws_restart(engine, WS_DEFAULT_STATE);
}

ws_status ws_init(void *engine, const ws_model *model, const ws_config *config) {
    return ws_init_words(engine, &model, 1, config);
}

ws_status ws_restart(void *memory, unsigned state) {
    ws_engine *engine = memory;
    if (engine == NULL || engine->words == NULL) return WS_ERROR_ENGINE;
    if (state >= engine->words->model->state_count) return WS_ERROR_STATE;
    for (ws_word_state *word = engine->words; word != NULL; word = word->next) {
        int8_t silence[WS_OUTPUTS];
        ws_word_reset(word, state, silence);
        ws_detector_reset(word, silence);
    }
    memset(work_of(engine), 0, 4u * engine->lfbe->work + 2u * engine->lfbe->window);
    engine->samples = engine->muted = 0;
    engine->room = engine->lfbe->window;
    engine->state = (uint8_t)state;
    return WS_OK;
}

static ws_word_state *word_at(const ws_engine *engine, unsigned number) {
    ws_word_state *word = engine == NULL ? NULL : engine->words;
    for (; word != NULL && number > 0; number--) {
        word = word->next;
    }
    return word;
}

ws_status ws_configure(void *engine, unsigned number, const ws_config *config) {
    ws_word_state *word = word_at(engine, number);
    if (word == NULL || config == NULL) return WS_ERROR_WORD;
    if (config->smoothing > WS_SMOOTHING_MAX) return WS_ERROR_CONFIG;
    if (word->config.off && !config->off) {
        word->refractory = (uint32_t)word->model->receptive_hops * word->model->lfbe->hop;
    }
    word->config = *config;
    /* Near misses were scored with the old settings: neither the open one nor one to be polled.
     */
    word->near_open = false;
    word->pending = (uint8_t)(word->pending & ~PENDING(WS_EVENT_NEAR_MISS));
    return WS_OK;
}

ws_status ws_set_state(void *memory, unsigned state) {
    ws_engine *engine = memory;
    if (engine == NULL || engine->words == NULL) return WS_ERROR_ENGINE;
    if (state >= engine->words->model->state_count) return WS_ERROR_STATE;
    engine->state = (uint8_t)state;
    for (ws_word_state *word = engine->words; word != NULL; word = word->next) {
        ws_word_select(word, state);
    }
    return WS_OK;
}

void ws_mute(void *memory, uint64_t samples) {
    ws_engine *engine = memory;
    if (engine == NULL) return;
    const uint64_t left = WS_FOREVER - engine->samples;
    engine->muted = samples == 0 ? 0 : engine->samples + (samples < left ? samples : left);
}

/* The window is full: one hop through front end and networks; true after a step of any. */
static bool hop(ws_engine *engine) {
    const ws_lfbe *lfbe = engine->lfbe;
    int16_t *window = window_of(engine);
    int8_t *column = ws_word_column(engine->words);
    lfbe->column(window, work_of(engine), column);
    memmove(window, window + lfbe->hop, (size_t)(lfbe->window - lfbe->hop) * sizeof window[0]);
    engine->room = lfbe->hop;

    for (ws_word_state *word = engine->words->next; word != NULL; word = word->next) {
        memcpy(ws_word_column(word), column, lfbe->bands);
    }
    bool stepped = false;
    for (ws_word_state *word = engine->words; word != NULL; word = word->next) {
        int8_t out[WS_OUTPUTS];
        if (!ws_word_advance(word, out)) continue;
        const ws_decision decision =
            ws_detector_push(word, out, engine->state, engine->samples < engine->muted);
        word->state = engine->state;
        word->pending = PENDING(WS_EVENT_SCORE);
        if (decision.wake) word->pending |= PENDING(WS_EVENT_WAKE);
        if (decision.near_miss) word->pending |= PENDING(WS_EVENT_NEAR_MISS);
        stepped = true;
    }
    return stepped;
}

size_t ws_push(void *memory, const int16_t *pcm, size_t samples) {
    ws_engine *engine = memory;
    if (engine == NULL || pcm == NULL || engine->words == NULL) {
        return samples; /* a caller's loop ends as ever */
    }
    size_t used = 0;
    while (used < samples) {
        size_t count = engine->room;
        if (count > samples - used) count = samples - used;
        memcpy(window_of(engine) + engine->lfbe->window - engine->room, pcm + used,
               count * sizeof *pcm);
        engine->room = (uint16_t)(engine->room - count);
        engine->samples += count;
        used += count;
        if (engine->room == 0 && hop(engine)) break;
    }
    return used;
}

/* Where the window of a word's newest step ended: before what was pushed since. */
static uint64_t step_end(const ws_engine *engine, const ws_word_state *word) {
    const uint32_t hop = engine->lfbe->hop;
    return engine->samples - (hop - engine->room) - (uint64_t)word->phase * hop;
}

bool ws_poll(void *memory, ws_event *event) {
    ws_engine *engine = memory;
    if (engine == NULL || event == NULL) return false;
    uint8_t number = 0;
    for (ws_word_state *word = engine->words; word != NULL; word = word->next, number++) {
        if (word->pending == 0) continue;
        unsigned type = WS_EVENT_SCORE;
        while ((word->pending & PENDING(type)) == 0) {
            type++;
        }
        word->pending = (uint8_t)(word->pending & ~PENDING(type));
        event->type = (ws_event_type)type;
        event->word = number;
        event->state = word->state;
        event->sample = step_end(engine, word);
        if (type == WS_EVENT_NEAR_MISS) {
            ws_detector_near_miss(word, event);
        } else {
            ws_detector_event(word, event);
        }
        return true;
    }
    return false;
}

unsigned ws_words(const void *memory) {
    const ws_engine *engine = memory;
    unsigned count = 0;
    for (const ws_word_state *word = word_at(engine, 0); word != NULL; word = word->next) {
        count++;
    }
    return count;
}

const ws_model *ws_word_model(const void *engine, unsigned number) {
    const ws_word_state *word = word_at(engine, number);
    return word == NULL ? NULL : word->model;
}
