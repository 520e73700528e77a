# SPDX-License-Identifier: Apache-2.0
"""The rules of counting, the same for every detector: wakes, misses, rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wakestate.train.data.corpus import RATE
from wakestate.train.evaluation.device import BARRED, wakes
from wakestate.train.evaluation.document import At, MissRate
from wakestate.train.evaluation.statistics import bootstrap

Scores = NDArray[np.int16]
BAND = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0)  # FA/h


class Listener(Protocol):
    """A detector on a stream: a score a step, compared with a threshold."""

    refractory_steps: int

    def scores(self, pcm: NDArray[np.int16], state: int) -> Scores:
        """The score of every step of int16[samples], from a fresh start."""

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest input ends."""


@dataclass(frozen=True)
class Accepts:
    """False accepts of a listener on streams, at every threshold of a sweep; by half."""

    thresholds: NDArray[np.int64]  # one apart
    counts: NDArray[np.int64]  # [2, thresholds]
    hours: tuple[float, float]

    def index(self, rate: float, half: int | None = None) -> int:
        """The lowest threshold from which on the false accepts an hour are within `rate`: those of
        one half, or of both."""
        sides = [0, 1] if half is None else [half]
        hours = sum(self.hours[side] for side in sides)
        return first_within(self.counts[sides].sum(axis=0) / max(hours, 1e-9), rate)

    def threshold(self, rate: float, half: int | None = None) -> int:
        """The threshold at `index`."""
        return int(self.thresholds[self.index(rate, half)])

    def at(self, threshold: int) -> list[int]:
        """False accepts in each half at one threshold of the sweep, or above it."""
        i = min(max(threshold - int(self.thresholds[0]), 0), len(self.thresholds) - 1)
        return [int(n) for n in self.counts[:, i]]


def pooled(parts: Sequence[Accepts]) -> Accepts:
    """Several streams as one: at each threshold the sum of their false accepts and hours."""
    lowest = max(int(part.thresholds[0]) for part in parts)
    thresholds = np.arange(lowest, int(parts[0].thresholds[-1]) + 1)
    counts = sum(part.counts[:, lowest - int(part.thresholds[0]) :] for part in parts)
    first, second = (sum(part.hours[side] for part in parts) for side in (0, 1))
    return Accepts(thresholds, np.asarray(counts), (first, second))


@dataclass
class DetectionResult:
    """What a listener made of one condition, at every threshold of a sweep."""

    accepts: Accepts  # on the stream
    caught: NDArray[np.bool_]  # [trials, thresholds]
    speakers: list[str]  # of each trial

    @property
    def hours(self) -> float:
        """Of the stream."""
        return sum(self.accepts.hours)

    def index(self, rate: float) -> int:
        """The lowest threshold from which on the false accepts an hour are within `rate`."""
        return self.accepts.index(rate)

    def missed(self, threshold: int) -> NDArray[np.bool_]:
        """Of each trial, at any threshold."""
        i = threshold - int(self.accepts.thresholds[0])
        return np.asarray(~self.caught[:, min(max(i, 0), self.caught.shape[1] - 1)])

    def at(self, threshold: int, seed: int) -> At:
        """Threshold, false accepts, misses and FRR with its interval."""
        missed = self.missed(threshold)
        return At(
            threshold=threshold,
            false_accepts=sum(self.accepts.at(threshold)),
            **miss_rate(missed, self.speakers, seed).model_dump(),
        )

    def band(self, seed: int) -> list[tuple[float, float, float]]:
        """The interval of the FRR along the curve: FA/h of BAND, lowest FRR, highest."""
        found = []
        for rate in BAND:
            at = self.at(self.accepts.threshold(rate), seed)
            found.append((rate, at.frr_low, at.frr_high))
        return found

    def curve(self) -> list[tuple[float, float, int]]:
        """(FA/h, FRR, threshold) from the lowest threshold up, where either of the first changes;
        a point holds up to the next one's threshold."""
        frr = 1.0 - self.caught.mean(axis=0)
        counts = self.accepts.counts.sum(axis=0)
        points = [
            (round(float(a / self.hours), 4), round(float(f), 6), int(t))
            for a, f, t in zip(counts, frr, self.accepts.thresholds, strict=True)
        ]
        return [p for i, p in enumerate(points) if i == 0 or p[:2] != points[i - 1][:2]]


def miss_rate(missed: NDArray[np.bool_], speakers: Sequence[str], seed: int) -> MissRate:
    """Misses and FRR with its interval."""
    low, high = bootstrap(np.random.default_rng([seed, 3]), missed, speakers)
    return MissRate(misses=int(missed.sum()), frr=float(missed.mean()), frr_low=low, frr_high=high)


def first_within(rates: NDArray[np.float64], rate: float) -> int:
    """The index from which on all `rates` are within `rate`; their number where there is none."""
    over = np.flatnonzero(rates > rate)
    return int(over[-1]) + 1 if len(over) else 0


def sweep(stream: Scores, highest: int) -> NDArray[np.int64]:
    """Thresholds from where silence itself would wake up to `highest`, which is never reached."""
    finite = stream[stream > BARRED]
    silence = int(np.median(finite)) if len(finite) else highest
    return np.arange(min(silence + 1, highest), highest + 1)


def count_accepts(
    listener: Listener,
    highest: int,
    parts: Sequence[tuple[int, Scores]],
    hours: tuple[float, float],
) -> Accepts:
    """Count at every threshold; `parts`: half and scores of each block, `hours`: of each half."""
    thresholds = sweep(np.concatenate([scores for _, scores in parts]), highest)
    counts = np.zeros((2, len(thresholds)), np.int64)
    for half, scores in parts:
        counts[half] += [len(wakes(scores, int(t), listener.refractory_steps)) for t in thresholds]
    return Accepts(thresholds, counts, hours)


def count_misses(
    listener: Listener,
    accepts: Accepts,
    trials: Sequence[Scores],
    spans: Sequence[tuple[int, int]],
    speakers: list[str],
) -> DetectionResult:
    """Count misses at every threshold; `spans`: start and end of the word in each trial."""
    found = [
        caught(listener, scores, accepts.thresholds, start, end)
        for scores, (start, end) in zip(trials, spans, strict=True)
    ]
    return DetectionResult(accepts, np.array(found), speakers)


def caught(
    listener: Listener, scores: Scores, thresholds: NDArray[np.int64], start: int, end: int
) -> NDArray[np.bool_]:
    """At which thresholds a detection falls between the word's start and 1 s after its end."""
    ends = np.array([listener.step_end(i) for i in range(len(scores))])
    first = int(np.searchsorted(ends, start))
    last = int(np.searchsorted(ends, end + RATE, side="right"))
    inside = int(scores[first:last].max(initial=-32768))
    # Only a wake shortly before can bar the one inside; elsewhere the highest score decides.
    before = int(scores[max(0, first - listener.refractory_steps) : first].max(initial=-32768))
    out = thresholds <= inside
    for i in np.flatnonzero(thresholds <= min(inside, before)):
        steps = wakes(scores, int(thresholds[i]), listener.refractory_steps)
        out[i] = any(first <= step < last for step in steps)
    return np.asarray(out, np.bool_)
