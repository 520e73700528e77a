# SPDX-License-Identifier: Apache-2.0
"""The tables of microWakeWord's front end, which firmware/frontend/micro.h computes.

The settings are those that microWakeWord, its Python package and ESPHome share. TensorFlow Lite
Micro makes its tables with float32 when it starts; here each operation is rounded to float32 as
there, so that the integers are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.frontend import digit_reversed
from wakestate.words.schema import FrontEnd

POINTS = 256  # complex: even and odd samples
FEATURE = 10 / 256  # a unit of 64 natural logarithms as microWakeWord's networks are trained on it
WORK = POINTS + 40  # words: the spectrum, and the noise of each band
_F = np.float32
_SMOOTHING_BITS, _GAIN_BITS, _CORRECTION_BITS = 10, 21, 3
_STRENGTH, _OFFSET = _F(0.95), _F(80.0)
_GAIN_MAX = 0x7FFF


def template_values(frontend: FrontEnd) -> dict[str, Any]:
    """What templates/ws_frontend_micro.c.j2 needs besides what all front ends have."""
    first, bins, fall = mel_bands(frontend)
    k = np.arange(POINTS // 4)
    return {
        "points": POINTS,
        "first_bin": first,
        "hann": hann(frontend).tolist(),
        "digit_reversed": digit_reversed(POINTS // 4).tolist(),
        "twiddles": [_twiddles(2 * np.pi * leg * k / POINTS) for leg in (1, 2, 3)],
        "split_twiddles": _twiddles(np.pi * (np.arange(1, POINTS // 2 + 1) / POINTS + 0.5)),
        "band_bins": bins.tolist(),
        "band_fall": fall.tolist(),
        "gain": gain(),
        "log2_table": log2_table().tolist(),
        "even": int(_F(0.025) * _F(1 << 14)),
        "odd": int(_F(0.06) * _F(1 << 14)),
        "floor": int(_F(0.05) * _F(1 << 14)),
        "step": step(frontend),
    }


def hann(frontend: FrontEnd) -> NDArray[np.int64]:
    """The window, Q12, int64[window_samples]."""
    n = np.arange(frontend.window_samples).astype(_F) + _F(0.5)
    angle = _F(_F(np.pi) * _F(2.0) / _F(frontend.window_samples)) * n
    cosine = np.cos(angle.astype(np.float64)).astype(_F)
    return np.floor((_F(0.5) - _F(0.5) * cosine) * _F(1 << 12) + _F(0.5)).astype(np.int64)


def mel_bands(frontend: FrontEnd) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """The first bin; how many lie in each interval between the mel edges, int64[bands + 1]; and
    each one's weight in the band that falls there, Q12, the rest being that of the band that rises.
    """
    low, high = _mel(frontend.low_hz), _mel(frontend.high_hz)
    spacing = _F(_F(high - low) / _F(frontend.bands + 1))
    edges = low + spacing * np.arange(1, frontend.bands + 2).astype(_F)
    hertz = _F(0.5) * _F(frontend.sample_rate) / _F(POINTS)
    first = int(_F(1.5) + _F(frontend.low_hz) / hertz)
    at = np.array([_mel(_F(bin) * hertz) for bin in range(POINTS)], _F)
    bins, weights, begin, before = [], [], first, low
    for edge in edges:
        end = begin
        while at[end] <= edge:
            end += 1
        weights += [(edge - m) / _F(edge - before) for m in at[begin:end]]
        bins.append(end - begin)
        begin, before = end, edge
    return (
        first,
        np.array(bins),
        np.floor(np.array(weights, _F) * _F(1 << 12) + _F(0.5)).astype(int),
    )


def gain() -> list[int]:
    """PCAN's gain for 0 and 1, then for each power of 2 value, slope and curvature; Q21."""

    def of(noise: int) -> int:
        x = _F(_F(noise) / _F(1 << (_SMOOTHING_BITS - _CORRECTION_BITS))) + _OFFSET
        power = _F(np.power(np.float64(x), -np.float64(_STRENGTH)))
        return min(int(_F(1 << _GAIN_BITS) * power + _F(0.5)), _GAIN_MAX)

    found = [of(0), of(1)]
    for bits in range(2, 33):
        low = 1 << (bits - 1)
        high = low + low - 1 if bits == 32 else 2 * low
        y0, y1, y2 = of(low), of(low + low // 2), of(high)
        slope = 4 * (y1 - y0) - (y2 - y0)
        found += [y0, slope, y2 - y0 - slope, 0]
    return found[:-1]


def log2_table() -> NDArray[np.int64]:
    """log2(1 + i / 128) - i / 128, Q16, int64[130]: the last is read, but counts for nothing."""
    x = np.arange(129) / 128
    return np.append(np.rint(65536 * (np.log2(1 + x) - x)), 0).astype(np.int64)


def step(frontend: FrontEnd) -> int:
    """Int8 steps of the network's input for a unit of the logarithm, Q24."""
    assert frontend.feature_scale is not None  # words/schema.py
    return round(FEATURE / frontend.feature_scale * (1 << 24))


def _mel(hertz: Any) -> Any:
    return _F(1127.0) * _log1p(_F(hertz) / _F(700.0))


def _log1p(x: Any) -> Any:
    """log(1 + x) in float32 for x of 0.17 and more, with the last bit of the C libraries that have
    fdlibm's: newlib on the chips that microWakeWord runs on, glibc before 2.41. Two weights of the
    bands depend on it."""
    one, two, half = _F(1), _F(2), _F(0.5)
    scaled, exponent = one + x, 0
    lost = (one - (scaled - x) if scaled > two else x - (scaled - one)) / scaled
    while scaled >= _F(1.4142135):
        scaled, exponent = scaled * half, exponent + 1
    f = scaled - one if exponent else x
    s = f / (two + f)
    z = s * s
    series = _F(0)
    for factor in (
        0.1479819860,
        0.1531383770,
        0.1818357216,
        0.2222219843,
        0.2857142873,
        0.4,
        2 / 3,
    ):
        series = z * (_F(factor) + series)
    square = half * f * f
    if exponent == 0:
        return f - (square - s * (square + series))
    k = _F(exponent)
    low = k * _F(9.0580006145e-06) + lost
    return k * _F(6.9313812256e-01) - ((square - (s * (square + series) + low)) - f)


def _twiddles(angle: NDArray[np.float64]) -> list[int]:
    """Cosine in the low half, minus sine in the high half of a word, Q15; 1 is 32767."""
    re, im = (np.floor(0.5 + 32767 * f(-angle)).astype(np.int64) for f in (np.cos, np.sin))
    return ((re & 0xFFFF) | (im & 0xFFFF) << 16).tolist()
