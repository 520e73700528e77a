/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator: processes files, or a stream, as a device would, and prints what it detects. */
#include <string.h>

#include "programs/common/io.h"
#include "programs/common/text.h"
#include "programs/common/wav.h"
#include "programs/common/words.h"
#include "uplink/uplink.h"
#include "ws_words.h"

enum { STATUS_OK = 0, STATUS_INPUT = 1, STATUS_USAGE = 2 };

#define PROGRAM "wake-emulator"
#define CHANGES_MAX 16
#define WORD_WIDTH 16 /* of the table */
/* Silence processed after the end of each file: the network reports up to 0.3 s after a word that
 * it was one, and the detector averages steps. */
#define SILENCE_SAMPLES (WS_SAMPLE_RATE / 2u)

static const char usage[] =
    "usage: " PROGRAM
    " [--state STATE] [--scores] [--uplink OUT|-] FILE...|-\n"
    "\n"
    "Processes 16 kHz mono 16-bit WAV files, or a WAV or raw s16le on stdin (-), as a device "
    "would\n"
    "and prints one JSON object a line; to a terminal, a table.\n"
    "\n"
    "  --state STATE           what the device is doing, see below; fields not given take their\n"
    "                          first value\n"
    "  --change SECONDS:STATE  change the state at that time of each file; may be repeated, in\n"
    "                          the order of time\n"
    "  --sensitivity \"N [WORD] [STATE]\"  N off the thresholds of all words or of WORD, in all\n"
    "                          states or where STATE is so; may be repeated\n"
    "  --near N                print near misses, too: scores that come within N of the "
    "threshold,\n"
    "                          and do not wake\n"
    "  --scores                print the score of every network step, too\n"
    "  --name NAME             what the file is called in what is printed\n"
    "  --json, --table         print this, whatever stdout is\n"
    "  --uplink OUT|-          write the frames that a device sends on each wake (the sound of "
    "the\n"
    "                          word, half a second before it, and what follows) to the file OUT,\n"
    "                          or to stdout between the lines: docs/protocol.md\n"
    "  --help                  print this text\n"
    "\n"
    "Exit status: 0 well, 1 bad input, 2 bad usage.\n";

typedef struct {
    uint64_t sample;
    uint8_t state;
} change;

typedef struct {
    uint8_t state;
    ws_words_settings words;
    bool scores;
    bool table;
    change changes[CHANGES_MAX];
    int change_count;
    bool header;        /* the table's is still to be printed */
    const char *name;   /* of the file, instead of its own; NULL: its own */
    const char *uplink; /* where the frames go; NULL: nowhere */
    int uplink_file;
    bool uplink_failed;
} settings;

static ws_words_engine engine;
static ws_wav wav;
static ws_uplink uplink;
static int16_t pcm[1024];

/* One line on stderr: "wake-emulator: NAME: PROBLEM". */
static int complain(const char *name, const char *problem, int status) {
    ws_text line;
    ws_text_begin(&line, ws_io_write, ws_io.err);
    ws_text_add(&line, PROGRAM ": ");
    if (name != NULL) {
        ws_text_escaped(&line, name);
        ws_text_add(&line, ": ");
    }
    ws_text_add(&line, problem);
    ws_text_char(&line, '\n');
    (void)ws_text_flush(&line);
    return status;
}

static void table_cell(ws_text *line, const char *string, size_t width) {
    ws_text_add(line, string);
    for (size_t i = strlen(string); i < width; i++) {
        ws_text_char(line, ' ');
    }
}

static void table_time(ws_text *line, uint64_t sample) {
    uint64_t ms = ws_milliseconds(sample);
    for (uint64_t limit = 1000000; limit >= 10000 && ms < limit; limit /= 10) {
        ws_text_char(line, ' ');
    }
    ws_text_fixed(line, ms, 3);
    ws_text_add(line, "  ");
}

