"""The rules of counting, the same for every detector: wakes, misses, rates, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from train.data import RATE
from train.device import BARRED, wakes

Scores = NDArray[np.int16]
Missed = NDArray[np.bool_] | NDArray[np.int8]  # of each trial


class Listener(Protocol):
    """What hears a stream: a score a step, compared with a threshold."""

    refractory_steps: int

    def scores(self, pcm: NDArray[np.int16], state: int) -> Scores:
        """The score of every step of int16[samples], from a fresh start."""

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest input ends."""


@dataclass
class Heard:
    """What a listener made of one condition, at every threshold of a sweep."""

    thresholds: NDArray[np.int64]
    accepts: NDArray[np.int64]  # [thresholds], on the stream
    caught: NDArray[np.bool_]  # [trials, thresholds]
    speakers: list[str]  # of each trial
    hours: float

    def index(self, rate: float) -> int:
        """The lowest threshold from which on the false accepts an hour are within `rate`."""
        return first_within(self.accepts / self.hours, rate)

    def at(self, index: int, seed: int) -> dict[str, float]:
        """Threshold, false accepts, misses and FRR with its interval."""
        missed = ~self.caught[:, index]
        low, high = bootstrap(np.random.default_rng([seed, 3]), missed, self.speakers)
        return {
            "threshold": int(self.thresholds[index]), "false_accepts": int(self.accepts[index]),
            "misses": int(missed.sum()), "frr": float(missed.mean()),
            "frr_low": low, "frr_high": high,
        }  # fmt: skip

    def curve(self) -> list[tuple[float, float, int]]:
        """(FA/h, FRR, threshold) from the lowest threshold up, where either of the first changes;
        a point holds up to the next one's threshold."""
        frr = 1.0 - self.caught.mean(axis=0)
        points = [
            (round(float(a / self.hours), 4), round(float(f), 6), int(t))
            for a, f, t in zip(self.accepts, frr, self.thresholds, strict=True)
        ]
        return [p for i, p in enumerate(points) if i == 0 or p[:2] != points[i - 1][:2]]


def first_within(rates: NDArray[np.float64], rate: float) -> int:
    """The index from which on all `rates` are within `rate`; their number where there is none."""
    over = np.flatnonzero(rates > rate)
    return int(over[-1]) + 1 if len(over) else 0


def sweep(stream: Scores, highest: int) -> NDArray[np.int64]:
    """Thresholds from where silence itself would wake up to `highest`, which is never reached."""
    heard = stream[stream > BARRED]
    silence = int(np.median(heard)) if len(heard) else highest
    return np.arange(min(silence + 1, highest), highest + 1)


def hear(
    listener: Listener, thresholds: NDArray[np.int64], stream: Scores, hours: float,
    trials: Sequence[Scores], spans: Sequence[tuple[int, int]], speakers: list[str],
) -> Heard:  # fmt: skip
    """Count at every threshold; `spans`: start and end of the word in each trial, samples."""
    accepts = [len(wakes(stream, int(t), listener.refractory_steps)) for t in thresholds]
    found = [
        caught(listener, scores, thresholds, start, end)
        for scores, (start, end) in zip(trials, spans, strict=True)
    ]
    return Heard(thresholds, np.array(accepts), np.array(found), speakers, hours)


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


def bootstrap(rng: np.random.Generator, missed: Missed, speakers: list[str]) -> tuple[float, float]:
    """95 % interval of the miss rate, speakers drawn with replacement (1,000 times); of two
    detectors' difference if `missed` is 1 where only the first misses, -1 where the other does."""
    misses, counts, pick = _draws(rng, missed, speakers)
    rates = misses[pick].sum(axis=1) / counts[pick].sum(axis=1)
    return float(np.quantile(rates, 0.025)), float(np.quantile(rates, 0.975))


def miss_ratio(
    rng: np.random.Generator, ours: NDArray[np.bool_], others: NDArray[np.bool_],
    speakers: list[str],
) -> dict[str, float] | None:  # fmt: skip
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


def _draws(
    rng: np.random.Generator, missed: Missed, speakers: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    groups: dict[str, list[int]] = {}
    for m, speaker in zip(missed.tolist(), speakers, strict=True):
        groups.setdefault(speaker, []).append(m)
    misses = np.array([sum(g) for g in groups.values()])
    counts = np.array([len(g) for g in groups.values()])
    return misses, counts, rng.integers(len(counts), size=(1000, len(counts)))
