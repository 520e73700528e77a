"""Augmentation of LFBE features, drawn anew for every batch: voices, microphones, gaps.

A rendered scene is heard many times in training; these changes are cheap in the feature domain
and make it another voice and another microphone each time.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from words.schema import FrontEnd

Features = NDArray[np.float32]  # [clips, hops, 1, bands], int8 steps / 32
STEP = 1 / 32  # one int8 step, as the network sees it
FLOOR, CEILING = -128 * STEP, 127 * STEP
WARPS = np.linspace(0.86, 1.16, 31)
WARPED, COLOURED = 0.6, 0.6  # shares of the clips


def augment(rng: np.random.Generator, x: Features, frontend: FrontEnd) -> Features:
    """Warp and colour the voices, then hide bands and times; in place where it can."""
    warped = np.flatnonzero(rng.random(len(x)) < WARPED)
    matrices = _warps(frontend)[rng.integers(len(WARPS), size=len(warped))]
    x[warped, :, 0] = np.matmul(x[warped, :, 0], matrices)
    _colour(rng, x, frontend)
    return mask(rng, x)


@cache
def _warps(f: FrontEnd) -> NDArray[np.float32]:
    """Vocal tract length perturbation (Jaitly and Hinton, 2013): [warp, from band, to band].

    A voice whose frequencies are all a times as high, as interpolation between mel bands.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (f.low_hz, f.high_hz))
    mel = low + (np.arange(f.bands) + 1) * (high - low) / (f.bands + 1)
    hz = 700 * (10 ** (mel / 2595) - 1)
    matrices = np.zeros((len(WARPS), f.bands, f.bands), np.float32)
    for matrix, warp in zip(matrices, WARPS, strict=True):
        at = np.interp(hz / warp, hz, np.arange(f.bands))  # the band that is heard in each
        below = np.minimum(at.astype(int), f.bands - 2)
        matrix[below, np.arange(f.bands)] = 1 - (at - below)
        matrix[below + 1, np.arange(f.bands)] = at - below
    return matrices


def _colour(rng: np.random.Generator, x: Features, f: FrontEnd) -> None:
    """A smooth gain over the bands, a few dB: microphone, room and mouth; silence stays."""
    over = np.arange(f.bands) / f.bands
    curves = np.cos(np.pi * np.outer(np.arange(1, 5), over)) / np.arange(1, 5)[:, None]
    size = rng.normal(0.0, 3.0, (len(x), 4)) * (rng.random((len(x), 1)) < COLOURED)
    gain = (size @ curves / f.db_per_step * STEP).astype(np.float32)[:, None, None, :]
    np.clip(np.where(x > FLOOR, x + gain, x), FLOOR, CEILING, out=x)


def mask(rng: np.random.Generator, x: Features) -> Features:
    """SpecAugment (Interspeech 2019): one band of bands and one short time hidden, per clip."""
    for clip in x:
        floor = clip.min()
        if rng.random() < 0.5:
            width = int(rng.integers(1, min(10, clip.shape[-1])))
            low = int(rng.integers(0, clip.shape[-1] - width))
            clip[:, :, low : low + width] = floor
        if rng.random() < 0.3:
            width = int(rng.integers(1, 8))
            first = int(rng.integers(0, clip.shape[0] - width))
            clip[first : first + width] = floor
    return x