/* A line of the table; `event` is NULL for a change of state. */
static void table_row(ws_text *line, settings *options, const char *file, uint64_t sample,
                      const ws_event *event, unsigned state) {
    if (options->header) {
        ws_text_add(line, "seconds  event  start    end      p       ");
        table_cell(line, "state", strlen(ws_state_name(0)) + 4);
        if (WS_WORD_COUNT > 1) table_cell(line, "word", WORD_WIDTH);
        ws_text_add(line, "file\n");
        options->header = false;
    }
    table_time(line, sample);
    table_cell(line, event == NULL ? "state" : ws_event_name(event), 7);
    if (event != NULL && event->type == WS_EVENT_WAKE) {
        table_time(line, event->start);
        table_time(line, event->end);
    } else {
        table_cell(line, "", 18);
    }
    if (event != NULL) {
        ws_text_fixed(line, ws_ten_thousandths(event->probability), 4);
    } else {
        ws_text_add(line, "      ");
    }
    ws_text_add(line, "  ");
    table_cell(line, ws_state_name(state), strlen(ws_state_name(0)) + 4);
    if (WS_WORD_COUNT > 1) {
        table_cell(line, event == NULL ? "" : ws_words_models[event->word]->name, WORD_WIDTH);
    }
    ws_text_escaped(line, file);
}

static bool print(settings *options, const char *file, uint64_t sample, const ws_event *event,
                  unsigned state) {
    ws_text line;
    ws_text_begin(&line, ws_io_write, ws_io.out);
    if (options->table) {
        table_row(&line, options, file, sample, event, state);
    } else {
        ws_event_json(&line, file, sample, event, state);
        ws_text_char(&line, '}');
    }
    ws_text_char(&line, '\n');
    return ws_text_flush(&line);
}

static size_t write_frames(void *to, const uint8_t *bytes, size_t count) {
    settings *options = to;
    if (!ws_io_write(options->uplink_file, bytes, count)) options->uplink_failed = true;
    return options->uplink_failed ? 0 : count;
}

static bool pump(settings *options) {
    while (ws_uplink_pump(&uplink, write_frames, options)) {
    }
    return !options->uplink_failed;
}

/* A word may end with the file: only what wakes is printed, and only with a wake does its silence
 * go to the uplink, so that no frame holds sound that never was but for it. */
static bool process_silence(settings *options, const char *name) {
    static const int16_t silence[SILENCE_SAMPLES];
    for (size_t used = 0, sent = 0; used < SILENCE_SAMPLES;) {
        used += ws_push(&engine, silence, SILENCE_SAMPLES - used);
        ws_event event;
        while (ws_poll(&engine, &event)) {
            if (event.type != WS_EVENT_WAKE) continue;
            ws_uplink_push(&uplink, silence, used - sent);
            sent = used;
            ws_uplink_wake(&uplink, &event);
            if (!print(options, name, event.sample, &event, event.state)) return false;
        }
        if (!pump(options)) return false;
    }
    return true;
}

/* False when the output cannot be written. */
static bool process(settings *options, const char *name) {
    int changed = 0;
    uint64_t processed = 0;
    size_t count;
    while ((count = ws_wav_read(&wav, pcm, sizeof pcm / sizeof pcm[0])) > 0) {
        for (size_t used = 0; used < count;) {
            size_t part = count - used;
            if (changed < options->change_count) {
                const change *next = &options->changes[changed];
                if (next->sample == processed) {
                    (void)ws_set_state(&engine, next->state);
                    changed++;
                    if (!print(options, name, processed, NULL, next->state)) return false;
                    continue;
                }
                if (part > next->sample - processed) part = (size_t)(next->sample - processed);
            }
            size_t pushed = ws_push(&engine, pcm + used, part);
            ws_uplink_push(&uplink, pcm + used, pushed);
            used += pushed;
            processed += pushed;
            ws_event event;
            while (ws_poll(&engine, &event)) {
                if (event.type == WS_EVENT_WAKE) ws_uplink_wake(&uplink, &event);
                if (event.type == WS_EVENT_SCORE && !options->scores) continue;
                if (!print(options, name, event.sample, &event, event.state)) return false;
            }
            if (!pump(options)) return false;
        }
    }
    if (!wav.failed && !process_silence(options, name)) return false;
    ws_uplink_input_ended(&uplink);
    return pump(options);
}

