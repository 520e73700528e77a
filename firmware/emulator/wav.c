#include "wav.h"

#include <string.h>

#define FORMAT_PCM 0x0001u
#define FORMAT_EXTENSIBLE 0xFFFEu /* the format proper is in the first two bytes of its GUID */
#define FMT_LONGEST 40u           /* bytes of a WAVE_FORMAT_EXTENSIBLE fmt chunk */
#define NEEDED "; 16000 Hz mono 16-bit PCM is needed: "
#define UNREADABLE "cannot be read; is it a file, and whole?"
#define CONVERT "ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav"

static uint32_t u16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t u32(const uint8_t *bytes) {
    return u16(bytes) | u16(bytes + 2) << 16;
}

static bool fail(ws_wav *wav, const char *problem) {
    if (!wav->failed) { /* the first cause is the one to tell */
        ws_text_add(&wav->problem, problem);
        wav->failed = true;
    }
    return false;
}

/* Up to `count` bytes into `out` (NULL skips them); fewer only at the end or on a fault. */
static size_t take(ws_wav *wav, uint8_t *out, size_t count) {
    size_t done = 0;
    while (done < count) {
        if (wav->begin == wav->end) {
            int32_t got = wav->io->read(wav->file, wav->bytes, WS_WAV_BLOCK);
            if (got < 0) (void)fail(wav, UNREADABLE);
            if (got <= 0) break;
            wav->begin = 0;
            wav->end = (size_t)got;
        }
        size_t part = wav->end - wav->begin;
        if (part > count - done) part = count - done;
        if (out != NULL) memcpy(out + done, wav->bytes + wav->begin, part);
        wav->begin += part;
        done += part;
    }
    return done;
}

static bool check_format(ws_wav *wav, const uint8_t *fmt, uint32_t size) {
    uint32_t format = u16(fmt);
    uint32_t channels = u16(fmt + 2);
    uint32_t rate = u32(fmt + 4);
    uint32_t bits = u16(fmt + 14);
    if (format == FORMAT_EXTENSIBLE && size >= FMT_LONGEST) format = u16(fmt + 24);

    ws_text *problem = &wav->problem;
    if (format != FORMAT_PCM) {
        ws_text_add(problem, "not PCM (WAVE format ");
        ws_text_number(problem, format, 1);
        ws_text_add(problem, ")");
    } else if (rate != 16000) {
        ws_text_number(problem, rate, 1);
        ws_text_add(problem, " Hz");
    } else if (channels != 1) {
        ws_text_number(problem, channels, 1);
        ws_text_add(problem, " channels");
    } else if (bits != 16) {
        ws_text_number(problem, bits, 1);
        ws_text_add(problem, " bits a sample");
    } else {
        return true;
    }
    return fail(wav, NEEDED CONVERT);
}

static bool truncated(ws_wav *wav, uint64_t promised, uint64_t found) {
    if (!wav->failed) {
        ws_text_add(&wav->problem, "truncated: the data chunk promises ");
        ws_text_number(&wav->problem, promised, 1);
        ws_text_add(&wav->problem, " bytes, the file holds ");
        ws_text_number(&wav->problem, found, 1);
    }
    return fail(wav, "; record or copy it again");
}

/* `length` is the file's, negative when unknown: then a cut is found only at the end. */
static bool read_header(ws_wav *wav, int64_t length) {
    uint64_t offset = WS_WAV_RIFF;
    bool known = false;
    for (;;) {
        uint8_t head[8];
        if (take(wav, head, sizeof head) < sizeof head) {
            return fail(wav, "a WAV without a data chunk, cut off or damaged; copy it again");
        }
        offset += sizeof head;
        uint32_t size = u32(head + 4);
        if (memcmp(head, "data", 4) == 0) {
            if (!known) {
                return fail(wav,
                            "a WAV without a fmt chunk before its data; write it again: " CONVERT);
            }
            wav->left = size;
            if (length >= 0 && offset + size > (uint64_t)length) {
                return truncated(wav, size, (uint64_t)length - offset);
            }
            if (size == 0) return fail(wav, "empty: the data chunk holds no samples");
            if (size % 2 != 0) return fail(wav, "the data ends within a sample; copy it again");
            return true;
        }
        uint32_t padded = size + (size & 1u); /* chunks begin at even offsets */
        if (padded < size) return fail(wav, "a WAV with a damaged chunk; copy it again");
        offset += padded;
        if (memcmp(head, "fmt ", 4) == 0) {
            uint8_t fmt[FMT_LONGEST] = {0};
            uint32_t part = size < FMT_LONGEST ? size : FMT_LONGEST;
            if (part < 16 || take(wav, fmt, part) < part) {
                return fail(wav, "a WAV with a damaged fmt chunk; copy it again");
            }
            if (!check_format(wav, fmt, size)) return false;
            known = true;
            padded -= part;
        }
        if (take(wav, NULL, padded) < padded) {
            return fail(wav, "a WAV without a data chunk, cut off or damaged; copy it again");
        }
    }
}

bool ws_wav_open(ws_wav *wav, const ws_io *io, int file, bool raw) {
    wav->io = io;
    wav->file = file;
    wav->left = UINT64_MAX;
    wav->read = 0;
    wav->raw = false;
    wav->failed = false;
    wav->begin = wav->end = 0;
    ws_text_begin(&wav->problem, NULL, 0);

    uint8_t riff[WS_WAV_RIFF];
    size_t got = take(wav, riff, sizeof riff);
    if (wav->failed) return false;
    if (got == 0 && io->length(file) > 0) return fail(wav, UNREADABLE); /* a folder, in QEMU */
    if (got == 0) return fail(wav, "empty: there is nothing in it");
    if (got == sizeof riff && memcmp(riff, "RIFF", 4) == 0 && memcmp(riff + 8, "WAVE", 4) == 0) {
        return read_header(wav, file == io->in ? -1 : io->length(file));
    }
    if (!raw) return fail(wav, "not a WAV" NEEDED CONVERT);
    wav->raw = true;
    /* Put back what was taken for a header; `bytes` has room for it before a whole block. */
    size_t rest = wav->end - wav->begin;
    memmove(wav->bytes + got, wav->bytes + wav->begin, rest);
    memcpy(wav->bytes, riff, got);
    wav->begin = 0;
    wav->end = got + rest;
    return true;
}

size_t ws_wav_read(ws_wav *wav, int16_t *pcm, size_t count) {
    uint8_t pair[2];
    size_t samples = 0;
    while (samples < count && wav->left > 0 && !wav->failed) {
        size_t got = take(wav, pair, sizeof pair);
        wav->read += got;
        if (got < sizeof pair) {
            if (!wav->failed && wav->raw && got != 0) {
                (void)fail(wav, "ends within a sample; raw input is 16-bit little-endian");
            } else if (!wav->failed && !wav->raw) {
                (void)truncated(wav, wav->read - got + wav->left, wav->read);
            }
            break;
        }
        uint32_t bits = u16(pair);
        pcm[samples++] = (int16_t)((int32_t)(bits ^ 0x8000u) - 0x8000);
        if (!wav->raw) wav->left -= sizeof pair;
        /* Hand on what has come before asking for more: a live stream must not wait. */
        if (wav->begin == wav->end) break;
    }
    return samples;
}
