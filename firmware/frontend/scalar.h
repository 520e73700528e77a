/* SPDX-License-Identifier: Apache-2.0 */
/* The front end for cores without Helium; with the DSP extension (Cortex-M4, M7, M33) it is used.
 */
#ifndef WS_FRONTEND_SCALAR_H
#define WS_FRONTEND_SCALAR_H

#ifdef __ARM_FEATURE_DSP
#include "arithmetic_dsp.h"
#else
#include "arithmetic.h"
#endif

/* Magnitude less one for negative values: enough to find the highest bit in use. */
INLINE uint32_t magnitude(int32_t a) {
    return (uint32_t)(a ^ (a >> 31));
}

/* a - b, of a and a + b: one instruction, whatever b was made of. */
INLINE int32_t other(int32_t a, int32_t sum) {
    WS_CHECK(2 * (int64_t)a - sum >= INT32_MIN && 2 * (int64_t)a - sum <= INT32_MAX);
    return (int32_t)(2 * (uint32_t)a - (uint32_t)sum);
}

/* a, computed here: the compiler would do its shift again, wherever it is used. */
INLINE int32_t hide_from_optimizer(int32_t a) {
    __asm__("" : "+r"(a));
    return a;
}

/* How far the windowed block can be shifted up: its largest magnitude comes to be in
 * [2^29, 2^30). The window is negative; a negative product less one has the magnitude of the
 * positive one. */
static int headroom(const int16_t *pcm) {
    uint32_t used = 1;
#pragma GCC unroll 4
    for (int i = 0; i < WS_WINDOW - 1; i += 2) {
        const complex product = two_products(pcm + i, hann + i, -1);
        used |= magnitude(product.re) | magnitude(product.im);
    }
    if (WS_WINDOW % 2 == 1) used |= magnitude(pcm[WS_WINDOW - 1] * hann[WS_WINDOW - 1] - 1);
    return leading_zeros(used) - 2;
}

/* The last sums of a butterfly of a, b, c, d: s = a + c, t = a - c, u = b + d, v = b - d. Its
 * results are `q` words apart. */
INLINE void store_butterfly(int32_t *z, int q, complex s, complex t, complex u, complex v) {
    store(z, WS_ADD(s.re, u.re), WS_ADD(s.im, u.im));
    store(z + 2 * q, WS_SUB(s.re, u.re), WS_SUB(s.im, u.im));
    store(z + q, WS_ADD(t.re, v.im), WS_SUB(t.im, v.re));
    store(z + 3 * q, WS_SUB(t.re, v.im), WS_ADD(t.im, v.re));
}

static const complex none = {0, 0};

/* The samples 2 i and 2 i + 1, windowed. */
INLINE complex windowed(const int16_t *pcm, int i, int32_t scale) {
    const complex p = two_products(pcm + 2 * i, hann + 2 * i, 0);
    return (complex){WS_MUL(p.re, scale), WS_MUL(p.im, scale)};
}

/* A shift by 3 leaves three stages room to grow by 2 and one by 1; the first divides by 4. */
INLINE void first_butterfly(int32_t *z, complex a, complex b, complex c, complex d) {
    const complex a5 = {hide_from_optimizer(a.re >> 5), hide_from_optimizer(a.im >> 5)};
    const complex s = {a5.re + (c.re >> 5), a5.im + (c.im >> 5)};
    const complex t = {other(a5.re, s.re), other(a5.im, s.im)};
    const complex b5 = {b.re >> 5, b.im >> 5};
    const complex u = {b5.re + (d.re >> 5), b5.im + (d.im >> 5)};
    const complex v = {other(b5.re, u.re), other(b5.im, u.im)};
    store_butterfly(z, 2, s, t, u, v);
}

/* For `from` <= i < `to`, where the first `legs` of a butterfly's four points are in the window. */
INLINE void first_butterflies(const int16_t *pcm, int32_t *z, int32_t scale, int from, int to,
                              int legs) {
    for (int i = from; i < to; i++) {
        const complex a = legs > 0 ? windowed(pcm, i, scale) : none;
        const complex b = legs > 1 ? windowed(pcm, i + POINTS / 4, scale) : none;
        const complex c = legs > 2 ? windowed(pcm, i + POINTS / 2, scale) : none;
        const complex d = legs > 3 ? windowed(pcm, i + POINTS / 4 * 3, scale) : none;
        first_butterfly(z + 8 * digit_reversed[i], a, b, c, d);
    }
}

