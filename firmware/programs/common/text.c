/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

void ws_text_begin(ws_text *text, ws_write *write, int file) {
    text->write = write;
    text->file = file;
    text->failed = false;
    text->length = 0;
}

bool ws_text_flush(ws_text *text) {
    if (text->write != NULL && text->length > 0) {
        if (!text->write(text->file, text->bytes, text->length)) text->failed = true;
        text->length = 0;
    }
    return !text->failed;
}

void ws_text_char(ws_text *text, char c) {
    if (text->length == sizeof text->bytes) {
        (void)ws_text_flush(text);
    }
    if (text->length < sizeof text->bytes) {
        text->bytes[text->length++] = c;
    }
}

void ws_text_add(ws_text *text, const char *string) {
    for (; *string != '\0'; string++) {
        ws_text_char(text, *string);
    }
}

const char *ws_text_string(ws_text *text) {
    text->bytes[text->length < sizeof text->bytes ? text->length : sizeof text->bytes - 1] = '\0';
    return text->bytes;
}

void ws_text_number(ws_text *text, uint64_t value, int digits) {
    char reversed[20];
    int count = 0;
    do {
        reversed[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    for (; digits > count; digits--) {
        ws_text_char(text, '0');
    }
    while (count > 0) {
        ws_text_char(text, reversed[--count]);
    }
}

void ws_text_fixed(ws_text *text, uint64_t value, int decimals) {
    uint64_t unit = 1;
    for (int i = 0; i < decimals; i++) {
        unit *= 10;
    }
    ws_text_number(text, value / unit, 1);
    ws_text_char(text, '.');
    ws_text_number(text, value % unit, decimals);
}

/* Bytes of the UTF-8 sequence at `s`, or 0 when it is not one (overlong, surrogate, cut off). */
static int utf8_length(const unsigned char *s) {
    int length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;
    if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
    return length;
}

void ws_text_escaped(ws_text *text, const char *string) {
    const unsigned char *s = (const unsigned char *)string;
    while (*s != '\0') {
        if (*s == '"' || *s == '\\') {
            ws_text_char(text, '\\');
            ws_text_char(text, (char)*s++);
        } else if (*s < 0x20 || *s == 0x7F) {
            ws_text_add(text, "\\u00");
            ws_text_char(text, "0123456789abcdef"[*s >> 4]);
            ws_text_char(text, "0123456789abcdef"[*s & 15]);
            s++;
        } else if (*s < 0x80) {
            ws_text_char(text, (char)*s++);
        } else {
            int length = utf8_length(s);
            if (length == 0) { /* a file name need not be UTF-8, but JSON must */
                ws_text_add(text, "\\ufffd");
                s++;
            }
            for (; length > 0; length--) {
                ws_text_char(text, (char)*s++);
            }
        }
    }
}

void ws_json_begin(ws_text *text, const char *type) {
    ws_text_add(text, "{\"type\":\"");
    ws_text_add(text, type);
    ws_text_char(text, '"');
}

static void json_key(ws_text *text, const char *key) {
    ws_text_add(text, ",\"");
    ws_text_add(text, key);
    ws_text_add(text, "\":");
}

void ws_json_string(ws_text *text, const char *key, const char *value) {
    json_key(text, key);
    ws_text_char(text, '"');
    ws_text_escaped(text, value);
    ws_text_char(text, '"');
}

void ws_json_number(ws_text *text, const char *key, uint64_t value, int decimals) {
    json_key(text, key);
    if (decimals > 0) ws_text_fixed(text, value, decimals);
    if (decimals == 0) ws_text_number(text, value, 1);
}

uint32_t ws_number_in(const char **text, uint32_t limit) {
    uint64_t number = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (number <= limit) number = number * 10 + (uint64_t)(**text - '0');
    }
    return number < limit ? (uint32_t)number : limit;
}
