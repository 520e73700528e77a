/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on a serial port: a zero byte, the contents by COBS, a zero byte. docs/protocol.md says
 * every byte. */
#ifndef WS_FRAME_H
#define WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wakestate/config.h"

WS_BEGIN_C

#define WS_FRAME_HEAD 6u /* bytes before the payload */
#define WS_FRAME_CRC 4u
#define WS_FRAME_PAYLOAD_MAX 326u
#define WS_FRAME_CONTENTS_MAX (WS_FRAME_HEAD + WS_FRAME_PAYLOAD_MAX + WS_FRAME_CRC)
/* On the line: the first zero's code, one code for each 254 bytes, and both ends. */
#define WS_FRAME_MAX \
    (1u + (WS_FRAME_CONTENTS_MAX - 1u) + (WS_FRAME_CONTENTS_MAX + 252u) / 254u + 2u)

/* A frame as it is written: COBS and CRC as the bytes come, without a second buffer. */
typedef struct {
    uint8_t bytes[WS_FRAME_MAX];
    size_t length; /* of `bytes` */
    size_t code;   /* where the block that is not yet full has its length */
    size_t room;   /* bytes of payload that still fit */
    uint32_t crc;
} ws_frame_writer;

void ws_frame_begin(ws_frame_writer *frame, uint8_t type, uint32_t number);
/* Payload; what does not fit is left out. */
void ws_frame_bytes(ws_frame_writer *frame, const void *bytes, size_t count);
void ws_frame_number(ws_frame_writer *frame, uint64_t value, size_t bytes);
void ws_frame_end(ws_frame_writer *frame);

typedef struct {
    uint8_t type;
    uint32_t number;
    const uint8_t *payload; /* in the reader, until its next byte */
    size_t count;
} ws_frame;

/* Reads frames out of a stream, whatever else is in it. */
typedef struct {
    uint8_t bytes[WS_FRAME_MAX]; /* since the last zero */
    size_t length;               /* WS_FRAME_MAX: too long for a frame */
    uint32_t damaged;            /* began as a frame, and was none */
} ws_frame_reader;

void ws_frame_reader_reset(ws_frame_reader *reader);

/* Take one byte; true when it ends a frame that is whole. */
bool ws_frame_read(ws_frame_reader *reader, uint8_t byte, ws_frame *frame);

WS_END_C

#endif
