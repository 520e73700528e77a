# SPDX-License-Identifier: Apache-2.0
"""Augmentation of features: what it changes, and what it must not."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.small_data import Samples
from wakestate.train.learning.augment import (
    CEILING,
    FLOOR,
    WARPS,
    augment,
    change,
    draw,
    warp_matrices,
)
from wakestate.words.schema import FrontEnd


def test_a_warp_moves_a_tone_as_many_times_as_high() -> None:
    f = FrontEnd()
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (f.low_hz, f.high_hz))
    hertz = 700 * (10 ** ((low + np.arange(1, 65) * (high - low) / 65) / 2595) - 1)
    matrices = warp_matrices(f)
    assert np.allclose(matrices.sum(axis=1), 1.0, atol=1e-5)  # a flat spectrum stays flat
    assert np.allclose(matrices[len(WARPS) // 2 - 1], np.eye(64), atol=0.25)  # warp near 1
    assert np.array_equal(matrices[-1], np.eye(64))
    for warp, matrix in zip(WARPS, matrices[:-1], strict=True):
        x = np.exp(-0.5 * ((np.arange(64) - 30) / 2) ** 2).astype(np.float32)
        peak = np.average(np.arange(64), weights=(x @ matrix) ** 8)
        moved = np.interp(peak, np.arange(64), hertz) / hertz[30]
        assert abs(moved - warp) < 0.015


def only(x: Samples, **chosen: Any) -> Samples:
    """x with one kind of drawn change."""
    f, rng = FrontEnd(bands=x.shape[2]), np.random.default_rng(1)
    drawn = draw(rng, len(x), x.shape[1], f)
    none = drawn._replace(
        warps=np.full(len(x), len(WARPS)),
        gains=np.zeros_like(drawn.gains),
        bands=np.zeros_like(drawn.bands),
        hops=np.zeros_like(drawn.hops),
    )
    picked = {name: getattr(drawn, name) for name in chosen}
    return np.asarray(change(x, none._replace(**picked), warp_matrices(f)))


def test_colour_is_smooth_keeps_silence_and_stays_in_range() -> None:
    f = FrontEnd()
    x = np.full((200, 10, 64), 0.5, np.float32)
    x[:, :3] = FLOOR
    y = only(x, gains=True)
    assert (y[:, :3] == FLOOR).all()
    gain = (y - x)[:, 5]
    changed = np.abs(gain).max(axis=1) > 0
    assert 0.4 < changed.mean() < 0.8
    assert np.abs(np.diff(gain, axis=1)).max() < 0.2
    decibels = gain[changed] * 32 * f.db_per_step
    assert 1.0 < np.sqrt(np.mean(decibels**2)) < 6.0
    loud = only(np.full((50, 4, 64), CEILING, np.float32), gains=True)
    assert loud.max() <= CEILING and loud.min() >= FLOOR


def test_the_same_draws_make_the_same_batch() -> None:
    f = FrontEnd(bands=16)
    x = np.random.default_rng(2).normal(0, 1, (40, 30, 16)).astype(np.float32)

    def run(seed: int) -> Samples:
        return augment(np.random.default_rng(seed), x.copy(), f)

    assert np.array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))
    assert np.isfinite(run(3)).all()


def test_a_clip_without_changes_stays() -> None:
    x = np.random.default_rng(2).uniform(FLOOR, CEILING, (5, 30, 16)).astype(np.float32)
    assert np.array_equal(only(x), x)


def test_masking_fits_few_bands() -> None:
    rng = np.random.default_rng(6)
    for bands in (8, 9, 64):
        x = rng.uniform(-1, 1, size=(200, 60, bands)).astype(np.float32)
        masked = only(x, bands=True, hops=True)
        changed = (masked != x).any(axis=1)
        assert 0.3 < changed.any(axis=1).mean() < 0.9
        assert (masked.min(axis=(1, 2)) == x.min(axis=(1, 2))).all()
        hidden = (masked != x).all(axis=1).sum(axis=1)  # bands hidden throughout
        assert 0 < hidden.max() < min(10, bands)
