/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "board_facts.h"
#include "driver.h"
#include "platform/cortex-m/cpu.h"
#include "platform/cortex-m/startup.h"
#include "programs/common/words.h"
#include "uplink/uplink.h"

#define LED_SAMPLES WS_SAMPLE_RATE /* how long it is lit */
#define NO_STATE (-1)
#define COMMAND_MAX 160
#define LATE_MAX_MS 1000u
#define MUTE_MAX_MS 3600000u
#define TIMEOUT_MAX_S 3600u
/* The longest answer to a command, and the events that may come before it is out. */
#define LINES_MAX 1024u
#ifndef WS_DEVICE_HOPS
#define WS_DEVICE_HOPS 8u /* in the ring: 80 ms at a hop of 10 ms */
#endif
#define PIECE 128u /* of lines, between two reads of the ring */

static ws_words_engine engine;
static ws_words_settings settings; /* as commands set them */

/* Hops on their way from the microphone's interrupt. They are numbered, with those dropped, so that
 * the main loop learns where some are missing, and how many. */
typedef struct {
    uint32_t number;
    int16_t pcm[WS_HOP];
} numbered_hop;
static numbered_hop hops[WS_DEVICE_HOPS];
static ws_ring ring = WS_RING(hops);
static atomic_uint came;  /* hops, with those dropped */
static uint32_t expected; /* number of the next one */

static ws_uplink uplink;
static atomic_int wanted = NO_STATE; /* the state asked for and not yet taken */

static uint64_t missed;        /* samples lost, in all */
static uint64_t unreported;    /* of these, not yet reported by an event */
static uint32_t overruns;      /* times that the main loop was too late */
static uint64_t led_off;       /* the sample at which the LED goes out */
static bool stalled;           /* the command `late`: no hop is taken ... */
static uint32_t stalled_until; /* ... before that many have come in */
static uint64_t silent_max;    /* samples without a command before the timeout; 0: none */
static uint64_t last_command;  /* the sample of it */
static unsigned pins_last, pins_taken;
static char command[COMMAND_MAX];
static size_t command_length;
static bool command_damaged;  /* bytes of it were lost */
static char lines[LINES_MAX]; /* what is said and the port has not yet taken */
static size_t lines_length;

static size_t offer(void *to, const uint8_t *bytes, size_t count) {
    (void)to;
    return ws_driver_offer(bytes, count);
}

static size_t send_all(void *to, const uint8_t *bytes, size_t count) {
    (void)to;
    ws_driver_send(bytes, count);
    return count;
}

/* Wait until the port has taken all lines. A line is never inside a frame. */
static void flush(void) {
    (void)ws_uplink_finish(&uplink, send_all, NULL);
    ws_driver_send(lines, lines_length);
    lines_length = 0;
}

/* Lines wait here and go out by `pump`: the main loop does not wait for the port. */
static bool queue_text(int file, const void *bytes, size_t count) {
    (void)file;
    if (count > LINES_MAX - lines_length) flush(); /* the port is blocked */
    memcpy(lines + lines_length, bytes, count);
    lines_length += count;
    return true;
}

/* Give the port what it takes, lines first; false when it takes no more or there is nothing. */
static bool pump(void) {
    if (lines_length == 0) return ws_uplink_pump(&uplink, offer, NULL);
    if (!ws_uplink_finish(&uplink, offer, NULL)) return false;
    size_t taken = ws_driver_offer(lines, lines_length < PIECE ? lines_length : PIECE);
    lines_length -= taken;
    memmove(lines, lines + taken, lines_length);
    return taken > 0;
}

bool ws_device_push(const int16_t pcm[WS_HOP]) {
    numbered_hop hop = {.number = atomic_fetch_add(&came, 1u)};
    memcpy(hop.pcm, pcm, sizeof hop.pcm);
    return ws_ring_put(&ring, &hop, 1) == 1;
}

bool ws_device_set_state(unsigned state) {
    if (state >= WS_STATE_COUNT) return false;
    atomic_store(&wanted, (int)state);
    return true;
}

/* The sample that it is, with those lost. */
static uint64_t now(void) {
    return engine.engine.samples + missed;
}