/* Window, shift up, and first stage: no twiddle factors. */
static void first_stage(const int16_t *pcm, int32_t *z, int shift) {
    const int32_t scale = -((int32_t)1 << shift); /* the window is negative */
    first_butterflies(pcm, z, scale, 0, LAST_LEG, LEGS);
#if WS_WINDOW % 2
    complex legs[4] = {none, none, none, none};
    for (int leg = 0; leg < LEGS - 1; leg++) {
        legs[leg] = windowed(pcm, LAST_LEG + leg * (POINTS / 4), scale);
    }
    legs[LEGS - 1].re = pcm[WS_WINDOW - 1] * hann[WS_WINDOW - 1] * scale;
    first_butterfly(z + 8 * digit_reversed[LAST_LEG], legs[0], legs[1], legs[2], legs[3]);
#endif
    first_butterflies(pcm, z, scale, LAST_LEG + WS_WINDOW % 2, POINTS / 4, LEGS - 1);
}

/* The butterfly of z and the points `q` words apart from it, the last three times their twiddle
 * factors w, in place; half of it. */
INLINE void butterfly(int32_t *z, int q, uint32_t w1, uint32_t w2, uint32_t w3) {
    const complex y = load(z + q);
    const complex b = {add_high(times_low(y.re, w1), y.im, w1),
                       WS_SUB(times_low(y.im, w1), times_high(y.re, w1))};
    const complex x = load(z + 3 * q);
    const complex u = {add_high(add_low(b.re, x.re, w3), x.im, w3),
                       WS_SUB(add_low(b.im, x.im, w3), times_high(x.re, w3))};
    const complex v = {other(b.re, u.re), other(b.im, u.im)};
    const complex r = load(z + 2 * q);
    const complex p = load(z);
    const complex a = {p.re >> 1, p.im >> 1};
    const complex s = {add_high(add_low(a.re, r.re, w2), r.im, w2),
                       WS_SUB(add_low(a.im, r.im, w2), times_high(r.re, w2))};
    const complex t = {other(a.re, s.re), other(a.im, s.im)};
    store_butterfly(z, q, s, t, u, v);
}

/* The stage whose butterflies take points `quarter` apart: those with the same factors together. */
INLINE void stage(int32_t *z, int quarter) {
    const int step = POINTS / (4 * quarter);
    for (int k = 0; k < quarter; k++) {
        const uint32_t w1 = twiddles[0][k * step];
        const uint32_t w2 = twiddles[1][k * step];
        const uint32_t w3 = twiddles[2][k * step];
        int32_t *p = z + 2 * k;
        for (int i = 0; i < step; i++, p += 8 * quarter) {
            butterfly(p, 2 * quarter, w1, w2, w3);
        }
    }
}

static void later_stages(int32_t *z) {
    stage(z, 4);
    stage(z, 16);
    stage(z, 64);
}

/* From the spectrum of even + i odd samples to half that of the real signal, bins 1 .. POINTS - 1
 * in their places. Returns the bits in use. */
static uint32_t split(int32_t *z) {
    uint32_t used = 0;
    int32_t *p = z + 2, *m = z + 2 * (POINTS - 1);
    for (int k = 1; k < POINTS / 2; k++) {
        const uint32_t w = split_twiddles[k];
        const complex x = load(p), y = load(m);
        const complex a = {WS_ADD(x.re >> 2, y.re >> 2), WS_SUB(x.im >> 2, y.im >> 2)};
        const complex b = {WS_SUB(x.re >> 1, y.re >> 1), WS_ADD(x.im >> 1, y.im >> 1)};
        const int32_t product = add_high(times_low(b.re, w), b.im, w);
        const complex up = {WS_SUB(add_low(a.re, b.im, w), times_high(b.re, w)),
                            hide_from_optimizer(WS_SUB(a.im, product))};
        const complex down = {other(a.re, up.re), WS_SUB(up.im, 2 * a.im)};
        p = store_next(p, up.re, up.im);
        m = store_before(m, down.re, down.im);
        used |= magnitude(up.re) | magnitude(up.im) | magnitude(down.re) | magnitude(down.im);
    }
    int32_t *middle = z + POINTS;
    middle[0] >>= 1;
    middle[1] >>= 1;
    return used | magnitude(middle[0]) | magnitude(middle[1]);
}

