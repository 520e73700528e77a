/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#define BLOCK_FULL 0xFFu /* the code of 254 bytes without a zero behind them */

/* CRC-32/ISO-HDLC (of Ethernet, zlib, PNG) by half bytes: 64 bytes of table, not 1024. */
static uint32_t crc_add(uint32_t crc, uint8_t byte) {
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    crc ^= byte;
    crc = crc >> 4 ^ table[crc & 15u];
    return crc >> 4 ^ table[crc & 15u];
}

static void open_block(ws_frame_writer *frame) {
    frame->code = frame->length;
    frame->bytes[frame->length++] = 1;
}

static void put(ws_frame_writer *frame, uint8_t byte) {
    /* A full block is left only when more comes: no empty one is at the end. */
    if (frame->bytes[frame->code] == BLOCK_FULL) open_block(frame);
    if (byte == 0) {
        open_block(frame);
    } else {
        frame->bytes[frame->length++] = byte;
        frame->bytes[frame->code]++;
    }
}

static void put_counted(ws_frame_writer *frame, uint8_t byte) {
    frame->crc = crc_add(frame->crc, byte);
    put(frame, byte);
}

void ws_frame_begin(ws_frame_writer *frame, uint8_t type, uint32_t number) {
    frame->bytes[0] = 0;
    frame->length = 1;
    frame->crc = 0xFFFFFFFFu;
    open_block(frame);
    put_counted(frame, 0);
    put_counted(frame, type);
    frame->room = 4;
    ws_frame_number(frame, number, 4);
    frame->room = WS_FRAME_PAYLOAD_MAX;
}

void ws_frame_bytes(ws_frame_writer *frame, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    for (; count > 0 && frame->room > 0; count--) {
        frame->room--;
        put_counted(frame, *next++);
    }
}

void ws_frame_number(ws_frame_writer *frame, uint64_t value, size_t bytes) {
    for (; bytes > 0; bytes--) {
        uint8_t byte = (uint8_t)value;
        ws_frame_bytes(frame, &byte, 1);
        value >>= 8;
    }
}

void ws_frame_end(ws_frame_writer *frame) {
    uint32_t crc = ~frame->crc;
    for (int shift = 0; shift < 32; shift += 8) {
        put(frame, (uint8_t)(crc >> shift));
    }
    frame->bytes[frame->length++] = 0;
}

void ws_frame_reader_reset(ws_frame_reader *reader) {
    reader->length = 0;
    reader->damaged = 0;
}

static uint32_t u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* COBS undone in place; 0 where it is none. */
static size_t contents(uint8_t *bytes, size_t length) {
    size_t done = 0;
    for (size_t i = 0; i < length;) {
        uint8_t code = bytes[i++];
        if (code - 1u > length - i) return 0;
        for (uint8_t k = 1; k < code; k++) {
            bytes[done++] = bytes[i++];
        }
        if (code != BLOCK_FULL && i < length) bytes[done++] = 0;
    }
    return done;
}

static bool whole(uint8_t *bytes, size_t length, ws_frame *frame) {
    size_t count = length == WS_FRAME_MAX ? 0 : contents(bytes, length);
    if (count < WS_FRAME_HEAD + WS_FRAME_CRC || count > WS_FRAME_CONTENTS_MAX) return false;
    count -= WS_FRAME_CRC;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc = crc_add(crc, bytes[i]);
    }
    if (~crc != u32(bytes + count) || bytes[0] != 0) return false;
    frame->type = bytes[1];
    frame->number = u32(bytes + 2);
    frame->payload = bytes + WS_FRAME_HEAD;
    frame->count = count - WS_FRAME_HEAD;
    return true;
}

bool ws_frame_read(ws_frame_reader *reader, uint8_t byte, ws_frame *frame) {
    if (byte != 0) {
        if (reader->length < WS_FRAME_MAX) reader->bytes[reader->length++] = byte;
        return false;
    }
    bool begun = reader->length > 0 && reader->bytes[0] == 1;
    bool good = begun && whole(reader->bytes, reader->length, frame);
    if (begun && !good) reader->damaged++;
    reader->length = 0;
    return good;
}
