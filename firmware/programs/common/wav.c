/* SPDX-License-Identifier: Apache-2.0 */
#include "wav.h"

#include <string.h>

#define FORMAT_PCM 0x0001u
#define FORMAT_EXTENSIBLE 0xFFFEu /* the format proper is in the first two bytes of its GUID */
#define FMT_LONGEST 40u           /* bytes of a WAVE_FORMAT_EXTENSIBLE fmt chunk */
#define DS64_USED 16u             /* bytes of a ds64 chunk: the sizes of all and of the data */
#define LOOK_AHEAD 2048u          /* bytes in which a second frame of compressed sound begins */
#define CONVERT                                                                                \
    "`make emulate AUDIO=FILE` decodes it, or: ffmpeg -i FILE -ar 16000 -ac 1 -c:a pcm_s16le " \
    "X.wav"
#define NEEDED "; 16000 Hz mono 16-bit PCM is needed: " CONVERT
#define UNREADABLE "cannot be read; is it a file, and whole?"

static uint32_t u16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t u32(const uint8_t *bytes) {
    return u16(bytes) | u16(bytes + 2) << 16;
}

static uint64_t u64(const uint8_t *bytes) {
    return u32(bytes) | (uint64_t)u32(bytes + 4) << 32;
}

static bool fail(ws_wav *wav, const char *problem) {
    if (!wav->failed) { /* the first cause is the one to report */
        ws_text_add(&wav->problem, problem);
        wav->failed = true;
    }
    return false;
}

/* One more read behind what is unread, of which there is less than a RIFF header or a look ahead
 * takes; false at the end or on a fault. */
static bool fill(ws_wav *wav) {
    size_t unread = wav->end - wav->begin;
    memmove(wav->bytes, wav->bytes + wav->begin, unread);
    wav->begin = 0;
    wav->end = unread;
    size_t room = sizeof wav->bytes - unread;
    int32_t got =
        ws_io_read(wav->file, wav->bytes + unread, room < WS_WAV_BLOCK ? room : WS_WAV_BLOCK);
    if (got < 0) (void)fail(wav, UNREADABLE);
    if (got <= 0) return false;
    wav->end += (size_t)got;
    return true;
}

/* Makes up to `count` bytes available from `bytes + begin`; how many do. */
static size_t buffered(ws_wav *wav, size_t count) {
    while (wav->end - wav->begin < count && fill(wav)) {
    }
    size_t unread = wav->end - wav->begin;
    return unread < count ? unread : count;
}

/* Up to `count` bytes into `out` (NULL skips them); fewer only at the end or on a fault. */
static size_t take(ws_wav *wav, uint8_t *out, size_t count) {
    size_t done = 0;
    while (done < count && buffered(wav, 1) > 0) {
        size_t part = wav->end - wav->begin;
        if (part > count - done) part = count - done;
        if (out != NULL) memcpy(out + done, wav->bytes + wav->begin, part);
        wav->begin += part;
        done += part;
    }
    return done;
}

static const char *format_name(uint32_t format) {
    static const struct {
        uint16_t format;
        const char *name;
    } known[] = {{FORMAT_PCM, "PCM"},        {0x0002, "Microsoft ADPCM"},
                 {0x0003, "floating point"}, {0x0006, "A-law"},
                 {0x0007, "mu-law"},         {0x0011, "IMA ADPCM"},
                 {0x0031, "GSM 6.10"},       {0x0055, "MP3"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].format == format) return known[i].name;
    }
    return "an unknown encoding";
}