/* Where the mel bands are: the next bin, and its weight. */
typedef struct {
    const int32_t *bin;
    const uint16_t *rise;
} mel;

/* The energy of the band that falls in the next interval, which has `rising` from the one before;
 * `rising` is then that of the band that rises. A bin's power is re^2 + im^2, both shifted up by
 * `lift`, over 2^31: with a `scale` of 2^(2 lift + 1), over 2^32. */
INLINE uint64_t falling_band(mel *next, int32_t bins, uint32_t scale, uint64_t *rising) {
    const uint32_t both = 32768; /* the sum of the two weights */
    uint64_t all = *rising, up = 0;
    for (; bins != 0; bins--) {
        const complex x = load_next(&next->bin);
        const uint64_t square = (uint64_t)((int64_t)x.re * x.re) + (uint64_t)((int64_t)x.im * x.im);
        const uint32_t high = (uint32_t)(square >> 32), low = (uint32_t)square;
        WS_CHECK((uint64_t)high * scale + (((uint64_t)low * scale) >> 32) <= UINT32_MAX);
        const uint32_t power = high * scale + (uint32_t)(((uint64_t)low * scale) >> 32);
        all = add_product(all, power, both);
        up = add_product(up, power, *next->rise++);
        bins = hide_from_optimizer(
            bins); /* a counter: an end pointer takes longer to make than it saves */
    }
    WS_CHECK(up <= all);
    *rising = up;
    return all - up;
}

/* Band energy to int8 steps in Q8. `full` is log2 of an energy of 2^63 (above any), Q15. */
INLINE int32_t steps_q8(uint64_t energy, int32_t full) {
    const uint32_t high = (uint32_t)(energy >> 32), low = (uint32_t)energy;
    uint32_t top; /* the 32 bits from the highest in use on */
    int zeros;
    if (__builtin_expect(high != 0, 1)) {
        zeros = leading_zeros(high);
        WS_CHECK(zeros >= 2);
        top = high << zeros | low >> (32 - zeros);
    } else if (low != 0) {
        zeros = 32 + leading_zeros(low);
        top = low << (zeros - 32);
    } else {
        return -128 * 256;
    }
    const uint32_t entry = log2_table[top >> 25 & (LOG_STEPS - 1)];
    const int32_t fraction = top >> 9 & 0xFFFF;
    const int32_t log2 = add_low(full - zeros * 32768 + (int32_t)(entry >> 16), fraction, entry);
    return (int32_t)(((int64_t)log2 * WS_LOG_SCALE) >> 32) - WS_LOG_OFFSET;
}

/* To one of q8 and q; the other is NULL. */
INLINE void bands(const int32_t *work, int shift, int lift, int32_t *q8, int8_t *q) {
    const int32_t full = hide_from_optimizer((63 + LOG2_OFFSET - 2 * (shift + lift)) * 32768);
    mel next = {work + 2 * WS_FIRST_BIN, band_rise};
    uint64_t rising = 0;
    /* Only silence has a lift above 15, and stays 0 under any. */
    const uint32_t scale = (uint32_t)2 << 2 * (lift < 16 ? lift : 15);
    (void)falling_band(&next, band_bins[0], scale, &rising);
    for (int i = 0; i < WS_BANDS; i++) {
        const uint64_t energy = falling_band(&next, band_bins[i + 1], scale, &rising);
        const int32_t steps = steps_q8(energy, full);
        if (q8 != NULL) {
            q8[i] = steps;
        } else {
            q[i] = rounded(steps);
        }
    }
}

#include "column.h"

#endif
