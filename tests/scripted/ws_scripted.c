/* SPDX-License-Identifier: Apache-2.0 */
#include "ws_scripted.h"

#include <string.h>

#ifndef SCRIPTED_SCHEMA
#define SCRIPTED_SCHEMA WS_SCHEMA
#endif
#ifndef SCRIPTED_HASH
#define SCRIPTED_HASH 0xC0FFEEu
#endif
#ifdef WS_TRACE
void ws_trace(const char *stage, const int8_t *values, int count);
#endif

enum { STRIDE = 3, STATES = 4, ZERO = -10 };

struct layers {
    const int8_t *offset; /* of the state */
    int8_t columns[STRIDE * WS_BANDS];
};

static const int8_t offsets[STATES] = {0, 1, 2, 3};

static void network_reset(void *memory) {
    memset(memory, -128, sizeof(struct layers));
}

static void network_select(void *memory, unsigned state) {
    ((struct layers *)memory)->offset = &offsets[state];
}

static void network_run(void *memory, int8_t out[WS_OUTPUTS]) {
    const struct layers *layers = memory;
    const int8_t *newest = layers->columns + (STRIDE - 1) * WS_BANDS;
    int sum = newest[0] + *layers->offset;
    out[WS_OUT_LOGIT] = (int8_t)(sum > 127 ? 127 : sum);
    out[WS_OUT_START] = 40 + ZERO;
    out[WS_OUT_END] = 5 + ZERO;
#ifdef WS_TRACE
    ws_trace("copy", newest, WS_BANDS);
#endif
}

static const char *const states[STATES] = {
    "player=idle,volume=low",
    "player=idle,volume=high",
    "player=music,volume=low",
    "player=music,volume=high",
};

static const int16_t thresholds[STATES] = {150, 150, 300, 300};

/* 32768 / (1 + exp(-q / 16)) */
static const uint16_t probability[256] = {
    11,    12,    12,    13,    14,    15,    16,    17,    18,    19,    21,    22,    23,
    25,    26,    28,    30,    32,    34,    36,    38,    41,    43,    46,    49,    52,
    56,    59,    63,    67,    72,    76,    81,    86,    92,    98,    104,   111,   118,
    125,   133,   142,   151,   161,   171,   182,   194,   206,   219,   233,   248,   264,
    281,   299,   318,   338,   360,   383,   407,   433,   461,   490,   521,   554,   589,
    627,   666,   708,   753,   800,   851,   904,   961,   1021,  1084,  1152,  1223,  1299,
    1379,  1464,  1554,  1649,  1750,  1856,  1969,  2088,  2213,  2346,  2486,  2633,  2789,
    2952,  3124,  3306,  3496,  3696,  3906,  4126,  4357,  4599,  4851,  5115,  5391,  5678,
    5978,  6289,  6613,  6949,  7297,  7658,  8031,  8416,  8813,  9221,  9641,  10072, 10513,
    10964, 11424, 11894, 12371, 12856, 13348, 13845, 14347, 14852, 15361, 15872, 16384, 16896,
    17407, 17916, 18421, 18923, 19420, 19912, 20397, 20874, 21344, 21804, 22255, 22696, 23127,
    23547, 23955, 24352, 24737, 25110, 25471, 25819, 26155, 26479, 26790, 27090, 27377, 27653,
    27917, 28169, 28411, 28642, 28862, 29072, 29272, 29462, 29644, 29816, 29979, 30135, 30282,
    30422, 30555, 30680, 30799, 30912, 31018, 31119, 31214, 31304, 31389, 31469, 31545, 31616,
    31684, 31747, 31807, 31864, 31917, 31968, 32015, 32060, 32102, 32141, 32179, 32214, 32247,
    32278, 32307, 32335, 32361, 32385, 32408, 32430, 32450, 32469, 32487, 32504, 32520, 32535,
    32549, 32562, 32574, 32586, 32597, 32607, 32617, 32626, 32635, 32643, 32650, 32657, 32664,
    32670, 32676, 32682, 32687, 32692, 32696, 32701, 32705, 32709, 32712, 32716, 32719, 32722,
    32725, 32727, 32730, 32732, 32734, 32736, 32738, 32740, 32742, 32743, 32745, 32746, 32747,
    32749, 32750, 32751, 32752, 32753, 32754, 32755, 32756, 32756,
};

const ws_model ws_scripted = {
    .schema = SCRIPTED_SCHEMA,
    .name = "scripted",
    .lfbe = &ws_lfbe_scripted,
    .lfbe_hash = SCRIPTED_HASH,
    .states = states,
    .thresholds = thresholds,
    .probability = probability,
    .refractory = 16000,
    .shortest = 11000,       /* it reports 0.7 s, always; to the int8 step */
    .endpoint_q16 = 6979584, /* 106.5 samples, 20 ms for three: some sums come to halves */
    .endpoint_zero = ZERO,
    .ram = sizeof(struct layers),
    .columns = offsetof(struct layers, columns),
    .receptive_hops = 6,
    .state_count = STATES,
    .smoothing = 3,
    .stride = STRIDE,
    .reset = network_reset,
    .select = network_select,
    .run = network_run,
};
