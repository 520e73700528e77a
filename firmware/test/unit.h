/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share. */
#ifndef WS_UNIT_H
#define WS_UNIT_H

#include "ws_words.h"

#define MODEL (ws_words_models[0])
#define STRIDE (MODEL->stride)
#define SMOOTHING (MODEL->smoothing)
#define STEP ((uint32_t)STRIDE * WS_HOP)

/* Continues after a failure; the program's status reports it. */
#define CHECK(condition) ws_test_check(condition, #condition, __FILE__, __LINE__)
void ws_test_check(bool good, const char *condition, const char *file, unsigned line);

/* The first word's model with one threshold in all states; the next call changes it. */
const ws_model *ws_test_model(int threshold);

void ws_test_detector(void);

#endif
