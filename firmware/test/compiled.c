/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a compiled model on inputs from a file, for tests, on the host and on every board:
 *
 *     compiled INPUTS RESULTS
 *
 *     in:  "WSC1", then sequences of u32 runs and, for each run, WS_COMPILED_IN bytes; the model is
 *          reset before each sequence
 *     out: records.h; the record is the number of the run: "out", and linked with the traced model
 *          every step's result before it
 */
#include "records.h"
#include "ws_compiled.h"

static ws_compiled model;
static _Alignas(4) int8_t given[WS_COMPILED_IN], found[WS_COMPILED_OUT];

/* Called by the model. */
void ws_trace(const char *stage, const int8_t *values, int count) {
    ws_records_put(stage, values, 1, (size_t)count);
}

int ws_program(int argc, const char *const *argv) {
    uint32_t runs;
    const char *problem = ws_records_open(argc, argv, "WSC1");
    while (problem == NULL && ws_records_get(&runs, sizeof runs)) {
        ws_compiled_reset(&model);
        for (; problem == NULL && runs > 0; runs--, ws_record++) {
            if (!ws_records_get(given, sizeof given)) problem = "the input file is cut off";
            ws_compiled_run(&model, given, found);
            ws_trace("out", found, (int)sizeof found);
        }
    }
    return ws_records_close(problem);
}
