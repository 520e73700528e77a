# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests: of counts, of miss rates over speakers, of two models on the same trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Missed = NDArray[np.bool_] | NDArray[np.int8]  # of each trial
DRAWS = 1000
FLIPS = 10000  # of the signs, where there are too many to try them all
ALL_FLIPS = 13  # speakers that differ: up to 2 ** 13 signs are all tried


def poisson(count: int, hours: float) -> tuple[float, float]:
    """Exact 95 % interval of a rate an hour of which `count` were seen in `hours` (Garwood)."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)


def bootstrap(
    rng: np.random.Generator, missed: Missed, speakers: Sequence[str]
) -> tuple[float, float]:
    """95 % interval of the miss rate, speakers drawn with replacement (DRAWS times); of two
    detectors' difference if `missed` is 1 where only the first misses, -1 where the other does."""
    misses, counts, pick = _draws(rng, missed, speakers)
    rates = misses[pick].sum(axis=1) / counts[pick].sum(axis=1)
    return float(np.quantile(rates, 0.025)), float(np.quantile(rates, 0.975))


def miss_ratio(
    rng: np.random.Generator,
    ours: NDArray[np.bool_],
    others: NDArray[np.bool_],
    speakers: Sequence[str],
) -> dict[str, float] | None:
    """Our misses over another's on the same trials, 95 % interval over speakers (paired draws).

    None where the other misses nothing; `high` is infinite where it does so in some draws.
    """
    if not others.any():
        return None
    mine, _, pick = _draws(rng, ours, speakers)
    theirs, _, _ = _draws(rng, others, speakers)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = mine[pick].sum(axis=1) / theirs[pick].sum(axis=1)
    ratios = np.sort(np.nan_to_num(ratios, nan=1.0, posinf=1e9))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return {"ratio": float(ours.sum() / others.sum()), "low": float(low), "high": float(high)}


@dataclass(frozen=True)
class Paired:
    """Two detectors on the same trials: the first's miss rate minus the other's."""

    difference: float
    low: float  # 95 % interval, speakers drawn with replacement
    high: float
    p: float  # of a difference this large, if they were equal
    only: tuple[int, int]  # trials that the first alone misses, that the other alone misses


def paired(
    rng: np.random.Generator,
    ours: NDArray[np.bool_],
    others: NDArray[np.bool_],
    speakers: Sequence[str],
) -> Paired:
    """McNemar's test with speakers as clusters: if two detectors are alike, each speaker's
    difference may as well have the other sign. Exact for up to ALL_FLIPS speakers that differ."""
    difference = ours.astype(np.int8) - others.astype(np.int8)
    low, high = bootstrap(rng, difference, speakers)
    sums, _, _ = _draws(rng, difference, speakers)
    differ = sums[sums != 0]
    if len(differ) <= ALL_FLIPS:
        every = list(itertools.product((1, -1), repeat=len(differ)))
        signs = np.array(every, np.int64).reshape(len(every), len(differ))
        more = 0
    else:
        signs = rng.choice(np.array([1, -1]), size=(FLIPS, len(differ)))
        more = 1  # the signs as they are
    as_far = np.abs((signs * differ).sum(axis=1)) >= abs(int(differ.sum()))
    p = (int(as_far.sum()) + more) / (len(signs) + more)
    only = int((difference > 0).sum()), int((difference < 0).sum())
    return Paired(float(difference.mean()), low, high, p, only)


def _draws(
    rng: np.random.Generator, missed: Missed, speakers: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each speaker the sum of `missed` and the trials; which speakers each draw takes."""
    groups: dict[str, list[int]] = {}
    for m, speaker in zip(missed.tolist(), speakers, strict=True):
        groups.setdefault(speaker, []).append(m)
    misses = np.array([sum(g) for g in groups.values()])
    counts = np.array([len(g) for g in groups.values()])
    return misses, counts, rng.integers(len(counts), size=(DRAWS, len(counts)))
