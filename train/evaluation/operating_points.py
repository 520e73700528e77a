# SPDX-License-Identifier: Apache-2.0
"""The operating points of a model, from what an evaluation found: convert/operating_points.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.operating_points import OperatingPoints, Point, StateCurve
from wakestate.train.evaluation.document import Evaluated, Row
from wakestate.train.evaluation.metrics import first_within
from wakestate.train.evaluation.statistics import poisson
from wakestate.train.evaluation.trials import SETS

#: FA/h at which a threshold is listed; from the most that anybody sets down.
RATES = (20, 15, 10, 7, 5, 4, 3, 2, 1.5, 1, 0.75, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.02)


def operating_points(evaluated: Evaluated, model: str) -> OperatingPoints:
    """Of every state, pooled over its streams as its threshold is; `model`: the identity."""
    rows = evaluated.of(*SETS)
    states = dict.fromkeys(row.condition.state for row in rows)
    return OperatingPoints(
        word=evaluated.word,
        model=model,
        split=evaluated.split,
        seed=evaluated.seed,
        clips=evaluated.positives,
        states={s: _curve([row for row in rows if row.condition.state == s]) for s in states},
    )


def _curve(rows: Sequence[Row]) -> StateCurve:
    """The lowest threshold that is within each of RATES, and what it gives."""
    streams = list({row.condition.sound.stream: row for row in rows}.values())
    hours = sum(row.hours for row in streams)
    thresholds = np.unique([t for row in rows for _, _, t in row.curve])
    counted = [np.rint(_along(row, thresholds, 0) * row.hours) for row in streams]
    accepts = np.sum(counted, axis=0).astype(np.int64)
    missed = np.stack([_along(row, thresholds, 1) for row in rows], axis=1)
    found: list[Point] = []
    for rate in RATES:
        i = min(first_within(accepts / hours, rate), len(thresholds) - 1)
        if found and found[-1].threshold == thresholds[i]:
            continue
        low, high = poisson(int(accepts[i]), hours)
        found.append(
            Point(
                threshold=int(thresholds[i]),
                false_accepts=int(accepts[i]),
                low=round(low, 3),
                high=round(high, 3),
                missed=tuple(round(float(share), 4) for share in missed[i]),
            )
        )
    names = tuple(row.condition.name for row in rows)
    return StateCurve(hours=round(hours, 4), conditions=names, points=tuple(found))


def _along(row: Row, thresholds: NDArray[np.int64], column: int) -> NDArray[np.float64]:
    """FA/h (0) or FRR (1) of a row at thresholds."""
    at = np.searchsorted([t for _, _, t in row.curve], thresholds, side="right") - 1
    return np.asarray([point[column] for point in row.curve])[np.maximum(at, 0)]
