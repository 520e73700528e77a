/* SPDX-License-Identifier: Apache-2.0 */
/* microWakeWord's front end, the audio front end of TensorFlow Lite Micro, with its results to the
 * bit: Hann window, FFT on int16, mel bands, square root, noise reduction, automatic gain (PCAN),
 * logarithm. The generated ws_frontend.c includes this behind its tables and constants:
 *
 *     FIRST_BIN                    the first bin of the first band
 *     EVEN, ODD                    how fast the noise of even and odd bands is followed, Q14
 *     FLOOR                        of a band, what is left whatever the noise, Q14
 *     STEP                         int8 steps for a unit of the logarithm, Q24
 *     hann[WS_WINDOW]              Q12
 *     digit_reversed[64]           as frontend/tables.h has it, of 256 points
 *     twiddles[3][64]              Q15: cosine in the low half of a word, minus sine in the high
 *                                  one, of 2 pi k / 256, twice and three times it
 *     split_twiddles[128]          the same of pi (k / 256 + 1 / 2), k = 1 .. 128
 *     band_bins[WS_BANDS + 1]      bins of each interval between two mel edges
 *     band_fall[]                  a bin's weight in the band that falls there, Q12
 *     gain[125]                    of PCAN, by how many bits the noise has: value, slope, curvature
 *     log2_table[130]              log2(1 + i / 128) - i / 128, Q16
 *
 * `work` is 256 words of scratch, then the noise in each band, kept from one column to the next and
 * zero at first. The rounding of each product is that of kissfft; what int16 cannot hold wraps. */
#ifndef WS_FRONTEND_MICRO_H
#define WS_FRONTEND_MICRO_H

#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { POINTS = 256 };

typedef struct {
    int32_t re, im; /* int16 both */
} point;

INLINE int leading_zeros(uint32_t a) {
    return __builtin_clz(a);
}

/* A word of the spectrum: the real part below, the imaginary one above. */
INLINE point load(int32_t word) {
    return (point){(int16_t)word, word >> 16};
}

INLINE int32_t packed(int32_t re, int32_t im) {
    return (int32_t)(((uint32_t)re & 0xFFFF) | (uint32_t)im << 16);
}

/* A Q15 product's sum to the nearest. */
INLINE int32_t rounded(int32_t product) {
    return (int16_t)(WS_ADD(product, 1 << 14) >> 15);
}

INLINE point times(point a, uint32_t twiddle) {
    const point w = load((int32_t)twiddle);
    return (point){rounded(WS_SUB(a.re * w.re, a.im * w.im)),
                   rounded(WS_ADD(a.re * w.im, a.im * w.re))};
}

INLINE point part(point a, int32_t factor) {
    return (point){rounded(a.re * factor), rounded(a.im * factor)};
}

/* A quarter and a half, as kissfft has them. */
INLINE point quarter(int32_t word) {
    return part(load(word), 32767 / 4);
}

/* Four points, `q` words apart, of their quarters times their twiddle factors. */
INLINE void butterfly(int32_t *z, int q, point a, point b, point c, point d) {
    const point s = {a.re + c.re, a.im + c.im}, t = {a.re - c.re, a.im - c.im};
    const point u = {b.re + d.re, b.im + d.im}, v = {b.re - d.re, b.im - d.im};
    z[0] = packed(s.re + u.re, s.im + u.im);
    z[q] = packed(t.re + v.im, t.im - v.re);
    z[2 * q] = packed(s.re - u.re, s.im - u.im);
    z[3 * q] = packed(t.re - v.im, t.im + v.re);
}

INLINE int32_t windowed(const int16_t *pcm, int i) {
    return (pcm[i] * hann[i]) >> 12;
}

/* How far the window can be shifted up. The least int16 is not counted. */
static int headroom(const int16_t *pcm) {
    uint32_t used = 0;
    for (int i = 0; i < WS_WINDOW; i++) {
        const int32_t x = windowed(pcm, i);
        used |= (uint32_t)(x < 0 ? -x : x);
    }
    used &= 0x7FFF;
    return used == 0 ? 15 : leading_zeros(used) - 17;
}

/* A quarter of the point `i`, two samples shifted up. */
INLINE point shifted(const int16_t *pcm, int i, int shift) {
    if (2 * i >= WS_WINDOW) return (point){0, 0};
    return quarter(packed((int32_t)((uint32_t)windowed(pcm, 2 * i) << shift),
                          (int32_t)((uint32_t)windowed(pcm, 2 * i + 1) << shift)));
}

/* Window and FFT of even + i odd samples; no twiddle factor of the first stage changes anything. */
static void transform(const int16_t *pcm, int32_t *z, int shift) {
    for (int i = 0; i < POINTS / 4; i++) {
        butterfly(z + 4 * digit_reversed[i], 1, shifted(pcm, i, shift),
                  shifted(pcm, i + POINTS / 4, shift), shifted(pcm, i + POINTS / 2, shift),
                  shifted(pcm, i + POINTS / 4 * 3, shift));
    }
    for (int q = 4; q < POINTS; q *= 4) {
        const int step = POINTS / (4 * q);
        for (int k = 0; k < q; k++) {
            for (int32_t *p = z + k; p < z + POINTS; p += 4 * q) {
                butterfly(p, q, quarter(p[0]), times(quarter(p[q]), twiddles[0][k * step]),
                          times(quarter(p[2 * q]), twiddles[1][k * step]),
                          times(quarter(p[3 * q]), twiddles[2][k * step]));
            }
        }
    }
}

INLINE int32_t power(int32_t re, int32_t im) {
    const int32_t x = (int16_t)(re >> 1), y = (int16_t)(im >> 1);
    return (int32_t)((uint32_t)(x * x) + (uint32_t)(y * y));
}