static int process_file(settings *options, const char *path) {
    const char *name = options->name != NULL ? options->name : path;
    bool standard = strcmp(path, "-") == 0;
    int file = standard ? ws_io.in : ws_io_open(path);
    if (file < 0) {
        return complain(name, "cannot be opened; does the file exist, may it be read?",
                        STATUS_INPUT);
    }
    int status = STATUS_OK;
    (void)ws_restart(&engine, options->state); /* both checked before the first file */
    ws_uplink_restart(&uplink);
    if (ws_wav_open(&wav, file, standard) && !process(options, name)) {
        status = complain(options->uplink_failed ? options->uplink : NULL,
                          options->uplink_failed ? "cannot write; is the disk full?"
                                                 : "cannot write to stdout; is the disk full?",
                          STATUS_INPUT);
    } else if (wav.failed) {
        status = complain(name, ws_text_string(&wav.problem), STATUS_INPUT);
    }
    if (!standard) ws_io_close(file);
    return status;
}

/* "1.25:player=music" with up to four decimals, which are exact in samples at 16 kHz. */
static bool parse_change(const char *given, settings *options, ws_text *problem) {
    if (options->change_count == CHANGES_MAX) {
        ws_text_add(problem, "--change: at most 16 are allowed");
        return false;
    }
    uint64_t units = 0; /* ten-thousandths of a second */
    int decimals = -1;  /* -1: before the point */
    const char *c = given;
    for (; (*c >= '0' && *c <= '9') || (*c == '.' && decimals < 0); c++) {
        if (*c != '.') units = units * 10 + (uint64_t)(*c - '0');
        if (*c == '.' || decimals >= 0) decimals++;
        if (decimals > 4 || units > 1000000000u) break;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 4; decimals++) {
        units *= 10;
    }
    if (c == given || *c != ':') {
        ws_text_add(problem, "--change needs SECONDS:STATE as in 1.25:");
        ws_text_add(problem, ws_state_name(0));
        ws_text_add(problem, ", given '");
        ws_text_escaped(problem, given);
        ws_text_char(problem, '\'');
        return false;
    }
    change *next = &options->changes[options->change_count];
    next->sample = units * WS_SAMPLE_RATE / 10000u;
    if (options->change_count > 0 && next->sample < next[-1].sample) {
        ws_text_add(problem, "--change: give the changes in the order of time");
        return false;
    }
    options->change_count++;
    return ws_states_find(c + 1, &next->state, problem);
}

static int help(void) {
    ws_text text;
    ws_text_begin(&text, ws_io_write, ws_io.out);
    ws_text_add(&text, usage);
    ws_text_add(&text, (WS_WORD_COUNT > 1 ? "Words: " : "Word: "));
    ws_text_add(&text, WS_WORD_NAMES ". States: " WS_STATES "\n");
    return ws_text_flush(&text) ? STATUS_OK : STATUS_INPUT;
}

static bool takes_value(const char *option) {
    return strcmp(option, "--state") == 0 || strcmp(option, "--change") == 0 ||
           strcmp(option, "--uplink") == 0 || strcmp(option, "--name") == 0 ||
           strcmp(option, "--sensitivity") == 0 || strcmp(option, "--near") == 0;
}

/* Of all words. */
static bool set_near(const char *given, settings *options, ws_text *problem) {
    const char *rest = given;
    const uint32_t near_miss = ws_number_in(&rest, INT16_MAX);
    if (near_miss == 0 || *rest != '\0') {
        ws_text_add(problem, "--near needs a number from 1 to 32767, given '");
        ws_text_escaped(problem, given);
        ws_text_char(problem, '\'');
        return false;
    }
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        options->words.configs[word].near_miss = (int16_t)near_miss;
    }
    return true;
}

