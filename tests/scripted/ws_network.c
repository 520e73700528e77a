#include <string.h>

#include "ws_model.h"

#ifndef SCRIPTED_HASH
#define SCRIPTED_HASH 0xC0FFEEu
#endif
#ifdef WS_TRACE
void ws_trace(const char *stage, const int8_t *values, int count);
#endif

const uint32_t ws_network_frontend_hash = SCRIPTED_HASH;

static const int8_t offsets[WS_STATES] = {0, 1, 2, 3};

void ws_network_state(ws_network *network, unsigned state) {
    network->table = &offsets[state];
}

void ws_network_reset(ws_network *network, unsigned state) {
    memset(network, 0, sizeof *network);
    memset(network->arena, -128, sizeof network->arena);
    ws_network_state(network, state);
}

bool ws_network_push(ws_network *network, const int8_t column[WS_BANDS], int8_t out[WS_OUTPUTS]) {
    memcpy(network->arena, column, sizeof network->arena);
    if (++network->phase < WS_STRIDE) {
        return false;
    }
    network->phase = 0;
    int sum = network->arena[0] + *network->table;
    out[WS_OUT_LOGIT] = (int8_t)(sum > 127 ? 127 : sum);
    out[WS_OUT_START] = 40 + WS_ENDPOINT_ZERO;
    out[WS_OUT_END] = 5 + WS_ENDPOINT_ZERO;
#ifdef WS_TRACE
    ws_trace("copy", network->arena, WS_BANDS);
#endif
    return true;
}
