/* SPDX-License-Identifier: Apache-2.0 */
/* 16 kHz mono 16-bit PCM from a WAV file or a raw stream, read once from front to back.
 *
 * RIFF, RF64 and BW64. Sound whose size the header does not know, or that continues after it, is
 * read to the end of the input. */
#ifndef WS_WAV_H
#define WS_WAV_H

#include "text.h"

#define WS_WAV_RIFF 12u /* bytes of "RIFF", a size and "WAVE" */
#define WS_WAV_BLOCK 4096u

typedef struct {
    int file;
    int64_t length;    /* of the file; negative where there is no telling */
    uint64_t left;     /* data bytes still to come, where the header has it; else 0 */
    uint64_t promised; /* by the header */
    uint64_t read;     /* data bytes given */
    bool raw;          /* no header */
    bool endless;      /* the file's end is the data's end */
    bool failed;       /* `problem` has the reason */
    ws_text problem;   /* what is wrong, and a hint */
    size_t begin, end; /* the unread part of `bytes` */
    uint8_t bytes[WS_WAV_RIFF + WS_WAV_BLOCK];
} ws_wav;

/* Read up to the first sample. With `raw`, a file without a RIFF header is raw s16le. */
bool ws_wav_open(ws_wav *wav, int file, bool raw);

/* The next samples, up to `count`; 0 at the end or on a failure, see `failed`. */
size_t ws_wav_read(ws_wav *wav, int16_t *pcm, size_t count);

#endif
