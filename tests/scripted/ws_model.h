/* A stand-in for a generated tree, whose logits a test can dictate: the logit of a step is the
 * high byte of the newest sample, plus the state's index. The word started 0.8 s ago and ended
 * 0.1 s ago, always. For tests of all that is not a model. */
#ifndef WS_MODEL_H
#define WS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WS_MODEL_SCHEMA
#define WS_MODEL_SCHEMA 2
#endif
#define WS_WORD "scripted"
#define WS_SAMPLE_RATE 16000
#define WS_WINDOW 400
#define WS_HOP 160
#define WS_FFT 512
#define WS_BANDS 8
#define WS_STRIDE 3
#define WS_RECEPTIVE_HOPS 6
#define WS_STATES 4
#define WS_SMOOTHING 3
#define WS_REFRACTORY 16000
#define WS_SHORTEST 11000 /* it says 0.7 s, always; to the int8 step */
#define WS_ARENA_BYTES 8

enum { WS_OUT_LOGIT, WS_OUT_START, WS_OUT_END, WS_OUTPUTS };
#define WS_ENDPOINT_ZERO (-10)
#define WS_ENDPOINT_Q16 6979584 /* 106.5 samples, 20 ms for three: some sums come to halves */

typedef struct {
    const int8_t *table;
    int8_t arena[WS_ARENA_BYTES];
    uint8_t phase;
} ws_network;

extern const char *const ws_state_names[WS_STATES];
extern const int16_t ws_thresholds[WS_STATES];
extern const uint16_t ws_probability[256];
extern const uint32_t ws_frontend_hash;
extern const uint32_t ws_network_frontend_hash;

void ws_frontend(const int16_t pcm[WS_WINDOW], int32_t work[WS_FFT], int8_t out[WS_BANDS]);
void ws_frontend_q8(const int16_t pcm[WS_WINDOW], int32_t work[WS_FFT], int32_t out[WS_BANDS]);
void ws_network_reset(ws_network *network, unsigned state);
void ws_network_state(ws_network *network, unsigned state);
bool ws_network_push(ws_network *network, const int8_t column[WS_BANDS], int8_t out[WS_OUTPUTS]);

#ifdef __cplusplus
}
#endif

#endif
