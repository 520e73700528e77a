# SPDX-License-Identifier: Apache-2.0
"""Augmentation of LFBE features, drawn again for every batch: voices, microphones, gaps.

A rendered scene is used many times in training; these changes are cheap in the feature domain
and make it another voice and another microphone each time.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import hertz, mel
from wakestate.words.schema import FrontEnd

STEP = 1 / 32  # one int8 step, as the network sees it
FLOOR, CEILING = -128 * STEP, 127 * STEP
WARPS = np.linspace(0.86, 1.16, 31)
WARPED, COLORED = 0.6, 0.6  # shares of the clips
MASKED_BANDS, MASKED_HOPS = (0.5, 10), (0.3, 8)  # share of the clips; fewer than that many


class Changes(NamedTuple):
    """What is done to each clip of a batch."""

    warps: NDArray[np.int32]  # [clips]: which of warp_matrices
    gains: NDArray[np.float32]  # [clips, bands]: added, in the network's units
    bands: NDArray[np.int32]  # [clips, 2]: hidden from, to
    hops: NDArray[np.int32]  # [clips, 2]


def augment(
    rng: np.random.Generator, x: NDArray[np.float32], frontend: FrontEnd
) -> NDArray[np.float32]:
    """Changed features, float32[clips, hops, bands] in the network's units."""
    changes = draw(rng, len(x), x.shape[1], frontend)
    return np.asarray(change(x, changes, warp_matrices(frontend)))


def draw(rng: np.random.Generator, clips: int, hops: int, frontend: FrontEnd) -> Changes:
    """Changes for that many clips of that many hops."""
    warps = np.where(rng.random(clips) < WARPED, rng.integers(len(WARPS), size=clips), len(WARPS))
    return Changes(
        warps.astype(np.int32),
        _colors(rng, clips, frontend),
        _hidden(rng, clips, frontend.bands, *MASKED_BANDS),
        _hidden(rng, clips, hops, *MASKED_HOPS),
    )


def change(x: Any, changes: Changes, matrices: Any, xp: Any = np) -> Any:
    """Warp and color the voices, then hide bands and times of x float32[clips, hops, bands].

    `matrices`: warp_matrices. `xp`: the array library that x is of. Silence takes no color.
    SpecAugment (Interspeech 2019) hides one band of bands and one short time.
    """
    x = xp.matmul(x, matrices[changes.warps])
    x = xp.clip(xp.where(x > FLOOR, x + changes.gains[:, None, :], x), FLOOR, CEILING)
    floor = x.min(axis=(1, 2), keepdims=True)
    for axis, (first, end) in ((2, changes.bands.T), (1, changes.hops.T)):
        shape = [1, 1, 1]
        shape[axis] = x.shape[axis]
        at = xp.arange(x.shape[axis]).reshape(shape)
        hidden = (at >= first[:, None, None]) & (at < end[:, None, None])
        x = xp.where(hidden, floor, x)
    return x


@cache
def warp_matrices(f: FrontEnd) -> NDArray[np.float32]:
    """Vocal tract length perturbation (Jaitly and Hinton, 2013): [warp, from band, to band].

    A voice whose frequencies are all a times as high, as interpolation between mel bands. The last
    matrix changes nothing.
    """
    low, high = mel(f.low_hz), mel(f.high_hz)
    hz = hertz(low + (np.arange(f.bands) + 1) * (high - low) / (f.bands + 1))
    matrices = np.zeros((len(WARPS) + 1, f.bands, f.bands), np.float32)
    matrices[-1] = np.eye(f.bands)
    for matrix, warp in zip(matrices[:-1], WARPS, strict=True):
        at = np.interp(hz / warp, hz, np.arange(f.bands))  # the band that ends up in each
        below = np.minimum(at.astype(int), f.bands - 2)
        matrix[below, np.arange(f.bands)] = 1 - (at - below)
        matrix[below + 1, np.arange(f.bands)] = at - below
    return matrices


def _colors(rng: np.random.Generator, clips: int, f: FrontEnd) -> NDArray[np.float32]:
    """A smooth gain over the bands, a few dB: microphone, room and mouth."""
    over = np.arange(f.bands) / f.bands
    curves = np.cos(np.pi * np.outer(np.arange(1, 5), over)) / np.arange(1, 5)[:, None]
    size = rng.normal(0.0, 3.0, (clips, 4)) * (rng.random((clips, 1)) < COLORED)
    return np.asarray(size @ curves / f.db_per_step * STEP, np.float32)


def _hidden(
    rng: np.random.Generator, clips: int, length: int, share: float, max_width: int
) -> NDArray[np.int32]:
    """From and to, int32[clips, 2], of what is hidden of `length`; to is from in the others."""
    width = rng.integers(1, min(max_width, length), size=clips)
    first = rng.integers(0, length - width)
    return np.stack([first, first + width * (rng.random(clips) < share)], 1).astype(np.int32)