/* Of any type but an event's. */
static void begin(ws_text *line, const char *type) {
    ws_text_begin(line, queue_text, 0);
    ws_json_begin(line, type);
}

static void end(ws_text *line) {
    ws_text_add(line, "}\n");
    (void)ws_text_flush(line);
}

static void emit(const char *type, const char *problem) {
    ws_text line;
    begin(&line, type);
    ws_json_string(&line, "text", problem);
    end(&line);
}

/* A wake, or with `event` NULL the new state. */
static void emit_event(uint64_t sample, const ws_event *event, unsigned state) {
    ws_text line;
    ws_text_begin(&line, queue_text, 0);
    ws_event_json(&line, NULL, sample, event, state);
    if (unreported > 0) ws_json_number(&line, "lost", unreported, 0);
    unreported = 0;
    end(&line);
}

static void emit_ready(void) {
    ws_text line;
    begin(&line, "ready");
    ws_json_string(&line, "board", BOARD_NAME);
    ws_json_string(&line, "word", WS_WORD_NAMES);
    ws_json_string(&line, "reset", ws_driver_reset_reason());
    ws_json_string(&line, "state", ws_state_name(engine.engine.state));
    end(&line);
}

static void emit_stats(void) {
    ws_text line;
    begin(&line, "stats");
    ws_json_number(&line, "t", ws_milliseconds(now()), 3);
    ws_json_number(&line, "overruns", overruns, 0);
    ws_json_number(&line, "lost", missed, 0);
    ws_json_number(&line, "unsent", uplink.unsent, 0);
    ws_json_number(&line, "skipped", uplink.skipped, 0);
    ws_json_number(&line, "stack", ws_board_stack_used(), 0);
    ws_json_string(&line, "reset", ws_driver_reset_reason());
    end(&line);
}

static void switch_uplink(bool on) {
    ws_uplink_switch(&uplink, on);
    ws_text line;
    begin(&line, "uplink");
    ws_text_add(&line, on ? ",\"on\":true" : ",\"on\":false");
    ws_json_number(&line, "baud", BOARD_UART_BAUD, 0);
    end(&line);
}

/* Rest of a command that begins with `verb`; NULL: it does not. */
static const char *after(const char *text, const char *verb) {
    size_t length = strlen(verb);
    return strncmp(text, verb, length) == 0 ? text + length : NULL;
}

/* A line for each word: its settings now. */
static void emit_words(void) {
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        ws_text line;
        begin(&line, "word");
        ws_json_string(&line, "word", ws_words_models[word]->name);
        const ws_config *config = &settings.configs[word];
        ws_text_add(&line, config->off ? ",\"on\":false" : ",\"on\":true");
        for (unsigned state = 0; state < WS_STATE_COUNT; state++) {
            const int value = settings.sensitivities[word][state];
            ws_text_add(&line, state == 0 ? ",\"sensitivity\":[" : ",");
            if (value < 0) ws_text_char(&line, '-');
            ws_text_number(&line, (uint64_t)abs(value), 1);
        }
        ws_text_char(&line, ']');
        ws_json_number(&line, "near", (uint64_t)config->near_miss, 0);
        end(&line);
    }
}

/* From the next step on the settings apply. */
static void configure(void) {
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        (void)ws_configure(&engine, word, &settings.configs[word]);
    }
    emit_words();
}

/* `word NAME on|off` */
static void switch_word(const char *rest) {
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        const char *value = after(rest, ws_words_models[word]->name);
        if (value == NULL || (strcmp(value, " on") != 0 && strcmp(value, " off") != 0)) continue;
        settings.configs[word].off = strcmp(value, " off") == 0;
        configure();
        return;
    }
    emit("error", "word needs one of " WS_WORD_NAMES ", and on or off");
}

/* `near NUMBER`: of all words. */
static void set_near(const char *number) {
    const int16_t near_miss = (int16_t)ws_number_in(&number, INT16_MAX);
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        settings.configs[word].near_miss = near_miss;
    }
    configure();
}

