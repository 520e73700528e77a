/* SPDX-License-Identifier: Apache-2.0 */
#include "ws_words.h"

const ws_model *const ws_words_models[WS_WORD_COUNT] = {&ws_scripted};
