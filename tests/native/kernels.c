/* SPDX-License-Identifier: Apache-2.0 */
/* Runs single kernels on given shapes and values, on the host and on boards;
 * tests/exact/test_kernels.py writes IN and reads OUT.
 *
 *     in:  records of u32 kind (0 dot, 1 conv, 2 depthwise), the kernel's shape as the C struct,
 * u32 counts of channels, weight bytes, inputs, outputs and scratch bytes, then bias, multiplier,
 * shift, weights and inputs out: every record's outputs
 */
#include "programs/common/io.h"
#include KERNELS

#ifdef WIDE
#define ws_dot ws_dot_wide
#define ws_conv ws_conv_wide
#endif

enum { CHANNELS = 256, BYTES = 1 << 15 };

static int32_t bias[CHANNELS], multiplier[CHANNELS];
static int8_t shift[CHANNELS];
static _Alignas(8) int8_t weights[BYTES], in[BYTES], out[BYTES], scratch[BYTES];

static bool get(int file, void *bytes, size_t count) {
    for (char *next = bytes; count > 0;) {
        const int32_t got = ws_io_read(file, next, count);
        if (got <= 0) return false;
        next += got;
        count -= (size_t)got;
    }
    return true;
}

static void run(uint32_t kind, const ws_dot_shape *dot, const ws_conv_shape *conv) {
    const ws_row row = {bias, multiplier, shift};
    if (kind == 0) {
        ws_dot(dot, &row, weights, in, out, scratch);
    } else if (kind == 1) {
        ws_conv(conv, &row, weights, in, out, scratch);
    } else {
        ws_depthwise(conv, &row, (const void *)weights, in, out, scratch);
    }
}

int ws_program(int argc, const char *const *argv) {
    if (argc != 2) return 2;
    const int from = ws_io_open(argv[0]), to = ws_io_create(argv[1]);
    uint32_t kind;
    while (get(from, &kind, sizeof kind)) {
        ws_dot_shape dot = {0};
        ws_conv_shape conv = {0};
        uint32_t counts[5];
        bool ok = kind == 0 ? get(from, &dot, sizeof dot) : get(from, &conv, sizeof conv);
        ok = ok && get(from, counts, sizeof counts) && counts[0] <= CHANNELS;
        for (int i = 1; i < 5; i++)
            ok = ok && counts[i] <= BYTES;
        ok = ok && get(from, bias, 4 * counts[0]) && get(from, multiplier, 4 * counts[0]) &&
             get(from, shift, counts[0]) && get(from, weights, counts[1]) &&
             get(from, in, counts[2]);
        if (!ok) return 1;
        memset(out, 99, BYTES); /* what must not be written stays */
        memset(scratch, 99, BYTES);
        run(kind, &dot, &conv);
        if (out[counts[3]] != 99 || scratch[counts[4]] != 99) return 3;
        if (!ws_io_write(to, out, counts[3])) return 1;
    }
    ws_io_close(to);
    return 0;
}
