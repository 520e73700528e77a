/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as a shared library for Python's ctypes: many at a time, as the fuzz of verify/ needs. */
#include <string.h>

#include "uplink/frame.h"

typedef struct {
    uint32_t number;
    uint32_t count; /* bytes of payload; the payloads follow each other in a buffer of their own */
    uint8_t type;
} ws_capi_frame;

/* Write `count` frames one behind the other; `ends` becomes where each ends. `out` has room for
 * `count` of the longest. Returns the bytes. */
size_t ws_capi_frames_write(const ws_capi_frame *frames, size_t count, const uint8_t *payloads,
                            uint8_t *out, uint32_t *ends) {
    static ws_frame_writer writer;
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        ws_frame_begin(&writer, frames[i].type, frames[i].number);
        ws_frame_bytes(&writer, payloads, frames[i].count);
        ws_frame_end(&writer);
        payloads += frames[i].count;
        memcpy(out + length, writer.bytes, writer.length);
        length += writer.length;
        ends[i] = (uint32_t)length;
    }
    return length;
}

/* Read a stream to its end with a fresh reader; `frames` and `payloads` have room for all that fit
 * into that many bytes. Returns the frames. */
size_t ws_capi_frames_read(const uint8_t *bytes, size_t count, ws_capi_frame *frames,
                           uint8_t *payloads, uint32_t *damaged) {
    static ws_frame_reader reader;
    ws_frame frame;
    size_t found = 0;
    ws_frame_reader_reset(&reader);
    for (size_t i = 0; i < count; i++) {
        if (!ws_frame_read(&reader, bytes[i], &frame)) continue;
        frames[found++] = (ws_capi_frame){frame.number, (uint32_t)frame.count, frame.type};
        memcpy(payloads, frame.payload, frame.count);
        payloads += frame.count;
    }
    *damaged = reader.damaged;
    return found;
}
