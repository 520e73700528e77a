#include "event.h"

uint64_t ws_milliseconds(uint64_t sample) {
    return (sample * 1000u + WS_SAMPLE_RATE / 2) / WS_SAMPLE_RATE;
}

uint64_t ws_ten_thousandths(uint16_t probability) {
    return ((uint64_t)probability * 10000u + 16384u) >> 15;
}

void ws_event_json(ws_text *line, const char *file, uint64_t sample, const ws_event *event,
                   unsigned state) {
    bool score = event != NULL && event->type == WS_EVENT_SCORE;
    ws_text_add(line, "{\"type\":\"");
    ws_text_add(line, event == NULL ? "state" : score ? "score" : "wake");
    if (!score && file != NULL) {
        ws_text_add(line, "\",\"file\":\"");
        ws_text_escaped(line, file);
    }
    ws_text_add(line, "\",\"t\":");
    ws_text_fixed(line, ws_milliseconds(sample), 3);
    if (event != NULL && !score) {
        ws_text_add(line, ",\"start\":");
        ws_text_fixed(line, ws_milliseconds(event->start), 3);
        ws_text_add(line, ",\"end\":");
        ws_text_fixed(line, ws_milliseconds(event->end), 3);
    }
    if (event != NULL) {
        ws_text_add(line, ",\"p\":");
        ws_text_fixed(line, ws_ten_thousandths(event->probability), 4);
    }
    if (!score) {
        ws_text_add(line, ",\"state\":\"");
        ws_text_escaped(line, ws_state_names[state]);
        ws_text_char(line, '"');
    }
}
