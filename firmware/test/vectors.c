/* Runs test vectors: reads `IN`, writes what each stage gave to `OUT`. boards/vectors.py writes
 * the one and reads the other.
 *
 *     in:  "WSV1", then records of u32 kind, u32 state, u32 count, then
 *          kind 1  count windows of WS_WINDOW int16                 front end
 *          kind 2  count columns of WS_BANDS int8, ending on a step network, every layer
 *          kind 3  count samples of int16                           all of the engine
 *     out: items of u32 record, u32 name bytes, u32 item bytes, u32 count, then name and values
 *
 * Everything little-endian, as are all machines here.
 */
#include <string.h>

#include "engine/word.h"
#include "programs/common/io.h"
#include "programs/common/text.h"
#include "ws_words.h"

void ws_trace(const char *stage, const int8_t *values, int count); /* called by the network */

enum { KIND_FRONTEND = 1, KIND_NETWORK = 2, KIND_STREAM = 3 };

static const ws_io *machine;
static int in, out;
static bool broken;  /* reading or writing failed */
static bool tracing; /* the last column of a window is being pushed */
static uint32_t record;
static ws_words_engine engine; /* of the first word */

static bool get(void *bytes, size_t count) {
    char *next = bytes;
    while (count > 0) {
        int32_t got = machine->read(in, next, count);
        if (got <= 0) return false;
        next += got;
        count -= (size_t)got;
    }
    return true;
}

static void put(const char *name, const void *values, size_t item, size_t count) {
    uint32_t head[4] = {record, (uint32_t)strlen(name), (uint32_t)item, (uint32_t)count};
    bool ok = machine->write(out, head, sizeof head) && machine->write(out, name, strlen(name)) &&
              machine->write(out, values, item * count);
    broken = broken || !ok;
}

void ws_trace(const char *stage, const int8_t *values, int count) {
    if (tracing) put(stage, values, 1, (size_t)count);
}

static bool frontend(uint32_t count) {
    static int16_t pcm[WS_WINDOW];
    static int32_t work[WS_FFT];
    int8_t features[WS_BANDS];
    int32_t q8[WS_BANDS];
    for (uint32_t i = 0; i < count; i++) {
        if (!get(pcm, sizeof pcm)) return false;
        ws_frontend(pcm, work, features);
        put("features", features, 1, WS_BANDS);
        ws_frontend_q8(pcm, work, q8);
        put("features_q8", q8, 4, WS_BANDS);
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
        if (!get(ws_word_column(word), WS_BANDS)) return false;
        tracing = i + 1 == count;
        step = ws_word_advance(word, outputs);
    }
    tracing = false;
    if (step) put("returned", outputs, 1, WS_OUTPUTS);
    return step;
}

static bool stream(uint32_t state, uint32_t count) {
    static int16_t pcm[1024];
    if (!start(state)) return false;
    while (count > 0) {
        uint32_t part = count < 1024u ? count : 1024u;
        if (!get(pcm, part * sizeof pcm[0])) return false;
        for (size_t used = 0; used < part;) {
            ws_event event;
            used += ws_push(&engine, pcm + used, part - used);
            while (ws_poll(&engine, &event)) {
                const ws_word_state *word = engine.engine.words;
                if (event.type == WS_EVENT_SCORE) {
                    put("stream_outputs", word->outputs[word->newest], 1, WS_OUTPUTS);
                    put("stream_score", &event.score, 2, 1);
                    put("stream_start", &event.start, 8, 1);
                    put("stream_end", &event.end, 8, 1);
                } else {
                    put("stream_wake", &event.sample, 8, 1);
                }
            }
        }
        count -= part;
    }
    return true;
}

static int fault(const char *problem) {
    ws_text text;
    ws_text_begin(&text, machine, machine->err);
    ws_text_add(&text, "vectors: record ");
    ws_text_number(&text, record, 1);
    ws_text_add(&text, ": ");
    ws_text_add(&text, problem);
    ws_text_char(&text, '\n');
    (void)ws_text_flush(&text);
    return 1;
}

int ws_program(const ws_io *io, int argc, const char *const *argv) {
    machine = io;
    char magic[4];
    uint32_t head[3];
    if (argc != 2) return fault("give the vector file and the result file");
    if ((in = io->open(argv[0])) < 0) return fault("the vector file cannot be opened");
    if ((out = io->create(argv[1])) < 0) return fault("the result file cannot be written");
    if (!get(magic, sizeof magic) || memcmp(magic, "WSV1", sizeof magic) != 0) {
        return fault("not a vector file");
    }
    for (record = 0; get(head, sizeof head); record++) {
        bool done =
            head[1] < WS_STATE_COUNT && (head[0] == KIND_FRONTEND  ? frontend(head[2])
                                         : head[0] == KIND_NETWORK ? network(head[1], head[2])
                                         : head[0] == KIND_STREAM  ? stream(head[1], head[2])
                                                                   : false);
        if (!done) return fault("unknown kind or state, cut off, or not ending on a step");
        if (broken) return fault("the result file cannot be written");
    }
    io->close(in);
    io->close(out);
    return 0;
}
