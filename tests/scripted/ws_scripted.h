/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for a generated word, whose logits a test can dictate: the logit of a step is the high
 * byte of the newest sample, plus the state's index. The word started 0.8 s ago and ended 0.1 s
 * ago, always. For tests of all that is not a model. */
#ifndef WS_SCRIPTED_H
#define WS_SCRIPTED_H

#include "wakestate/wakestate.h"
#include "ws_lfbe.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ws_scripted_more_ram = WS_RAM_OF_WORD(sizeof(void *) + 24),
    ws_scripted_ram = WS_RAM_OF_LFBE(WS_WORK, WS_WINDOW) + ws_scripted_more_ram
};

extern const ws_model ws_scripted;

#ifdef __cplusplus
}
#endif

#endif