static void set_sensitivity(const char *given) {
    ws_text problem;
    ws_text_begin(&problem, NULL, 0);
    if (ws_sensitivity_set(&settings, given, &problem)) {
        configure();
    } else {
        emit("error", ws_text_string(&problem));
    }
}

/* `timeout SECONDS` */
static void set_timeout(uint32_t seconds) {
    silent_max = (uint64_t)seconds * WS_SAMPLE_RATE;
    ws_text line;
    begin(&line, "timeout");
    ws_json_number(&line, "seconds", seconds, 0);
    end(&line);
}

/* The program that made the device wake more readily is gone: as shipped again. */
static void end_silence(void) {
    if (silent_max == 0 || now() - last_command < silent_max) return;
    memset(settings.sensitivities, 0, sizeof settings.sensitivities);
    configure();
    switch_uplink(false);
    set_timeout(0);
}

static void set_state(const char *name) {
    ws_text problem;
    uint8_t state;
    ws_text_begin(&problem, NULL, 0);
    if (ws_states_find(name, &state, &problem)) {
        (void)ws_device_set_state(state);
    } else {
        emit("error", ws_text_string(&problem));
    }
}

static void stall(uint32_t ms) {
    stalled_until = atomic_load(&came) + (ms * (WS_SAMPLE_RATE / 1000) + WS_HOP - 1) / WS_HOP;
    stalled = true;
}

static void handle_command(void) {
    const char *rest;
    if ((rest = after(command, "state ")) != NULL) {
        set_state(rest);
    } else if (strcmp(command, "stats") == 0) {
        emit_stats();
    } else if (strcmp(command, "uplink on") == 0 || strcmp(command, "uplink off") == 0) {
        switch_uplink(command[8] == 'n');
    } else if (strcmp(command, "stop") == 0) {
        ws_uplink_stop(&uplink, 0);
    } else if ((rest = after(command, "stop ")) != NULL) {
        ws_uplink_stop(&uplink, (uint16_t)ws_number_in(&rest, UINT16_MAX));
    } else if ((rest = after(command, "late ")) != NULL) {
        stall(ws_number_in(&rest, LATE_MAX_MS)); /* the watchdog bites later */
    } else if (strcmp(command, "mute") == 0) {
        ws_mute(&engine, WS_FOREVER);
    } else if ((rest = after(command, "mute ")) != NULL) {
        ws_mute(&engine, (uint64_t)ws_number_in(&rest, MUTE_MAX_MS) * (WS_SAMPLE_RATE / 1000));
    } else if (strcmp(command, "unmute") == 0) {
        ws_mute(&engine, 0);
    } else if (strcmp(command, "words") == 0) {
        emit_words();
    } else if ((rest = after(command, "word ")) != NULL) {
        switch_word(rest);
    } else if ((rest = after(command, "sensitivity ")) != NULL) {
        set_sensitivity(rest);
    } else if ((rest = after(command, "near ")) != NULL) {
        set_near(rest);
    } else if ((rest = after(command, "timeout ")) != NULL) {
        set_timeout(ws_number_in(&rest, TIMEOUT_MAX_S));
    } else {
        emit("error",
             "unknown command; allowed: state STATE, stats, words, word NAME on|off, sensitivity "
             "NUMBER [WORD] [STATE], near NUMBER, mute [MILLISECONDS], unmute, uplink on|off, stop "
             "[NUMBER], timeout SECONDS, late MILLISECONDS");
    }
}

static void handle_line(void) {
    command[command_length] = '\0';
    command_length = 0;
    if (command_damaged) {
        emit("error", "bytes of a command were lost; send it again, one command at a time");
    } else {
        last_command = now();
        handle_command();
    }
    command_damaged = false;
}

/* Take bytes up to the end of one command, and handle it; true when there may be more. Between two
 * looks at the ring there is no more than this to do, however fast commands come in; and none is
 * taken before the port has taken the answer to the one before. */
