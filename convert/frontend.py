# SPDX-License-Identifier: Apache-2.0
"""The fixed-point LFBE front end: its tables, its NumPy integer reference, its hash.

The device's front end is firmware/frontend/; `reference` repeats it in NumPy, step by
step and bit for bit, and is one of its two judges (the other is librosa in float64).

Scales: the windowed block is shifted so that its largest magnitude is in [2^26, 2^27); a
256-point complex radix-4 FFT divides by 4 * 2^3, so that no stage can overflow int32; bin powers
are uint32, the loudest in [2^29, 2^32); bands are uint64; the logarithm interpolates in a table
of 64 steps.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import hertz, mel
from wakestate.words.schema import FrontEnd

LOG_STEPS = 64
# Exponents that the fixed scalings leave in the band sums: 15 (window) - 3 - 5 (FFT) - 1 (split)
# = 6 on amplitudes, - 31 + 15 (weights) on powers: 2 * 6 - 16 = -4.
LOG2_OFFSET = 4


def frontend_hash(frontend: FrontEnd) -> str:
    """SHA-256 of the front end's section, hex: equal hashes mean equal features."""
    text = json.dumps(frontend.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lfbe_name(frontend: FrontEnd) -> str:
    """C name of the front end's object."""
    return f"ws_lfbe_{frontend_hash(frontend)[:8]}"


def hann(frontend: FrontEnd) -> NDArray[np.int64]:
    """First half of the periodic Hann window, Q15, int64[window_samples // 2 + 1]."""
    n = np.arange(frontend.window_samples // 2 + 1)
    return _rounded(32768 * (0.5 - 0.5 * np.cos(2 * np.pi * n / frontend.window_samples)))


def sine(frontend: FrontEnd) -> NDArray[np.int64]:
    """sin(2 pi i / fft_size), Q15, one turn; 1 is 32767. int64[fft_size]."""
    n = np.arange(frontend.fft_size)
    return np.minimum(_rounded(32768 * np.sin(2 * np.pi * n / frontend.fft_size)), 32767)


def digit_reversed(points: int) -> NDArray[np.int64]:
    """Base-4 digit reversal of 0 .. points - 1 (a power of 4)."""
    digits = (points.bit_length() - 1) // 2
    n, out = np.arange(points), np.zeros(points, np.int64)
    for _ in range(digits):
        out, n = out * 4 + n % 4, n // 4
    return out


def mel_bands(frontend: FrontEnd) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles between bands + 2 mel-spaced edges, as intervals of FFT bins.

    Returns (first, rise): interval i holds the bins first[i] .. first[i + 1] - 1 between edges
    i and i + 1; rise[b] is bin b's weight in the band rising there, Q15, and 1 - rise its weight
    in the band falling there. int64[bands + 2] and int64[bins from first[0]].
    """
    edges = hertz(np.linspace(mel(frontend.low_hz), mel(frontend.high_hz), frontend.bands + 2))
    spacing = frontend.sample_rate / frontend.fft_size
    # Bins 0 and fft_size / 2 carry no weight: they are on the outer edges at most.
    first = np.clip(np.ceil(edges / spacing), 1, frontend.fft_size // 2).astype(np.int64)
    rise = [
        (np.arange(first[i], first[i + 1]) * spacing - edges[i]) / (edges[i + 1] - edges[i])
        for i in range(frontend.bands + 1)
    ]
    return first, _rounded(32768 * np.concatenate(rise))


def log2_table() -> NDArray[np.int64]:
    """log2(1 + i / 64), Q15, int64[65]."""
    return _rounded(32768 * np.log2(1 + np.arange(LOG_STEPS + 1) / LOG_STEPS))


def log_scale(frontend: FrontEnd) -> int:
    """Int8 steps in Q8 for one unit of Q15 log2, as a Q32 factor."""
    return round(10 * np.log10(2.0) / frontend.db_per_step * 256 / 32768 * 2**32)


def log_offset(frontend: FrontEnd) -> int:
    """What is taken off so that `floor_db` comes out as -128, in Q8 steps."""
    return round(frontend.floor_db / frontend.db_per_step * 256) + 128 * 256


def template_values(frontend: FrontEnd) -> dict[str, Any]:
    """What templates/ws_frontend.c.j2 needs besides what all front ends have."""
    first, rise = mel_bands(frontend)
    points, samples = frontend.fft_size // 2, frontend.window_samples
    n, k = np.arange(samples), np.arange(points // 4)
    log2 = log2_table()
    return {
        "hann": (-hann(frontend)[np.minimum(n, samples - n)]).tolist(),
        "digit_reversed": digit_reversed(points // 4).tolist(),
        "twiddles": [_twiddles(frontend, 2 * leg * k) for leg in (1, 2, 3)],
        "split_twiddles": _twiddles(frontend, np.arange(points // 2)),
        "first_bin": int(first[0]),
        "band_bins": np.diff(first).tolist(),
        "band_rise": rise.tolist(),
        "log2_table": _packed(np.diff(log2), log2[:-1]),
        "log_scale": log_scale(frontend),
        "log_offset": log_offset(frontend),
    }


def frames(frontend: FrontEnd, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Every whole window of the samples, int16[hops, window_samples] (a view)."""
    view = np.lib.stride_tricks.sliding_window_view(pcm, frontend.window_samples)
    return view[:: frontend.hop_samples]


def reference(frontend: FrontEnd, windows: NDArray[np.int16]) -> NDArray[np.int32]:
    """LFBE of int16[n, window_samples] in Q8 int8 steps, before rounding: int32[n, bands]."""
    points = frontend.fft_size // 2
    n = np.arange(frontend.window_samples)
    window = hann(frontend)[np.minimum(n, frontend.window_samples - n)]
    product = windows.astype(np.int64) * window
    shift = _clz32(np.bitwise_or.reduce(product ^ (product >> 31), axis=1) | 1) - 2
    product = (product << shift[:, None]) >> 3
    padded = np.zeros((len(windows), frontend.fft_size), np.int64)
    padded[:, : frontend.window_samples] = product
    order = digit_reversed(points)
    re, im = _fft(padded[:, 0::2][:, order], padded[:, 1::2][:, order], sine(frontend))
    re, im = _split(re, im, sine(frontend))
    used = np.bitwise_or.reduce((re ^ (re >> 31)) | (im ^ (im >> 31)), axis=1)
    lift = _clz32(used + 1) - 1
    re, im = re << lift[:, None], im << lift[:, None]
    power = ((re * re).astype(np.uint64) + (im * im).astype(np.uint64)) >> np.uint64(31)
    energy = _bands(frontend, power.astype(np.int64))
    log2 = _log2_q15(energy) + ((LOG2_OFFSET - 2 * (shift + lift)) << 15)[:, None]
    q8 = ((log2 * log_scale(frontend)) >> 32) - log_offset(frontend)
    return np.where(energy == 0, -128 * 256, q8).astype(np.int32)


def to_int8(q8: NDArray[np.int32]) -> NDArray[np.int8]:
    """Round Q8 steps to the network's int8 input."""
    return np.clip((q8 + 128) >> 8, -128, 127).astype(np.int8)


def decibels(frontend: FrontEnd, q8: NDArray[np.int32]) -> NDArray[np.float64]:
    """Band energy in dB that Q8 steps stand for."""
    return (q8 / 256 + 128) * frontend.db_per_step + frontend.floor_db


def _rounded(x: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(x + 0.5).astype(np.int64)


def _packed(low: NDArray[np.int64], high: NDArray[np.int64]) -> list[int]:
    """Words of two int16."""
    return ((low & 0xFFFF) | (high & 0xFFFF) << 16).tolist()


def _twiddles(frontend: FrontEnd, at: NDArray[np.int64]) -> list[int]:
    """Cosine in the low half, sine in the high half of a word."""
    table = sine(frontend)
    return _packed(table[(at + frontend.fft_size // 4) % len(table)], table[at])


def _clz32(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leading zeros of positive values below 2^32."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _half_product(a: NDArray[np.int64], w: NDArray[np.int64]) -> NDArray[np.int64]:
    return (a * w) >> 16


def _fft(
    re: NDArray[np.int64], im: NDArray[np.int64], table: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    points = re.shape[1]
    quarter = 1
    while quarter < points:
        shape = (len(re), points // (4 * quarter), 4, quarter)
        r, i = re.reshape(shape), im.reshape(shape)
        step = 2 * points // (4 * quarter)
        parts = []
        for branch in range(4):
            a, b = r[:, :, branch], i[:, :, branch]
            if quarter == 1:
                parts.append((a >> 2, b >> 2))
            elif branch == 0:
                parts.append((a >> 1, b >> 1))
            else:
                at = np.arange(quarter) * step * branch
                c, s = table[(at + points // 2) % len(table)], table[at]
                parts.append(
                    (
                        _half_product(a, c) + _half_product(b, s),
                        _half_product(b, c) - _half_product(a, s),
                    )
                )
        (ar, ai), (br, bi), (cr, ci), (dr, di) = parts
        sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
        ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
        re = np.stack([sr + ur, tr + vi, sr - ur, tr - vi], axis=2).reshape(len(re), points)
        im = np.stack([si + ui, ti - vr, si - ui, ti + vr], axis=2).reshape(len(im), points)
        quarter *= 4
    return re, im


def _split(
    re: NDArray[np.int64], im: NDArray[np.int64], table: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Half the spectrum of the real signal from that of its even and odd samples.

    Bins 1 .. points - 1 at their places; place 0 is zero.
    """
    points = re.shape[1]
    k = np.arange(1, points // 2)
    c, s = table[k + points // 2], table[k]
    zr, zi, mr, mi = re[:, k], im[:, k], re[:, points - k], im[:, points - k]
    ar, ai = (zr >> 2) + (mr >> 2), (zi >> 2) - (mi >> 2)
    br, bi = (zr >> 1) - (mr >> 1), (zi >> 1) + (mi >> 1)
    tr = _half_product(bi, c) - _half_product(br, s)
    ti = -_half_product(br, c) - _half_product(bi, s)
    out_re, out_im = np.zeros_like(re), np.zeros_like(im)
    out_re[:, k], out_im[:, k] = ar + tr, ai + ti
    out_re[:, points - k], out_im[:, points - k] = ar - tr, ti - ai
    out_re[:, points // 2] = re[:, points // 2] >> 1
    out_im[:, points // 2] = im[:, points // 2] >> 1
    return out_re, out_im


def _bands(frontend: FrontEnd, power: NDArray[np.int64]) -> NDArray[np.int64]:
    first, rise = mel_bands(frontend)
    energy = np.zeros((len(power), frontend.bands + 2), np.int64)
    for i in range(frontend.bands + 1):
        bins = slice(first[i], first[i + 1])
        rising = power[:, bins] @ rise[first[i] - first[0] : first[i + 1] - first[0]]
        energy[:, i] += (power[:, bins].sum(axis=1) << 15) - rising
        energy[:, i + 1] += rising
    return energy[:, 1:-1]


def _log2_q15(energy: NDArray[np.int64]) -> NDArray[np.int64]:
    """log2 of positive values below 2^62; 0 gives 0."""
    safe = np.maximum(energy, 1)
    high = safe >> 31
    exponent = np.where(high > 0, 62 - _clz32(np.maximum(high, 1)), 31 - _clz32(safe))
    mantissa = safe << (62 - exponent)
    index = (mantissa >> 56) & (LOG_STEPS - 1)
    fraction = (mantissa >> 40) & 0xFFFF
    table = log2_table()
    return (exponent << 15) + table[index] + (((table[index + 1] - table[index]) * fraction) >> 16)
