"""Augmentation of features: what it changes, and what it must not."""

from __future__ import annotations

import numpy as np

from tests.small_data import Samples
from train.augment import CEILING, FLOOR, WARPS, _colour, _warps, augment, mask
from words.schema import FrontEnd


def test_a_warp_moves_a_tone_as_many_times_as_high() -> None:
    f = FrontEnd()
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (f.low_hz, f.high_hz))
    hertz = 700 * (10 ** ((low + np.arange(1, 65) * (high - low) / 65) / 2595) - 1)
    matrices = _warps(f)
    assert np.allclose(matrices.sum(axis=1), 1.0, atol=1e-5)  # a flat spectrum stays flat
    assert np.allclose(matrices[len(WARPS) // 2 - 1], np.eye(64), atol=0.25)  # warp near 1
    for warp, matrix in zip(WARPS, matrices, strict=True):
        x = np.exp(-0.5 * ((np.arange(64) - 30) / 2) ** 2).astype(np.float32)
        peak = np.average(np.arange(64), weights=(x @ matrix) ** 8)
        moved = np.interp(peak, np.arange(64), hertz) / hertz[30]
        assert abs(moved - warp) < 0.015


def test_colour_is_smooth_keeps_silence_and_stays_in_range() -> None:
    f, rng = FrontEnd(), np.random.default_rng(1)
    x = np.full((200, 10, 1, 64), 0.5, np.float32)
    x[:, :3] = FLOOR
    y = x.copy()
    _colour(rng, y, f)
    assert (y[:, :3] == FLOOR).all()
    gain = (y - x)[:, 5, 0]
    changed = np.abs(gain).max(axis=1) > 0
    assert 0.4 < changed.mean() < 0.8
    assert np.abs(np.diff(gain, axis=1)).max() < 0.2
    decibels = gain[changed] * 32 * f.db_per_step
    assert 1.0 < np.sqrt(np.mean(decibels**2)) < 6.0
    loud = np.full((50, 4, 1, 64), CEILING, np.float32)
    _colour(rng, loud, f)
    assert loud.max() <= CEILING and loud.min() >= FLOOR


def test_the_same_draws_make_the_same_batch() -> None:
    f = FrontEnd(bands=16)
    x = np.random.default_rng(2).normal(0, 1, (40, 30, 1, 16)).astype(np.float32)

    def run(seed: int) -> Samples:
        return augment(np.random.default_rng(seed), x.copy(), f)

    assert np.array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))
    assert np.isfinite(run(3)).all()


def test_masking_fits_few_bands() -> None:
    rng = np.random.default_rng(6)
    for bands in (8, 9, 64):
        x = rng.normal(size=(200, 60, 1, bands)).astype(np.float32)
        masked = mask(rng, x.copy())
        changed = (masked != x).any(axis=(1, 2))
        assert 0.3 < changed.any(axis=1).mean() < 0.9
        assert (masked.min(axis=(1, 2, 3)) == x.min(axis=(1, 2, 3))).all()
        hidden = (masked != x).all(axis=1)[:, 0, :].sum(axis=1)  # bands hidden throughout
        assert 0 < hidden.max() < min(10, bands)
