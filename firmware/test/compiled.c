/* Runs a compiled model on inputs from a file, for tests, on the host and on every board:
 *
 *     compiled INPUTS RESULTS
 *
 *     in:  "WSC1", then sequences of u32 runs and, for each run, WS_COMPILED_IN bytes; the model is
 *          reset before each sequence
 *     out: as vectors.c writes it, the record being the number of the run: "out", and linked with
 *          the traced model every step's result before it
 *
 * Everything little-endian, as are all machines here.
 */
#include <string.h>

#include "programs/common/text.h"
#include "ws_compiled.h"

void ws_trace(const char *stage, const int8_t *values, int count); /* called by the model */

static const ws_io *machine;
static int in, out;
static bool broken; /* writing failed */
static uint32_t record;
static ws_compiled model;
static _Alignas(4) int8_t given[WS_COMPILED_IN], found[WS_COMPILED_OUT];

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

void ws_trace(const char *stage, const int8_t *values, int count) {
    uint32_t head[4] = {record, (uint32_t)strlen(stage), 1, (uint32_t)count};
    bool ok = machine->write(out, head, sizeof head) && machine->write(out, stage, strlen(stage)) &&
              machine->write(out, values, (size_t)count);
    broken = broken || !ok;
}

static int fault(const char *problem) {
    ws_text text;
    ws_text_begin(&text, machine, machine->err);
    ws_text_add(&text, "compiled: ");
    ws_text_add(&text, problem);
    ws_text_char(&text, '\n');
    (void)ws_text_flush(&text);
    return 1;
}

int ws_program(const ws_io *io, int argc, const char *const *argv) {
    machine = io;
    char magic[4];
    uint32_t runs;
    if (argc != 2) return fault("give the input file and the result file");
    if ((in = io->open(argv[0])) < 0) return fault("the input file cannot be opened");
    if ((out = io->create(argv[1])) < 0) return fault("the result file cannot be written");
    if (!get(magic, sizeof magic) || memcmp(magic, "WSC1", sizeof magic) != 0) {
        return fault("not an input file");
    }
    while (get(&runs, sizeof runs)) {
        ws_compiled_reset(&model);
        for (; runs > 0; runs--, record++) {
            if (!get(given, sizeof given)) return fault("the input file is cut off");
            ws_compiled_run(&model, given, found);
            ws_trace("out", found, (int)sizeof found);
        }
    }
    io->close(in);
    io->close(out);
    return broken ? fault("the result file cannot be written") : 0;
}
