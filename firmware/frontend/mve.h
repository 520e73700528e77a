/* SPDX-License-Identifier: Apache-2.0 */
/* The front end for cores with Helium (Cortex-M55). */
#ifndef WS_FRONTEND_MVE_H
#define WS_FRONTEND_MVE_H

#include <arm_mve.h>

#include "tables.h"

/* Four complex numbers, a lane each. In memory they are in fours: four real parts, then four
 * imaginary ones; so point i begins at word 8 (i / 4) + i % 4. Offsets and shifts of some
 * instructions are constants that inlining brings there: compile with optimization. */
typedef struct {
    int32x4_t re, im;
} complex4;

INLINE complex4 load(const int32_t *z) {
    return (complex4){vldrwq_s32(z), vldrwq_s32(z + 4)};
}

INLINE void store(int32_t *z, int32x4_t re, int32x4_t im) {
    vstrwq_s32(z, re);
    vstrwq_s32(z + 4, im);
}

/* Points of four fours, by the addresses of their real parts and an offset in bytes. */
INLINE complex4 gather(uint32x4_t at, const int offset) {
    complex4 z; /* as assembly: gcc 12 does not see that its intrinsic reads memory */
    __asm__("vldrw.u32 %q0, [%q1, #%c2]" : "=&w"(z.re) : "w"(at), "i"(offset) : "memory");
    __asm__("vldrw.u32 %q0, [%q1, #%c2]" : "=&w"(z.im) : "w"(at), "i"(offset + 16) : "memory");
    return z;
}

INLINE void scatter(uint32x4_t at, const int offset, int32x4_t re, int32x4_t im) {
    vstrwq_scatter_base_s32(at, offset, re);
    vstrwq_scatter_base_s32(at, offset + 16, im);
}

/* The addresses of z and of the points 64, 128 and 192 after it. */
INLINE uint32x4_t every_64th(const int32_t *z) {
    return vaddq_n_u32(vmulq_n_u32(vidupq_n_u32(0, 1), 512), (uint32_t)(uintptr_t)z);
}

INLINE complex4 plus(complex4 a, complex4 b) {
    return (complex4){vaddq_s32(a.re, b.re), vaddq_s32(a.im, b.im)};
}

INLINE complex4 minus(complex4 a, complex4 b) {
    return (complex4){vsubq_s32(a.re, b.re), vsubq_s32(a.im, b.im)};
}

INLINE complex4 shifted_down(complex4 z, const int shift) {
    return (complex4){vshrq_n_s32(z.re, shift), vshrq_n_s32(z.im, shift)};
}

/* No instruction. Loads after it stay after it: fewer values at a time, and they fit in eight
 * vector registers. */
INLINE void compiler_barrier(void) {
    __asm__("" ::: "memory");
}

/* Eight samples times their weights, even ones and odd ones. The window holds only `left` more. */
INLINE complex4 products(const int16_t *pcm, const int16_t *weights, int left) {
    int16x8_t x, w;
    if (WS_WINDOW % 8 == 0) {
        x = vldrhq_s16(pcm);
        w = vldrhq_s16(weights);
    } else {
        const mve_pred16_t inside = vctp16q((uint32_t)left);
        x = vldrhq_z_s16(pcm, inside);
        w = vldrhq_z_s16(weights, inside);
    }
    return (complex4){vmullbq_int_s16(x, w), vmulltq_int_s16(x, w)};
}

/* How far the windowed block can be shifted up: its largest magnitude comes to be in
 * [2^29, 2^30). That of negative values is less one; products are negative, as the window is. */
static int headroom(const int16_t *pcm) {
    int32_t lowest = -1, highest = 0;
    for (int i = 0; i < WS_WINDOW; i += 8) {
        const complex4 product = products(pcm + i, hann + i, WS_WINDOW - i);
        lowest = vminvq_s32(vminvq_s32(lowest, product.re), product.im);
        highest = vmaxvq_s32(vmaxvq_s32(highest, product.re), product.im);
    }
    return leading_zeros((uint32_t)(-lowest > highest - 1 ? -lowest : highest - 1)) - 2;
}

