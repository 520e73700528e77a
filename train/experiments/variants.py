# SPDX-License-Identifier: Apache-2.0
"""Variants of a model against each other: mean relative FRR change at equal FA/h, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from wakestate.tables import Printed, pipe
from wakestate.train.data.corpus import DataError
from wakestate.train.evaluation.document import read
from wakestate.train.evaluation.metrics import first_within
from wakestate.words import state_fields

Point = tuple[float, float, int]  # of a row's curve: FA/h, FRR, threshold
# How a device sets its threshold: one for each row, which nothing can know; one for each state
# that it gets; one for all.
WAYS = ("row", "state", "all")


@dataclass(frozen=True)
class Runs:
    """What the evaluations of one variant found: frr[way][seed, rate, condition]; NaN where the
    device is silent, but for "row"."""

    name: str
    seeds: tuple[int, ...]
    frr: dict[str, NDArray[np.float64]]


def read_runs(folder: Path, rates: Sequence[float]) -> tuple[list[str], list[str], list[Runs]]:
    """(condition names, what the device plays in each or "", variants) of `folder`/VARIANT-SEED.

    `rates`: FA/h. DataError where runs do not fit each other.
    """
    runs: dict[str, dict[int, dict[str, list[list[float]]]]] = {}
    names: list[str] = []
    plays: list[str] = []
    for path in sorted(folder.glob("*-*/evaluate.json")):
        variant, seed = path.parent.name.rsplit("-", 1)
        rows = read(path).of("sound", "state")
        found = [row.condition.name for row in rows]
        if names and found != names:
            raise DataError(f"{path}: other conditions than the runs before it; evaluate it again")
        names = found
        plays = [
            "" if c.ser_db is None else state_fields(c.state).get("player", c.state)
            for c in (row.condition for row in rows)
        ]
        states = [row.condition.state for row in rows]
        groups = {
            "row": names,
            "state": [state if p else "" for state, p in zip(states, plays, strict=True)],
            "all": ["all" if p else "" for p in plays],
        }
        curves = [row.curve for row in rows]
        runs.setdefault(variant, {})[int(seed)] = {
            way: [frr_at(curves, groups[way], rate) for rate in rates] for way in WAYS
        }
    if not runs:
        raise DataError(f"{folder}: no VARIANT-SEED/evaluate.json in it")
    variants = [
        Runs(name, tuple(seeds), {way: np.array([s[way] for s in seeds.values()]) for way in WAYS})
        for name, seeds in runs.items()
    ]
    return names, plays, variants


def frr_at(curves: Sequence[Sequence[Point]], groups: Sequence[str], rate: float) -> list[float]:
    """FRR of each row. Rows of a group share the lowest threshold from which on their mean FA/h
    are within `rate`; those of the group "" are NaN.

    `curves`: of each row, from the lowest threshold up.
    """
    out = [float("nan")] * len(curves)
    for group in set(groups) - {""}:
        mine = [i for i, g in enumerate(groups) if g == group]
        limits = [np.array([t for *_, t in curves[i]]) for i in mine]
        # Below the highest of the lowest thresholds one of them would wake on silence.
        thresholds = np.unique(np.concatenate(limits))
        thresholds = thresholds[thresholds >= max(limit[0] for limit in limits)]
        at = [np.searchsorted(limit, thresholds, side="right") - 1 for limit in limits]
        rates = np.mean(
            [np.array([fa for fa, *_ in curves[i]])[a] for i, a in zip(mine, at, strict=True)],
            axis=0,
        )
        chosen = first_within(rates, rate)
        for i, a in zip(mine, at, strict=True):
            out[i] = curves[i][a[chosen]][1]
    return out


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """(mean, half the width of its 95 % interval by Student's t) over seeds; NaN for one alone."""
    n = len(values)
    if n < 2:
        return float(np.mean(values)), float("nan")
    wide = t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values)), float(wide)


def table(folder: Path, baseline: str, rates: Sequence[float]) -> Printed:
    """FRR of every condition and variant at the first rate; and at each rate the relative change
    against `baseline` of the mean FRR while the device plays, by what it plays. Markdown.

    Changes are of each seed: a seed of a variant against the same seed of the baseline.
    """
    names, plays, variants = read_runs(folder, rates)
    base = next((v for v in variants if v.name == baseline), None)
    if base is None:
        known = ", ".join(v.name for v in variants)
        raise DataError(f"{folder}: no runs of the baseline '{baseline}'; there are: {known}")
    others = [v for v in variants if v is not base]
    head = [f"FRR % at {rates[0]:g} FA/h", base.name, *(v.name for v in others)]
    cells = [
        [name, *(_cell(100 * v.frr["row"][:, 0, i], "") for v in (base, *others))]
        for i, name in enumerate(names)
    ]
    blocks = [pipe(head, cells)]
    for title, way, of_base in (
        ("a threshold for each row", "row", "row"),
        ("one threshold for all rows", "all", "all"),
        (f"a threshold for each state; {base.name} has one", "state", "all"),
    ):
        blocks.append(_changes(title, plays, base, others, rates, way, of_base))
    seeds = ", ".join(f"{v.name}: {', '.join(map(str, v.seeds))}" for v in variants)
    blocks.append(f"Seeds: {seeds}. ±: 95 % interval over seeds (Student's t).")
    data = {
        "rates": list(rates),
        "conditions": names,
        "plays": plays,
        "variants": [
            {"name": v.name, "seeds": v.seeds, "frr": {w: _plain(f) for w, f in v.frr.items()}}
            for v in variants
        ],
    }
    return Printed("\n\n".join(blocks), data)


def _plain(values: NDArray[np.float64]) -> Any:
    """Lists [seed][rate][condition]; None for NaN, which JSON has not."""
    return [_plain(v) if v.ndim else None if np.isnan(v) else float(v) for v in values]


def _changes(
    title: str,
    plays: list[str],
    base: Runs,
    others: list[Runs],
    rates: Sequence[float],
    way: str,
    of_base: str,
) -> str:
    """A table of relative changes, each with thresholds set in its own way."""
    players = list(dict.fromkeys(p for p in plays if p))
    what = f"{title}: relative change against {base.name}, %"
    rows = []
    for v in others:
        shared = [s for s in v.seeds if s in base.seeds]
        mine = v.frr[way][[v.seeds.index(s) for s in shared]]
        theirs = base.frr[of_base][[base.seeds.index(s) for s in shared]]
        for r, rate in enumerate(rates):
            changes = []
            for player in players:
                at = [i for i, p in enumerate(plays) if p == player]
                before = np.maximum(theirs[:, r, at].mean(axis=1), 1e-9)
                changes.append(100 * (mine[:, r, at].mean(axis=1) / before - 1))
            cells = [_cell(c, "+") for c in (*changes, np.mean(changes, axis=0))]
            rows.append([v.name, f"{rate:g}", *cells])
    return pipe([what, "FA/h", *players, "mean"], rows)


def _cell(values: NDArray[np.float64], sign: str) -> str:
    mean, wide = interval(values)
    return f"{mean:{sign}.1f} ± {wide:.1f}"
