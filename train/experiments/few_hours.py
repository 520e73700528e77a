# SPDX-License-Identifier: Apache-2.0
"""How thresholds that few hours set transfer: python -m wakestate.train.experiments.few_hours.

From an evaluation of many hours, hours are drawn (each false accept with the chance that it falls
into them), a threshold is set on them in two ways, and looked up on all hours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate import tables
from wakestate.convert.manifest import read_manifest
from wakestate.train.evaluation.document import Row, read
from wakestate.train.evaluation.metrics import Accepts
from wakestate.train.evaluation.thresholds import REFERENCE, ScoreScale, extrapolated
from wakestate.words import load_word

HOURS = (0.5, 1.0, 1.9)
DRAWS = 400
RATE = 0.5
QUANTILES = (0.05, 0.5, 0.95)


def accepts(row: Row) -> NDArray[np.int64]:
    """The highest threshold of each false accept, the highest first."""
    counts = np.rint([rate * row.hours for rate, _, _ in row.curve]).astype(np.int64)
    at = [threshold for _, _, threshold in row.curve]
    order = np.argsort(at)
    gone = -np.diff(np.append(counts[order], 0))
    return np.repeat(np.asarray(at)[order], np.maximum(gone, 0))[::-1]


def drawn(rng: np.random.Generator, row: Row, hours: float) -> Accepts:
    """What that many hours of the row's stream may have given."""
    found = accepts(row)
    within = found[rng.random(len(found)) < hours / row.hours]
    thresholds = np.arange(found[-1] - 1, found[0] + 200)
    counts = len(within) - np.searchsorted(np.sort(within), thresholds)
    return Accepts(thresholds, np.stack([counts, 0 * counts]), (hours, 0.0))


def main() -> int:
    """Prints the FA/h of both ways, for the word and evaluate.json given."""
    word, found = load_word(Path(sys.argv[1])), read(Path(sys.argv[2]))
    scale = ScoreScale(read_manifest(Path(sys.argv[3])).logit, word.detector.smoothing_steps)
    rng, table = np.random.default_rng(1), []
    rows = [found.rows[0], *found.of("state")]
    for hours in HOURS:
        rates: dict[str, list[float]] = {"lowest within": [], "extrapolated": []}
        for row in rows:
            every = accepts(row)
            for _ in range(DRAWS):
                some = drawn(rng, row, hours)
                if some.counts.sum(axis=0).max() <= REFERENCE:
                    continue
                for way, at in (
                    ("lowest within", some.threshold(RATE)),
                    ("extrapolated", extrapolated(some, RATE, scale)),
                ):
                    rates[way].append(np.count_nonzero(every >= at) / row.hours)
        for way, given in rates.items():
            within = np.mean([0.25 <= rate <= 1 for rate in given])
            low, middle, high = np.quantile(given, QUANTILES)
            table.append(
                {
                    "hours": f"{hours:g}",
                    "threshold": way,
                    "FA/h, 5 %": f"{low:.2f}",
                    "median": f"{middle:.2f}",
                    "95 %": f"{high:.2f}",
                    "within 0.25 to 1": f"{100 * within:.0f} %",
                }
            )
    print(tables.text(table, left=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