/* Points i .. i + 3, windowed. A shift by 3 leaves three stages room to grow by 2 and one by 1;
 * the first divides by 4. */
INLINE complex4 windowed(const int16_t *pcm, int i, int32_t scale) {
    const complex4 p = products(pcm + 2 * i, hann + 2 * i, WS_WINDOW - 2 * i);
    const complex4 up = {vmulq_n_s32(p.re, scale), vmulq_n_s32(p.im, scale)};
    return shifted_down(up, 5);
}

/* For `from` <= i < `to`, where the first `legs` of a butterfly's four points are in the window. */
INLINE void first_butterflies(const int16_t *pcm, int32_t *z, int32_t scale, int from, int to,
                              int legs) {
    for (int i = from; i < to; i += 4) {
        const complex4 none = {vdupq_n_s32(0), vdupq_n_s32(0)};
        complex4 s = none, t = none, u = none, v = none;
        if (legs > 1) {
            u = v = windowed(pcm, i + POINTS / 4, scale);
        }
        if (legs > 3) {
            const complex4 b = u, d = windowed(pcm, i + POINTS / 4 * 3, scale);
            u = plus(b, d);
            v = minus(b, d);
        }
        compiler_barrier();
        if (legs > 0) {
            s = t = windowed(pcm, i, scale);
        }
        if (legs > 2) {
            const complex4 a = s, c = windowed(pcm, i + POINTS / 2, scale);
            s = plus(a, c);
            t = minus(a, c);
        }
        const uint32x4_t at = every_64th(z + 8 * digit_reversed[i]);
        scatter(at, 0, vaddq_s32(s.re, u.re), vaddq_s32(s.im, u.im));
        scatter(at, 8, vsubq_s32(s.re, u.re), vsubq_s32(s.im, u.im));
        scatter(at, 4, vaddq_s32(t.re, v.im), vsubq_s32(t.im, v.re));
        scatter(at, 12, vsubq_s32(t.re, v.im), vaddq_s32(t.im, v.re));
    }
}

/* Window, shift up, and first stage: no twiddle factors. */
static void first_stage(const int16_t *pcm, int32_t *z, int shift) {
    const int32_t scale = -((int32_t)1 << shift); /* the window is negative */
    const int last = (LAST_LEG + WS_WINDOW % 2 + 3) / 4 * 4;
    first_butterflies(pcm, z, scale, 0, last, LEGS);
    first_butterflies(pcm, z, scale, last, POINTS / 4, LEGS - 1);
}

/* z times a twiddle factor, halved, each product by itself. VQDMULH doubles, so it takes the
 * factors halved. */
INLINE complex4 complex_multiply(complex4 z, uint32_t twiddle) {
    const int32_t c = (int32_t)(twiddle << 16) >> 1, s = (int32_t)(twiddle & 0xFFFF0000) >> 1;
    return (complex4){vqdmlahq_n_s32(vqdmulhq_n_s32(z.re, c), z.im, s),
                      vsubq_s32(vqdmulhq_n_s32(z.im, c), vqdmulhq_n_s32(z.re, s))};
}

/* The stage whose butterflies take points `quarter` apart, 4 or 16; half of it. Four butterflies
 * 64 points apart have the same twiddle factors. */
