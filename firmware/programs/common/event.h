/* Events as the emulator and the device print them. */
#ifndef WS_EVENT_H
#define WS_EVENT_H

#include "text.h"
#include "ws_words.h"

uint64_t ws_milliseconds(uint64_t sample);
uint64_t ws_ten_thousandths(uint16_t probability);

/* "score", "wake", "near" */
const char *ws_event_name(const ws_event *event);

/* One JSON object without its closing brace; `event` is NULL for a change to `state`, `file` where
 * there is none. */
void ws_event_json(ws_text *line, const char *file, uint64_t sample, const ws_event *event,
                   unsigned state);

#endif
