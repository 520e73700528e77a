# SPDX-License-Identifier: Apache-2.0
"""Two models on the same trials: is the difference of their misses more than a draw?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wakestate.train.data.corpus import DataError
from wakestate.train.evaluation.cells import Cell, Table, percent, row_name
from wakestate.train.evaluation.document import Evaluated
from wakestate.train.evaluation.statistics import paired


def check_same_trials(found: Evaluated, name: str, other: Evaluated) -> None:
    """DataError unless both processed the same sound in the same conditions."""
    theirs = {row.condition.name: row for row in other.rows}
    for row in found.rows:
        condition = row.condition.name
        match = theirs.get(condition)
        alike = match is not None and (match.clips, match.hours) == (row.clips, row.hours)
        if not alike or _drawn(found) != _drawn(other):
            raise DataError(
                f"{name}: not measured as this was in '{condition}'; evaluate both with the same "
                "data, split, seed, mixes and ratios"
            )


def _drawn(found: Evaluated) -> tuple[str, int, int]:
    return found.trials, found.seed, found.draws


def versus(ours: Sequence[str], others: Sequence[str], voices: list[str]) -> tuple[Cell, ...]:
    """FRR of both, difference, p, trials missed by one alone; of `missed` of some rows."""
    first, second = (np.concatenate([_flags(m) for m in missed]) for missed in (ours, others))
    speakers = [voices[i % len(voices)] for missed in ours for i in range(len(missed))]
    test = paired(np.random.default_rng(6), first, second, speakers)
    p = "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"
    return (
        (percent(float(first.mean())), ""),
        (percent(float(second.mean())), ""),
        (f"{100 * test.difference:+.1f}", f"[{100 * test.low:+.1f}, {100 * test.high:+.1f}]"),
        (p, ""),
        (f"{test.only[0]} : {test.only[1]}", ""),
    )


def _flags(missed: str) -> NDArray[np.bool_]:
    return np.frombuffer(missed.encode(), np.uint8) == ord("1")


def comparison(name: str, found: Evaluated, other_name: str, other: Evaluated) -> list[Table]:
    """A table for each rate: every row, and all but those of real life together."""
    check_same_trials(found, other_name, other)
    theirs = {row.condition.name: row for row in other.rows}
    rows = found.of("sound", "state", "life")
    made = []
    shared = rows[0].crossed.keys() & other.rows[0].crossed.keys()
    for rate in sorted(shared, key=float, reverse=True):
        pairs = [
            (
                row,
                row.crossed[rate].missed,
                theirs[row.condition.name].crossed[rate].missed,
            )
            for row in rows
        ]
        body = [(row_name(r), *versus([a], [b], found.voices)) for r, a, b in pairs]
        main = [(a, b) for r, a, b in pairs if r.condition.part != "life"]
        both = versus([a for a, _ in main], [b for _, b in main], found.voices)
        body.append((("all but real life", ""), *both))
        note = "Thresholds from the other half; see docs/benchmark.md."
        head = (
            "condition",
            f"{name}, %",
            f"{other_name}, %",
            "difference",
            "p",
            "missed by one alone",
        )
        made.append(Table(f"{name} against {other_name} at {rate} FA/h", note, head, tuple(body)))
    return made