INLINE void middle_stage(int32_t *z, const int quarter) {
    const int q = 8 * quarter, step = POINTS / (4 * quarter); /* bytes, table entries */
    for (int k = 0; k < quarter; k++) {
        const uint32_t w1 = twiddles[0][k * step];
        const uint32_t w2 = twiddles[1][k * step];
        const uint32_t w3 = twiddles[2][k * step];
        uint32x4_t at = every_64th(z + 8 * (k / 4) + k % 4);
        for (int i = 0; i < POINTS / 4; i += 4 * quarter) {
            const complex4 b = complex_multiply(gather(at, q), w1);
            const complex4 d = complex_multiply(gather(at, 3 * q), w3);
            const complex4 u = plus(b, d), v = minus(b, d);
            compiler_barrier();
            const complex4 c = complex_multiply(gather(at, 2 * q), w2);
            compiler_barrier();
            const complex4 a = shifted_down(gather(at, 0), 1);
            const complex4 s = plus(a, c), t = minus(a, c);
            scatter(at, 0, vaddq_s32(s.re, u.re), vaddq_s32(s.im, u.im));
            scatter(at, 2 * q, vsubq_s32(s.re, u.re), vsubq_s32(s.im, u.im));
            scatter(at, q, vaddq_s32(t.re, v.im), vsubq_s32(t.im, v.re));
            scatter(at, 3 * q, vsubq_s32(t.re, v.im), vaddq_s32(t.im, v.re));
            at = vaddq_n_u32(at, 4 * (uint32_t)q);
        }
    }
}

/* Four twiddle factors; the upper word of a product by them is halved. */
INLINE complex4 factors(const uint32_t *twiddle) {
    const int16x8_t w = vreinterpretq_s16_u32(vldrwq_u32(twiddle));
    return (complex4){vshllbq_n_s16(w, 16), vshlltq_n_s16(w, 16)};
}

INLINE complex4 complex_multiply_each(complex4 z, const uint32_t *twiddle) {
    const complex4 w = factors(twiddle);
    return (complex4){vaddq_s32(vmulhq_s32(z.re, w.re), vmulhq_s32(z.im, w.im)),
                      vsubq_s32(vmulhq_s32(z.im, w.re), vmulhq_s32(z.re, w.im))};
}

/* The stage whose butterflies take points 64 apart; half of it. */
static void last_stage(int32_t *z) {
    int32_t *zb = z + POINTS / 2, *zc = z + POINTS, *zd = z + POINTS / 2 * 3;
    for (int k = 0; k < POINTS / 4; k += 4, z += 8, zb += 8, zc += 8, zd += 8) {
        const complex4 b = complex_multiply_each(load(zb), twiddles[0] + k);
        compiler_barrier();
        const complex4 d = complex_multiply_each(load(zd), twiddles[2] + k);
        const complex4 u = plus(b, d), v = minus(b, d);
        compiler_barrier();
        const complex4 c = complex_multiply_each(load(zc), twiddles[1] + k);
        compiler_barrier();
        const complex4 a = shifted_down(load(z), 1);
        const complex4 s = plus(a, c), t = minus(a, c);
        store(z, vaddq_s32(s.re, u.re), vaddq_s32(s.im, u.im));
        store(zc, vsubq_s32(s.re, u.re), vsubq_s32(s.im, u.im));
        store(zb, vaddq_s32(t.re, v.im), vsubq_s32(t.im, v.re));
        store(zd, vsubq_s32(t.re, v.im), vaddq_s32(t.im, v.re));
    }
}

static void later_stages(int32_t *z) {
    middle_stage(z, 4);
    middle_stage(z, 16);
    last_stage(z);
}

/* Magnitude, less one for negative values, among the bits in use. */
INLINE uint32x4_t use(uint32x4_t used, int32x4_t a) {
    return vorrq_u32(used, vreinterpretq_u32_s32(veorq_s32(a, vshrq_n_s32(a, 31))));
}

/* From the spectrum of even + i odd samples to half that of the real signal, bins 1 .. POINTS - 1
 * in their places. Returns the bits in use. */