static bool check_format(ws_wav *wav, const uint8_t *fmt, uint32_t size) {
    uint32_t format = u16(fmt);
    uint32_t channels = u16(fmt + 2);
    uint32_t rate = u32(fmt + 4);
    uint32_t bits = u16(fmt + 14);
    if (format == FORMAT_EXTENSIBLE && size >= FMT_LONGEST) format = u16(fmt + 24);
    if (format == FORMAT_PCM && rate == 16000 && channels == 1 && bits == 16) return true;

    ws_text *problem = &wav->problem;
    ws_text_number(problem, rate, 1);
    ws_text_add(problem, " Hz, ");
    ws_text_number(problem, channels, 1);
    ws_text_add(problem, channels == 1 ? " channel, " : " channels, ");
    ws_text_number(problem, bits, 1);
    ws_text_add(problem, " bits a sample, ");
    ws_text_add(problem, format_name(format));
    ws_text_add(problem, " (WAVE format ");
    ws_text_number(problem, format, 1);
    ws_text_add(problem, ")");
    return fail(wav, NEEDED);
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

/* What programs write, besides 0, as the size of sound whose length they do not know: about 2 or
 * 4 GiB (sox 0x7FFFF000, arecord 0x80000000, ffmpeg 0xFFFFFFFF). */
static bool size_unknown(uint64_t size) {
    return (size >= 0x7FFFE000u && size <= 0x80001000u) ||
           (size >= 0xFFFFE000u && size <= UINT32_MAX) || size == UINT64_MAX;
}

/* The data chunk begins at `offset`: whether its `size` bytes can be read. */
static bool begin_data(ws_wav *wav, uint64_t size, uint64_t offset) {
    /* A pipe's length, and in QEMU even that of a named one, means nothing. */
    bool known = wav->length >= 0 && (uint64_t)wav->length >= offset;
    uint64_t stored = known ? (uint64_t)wav->length - offset : 0;
    bool whole = known && size <= stored;
    wav->endless = !whole && size_unknown(size);
    wav->left = wav->endless ? 0 : size;
    wav->promised = wav->read + size;
    if (size == 0 || wav->endless) return true; /* of 0, what follows decides */
    if (known && !whole) return truncated(wav, size, stored);
    if (size % 2 != 0) return fail(wav, "the data ends within a sample; copy it again");
    return true;
}

static bool read_header(ws_wav *wav, bool wide) {
    uint64_t offset = WS_WAV_RIFF;
    uint64_t long_size = UINT64_MAX; /* of the data, where the chunk itself has no room for it */
    bool known = false;
    for (;;) {
        uint8_t head[8];
        if (take(wav, head, sizeof head) < sizeof head) break;
        offset += sizeof head;
        uint32_t size = u32(head + 4);
        if (memcmp(head, "data", 4) == 0) {
            if (!known) {
                return fail(wav, "a WAV without a fmt chunk before its data; write it again");
            }
            return begin_data(wav, wide && size == UINT32_MAX ? long_size : size, offset);
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
        } else if (memcmp(head, "ds64", 4) == 0 && size >= DS64_USED) {
            uint8_t sizes[DS64_USED];
            if (take(wav, sizes, sizeof sizes) < sizeof sizes) break;
            long_size = u64(sizes + 8);
            padded -= DS64_USED;
        }
        if (take(wav, NULL, padded) < padded) break;
    }
    return fail(wav, "a WAV without a data chunk, cut off or damaged; copy it again");
}

/* Formats of frames that each begin in the same way: the name where two do, else NULL. */
static const char *framed_format(ws_wav *wav) {
    const uint8_t *b = wav->bytes + wav->begin;
    bool adts = b[0] == 0xFFu && (b[1] & 0xF6u) == 0xF0u;
    bool mpeg = b[0] == 0xFFu && (b[1] & 0xE0u) == 0xE0u && (b[1] & 0x18u) != 0x08u &&
                (b[1] & 0x06u) != 0 && (b[1] & 0x06u) != 0x06u && (b[2] & 0xF0u) != 0xF0u &&
                (b[2] & 0x0Cu) != 0x0Cu;
    bool ac3 = b[0] == 0x0Bu && b[1] == 0x77u;
    bool transport = b[0] == 0x47u; /* MPEG-TS: every 188 bytes */
    if (!adts && !mpeg && !ac3 && !transport) return NULL;
    size_t count = buffered(wav, LOOK_AHEAD);
    b = wav->bytes + wav->begin; /* may have moved */
    if (transport) {
        return count > 564 && b[188] == b[0] && b[376] == b[0] && b[564] == b[0] ? "MPEG-TS" : NULL;
    }
    for (size_t i = 4; i + 2 < count; i++) {
        if (b[i] == b[0] && b[i + 1] == b[1] && (ac3 || ((b[i + 2] ^ b[2]) & 0x0Cu) == 0)) {
            return ac3 ? "AC-3" : adts ? "AAC" : "MP3 or MP2";
        }
    }
    return NULL;
}

/* What a file is that is no WAV, by its first bytes; NULL where they may be samples. */
static const char *other_format(ws_wav *wav, size_t count) {
    static const struct {
        uint8_t at, length;
        const char *bytes, *name;
    } known[] = {{0, 4, "fLaC", "FLAC"},
                 {0, 4, "OggS", "Ogg (Opus or Vorbis)"},
                 {0, 3, "ID3", "MP3"},
                 {4, 4, "ftyp", "MP4 (M4A)"},
                 {0, 4, "FORM", "AIFF"},
                 {0, 4, "caff", "CAF"},
                 {0, 4, ".snd", "AU"},
                 {0, 4, "dns.", "AU"},
                 {0, 4, "RIFX", "a big-endian WAV (RIFX)"},
                 {0, 6, "riff.\x91", "Wave64"},
                 {0, 4, "RIFF", "a RIFF file of another kind"},
                 {0, 5, "#!AMR", "AMR"},
                 {0, 4, "\x1A\x45\xDF\xA3", "WebM or Matroska"},
                 {0, 4, "\x30\x26\xB2\x75", "WMA"},
                 {0, 4, "wvpk", "WavPack"},
                 {0, 4, "MAC ", "Monkey's Audio"},
                 {0, 4, "TTA1", "True Audio"},
                 {0, 4, "DSD ", "DSD"},
                 {0, 4, "MThd", "MIDI"},
                 {0, 7, "NIST_1A", "NIST SPHERE"},
                 {0, 8, "Creative", "VOC"},
                 {0, 3, "\x1F\x8B\x08", "a gzip archive"},
                 {0, 4, "PK\x03\x04", "a ZIP archive"},
                 {0, 5, "\3757zXZ", "an xz archive"},
                 {0, 4, "\x28\xB5\x2F\xFD", "a Zstandard archive"}};
    const uint8_t *b = wav->bytes + wav->begin;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t end = (size_t)known[i].at + known[i].length;
        if (end <= count && memcmp(b + known[i].at, known[i].bytes, known[i].length) == 0) {
            return known[i].name;
        }
    }
    if (count < WS_WAV_RIFF) return NULL;
    size_t letters = 0;
    while (letters < count && ((b[letters] >= ' ' && b[letters] <= '~') ||
                               (b[letters] >= '\t' && b[letters] <= '\r'))) {
        letters++;
    }
    if (letters == count) return "text";
    return framed_format(wav);
}

