#include "event.h"

#include "states.h"

uint64_t ws_milliseconds(uint64_t sample) {
    return (sample * 1000u + WS_SAMPLE_RATE / 2) / WS_SAMPLE_RATE;
}

uint64_t ws_ten_thousandths(uint16_t probability) {
    return ((uint64_t)probability * 10000u + 16384u) >> 15;
}

const char *ws_event_name(const ws_event *event) {
    static const char *const names[] = {"score", "wake", "near"};
    return names[event->type];
}

void ws_event_json(ws_text *line, const char *file, uint64_t sample, const ws_event *event,
                   unsigned state) {
    bool score = event != NULL && event->type == WS_EVENT_SCORE;
    ws_text_add(line, "{\"type\":\"");
    ws_text_add(line, event == NULL ? "state" : ws_event_name(event));
    if (event != NULL && WS_WORD_COUNT > 1) {
        ws_text_add(line, "\",\"word\":\"");
        ws_text_add(line, ws_words_models[event->word]->name);
    }
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
        ws_text_escaped(line, ws_state_name(state));
        ws_text_char(line, '"');
    }
}