static uint32_t split(int32_t *z) {
    static const uint32_t first[4] = {0, 507, 506, 505}; /* words of bins 0, 255, 254, 253 */
    static const uint32_t rest[4] = {8, 3, 2, 1};        /* of bins k, k - 1, k - 2, k - 3 */
    uint32x4_t used = vdupq_n_u32(0), mirror = vldrwq_u32(first);
    int32_t *p = z, *m = z;
    z[0] = z[4] = 0; /* bin 0, its own mirror, is not used: keep it from the bits in use */
    for (int k = 0; k < POINTS / 2; k += 4, p += 8) {
        const complex4 x = load(p);
        const complex4 y = {vldrwq_gather_shifted_offset_s32(m, mirror),
                            vldrwq_gather_shifted_offset_s32(m + 4, mirror)};
        const complex4 x1 = shifted_down(x, 1), y1 = shifted_down(y, 1);
        const complex4 x2 = shifted_down(x, 2), y2 = shifted_down(y, 2);
        const complex4 a = {vaddq_s32(x2.re, y2.re), vsubq_s32(x2.im, y2.im)};
        const complex4 b = {vsubq_s32(x1.re, y1.re), vaddq_s32(x1.im, y1.im)};
        const complex4 w = factors(split_twiddles + k);
        const int32x4_t re = vsubq_s32(vmulhq_s32(b.im, w.re), vmulhq_s32(b.re, w.im));
        const int32x4_t im = vaddq_s32(vmulhq_s32(b.re, w.re), vmulhq_s32(b.im, w.im));
        const complex4 up = {vaddq_s32(a.re, re), vsubq_s32(a.im, im)};
        const complex4 down = {vsubq_s32(a.re, re), vnegq_s32(vaddq_s32(a.im, im))};
        store(p, up.re, up.im);
        vstrwq_scatter_shifted_offset_s32(m, mirror, down.re);
        vstrwq_scatter_shifted_offset_s32(m + 4, mirror, down.im);
        used = use(use(use(use(used, up.re), up.im), down.re), down.im);
        mirror = vldrwq_u32(rest);
        m = z + 2 * (POINTS - 8 - k);
    }
    int32_t *middle = z + POINTS;
    middle[0] >>= 1;
    middle[4] >>= 1;
    used = use(use(used, vdupq_n_s32(middle[0])), vdupq_n_s32(middle[4]));
    return vgetq_lane_u32(used, 0) | vgetq_lane_u32(used, 1) | vgetq_lane_u32(used, 2) |
           vgetq_lane_u32(used, 3);
}

/* Bin powers: re^2 + im^2, both shifted up by `lift`, over 2^31. `powers` may be z. */
static void bin_powers(const int32_t *z, int lift, uint32_t *powers) {
    for (int k = 0; k < POINTS; k += 4, z += 8, powers += 4) {
        const complex4 x = load(z);
        const int32x4_t re = vshlq_r_s32(x.re, lift), im = vshlq_r_s32(x.im, lift);
        const int32x4_t high = vaddq_s32(vmulhq_s32(re, re), vmulhq_s32(im, im));
        const uint32x4_t low = vhaddq_u32(vreinterpretq_u32_s32(vmulq_s32(re, re)),
                                          vreinterpretq_u32_s32(vmulq_s32(im, im)));
        vstrwq_u32(powers, vmlaq_n_u32(vshrq_n_u32(low, 30), vreinterpretq_u32_s32(high), 2));
    }
}

/* The energy of the band that falls in an interval of `bins` bins, which has `rising` from the one
 * before; `rising` is then that of the band that rises. */
INLINE uint64_t falling_band(const uint32_t *power, const uint16_t *rise, int bins,
                             uint64_t *rising) {
    uint64_t falling = *rising, up = 0;
    __asm__(
        "wlstp.32 lr, %[bins], 2f\n" /* a tail-predicated loop, which gcc 12 does not make */
        "1: vldrw.u32 q0, [%[power]], #16\n"
        "vldrh.u32 q1, [%[rise]], #8\n"
        "vmlaldava.u32 %Q[up], %R[up], q0, q1\n"
        "vsub.i32 q1, %q[both], q1\n"
        "vmlaldava.u32 %Q[falling], %R[falling], q0, q1\n"
        "letp lr, 1b\n"
        "2:"
        : [up] "+r"(up), [falling] "+r"(falling), [power] "+r"(power), [rise] "+l"(rise)
        : [bins] "r"(bins), [both] "w"(vdupq_n_u32(32768)) /* the sum of the two weights */
        : "q0", "q1", "lr", "memory");
    *rising = up;
    return falling;
}

