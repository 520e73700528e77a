# SPDX-License-Identifier: Apache-2.0
"""The PDM filter of firmware/programs/device/pdm.c in floating point: its design, and a modulator.

    wakestate board pdm      prints the C table of the half-rate filter

One bit at 2.048 MHz becomes a fourth-order running sum, taken every 64 bits (32 kHz), and a
64-tap filter takes every second value and lifts what the sums have let droop (16 kHz).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import RATE

Float = NDArray[np.float64]

ORDER = 4  # of the running sums
SUM_BITS = 64
TAPS = 64
UNIT = 1 << 15  # the taps' 1.0
PASS_HZ, STOP_HZ = 7_300.0, 8_900.0


def sums_response(hz: Float) -> Float:
    """Gain of the running sums: (sin(pi f 64 / fs) / (64 sin(pi f / fs)))^4."""
    x = np.pi * hz / (2 * RATE * SUM_BITS)
    with np.errstate(invalid="ignore"):
        return np.where(hz == 0, 1.0, np.sin(SUM_BITS * x) / (SUM_BITS * np.sin(x))) ** ORDER


def design() -> Float:
    """The half-rate filter's taps: least squares against the inverse droop, weighted."""
    hz = np.linspace(0, RATE, 2001)
    used = (hz <= PASS_HZ) | (hz >= STOP_HZ)
    hz = hz[used]
    low = hz <= PASS_HZ
    wish = np.where(low, 1 / sums_response(hz), 0.0)
    weight = np.where(low, 1.0, 10.0)
    # Symmetric taps h[31 - k] = h[32 + k]: a sum of cosines at odd multiples of half a sample.
    basis = 2 * np.cos(np.pi * hz[:, None] / RATE * (np.arange(TAPS // 2) + 0.5))
    half = np.linalg.lstsq(basis * weight[:, None], wish * weight, rcond=None)[0]
    taps = np.concatenate([half[::-1], half])
    return taps / taps.sum()


def taps() -> NDArray[np.int64]:
    """The taps as the C has them: Q15."""
    return np.rint(design() * UNIT).astype(np.int64)


def modulate(x: Float) -> NDArray[np.uint8]:
    """Bits of an ideal second-order sigma-delta modulator, one for each value of `x` (-1 .. 1)."""
    bits = np.empty(len(x), np.uint8)
    first = second = 0.0
    out = 1.0
    for i, value in enumerate(x.tolist()):
        first += value - out
        second += first - out
        out = 1.0 if second >= 0 else -1.0
        bits[i] = out > 0
    return bits


def model(bits: NDArray[np.uint8]) -> Float:
    """What the C computes, in float64 and without its rounding: -1 .. 1 at 16 kHz."""
    wave = bits * 2.0 - 1.0
    window = np.ones(1)
    for _ in range(ORDER):
        window = np.convolve(window, np.full(SUM_BITS, 1 / SUM_BITS))
    slow = np.convolve(wave, window)[SUM_BITS - 1 : len(wave) : SUM_BITS]
    filtered = np.convolve(slow, taps() / UNIT)
    return filtered[1 : len(slow) : 2]


def table() -> str:
    """The taps' first half as C; the second is its mirror."""
    half = [str(v) for v in taps()[: TAPS // 2]]
    rows = [", ".join(half[i : i + 8]) for i in range(0, len(half), 8)]
    return "".join(f"    {row},\n" for row in rows)
