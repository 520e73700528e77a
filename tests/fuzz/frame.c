/* SPDX-License-Identifier: Apache-2.0 */
/* The reader and the writer of frames (firmware/uplink/frame.c).
 *
 * Input: a type, a frame number (4), and bytes. The bytes are read as a stream; and as a payload
 * they are written, and behind the noise of that stream the frame is read back. */
#include "uplink/frame.h"

#include "fuzz.h"

static void read_noise(ws_frame_reader *reader, const uint8_t *bytes, size_t count) {
    ws_frame frame;
    for (size_t i = 0; i < count; i++) {
        if (!ws_frame_read(reader, bytes[i], &frame)) continue;
        CHECK(frame.count <= WS_FRAME_PAYLOAD_MAX);
        unsigned sum = 0;
        for (size_t k = 0; k < frame.count; k++) {
            sum += frame.payload[k]; /* all of it must be there */
        }
        CHECK(sum <= 255u * frame.count);
    }
}

static void read_back(ws_frame_reader *reader, const ws_frame_writer *writer, uint8_t type,
                      uint32_t number, const uint8_t *payload, size_t count) {
    ws_frame frame;
    unsigned found = 0;
    CHECK(writer->length <= WS_FRAME_MAX);
    for (size_t i = 0; i < writer->length; i++) {
        CHECK((writer->bytes[i] == 0) == (i == 0 || i == writer->length - 1));
        bool read = ws_frame_read(reader, writer->bytes[i], &frame);
        if (!read || i == 0) continue; /* the first zero may end a frame of the noise */
        found++;
        CHECK(frame.type == type && frame.number == number && frame.count == count);
        CHECK(memcmp(frame.payload, payload, count) == 0);
    }
    CHECK(found == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 5) return 0;
    uint8_t type = data[0];
    uint32_t number;
    memcpy(&number, data + 1, sizeof number);
    const uint8_t *payload = data + 5;
    size_t count = size - 5;

    ws_frame_reader *reader = malloc(sizeof *reader);
    ws_frame_writer *writer = malloc(sizeof *writer);
    CHECK(reader != NULL && writer != NULL);
    ws_frame_reader_reset(reader);
    read_noise(reader, payload, count);

    ws_frame_begin(writer, type, number);
    ws_frame_bytes(writer, payload, count);
    ws_frame_end(writer);
    if (count > WS_FRAME_PAYLOAD_MAX) count = WS_FRAME_PAYLOAD_MAX; /* the rest is left out */
    read_back(reader, writer, type, number, payload, count);
    free(writer);
    free(reader);
    return 0;
}