/* The powers of the bins from that spectrum, in its place, from FIRST_BIN on. */
static void split(int32_t *z) {
    for (int k = FIRST_BIN; k <= POINTS / 2; k++) {
        const point low = load(z[k]), high = load(z[POINTS - k]);
        const point p = part(low, 32767 / 2);
        const point m = part((point){high.re, (int16_t)-high.im}, 32767 / 2);
        const point sum = {(int16_t)(p.re + m.re), (int16_t)(p.im + m.im)};
        const point product =
            times((point){(int16_t)(p.re - m.re), (int16_t)(p.im - m.im)}, split_twiddles[k - 1]);
        z[k] = power(sum.re + product.re, sum.im + product.im);
        z[POINTS - k] = power(sum.re - product.re, product.im - sum.im);
    }
}

/* The root to the nearest, but that of 65535 squared and above, which stays. */
static uint32_t root(uint64_t square) {
    if (square == 0) return 0;
    uint32_t found = 0, rest = 0;
    const int skipped = __builtin_clzll(square) & ~1;
    square <<= skipped;
    for (int bits = 64 - skipped; bits > 0; bits -= 2) {
        rest = rest << 2 | (uint32_t)(square >> 62);
        square <<= 2;
        const uint32_t trial = found << 2 | 1;
        found <<= 1;
        if (rest >= trial) {
            rest -= trial;
            found |= 1;
        }
    }
    return found + (rest > found && found != UINT16_MAX);
}

/* What the noise leaves of a band; the noise follows. */
INLINE uint32_t reduced(uint32_t signal, uint32_t follow, int32_t *noise) {
    const uint32_t up = signal << 10;
    const uint32_t now =
        (uint32_t)(((uint64_t)up * follow + (uint64_t)(uint32_t)*noise * ((1u << 14) - follow)) >>
                   14);
    *noise = (int32_t)now;
    const uint32_t floor = (uint32_t)(((uint64_t)signal * FLOOR) >> 14);
    const uint32_t rest = now < up ? (up - now) >> 10 : 0;
    return rest > floor ? rest : floor;
}

/* The gain for so much noise: a parabola between powers of 2. */
INLINE uint32_t gain_of(uint32_t noise) {
    if (noise <= 2) return (uint32_t)gain[noise];
    const int bits = 32 - leading_zeros(noise);
    const int16_t *at = gain + 4 * bits - 6;
    const int32_t part_q10 =
        (int32_t)(bits < 11 ? noise << (11 - bits) : noise >> (bits - 11)) & 0x3FF;
    const int32_t slope = ((at[2] * part_q10) >> 5) + at[1] * 32;
    return (uint32_t)(int16_t)((WS_ADD(WS_MUL(slope, part_q10), 1 << 14) >> 15) + at[0]);
}

/* The signal with that gain, compressed where it is hardly above the noise. */
INLINE uint32_t leveled(uint32_t signal, uint32_t noise) {
    const uint32_t ratio = (uint32_t)(((uint64_t)signal * gain_of(noise)) >> 6); /* Q12 */
    return ratio < 2u << 12 ? ratio * ratio >> 20 : (ratio >> 6) - (1u << 6);
}

/* 64 times the natural logarithm; 0 below 2. */
INLINE uint32_t logarithm(uint32_t x) {
    if (x < 2) return 0;
    const int exponent = 31 - leading_zeros(x);
    const uint32_t over = x - (1u << exponent);
    const uint32_t fraction = exponent < 16 ? over << (16 - exponent) : over >> (exponent - 16);
    const uint16_t *at = log2_table + (fraction >> 9);
    const int32_t more = ((at[1] - at[0]) * (int32_t)(fraction & 511)) >> 16;
    const uint32_t log2 = ((uint32_t)exponent << 16) + fraction + at[0] + (uint32_t)more;
    const uint32_t natural = (uint32_t)((UINT64_C(45426) * log2 + (1u << 15)) >> 16); /* ln 2 */
    return ((natural << 6) + (1u << 15)) >> 16;
}

/* Q8 int8 steps, rounded down, of a band of the column. */
INLINE int32_t finished(uint64_t energy, int band, int shift, int32_t *noise) {
    const uint32_t signal = root(energy) >> shift;
    const uint32_t clear = reduced(signal, band % 2 == 0 ? EVEN : ODD, noise);
    const uint32_t log = logarithm(leveled(clear, (uint32_t)*noise) << 3);
    return (int32_t)(((uint64_t)log * STEP) >> 16) - 128 * 256;
}

void ws_frontend_q8(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int32_t out[WS_BANDS]) {
    const int shift = headroom(pcm);
    transform(pcm, work, shift);
    split(work);
    const int32_t *bin = work + FIRST_BIN;
    const uint16_t *fall = band_fall;
    uint64_t rising = 0;
    for (int interval = 0; interval <= WS_BANDS; interval++) {
        uint64_t all = 0, falling = 0;
        for (int bins = band_bins[interval]; bins > 0; bins--) {
            const uint32_t energy = (uint32_t)*bin++;
            all += energy;
            falling += (uint64_t)energy * *fall++;
        }
        if (interval > 0) {
            const int band = interval - 1;
            out[band] = finished(rising + falling, band, shift, work + POINTS + band);
        }
        rising = (all << 12) - falling;
    }
}

void ws_frontend(const int16_t pcm[WS_WINDOW], int32_t work[WS_WORK], int8_t out[WS_BANDS]) {
    int32_t q8[WS_BANDS];
    ws_frontend_q8(pcm, work, q8);
    for (int i = 0; i < WS_BANDS; i++) {
        const int32_t q = (q8[i] + 128) >> 8;
        out[i] = (int8_t)(q > 127 ? 127 : q);
    }
}

#endif
