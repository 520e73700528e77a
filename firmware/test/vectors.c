/* SPDX-License-Identifier: Apache-2.0 */
/* Runs test vectors: reads `IN`, writes what each stage gave to `OUT`. boards/vectors.py writes
 * the one and reads the other.
 *
 *     in:  "WSV1", then records of u32 kind, u32 state, u32 count, then
 *          kind 1  count windows of WS_WINDOW int16                 front end
 *          kind 2  count columns of WS_BANDS int8, ending on a step network, every layer
 *          kind 3  count samples of int16                           all of the engine
 *     out: records.h
 */
#include "engine/word.h"
#include "records.h"
#include "ws_words.h"

enum { KIND_FRONTEND = 1, KIND_NETWORK = 2, KIND_STREAM = 3 };

static bool tracing;           /* the last column of a window is being pushed */
static ws_words_engine engine; /* of the first word */

/* Called by the network. */
void ws_trace(const char *stage, const int8_t *values, int count) {
    if (tracing) ws_records_put(stage, values, 1, (size_t)count);
}

static bool frontend(uint32_t count) {
    static int16_t pcm[WS_WINDOW];
    static int32_t work[WS_WORK];
    int8_t features[WS_BANDS];
    int32_t q8[WS_BANDS];
    for (uint32_t i = 0; i < count; i++) {
        if (!ws_records_get(pcm, sizeof pcm)) return false;
        ws_frontend(pcm, work, features);
        ws_records_put("features", features, 1, WS_BANDS);
        ws_frontend_q8(pcm, work, q8);
        ws_records_put("features_q8", q8, 4, WS_BANDS);
    }
    return true;
}

static bool start(uint32_t state) {
    return ws_init(&engine, ws_words_models[0], NULL) == WS_OK &&
           ws_restart(&engine, state) == WS_OK;
}

static bool network(uint32_t state, uint32_t count) {
    int8_t outputs[WS_OUTPUTS] = {0};
    bool step = false;
    if (!start(state)) return false;
    ws_word_state *word = engine.engine.words;
    for (uint32_t i = 0; i < count; i++) {
        if (!ws_records_get(ws_word_column(word), WS_BANDS)) return false;
        tracing = i + 1 == count;
        step = ws_word_advance(word, outputs);
    }
    tracing = false;
    if (step) ws_records_put("returned", outputs, 1, WS_OUTPUTS);
    return step;
}

static bool stream(uint32_t state, uint32_t count) {
    static int16_t pcm[1024];
    if (!start(state)) return false;
    while (count > 0) {
        uint32_t part = count < 1024u ? count : 1024u;
        if (!ws_records_get(pcm, part * sizeof pcm[0])) return false;
        for (size_t used = 0; used < part;) {
            ws_event event;
            used += ws_push(&engine, pcm + used, part - used);
            while (ws_poll(&engine, &event)) {
                const ws_word_state *word = engine.engine.words;
                if (event.type == WS_EVENT_SCORE) {
                    ws_records_put("stream_outputs", word->outputs[word->newest], 1, WS_OUTPUTS);
                    ws_records_put("stream_score", &event.score, 2, 1);
                    ws_records_put("stream_start", &event.start, 8, 1);
                    ws_records_put("stream_end", &event.end, 8, 1);
                } else {
                    ws_records_put("stream_wake", &event.sample, 8, 1);
                }
            }
        }
        count -= part;
    }
    return true;
}

int ws_program(int argc, const char *const *argv) {
    uint32_t head[3];
    const char *problem = ws_records_open(argc, argv, "WSV1");
    while (problem == NULL && ws_records_get(head, sizeof head)) {
        const uint32_t kind = head[0], state = head[1], count = head[2];
        bool done = state < WS_STATE_COUNT;
        if (kind == KIND_FRONTEND) {
            done = done && frontend(count);
        } else if (kind == KIND_NETWORK) {
            done = done && network(state, count);
        } else {
            done = done && kind == KIND_STREAM && stream(state, count);
        }
        if (!done) {
            problem = "unknown kind or state, cut off, or not ending on a step";
        } else {
            ws_record++;
        }
    }
    return ws_records_close(problem);
}
