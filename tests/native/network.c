/* A generated network behind plain functions, for tests/executors.py (ctypes). */
#include <string.h>

#include "ws_model.h"

static ws_network network;
static int8_t *sink; /* where traced columns go, one after another; NULL: nowhere */

void ws_trace(const char *stage, const int8_t *values, int count);
void test_reset(unsigned state, int8_t *trace);
void test_state(unsigned state);
int test_push(const int8_t *column, int8_t *out);
int test_arena(void);

void ws_trace(const char *stage, const int8_t *values, int count) {
    (void)stage;
    if (sink) {
        memcpy(sink, values, (size_t)count);
        sink += count;
    }
}

/* Reset; from then on every layer's column goes to `trace`. */
void test_reset(unsigned state, int8_t *trace) {
    sink = NULL;
    ws_network_reset(&network, state);
    sink = trace;
}

void test_state(unsigned state) {
    ws_network_state(&network, state);
}

int test_push(const int8_t *column, int8_t *out) {
    return ws_network_push(&network, column, out);
}

int test_arena(void) {
    return WS_ARENA_BYTES;
}
