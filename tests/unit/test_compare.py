# SPDX-License-Identifier: Apache-2.0
"""Variants against each other, on evaluations written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.examples import typed_example
from wakestate.__main__ import main
from wakestate.train.data.corpus import DataError
from wakestate.train.evaluation import document
from wakestate.train.evaluation.document import Row
from wakestate.train.evaluation.trials import Condition
from wakestate.train.experiments.variants import frr_at, interval, table


def write(folder: Path, run: str, clean: float, music: float, alarm: float) -> None:
    rows = [
        Row(
            condition=Condition(name, f"player={name}", ser_db=ser, part=part),
            clips=10,
            speakers=2,
            hours=1.0,
            curve=[(3.0, 0.0, 5), (0.4, frr, 9), (0.0, 1.0, 20)],
        )
        for name, ser, part, frr in [
            ("clean", None, "sound", clean),
            ("music", 0.0, "state", music),
            ("alarm", -5.0, "state", alarm),
            ("wrong-state", 0.0, "wrong-state", 0.77),
        ]
    ]
    (folder / run).mkdir(parents=True)
    document.write(evaluated(rows), folder / run / "evaluate.json")


def evaluated(rows: list[Row]) -> document.Evaluated:
    return document.Evaluated(
        word="toy",
        split="dev",
        seed=1,
        draws=1,
        signal_to_echo_db={},
        positives=10,
        negatives=10,
        peers_absent="",
        fingerprint="",
        band_hz=[],
        voices=[],
        trials="",
        thresholds={},
        states=[],
        rows=rows,
        confusables=[],
        excerpts=[],
        false_accepts=[],
    )


def test_relative_change_is_of_each_seed_and_of_playback_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "none-1", 0.1, 0.4, 0.2)
    write(tmp_path, "none-2", 0.1, 0.2, 0.4)
    write(tmp_path, "both-1", 0.5, 0.2, 0.2)  # music -50 %, alarm 0 %
    write(tmp_path, "both-2", 0.5, 0.2, 0.2)  # 0 % and -50 %
    made = table(tmp_path, "none", [0.5, 0.1])
    found = made.text
    assert "| FRR % at 0.5 FA/h | none | both |" in found
    assert "| clean | 10.0 ± 0.0 | 50.0 ± 0.0 |" in found
    assert "| music | 30.0 ± 127.1 | 20.0 ± 0.0 |" in found
    assert "| both | 0.5 | -25.0 ± 317.7 | -25.0 ± 317.7 | -25.0 ± 0.0 |" in found
    assert "| both | 0.1 | +0.0 ± 0.0 | +0.0 ± 0.0 | +0.0 ± 0.0 |" in found
    # One threshold: 9 lets 0.4 FA/h through in both rows; a threshold for each state the same.
    for title in ("one threshold for all rows", "a threshold for each state; none has one"):
        part = found[found.index(f"| {title}") :]
        assert "| both | 0.5 | -25.0 ± 317.7 | -25.0 ± 317.7 | -25.0 ± 0.0 |" in part
    assert "77" not in found and "none: 1, 2" in found
    typed = typed_example("model variants", {"runs/experiment/alexa": tmp_path})
    assert main(typed) == 0
    assert "| both | 0.5 | -25.0 ± 317.7 |" in capsys.readouterr().out
    none, both = sorted(made.data["variants"], key=lambda v: str(v["name"]), reverse=True)
    assert (none["name"], both["name"], none["seeds"]) == ("none", "both", (1, 2))
    assert none["frr"]["row"][0][0] == [0.1, 0.4, 0.2]  # of a seed, at a rate
    assert none["frr"]["all"][0][0][0] is None  # silent


def test_frr_is_taken_where_fewer_false_accepts_begin() -> None:
    curve = [(9.0, 0.0, 1), (2.0, 0.1, 2), (3.0, 0.2, 3), (1.0, 0.3, 4), (0.0, 0.4, 5)]
    for rate, frr in ((10, 0.0), (2.5, 0.3), (1, 0.3), (0.5, 0.4)):
        assert frr_at([curve], ["row"], rate) == [frr]


def test_rows_of_a_group_share_a_threshold() -> None:
    quiet = [(2.0, 0.1, 3), (0.0, 0.5, 8)]
    loud = [(9.0, 0.0, 1), (4.0, 0.2, 6), (2.0, 0.3, 7), (0.0, 0.9, 10)]
    assert frr_at([quiet, loud], ["a", "b"], 2) == [0.1, 0.3]
    assert frr_at([quiet, loud], ["all", "all"], 2) == [0.1, 0.3]  # 7: (2 + 2) / 2
    assert frr_at([quiet, loud], ["all", "all"], 1) == [0.5, 0.3]  # 8: (0 + 2) / 2
    found = frr_at([quiet, loud, loud], ["", "b", "b"], 3)
    assert np.isnan(found[0]) and found[1:] == [0.3, 0.3]


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 3.0])
    assert interval(values) == pytest.approx((2.0, 4.302653 / np.sqrt(3)))
    mean, wide = interval(values[:1])
    assert mean == 1.0 and np.isnan(wide)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no VARIANT-SEED/evaluate\.json in it"):
        table(tmp_path, "none", [0.5])
    write(tmp_path, "both-1", 0.1, 0.1, 0.1)
    with pytest.raises(DataError, match="no runs of the baseline 'none'; there are: both"):
        table(tmp_path, "none", [0.5])
    write(tmp_path, "none-1", 0.1, 0.1, 0.1)
    path = tmp_path / "none-1/evaluate.json"
    text = path.read_text()
    path.write_text(text.replace("[3.0, 0.0, 5]", "[3.0, 0.0]"))
    with pytest.raises(DataError, match=r"none-1/evaluate\.json: rows\.0\.curve\.0\.2: missing"):
        table(tmp_path, "none", [0.5])
    path.write_text(text.replace("music", "radio"))
    with pytest.raises(DataError, match="other conditions than the runs before it"):
        table(tmp_path, "none", [0.5])
    path.write_text(text.replace('"schema_version": 4', '"version": 2'))
    with pytest.raises(DataError, match=r"none-1/evaluate\.json: schema_version: given 2; this"):
        table(tmp_path, "none", [0.5])