/* False, with `problem`, when the value is not one of the option's. */
static bool set_option(settings *options, const char *option, const char *value, ws_text *problem) {
    if (strcmp(option, "--state") == 0) return ws_states_find(value, &options->state, problem);
    if (strcmp(option, "--change") == 0) return parse_change(value, options, problem);
    if (strcmp(option, "--sensitivity") == 0) {
        return ws_sensitivity_set(&options->words, value, problem);
    }
    if (strcmp(option, "--near") == 0) return set_near(value, options, problem);
    *(strcmp(option, "--name") == 0 ? &options->name : &options->uplink) = value;
    return true;
}

static bool is_option(const char *argument) {
    return argument[0] == '-' && argument[1] != '\0';
}

static int open_uplink(settings *options) {
    ws_uplink_reset(&uplink);
    if (options->uplink == NULL) return STATUS_OK;
    bool standard = strcmp(options->uplink, "-") == 0;
    if (standard && ws_io.terminal) {
        return complain("--uplink -", "frames are not for a terminal; name a file, or pipe",
                        STATUS_USAGE);
    }
    options->uplink_file = standard ? ws_io.out : ws_io_create(options->uplink);
    if (options->uplink_file < 0) {
        return complain(options->uplink, "cannot be written; is there such a folder?",
                        STATUS_INPUT);
    }
    ws_uplink_switch(&uplink, true);
    return STATUS_OK;
}

int ws_program(int argc, const char *const *argv) {
    static settings options;
    memset(&options, 0, sizeof options);
    options.table = ws_io.terminal;
    options.header = true;

    ws_text problem;
    ws_text_begin(&problem, NULL, 0);
    const char *wrong = ws_words_start(&engine, &options.words);
    if (wrong != NULL) return complain(WS_WORD_NAMES, wrong, STATUS_INPUT);

    int i = 0;
    for (; i < argc && is_option(argv[i]); i++) {
        const char *option = argv[i];
        if (strcmp(option, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(option, "--help") == 0) return help();
        if (strcmp(option, "--scores") == 0) {
            options.scores = true;
        } else if (strcmp(option, "--json") == 0) {
            options.table = false;
        } else if (strcmp(option, "--table") == 0) {
            options.table = true;
        } else if (!takes_value(option)) {
            return complain(option,
                            "unknown option; allowed: --state, --change, --sensitivity, "
                            "--near, --scores, --name, --json, --table, --uplink, --help",
                            STATUS_USAGE);
        } else if (++i == argc) {
            return complain(option, "needs a value; see --help", STATUS_USAGE);
        } else if (!set_option(&options, option, argv[i], &problem)) {
            return complain(NULL, ws_text_string(&problem), STATUS_USAGE);
        }
    }
    for (unsigned word = 0; word < WS_WORD_COUNT; word++) {
        (void)ws_configure(&engine, word, &options.words.configs[word]);
    }
    if (i == argc) return complain(NULL, "no file given; see --help", STATUS_USAGE);
    if (options.name != NULL && i + 1 < argc) {
        return complain("--name", "names one file; give one", STATUS_USAGE);
    }

    for (int file = i; file < argc; file++) {
        if (is_option(argv[file])) {
            return complain(argv[file], "options come before the files", STATUS_USAGE);
        }
    }
    int status = open_uplink(&options);
    if (status != STATUS_OK) return status;
    for (; i < argc && !options.uplink_failed; i++) {
        int one = process_file(&options, argv[i]);
        if (one != STATUS_OK) status = one;
    }
    if (options.uplink != NULL && options.uplink_file != ws_io.out)
        ws_io_close(options.uplink_file);
    return status;
}
