"""Variants of a model against each other: mean relative FRR change at equal FA/h, over seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.data import DataError

# Two-sided 95 % of Student's t, by degrees of freedom: seeds are few.
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


@dataclass(frozen=True)
class Variant:
    """What the evaluations of one variant found: frr[seed, condition]."""

    name: str
    seeds: tuple[int, ...]
    frr: NDArray[np.float64]


def read_runs(folder: Path, rate: str) -> tuple[list[str], list[bool], list[Variant]]:
    """(condition names, whether the device plays in them, variants) of `folder`/VARIANT-SEED.

    `rate`: the FA/h, as evaluate.json names it. DataError where runs do not fit each other.
    """
    runs: dict[str, dict[int, list[float]]] = {}
    names: list[str] = []
    plays: list[bool] = []
    for path in sorted(folder.glob("*-*/evaluate.json")):
        variant, seed = path.parent.name.rsplit("-", 1)
        rows = [r for r in json.loads(path.read_text())["rows"] if rate in r["at"]]
        found = [row["condition"]["name"] for row in rows]
        if names and found != names:
            raise DataError(f"{path}: other conditions than the runs before it; evaluate it anew")
        names = found
        plays = [row["condition"]["ser_db"] is not None for row in rows]
        runs.setdefault(variant, {})[int(seed)] = [row["at"][rate]["frr"] for row in rows]
    if not runs:
        raise DataError(f"{folder}: no VARIANT-SEED/evaluate.json at {rate} FA/h in it")
    variants = [Variant(name, tuple(seeds), np.array(list(seeds.values())))
                for name, seeds in runs.items()]  # fmt: skip
    return names, plays, variants


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """(mean, half the width of its 95 % interval) over seeds; NaN for a single one."""
    n = len(values)
    if n < 2:
        return float(np.mean(values)), float("nan")
    wide = T95.get(n - 1, 1.96) * float(np.std(values, ddof=1)) / np.sqrt(n)
    return float(np.mean(values)), float(wide)


def table(folder: Path, baseline: str, rate: str) -> str:
    """FRR of every condition and variant, and the relative change against `baseline`, Markdown.

    The mean over the playback conditions is of each seed's relative changes, a seed of a variant
    against the same seed of the baseline.
    """
    names, plays, variants = read_runs(folder, rate)
    base = next((v for v in variants if v.name == baseline), None)
    if base is None:
        known = ", ".join(v.name for v in variants)
        raise DataError(f"{folder}: no runs of the baseline '{baseline}'; there are: {known}")
    others = [v for v in variants if v is not base]
    lines = [
        f"| FRR % at {rate} FA/h | {base.name} | " + " | ".join(v.name for v in others) + " |",
        "|---|" + "---|" * len(variants),
    ]
    for i, name in enumerate(names):
        cells = []
        for v in (base, *others):
            mean, wide = interval(100 * v.frr[:, i])
            cells.append(f"{mean:.1f} ± {wide:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    playing = np.flatnonzero(plays)
    cells = [""]
    for v in others:
        shared = [s for s in v.seeds if s in base.seeds]
        mine = v.frr[[v.seeds.index(s) for s in shared]][:, playing]
        theirs = base.frr[[base.seeds.index(s) for s in shared]][:, playing]
        mean, wide = interval(100 * (mine / np.maximum(theirs, 1e-9) - 1).mean(axis=1))
        cells.append(f"{mean:+.1f} ± {wide:.1f}")
    lines.append(
        "| **mean relative change while the device plays, %** |" + " | ".join(cells) + " |"
    )
    seeds = ", ".join(f"{v.name}: {', '.join(map(str, v.seeds))}" for v in variants)
    return "\n".join(lines) + f"\n\nSeeds: {seeds}. ±: 95 % interval over seeds (Student's t)."
