/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include "programs/common/text.h"

static int in, out;
static bool broken; /* writing failed */
uint32_t ws_record;

const char *ws_records_open(int argc, const char *const *argv, const char *magic) {
    char found[4];
    if (argc != 2) return "give the input file and the result file";
    if ((in = ws_io_open(argv[0])) < 0) return "the input file cannot be opened";
    if ((out = ws_io_create(argv[1])) < 0) return "the result file cannot be written";
    const bool good =
        ws_records_get(found, sizeof found) && memcmp(found, magic, sizeof found) == 0;
    return good ? NULL : "not an input file";
}

bool ws_records_get(void *bytes, size_t count) {
    for (char *next = bytes; count > 0;) {
        const int32_t got = ws_io_read(in, next, count);
        if (got <= 0) return false;
        next += got;
        count -= (size_t)got;
    }
    return true;
}

void ws_records_put(const char *name, const void *values, size_t item, size_t count) {
    const size_t length = strlen(name);
    const uint32_t head[4] = {ws_record, (uint32_t)length, (uint32_t)item, (uint32_t)count};
    broken = broken || !ws_io_write(out, head, sizeof head) || !ws_io_write(out, name, length) ||
             !ws_io_write(out, values, item * count);
}

int ws_records_close(const char *problem) {
    if (broken) problem = "the result file cannot be written";
    if (problem == NULL) return 0;
    ws_text text;
    ws_text_begin(&text, ws_io_write, ws_io.err);
    ws_text_add(&text, "record ");
    ws_text_number(&text, ws_record, 1);
    ws_text_add(&text, ": ");
    ws_text_add(&text, problem);
    ws_text_char(&text, '\n');
    (void)ws_text_flush(&text);
    return 1;
}