bool ws_wav_open(ws_wav *wav, int file, bool raw) {
    memset(wav, 0, sizeof *wav);
    wav->file = file;
    wav->length = file == ws_io.in ? -1 : ws_io_length(file);

    size_t got = buffered(wav, WS_WAV_RIFF);
    const uint8_t *riff = wav->bytes;
    if (wav->failed) return false;
    if (got == 0 && wav->length > 0) return fail(wav, UNREADABLE); /* a folder, in QEMU */
    if (got == 0) return fail(wav, "empty: there is nothing in it");
    if (got == WS_WAV_RIFF && memcmp(riff + 8, "WAVE", 4) == 0) {
        bool wide = memcmp(riff, "RF64", 4) == 0 || memcmp(riff, "BW64", 4) == 0;
        if (wide || memcmp(riff, "RIFF", 4) == 0) {
            wav->begin += WS_WAV_RIFF;
            return read_header(wav, wide);
        }
    }
    const char *other = other_format(wav, got);
    if (other != NULL && !wav->failed) {
        ws_text_add(&wav->problem, other);
        return fail(wav, ", not a WAV" NEEDED);
    }
    if (!raw) return fail(wav, "not a WAV" NEEDED);
    wav->raw = wav->endless = true;
    return !wav->failed;
}

static bool is_chunk(const uint8_t *head) {
    for (int i = 0; i < 4; i++) {
        char c = (char)head[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != ' ' && c != '_') return false;
    }
    return head[7] < 0x10u; /* below 256 MiB */
}

/* Behind the data that the header promised: more chunks, or the sound of a program that did not
 * know how much there would be. False at the end. */
static bool more_data(ws_wav *wav) {
    while (buffered(wav, 8) == 8 && is_chunk(wav->bytes + wav->begin)) {
        uint8_t head[8];
        (void)take(wav, head, sizeof head);
        uint32_t size = u32(head + 4);
        if (memcmp(head, "data", 4) == 0 && size != 0) {
            return begin_data(wav, size, UINT64_MAX); /* as on a stream */
        }
        if (take(wav, NULL, size + (size & 1u)) < size && wav->length < 0) {
            return fail(wav, "what follows the sound is cut off or damaged; copy it again");
        }
    }
    wav->endless = !wav->failed && buffered(wav, 8) == 8;
    return wav->endless;
}

/* The input is at its end with `rest` bytes of a sample. */
static void ended(ws_wav *wav, size_t rest) {
    if (wav->failed) return;
    if (rest != 0 && wav->raw) {
        (void)fail(wav, "ends within a sample; raw input is 16-bit little-endian");
    } else if (rest != 0 && wav->endless) {
        (void)fail(wav, "the data ends within a sample; copy it again");
    } else if (!wav->endless) {
        (void)truncated(wav, wav->promised, wav->read + rest);
    }
}

size_t ws_wav_read(ws_wav *wav, int16_t *pcm, size_t count) {
    uint8_t pair[2];
    size_t samples = 0;
    while (samples < count && !wav->failed) {
        if (wav->left == 0 && !wav->endless && (samples > 0 || !more_data(wav))) break;
        size_t got = take(wav, pair, sizeof pair);
        if (got < sizeof pair) {
            ended(wav, got);
            break;
        }
        wav->read += got;
        uint32_t bits = u16(pair);
        pcm[samples++] = (int16_t)((int32_t)(bits ^ 0x8000u) - 0x8000);
        if (!wav->endless) wav->left -= sizeof pair;
        /* Hand on what has come before asking for more: a live stream must not wait. */
        if (wav->begin == wav->end) break;
    }
    if (samples == 0 && wav->read == 0 && !wav->failed) {
        (void)fail(wav, "empty: the data chunk holds no samples");
    }
    return samples;
}
