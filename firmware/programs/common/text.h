/* SPDX-License-Identifier: Apache-2.0 */
/* Text without printf, which would bring a heap and 20 KB to a board. */
#ifndef WS_TEXT_H
#define WS_TEXT_H

#include "io.h"

/* As ws_io_write. */
typedef bool ws_write(int file, const void *bytes, size_t count);

typedef struct {
    ws_write
        *write; /* takes a full buffer, for `file`; NULL keeps the text, cut off at the buffer */
    int file;
    bool failed; /* a write did not succeed */
    size_t length;
    char bytes[256];
} ws_text;

void ws_text_begin(ws_text *text, ws_write *write, int file);
void ws_text_char(ws_text *text, char c);
void ws_text_add(ws_text *text, const char *string);
void ws_text_number(ws_text *text, uint64_t value, int digits);  /* at least that many digits */
void ws_text_fixed(ws_text *text, uint64_t value, int decimals); /* value / 10^decimals */
void ws_text_escaped(ws_text *text, const char *string);         /* as in a JSON string */
/* Ended by a zero; a full buffer loses its last byte. */
const char *ws_text_string(ws_text *text);
/* {"type":"...", and fields behind it; `decimals` of a number as in ws_text_fixed, 0: whole. */
void ws_json_begin(ws_text *text, const char *type);
void ws_json_string(ws_text *text, const char *key, const char *value);
void ws_json_number(ws_text *text, const char *key, uint64_t value, int decimals);

/* The number that a text begins with, at most `limit`; the text moves behind its digits. */
uint32_t ws_number_in(const char **text, uint32_t limit);

bool ws_text_flush(ws_text *text); /* false when this or an earlier write failed */

#endif