/* Band energies to int8 steps in Q8. `full` is log2 of an energy of 2^63 (above any), Q15. */
INLINE int32x4_t steps_q8(uint32x4_t high, uint32x4_t low, int32_t full) {
    /* The 32 bits from the highest in use on; shifts by 32 and more give 0. */
    const int32x4_t zeros = vreinterpretq_s32_u32(vclzq_u32(high));
    const uint32x4_t below = vshlq_u32(low, vsubq_n_s32(zeros, 32));
    const uint32x4_t some = vorrq_u32(vshlq_u32(high, zeros), below);
    const int32x4_t more = vreinterpretq_s32_u32(vclzq_u32(some));
    const uint32x4_t top = vshlq_u32(some, more);
    const uint32x4_t index = vshrq_n_u32(vshlq_n_u32(top, 1), 26);
    const uint32x4_t word = vldrwq_gather_shifted_offset_u32(log2_table, index);
    const uint16x8_t entry = vreinterpretq_u16_u32(word);
    const uint32x4_t fraction = vshrq_n_u32(vshlq_n_u32(top, 7), 16);
    const uint32x4_t rest = vshrq_n_u32(vmulq_u32(fraction, vmovlbq_u16(entry)), 16);
    const int32x4_t mantissa = vreinterpretq_s32_u32(vaddq_u32(vmovltq_u16(entry), rest));
    const int32x4_t log2 = vmlaq_n_s32(vaddq_n_s32(mantissa, full), vaddq_s32(zeros, more), -32768);
    /* Steps above -128; an energy of 0, whose top is 0, has none. */
    const int32x4_t above =
        vsubq_n_s32(vmulhq_s32(log2, vdupq_n_s32(WS_LOG_SCALE)), WS_LOG_OFFSET - 128 * 256);
    const int32x4_t audible = vshrq_n_s32(vreinterpretq_s32_u32(top), 31); /* all bits or none */
    return vsubq_n_s32(vandq_s32(above, audible), 128 * 256);
}

/* To one of q8 and q; the other is NULL. */
INLINE void bands(int32_t *work, int shift, int lift, int32_t *q8, int8_t *q) {
    const int32_t full = (63 + LOG2_OFFSET - 2 * (shift + lift)) * 32768;
    uint32_t *power = (uint32_t *)work, *energy = power + POINTS;
    bin_powers(work, lift, power);
    power += WS_FIRST_BIN;
    const uint16_t *rise = band_rise;
    uint64_t rising = 0;
    for (int i = 0; i <= WS_BANDS; i++) { /* no band falls in interval 0 */
        const int bins = band_bins[i];
        const uint64_t falling = falling_band(power, rise, bins, &rising);
        memcpy(energy + 2 * i, &falling, sizeof falling);
        power += bins;
        rise += bins;
    }
    for (int i = 0; i < WS_BANDS; i += 4) {
        const mve_pred16_t inside = vctp32q((uint32_t)(WS_BANDS - i));
        const uint32x4x2_t e = vld2q_u32(energy + 2 + 2 * i);
        const int32x4_t steps = steps_q8(e.val[1], e.val[0], full);
        if (q8 != NULL) {
            vstrwq_p_s32(q8 + i, steps, inside);
        } else {
            const int32x4_t highest = vminq_s32(vrshrq_n_s32(steps, 8), vdupq_n_s32(127));
            vstrbq_p_s32(q + i, vmaxq_s32(highest, vdupq_n_s32(-128)), inside);
        }
    }
}

#include "column.h"

#endif
