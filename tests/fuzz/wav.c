/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of WAV files and raw streams (firmware/programs/common/wav.c), on any bytes.
 *
 * Input: a byte of switches (bit 0: stdin, else a file; 1: raw is allowed; 2: the length is not
 * known; 3: the second half cannot be read; 4 to 7: samples asked for at a time), the most bytes
 * that one read gives (0: any number), and what is read. */
#include "programs/common/wav.h"

#include "fuzz.h"

enum { IS_STDIN = 1, RAW = 2, NO_LENGTH = 4, BREAKS = 8 };

static const uint8_t *bytes;
static size_t count, at, piece;
static unsigned switches;

ws_streams ws_io = {.in = 0, .out = 1, .err = 2};

int32_t ws_io_read(int file, void *to, size_t maximum) {
    (void)file;
    if ((switches & BREAKS) != 0 && at > count / 2) return -1;
    size_t part = count - at < maximum ? count - at : maximum;
    if (piece > 0 && part > piece) part = piece;
    memcpy(to, bytes + at, part);
    at += part;
    return (int32_t)part;
}

int64_t ws_io_length(int file) {
    (void)file;
    return (switches & NO_LENGTH) != 0 ? -1 : (int64_t)count;
}

static void check_problem(const ws_text *problem) {
    CHECK(problem->length > 0 && problem->length <= sizeof problem->bytes);
    for (size_t i = 0; i < problem->length; i++) {
        CHECK((uint8_t)problem->bytes[i] >= 0x20 && problem->bytes[i] != 0x7F); /* one line */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    switches = data[0];
    piece = data[1];
    bytes = data + 2;
    count = size - 2;
    at = 0;

    ws_wav *wav = malloc(sizeof *wav); /* so that the sanitizer sees both of its ends */
    size_t maximum = (switches >> 4) * 64u + 1u;
    int16_t *pcm = malloc(maximum * sizeof *pcm);
    CHECK(wav != NULL && pcm != NULL);

    size_t samples = 0;
    if (ws_wav_open(wav, (switches & IS_STDIN) != 0 ? ws_io.in : 3, (switches & RAW) != 0)) {
        for (size_t got; (got = ws_wav_read(wav, pcm, maximum)) > 0; samples += got) {
            CHECK(got <= maximum);
        }
    } else {
        CHECK(wav->failed);
    }
    CHECK(samples * sizeof *pcm <= count);
    if (wav->failed) check_problem(&wav->problem);
    CHECK(ws_wav_read(wav, pcm, maximum) == 0); /* the end stays the end */
    free(pcm);
    free(wav);
    return 0;
}
