# SPDX-License-Identifier: Apache-2.0
"""`wakestate evaluate` and `wakestate model clips` on a small data folder, from end to end."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.examples import typed_example, typed_line
from tests.support.executors import TOY
from tests.support.firmware_build import build
from wakestate.__main__ import main
from wakestate.convert import operating_points
from wakestate.convert.manifest import check_manifest, never_fires, set_thresholds
from wakestate.train.acoustics.conditions import ALTERATIONS
from wakestate.train.evaluation.cells import label
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import Evaluated
from wakestate.train.evaluation.float_baseline import FLOAT
from wakestate.train.evaluation.operating_points import operating_points as made_points
from wakestate.train.evaluation.thresholds import USUAL_LOGITS, ScoreScale

#: The names of the rows that the command below gives.
SOUNDS = ["clean", "noise 10 dB", "noise 0 dB", "music 0 dB"]
SOUNDS += [f"player=music SER {ratio} dB" for ratio in (3, -2)]
WRONG_STATES = ["music plays, state player=idle, SER 3 dB", "nothing plays, state player=music"]
LEVELS = [f"{level} dBFS" for level in (-50, -40, -30, -20, -15)]


@dataclass
class Ran:
    """`wakestate evaluate` on a copy of the toy, from end to end."""

    folder: Path
    options: list[str | Path]
    printed: str = ""
    found: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str | Path) -> str:
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([str(argument) for argument in arguments]) == 0
        return out.getvalue()

    def run_alone(self, *arguments: str | Path) -> None:
        """With TensorFlow in processes that are forked: none of ours may have used it before."""
        call = [sys.executable, "-m", "wakestate", *arguments]
        done = subprocess.run(call, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    def written(self) -> dict[str, Any]:
        return json.loads((self.folder / "out/evaluate.json").read_text())


@pytest.fixture(scope="module")
def ran(sounds: Path, more: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("evaluate")
    shutil.copytree(TOY.folder, folder / "model")
    never = dict.fromkeys(TOY.word.states, never_fires(TOY.word))
    set_thresholds(folder / "model", TOY.word, never)
    options: list[str | Path] = ["--word", TOY.word_path, "--data", sounds, "--split", "dev"]
    library = build("toy", "host").folder / "libwakestate.so"
    options += ["--library", library, "--out", folder / "out"]
    options += ["--draws", "2", "--echo", "high=3,high=-2", "--seed", "4"]
    options += ["--model", folder / "model"]
    ran = Ran(folder, options)
    typed = typed_line(
        "evaluate --word computer --data ../shared/data --also data/benchmark --no-float "
        "--set-thresholds",
        {"computer": TOY.word_path, "../shared/data": sounds, "data/benchmark": more},
    )
    ran.printed = ran.run(*typed, *options)
    ran.found = ran.written()
    return ran


def test_the_command_measures_all_conditions(ran: Ran) -> None:
    found, life = ran.found, list(ALTERATIONS)
    assert (found["word"], found["split"], found["seed"], found["draws"]) == ("toy", "dev", 4, 2)
    assert found["signal_to_echo_db"] == {"high": [3.0, -2.0]}
    for engine in ("microWakeWord v2", "openWakeWord"):
        assert f"{engine} has no model for 'toy'" in found["peers_absent"] or (
            f"{engine} is not installed" in found["peers_absent"]
        )
    assert f"not compared: {found['peers_absent']}" in ran.printed
    rows = found["rows"]
    assert [row["condition"]["name"] for row in rows] == [*SOUNDS, *life, *WRONG_STATES, *LEVELS]
    clips = [7, 14, 14, 14, 14, 14, *[7] * len(life), 14, 7, *[7] * 5]
    assert [row["clips"] for row in rows] == clips
    for row in rows:
        assert row["hours"] * 3600 == pytest.approx(6 * 2.5 + 3 + 5 + 5 + 1, abs=0.01)
        at = row["at"]["0.5"]
        assert at["frr"] == at["misses"] / row["clips"] and at["false_accepts"] == 0
        frr = [point[1] for point in row["curve"]]
        assert frr[0] == min(frr) and frr[-1] == 1.0
    tables = ran.printed.split("\n\n| condition")
    lines = [line.split(" | ") for line in tables[1].split("\n\n")[0].splitlines()]
    assert lines[0][1:] == [f"{OURS}, 0.1 FA/h", f"{OURS}, 0.5 FA/h", "trials |"]
    for row, cells in zip(rows, lines[2:], strict=False):
        assert cells[0] == f"| {label(row['condition']['name'])}"
        assert cells[2].startswith(f"{100 * row['at']['0.5']['frr']:.1f} [")
    assert len(lines) == 2 + len(SOUNDS)
    assert {p.name for p in (ran.folder / "out").iterdir()} == {"evaluate.json"}


def test_the_command_sets_the_thresholds_and_nothing_else(ran: Ran) -> None:
    found, model = ran.found, ran.folder / "model"
    rows, manifest = found["rows"], check_manifest(model, TOY.word)
    assert found["thresholds"] == manifest.thresholds
    # Half a minute of sound says little of 0.5 FA/h: they are not below other words'.
    scale = ScoreScale(manifest.logit, TOY.word.detector.smoothing_steps)
    assert min(manifest.thresholds.values()) >= scale.score(USUAL_LOGITS[0])
    # In a wrong state the device uses the threshold of the given state.
    wrong = rows[len(SOUNDS) + len(ALTERATIONS) :]
    assert wrong[0]["shipped"]["threshold"] == manifest.thresholds["player=idle"]
    assert wrong[1]["shipped"]["threshold"] == manifest.thresholds["player=music"]
    assert set(manifest.thresholds.values()) != {never_fires(TOY.word)}
    written = {"model.json", operating_points.NAME}
    assert {p.name: p.read_bytes() for p in model.iterdir() if p.name not in written} == {
        p.name: p.read_bytes() for p in TOY.folder.iterdir() if p.name != "model.json"
    }
    assert (model / "model.json").read_bytes() != (TOY.folder / "model.json").read_bytes()


def test_operating_points_are_those_of_the_rows(ran: Ran) -> None:
    """As if the half minute without the word had been hours."""
    found = copy.deepcopy(ran.found)
    for row in found["rows"]:
        row["hours"] *= 1000
        row["curve"] = [(rate / 1000, missed, at) for rate, missed, at in row["curve"]]
    points = made_points(Evaluated.model_validate(found), "model")
    rows = {row["condition"]["name"]: row for row in found["rows"]}
    for state, curve in points.states.items():
        streams = [rows["clean"]] if state == "player=idle" else [rows[n] for n in curve.conditions]
        assert curve.hours == pytest.approx(sum(row["hours"] for row in streams), abs=1e-3)
        assert len(curve.points) > 2
        for point in curve.points:
            assert point.low <= point.false_accepts / curve.hours <= point.high
            accepts, missed = 0, []
            for name in curve.conditions:
                at = [p for p in rows[name]["curve"] if p[2] <= point.threshold][-1]
                accepts += round(at[0] * rows[name]["hours"]) if rows[name] in streams else 0
                missed.append(at[1])
            assert point.false_accepts == accepts <= 20 * curve.hours
            assert point.missed == pytest.approx(missed, abs=1e-4)


def test_sensitivity_shows_and_sets_thresholds(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(ran.folder / "model", model)
    manifest = check_manifest(model, TOY.word)
    points = operating_points.read(model, manifest)
    assert (points.word, points.clips, set(points.states)) == ("toy", 7, set(TOY.word.states))
    call = ["word", "sensitivity", "--word", str(TOY.word_path), "--model", str(model), "--rate"]
    assert main([*call, "20", "--state", "player=music", "--json", "--set"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["points"]
    music = points.states["player=music"].within(20)
    assert (row["threshold"], row["false_accepts"]) == (music.threshold, music.false_accepts)
    assert row["sensitivity"] == manifest.thresholds["player=music"] - music.threshold
    now = check_manifest(model, TOY.word).thresholds
    assert now == {**manifest.thresholds, "player=music": music.threshold}


def test_operating_points_of_another_model_are_refused(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(ran.folder / "model", model)
    path = model / operating_points.NAME
    call = ["word", "sensitivity", "--word", str(TOY.word_path), "--model", str(model)]
    good = path.read_text()
    identity = operating_points.identity(check_manifest(model, TOY.word))
    for content, problem in (
        (good.replace(identity, "0" * 64), "is of other networks"),
        (good.replace('"player=music":', '"player=drums":'), "states: not those of model.json"),
        (good.replace('"seed": 4', '"seed": "x"'), "seed: Input should be a valid integer"),
        (good[: len(good) // 2], "Invalid JSON"),
    ):
        path.write_text(content)
        assert main(call) == 1
        err = capsys.readouterr().err
        assert problem in err and err.startswith(str(path)) and err.count("\n") == 1
    path.unlink()
    assert main(call) == 1
    assert (
        "no such file; `wakestate evaluate --set-thresholds` writes it" in capsys.readouterr().err
    )


def test_clips_of_false_accepts_and_a_short_evaluation(
    ran: Ran, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ran.found
    here: dict[str, str | Path] = {"alexa": TOY.word_path, "data/alexa": sounds}
    keras = ran.folder / "model/toy.keras"
    both = typed_example(
        "evaluate",
        here,
        *("--also", sounds, "--confusables", "--no-peers", "--float", keras),
        *("--split", "dev", "--draws", "2"),
    )
    ran.run_alone(*both, *ran.options)
    short = ran.written()
    typed = typed_example("model clips", here, "--also", sounds, "--confusables", "--no-peers")
    ran.run(*typed, "--float", keras, *ran.options)
    made = sorted((ran.folder / "out/clips").iterdir())
    named = short["false_accepts"]
    assert len(made) == len(named) > 0
    for path, accept in zip(made, named, strict=True):
        assert Path(accept["file"]).stem in path.name and f"{accept['at_s']:.2f}s" in path.name
    assert list(short["rows"][0]["others"]) == [FLOAT]
    whole = [name for name, a in ALTERATIONS.items() if not a.stream]
    assert [row["condition"]["name"] for row in short["rows"]] == [*SOUNDS, *whole]
    assert bool(short["confusables"]) == bool(found["confusables"])
    assert short["rows"][0]["clips"] == 2 * 7  # every recording once from each folder
    more = found["rows"][0]["hours"] - 1 / 3600  # without the second that the first had
    assert short["rows"][0]["hours"] == pytest.approx(2 * more)
    result = ran.folder / "out/evaluate.json"
    files: dict[str, str | Path] = {
        f"{name}/evaluate.json": f"{name.partition('=')[0]}={result}"
        for name in ("new=runs/new", "old=build/alexa")
    }
    assert main(typed_example("model compare", files)) == 0
    assert "new" in capsys.readouterr().out