static bool take_command(void) {
    if (lines_length > 0) return true;
    for (unsigned count = 0; count < COMMAND_MAX; count++) {
        int c = ws_driver_receive();
        if (c < 0) return false;
        if (c == '\0') {
            command_damaged = true;
        } else if (c != '\r' && c != '\n') {
            /* Too long a line is cut, and so is no command. */
            if (command_length < COMMAND_MAX - 1) command[command_length++] = (char)c;
        } else if (command_length > 0 || command_damaged) {
            handle_line();
            return true;
        }
    }
    return true;
}

/* A new level counts once it was read on two hops running. */
static void read_state_pins(void) {
    unsigned now = ws_driver_state_pins();
    if (now == pins_last && now != pins_taken) {
        pins_taken = now;
        if (!ws_device_set_state(now)) emit("error", "the state pins show no state of the model");
    }
    pins_last = now;
}

static void change_state(void) {
    int state = atomic_exchange(&wanted, NO_STATE);
    if (state == NO_STATE || state == engine.engine.state) return;
    (void)ws_set_state(&engine, (unsigned)state);
    emit_event(now(), NULL, (unsigned)state);
}

static void process(const int16_t *pcm) {
    ws_uplink_push(&uplink, pcm, WS_HOP);
    for (size_t used = 0; used < WS_HOP;) {
        used += ws_push(&engine, pcm + used, WS_HOP - used);
        ws_event event;
        while (ws_poll(&engine, &event)) {
            if (event.type == WS_EVENT_SCORE) continue;
            if (event.type == WS_EVENT_WAKE) {
                ws_driver_led(true);
                led_off = event.sample + LED_SAMPLES;
                ws_uplink_wake(&uplink, &event); /* the engine's samples: what is sent */
            }
            event.sample += missed;
            event.start += missed; /* too late by what was missed within the word itself */
            event.end += missed;
            emit_event(event.sample, &event, event.state);
        }
    }
    if (led_off != 0 && engine.engine.samples >= led_off) {
        ws_driver_led(false);
        led_off = 0;
    }
}

/* Take all hops that wait; false when there was none. */
static bool take_hops(void) {
    numbered_hop hop;
    bool any = false;
    while (ws_ring_get(&ring, &hop, 1) == 1) {
        const uint32_t gap = hop.number - expected;
        expected = hop.number + 1u;
        if (gap > 0) {
            overruns++;
            missed += (uint64_t)gap * WS_HOP;
            unreported += (uint64_t)gap * WS_HOP;
            ws_uplink_missed(&uplink, (uint64_t)gap * WS_HOP);
        }
        process(hop.pcm);
        ws_driver_feed_watchdog();
        any = true;
    }
    return any;
}

/* The command `late`: hops come in, and none is taken. */
static bool is_stalled(void) {
    stalled = stalled && (int32_t)(stalled_until - atomic_load(&came)) > 0 && !ws_driver_ended();
    return stalled;
}

int ws_board_main(void) {
    const char *problem = ws_driver_start();
    ws_uplink_reset(&uplink);
    const char *fatal = ws_words_start(&engine, &settings);
    if (fatal != NULL) {
        emit("error", fatal);
        flush();
        return 1;
    }
    if (ws_last_fault.magic == WS_FAULT_MAGIC) {
        char text[192];
        text[ws_fault_text(&ws_last_fault, text) - 1] = '\0';
        ws_last_fault.magic = 0;
        emit("fault", text);
    }
    emit_ready();
    if (problem != NULL) emit("error", problem);
    ws_driver_listen();
    for (;;) {
        if (is_stalled()) continue;
        if (take_hops()) {
            read_state_pins();
            end_silence();
        }
        bool more = take_command();
        change_state();
        while (ws_ring_count(&ring) == 0 && pump()) {
        }
        if (lines_length > 0) more = false; /* the port, or the next hop, ends the sleep */
        /* An interrupt between the look and the sleep still ends the sleep. */
        cpu_disable_interrupts();
        bool idle = !more && ws_ring_count(&ring) == 0;
        bool ended = idle && ws_driver_ended();
        if (idle && !ended) cpu_sleep();
        cpu_enable_interrupts();
        if (ended) break;
    }
    ws_uplink_input_ended(&uplink);
    flush();
    while (ws_uplink_pump(&uplink, send_all, NULL)) {
    }
    return 0;
}
