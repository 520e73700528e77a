"""Variants against each other, on evaluations written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from train.compare import interval, table
from train.data import DataError


def write(folder: Path, run: str, clean: float, music: float, alarm: float) -> None:
    rows = [
        {"condition": {"name": name, "ser_db": ser}, "at": {"0.5": {"frr": frr}}}
        for name, ser, frr in [
            ("clean", None, clean),
            ("music", 0.0, music),
            ("alarm", -5.0, alarm),
        ]
    ]
    (folder / run).mkdir(parents=True)
    (folder / run / "evaluate.json").write_text(json.dumps({"rows": rows}))


def test_relative_change_is_of_each_seed_and_of_playback_alone(tmp_path: Path) -> None:
    write(tmp_path, "none-1", 0.1, 0.4, 0.2)
    write(tmp_path, "none-2", 0.1, 0.2, 0.4)
    write(tmp_path, "both-1", 0.5, 0.2, 0.2)  # -50 % and 0 %: -25 %
    write(tmp_path, "both-2", 0.5, 0.2, 0.2)  # 0 % and -50 %: -25 %
    found = table(tmp_path, "none", "0.5")
    assert "| FRR % at 0.5 FA/h | none | both |" in found
    assert "| clean | 10.0 ± 0.0 | 50.0 ± 0.0 |" in found
    assert "| music | 30.0 ± 127.1 | 20.0 ± 0.0 |" in found
    assert "device plays, %** | | -25.0 ± 0.0 |" in found
    assert "none: 1, 2; " not in found and "none: 1, 2" in found


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 3.0])
    assert interval(values) == pytest.approx((2.0, 4.30 / np.sqrt(3)))
    mean, wide = interval(values[:1])
    assert mean == 1.0 and np.isnan(wide)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no VARIANT-SEED/evaluate\.json at 0\.5 FA/h"):
        table(tmp_path, "none", "0.5")
    write(tmp_path, "both-1", 0.1, 0.1, 0.1)
    with pytest.raises(DataError, match="no runs of the baseline 'none'; there are: both"):
        table(tmp_path, "none", "0.5")
    write(tmp_path, "none-1", 0.1, 0.1, 0.1)
    path = tmp_path / "none-1/evaluate.json"
    path.write_text(path.read_text().replace("music", "radio"))
    with pytest.raises(DataError, match="other conditions than the runs before it"):
        table(tmp_path, "none", "0.5")
