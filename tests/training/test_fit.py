# SPDX-License-Identifier: Apache-2.0
"""Training: killed and resumed, repeated, refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.examples import typed_example, typed_line
from tests.support.executors import ROOT, TOY
from wakestate.__main__ import main
from wakestate.commands import options
from wakestate.train.data.corpus import (
    DataError,
    find_manifest,
)

# Trains the toy word in forks of one process (TensorFlow is loaded once), by command lines, each
# killed where its name says; prints the exit statuses. The hooks call what they replace, before or
# after it.
TRAINING = """
import json, os, signal, sys
from pathlib import Path
import tensorflow as tf
tf.config.run_functions_eagerly(True)  # each of these short runs would trace graphs of its own
from wakestate.__main__ import main
from wakestate.commands import options
from wakestate.train.learning import fit, loop, pool
from wakestate.train.learning.fit import Budget, Trainer

options.CACHE, lines, stranger = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
pool.SHARD = 20
batch = 12

def few(**given):
    scenes = dict(positives=30, negatives=50, validation_positives=20, validation_negatives=20)
    return Budget(**given | scenes | dict(batches=2, batch=batch))

fit.Budget = few

def signal_at(number, when, target, name):
    whole = getattr(target, name)
    def hooked(*args, **keywords):
        at = when(*args)
        if at == "before":
            os.kill(os.getpid(), number)
        result = whole(*args, **keywords)
        if at == "after":
            os.kill(os.getpid(), number)
        return result
    setattr(target, name, hooked)

def batch_in_round_2(self, *rest, calls=[0]):
    calls[0] += 1
    return "before" if calls[0] == 4 else ""

KILLS = {
    "batch": (signal.SIGTERM, batch_in_round_2, Trainer, "draw"),
    "curve": (signal.SIGKILL, lambda self, row: "after" if row["round"] == 3 else "",
              Trainer, "_write_curve"),
    "state": (signal.SIGKILL, lambda path, content: "after" if content.get("round") == 4 else "",
              loop, "write_json"),
    "result": (signal.SIGKILL, lambda path, content: "after" if path.name == "result.json" else "",
               fit, "write_json"),
}

def attempt(run, line, *more, kill=""):
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            if kill:
                signal_at(*KILLS[kill])
            status = main([*lines[line], "--only-train", "--out", run, *more])
        except SystemExit as stop:
            status = stop.code
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def otherwise(run, *more):  # where recipe.toml does not refuse it before
    Path(run, "recipe.toml").unlink()
    return attempt(run, run, *more)

statuses = {}
for kill in ("batch", "curve", "state", "result", ""):
    statuses[kill] = attempt("killed", "whole", kill=kill)
statuses["again"] = attempt("killed", "whole")
statuses["whole"] = attempt("whole", "whole")
batch = 18
statuses["other budget"] = attempt("killed", "whole")
batch = 12
statuses["distilled"] = attempt("distilled", "distilled")
statuses["distilled by others"] = otherwise("distilled", "--teacher", "whole/model.keras")
statuses["undistilled"] = attempt("undistilled", "undistilled")
second = ["--start", "killed/round-001.keras"]
statuses["begun"] = attempt("begun", "begun", *second)
statuses["begun otherwise"] = otherwise("begun")
statuses["mean"] = attempt("mean", "mean")
statuses["begun from a stranger"] = attempt("stranger", "mean", "--start", stranger)
statuses["distilled by none"] = attempt("none", "distilled", "--teacher", "none.keras")
Path("statuses.json").write_text(json.dumps(statuses))
"""


def typed(sounds: Path, more: Path) -> dict[str, list[str]]:
    """Command lines of help and docs, with as little of everything."""
    files: dict[str, str | Path] = dict.fromkeys(("alexa", "words/alexa.toml"), TOY.word_path)
    files |= {"hey_samuel": TOY.word_path, "../shared/data": sounds}
    files |= dict.fromkeys(("data/alexa", "data/more", "data/hey_samuel"), more)
    files |= dict.fromkeys(("6000", "8000", "8", "5"), "0")  # confusables, quantization-aware
    files |= dict.fromkeys(("24", "36", "0.3", "0.35", "0.4"), "1")  # rounds, amounts
    files |= dict.fromkeys(("runs/pool", "runs/tempo-and-band/pool"), "whole/pool")
    files |= dict.fromkeys(("build/start.keras", "models/alexa/alexa.keras"), "whole/model.keras")
    files |= dict.fromkeys(("runs/tempo-and-band/model.keras", "…"), "killed/round-001.keras")
    files |= {"runs/teacher-1/model.keras": "whole/model.keras", "0.001": "1e-7"}
    return {
        "whole": typed_example(
            "train", files | {"data/alexa": sounds, "40": "6"}, "--quantization-aware", "3"
        ),
        "distilled": typed_line(
            "train --only-train --word words/alexa.toml --data ../shared/data --also data/alexa "
            "--near-misses 6000 --pool runs/pool --rounds 36 --batches 1000 "
            "--quantization-aware 8 --seed 1 --out runs/alexa-1 "
            "--teacher runs/teacher-1/model.keras --teacher … --teacher …",
            files,
        ),
        "undistilled": typed_line(
            "train --word hey_samuel --data ../shared/data --also data/hey_samuel "
            "--also data/alexa --also-dev data/hey_samuel --rounds 24 --batches 800 "
            "--quantization-aware 5 --confusables 8000 --amount 0.35",
            files,
            *("--pool", "whole/pool", "--executor", "processes"),
        ),
        "begun": typed_line(
            "train --word alexa --data ../shared/data --also data/more --amount 0.4 "
            "--near-misses 6000 --start build/start.keras --rate 0.001 --rounds 24 "
            "--batches 400 --quantization-aware 24 --out runs/six "
            "--teacher build/start.keras --teacher runs/teacher-1/model.keras --teacher …",
            files,
            *("--pool", "whole/pool", "--quantization-aware", "0"),
        ),
        "mean": typed_line(
            "train --word alexa --data ../shared/data --also data/alexa --amount 0.3 --rounds 0 "
            "--pool runs/tempo-and-band/pool --out runs/mean-11 --start models/alexa/alexa.keras "
            "--start runs/tempo-and-band/model.keras",
            files,
            *("--recipe", "detector-11", "--seed", "1", "--only-train"),
            *("--near-misses", "0", "--quantization-aware", "0"),
        ),
    }


@pytest.fixture(scope="module")
def trained(
    sounds: Path, more: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder with the runs "killed" (and resumed) and "whole", and what was printed."""
    folder = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            TRAINING,
            cache,
            json.dumps(typed(sounds, more)),
            ROOT / "models/alexa/alexa.keras",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "stderr").write_text(done.stderr)
    (folder / "stdout").write_text(done.stdout)
    return folder


def test_killed_training_ends_as_if_it_had_not_been(trained: Path) -> None:
    statuses = json.loads((trained / "statuses.json").read_text())
    assert statuses == {
        "batch": 130,
        "curve": -9,
        "state": -9,
        "result": -9,
        "": 0,
        "again": 0,
        "whole": 0,
        "other budget": 1,
        "distilled": 0,
        "distilled by others": 1,
        "undistilled": 0,
        "distilled by none": 1,
        "begun": 0,
        "begun otherwise": 1,
        "mean": 0,
        "begun from a stranger": 1,
    }, (trained / "stderr").read_text()[-3000:]
    names = {
        run: {p.name for p in (trained / run).iterdir()} for run in ("killed", "whole")
    }  # no partial files, no checkpoint too many
    assert (
        names["killed"]
        == names["whole"]
        == {
            "calibration.npy",
            "config.json",
            "curve.csv",
            "mined.npy",
            "model.keras",
            "pool",
            "recipe.toml",
            "result.json",
            "state.json",
            *(f"round-00{n}.keras" for n in range(1, 7)),
        }
    )
    assert "stopped; the same command continues after round 1" in (trained / "stderr").read_text()
    printed = (
        "to do, less what killed has: 120 scenes, 0.0 GB; 6 rounds of 2 batches; about 1 minutes"
    )
    assert printed in (trained / "stdout").read_text()


def test_curve_has_each_round_once(trained: Path) -> None:
    rows = {}
    for run in ("killed", "whole"):
        with (trained / run / "curve.csv").open(newline="") as file:
            rows[run] = list(csv.DictReader(file))
        assert [row["round"] for row in rows[run]] == ["1", "2", "3", "4", "5", "6"]
        assert all(np.isfinite(float(row["loss"])) for row in rows[run])
        for row in rows[run]:
            del row["seconds"]
    assert rows["killed"] == rows["whole"]


def test_same_seed_same_weights(trained: Path) -> None:
    """Bit for bit, though one run was killed four times and both rendered their own pools."""
    import keras

    from wakestate.train.learning.fit import SPANS
    from wakestate.train.model.network import build_model, take_weights

    def weights(name: str) -> list[np.ndarray]:
        """In the order of the plain network, whatever the run's is in that round."""
        model = keras.saving.load_model(trained / name, compile=False)
        return list(take_weights(build_model(TOY.word), model).get_weights())

    files = [(trained / run / "model.keras").read_bytes() for run in ("killed", "whole")]
    assert files[0] == files[1]
    one = weights("whole/model.keras")
    texts = [(trained / run / "result.json").read_text() for run in ("killed", "whole")]
    assert texts[0] == texts[1]
    span = json.loads(texts[0])["averaged_rounds"]
    assert span in SPANS
    saved = [weights(f"whole/round-00{n}.keras") for n in range(7 - span, 7)]
    for mean, *rounds in zip(one, *saved, strict=True):
        assert np.allclose(mean, np.mean(rounds, axis=0), atol=1e-6)
    first = weights("whole/round-001.keras")
    assert any(not np.array_equal(a, b) for a, b in zip(first, saved[-1], strict=True))


def test_a_student_approaches_its_teachers(trained: Path) -> None:
    import keras

    from wakestate.contract.metadata import metadata_vectors
    from wakestate.train.learning.distillation import corrected, loaded
    from wakestate.train.learning.learner import FEATURE_SCALE

    labels, claimed = np.array([0, 0, 1, -1], np.int8), np.array([3, -5, -2, 4], np.float16)
    assert corrected(labels, claimed).tolist() == [0, -5, -2, 4]
    printed = np.load(trained / "distilled/soft_targets-positive.npy")
    assert not (trained / "distilled/pool").exists()
    shard = np.load(sorted((trained / "whole/pool").glob("train-positive-*.npz"))[0])
    x = shard["features"].astype(np.float32)[:, :, None, :] * FEATURE_SCALE
    meta = metadata_vectors(TOY.word)[shard["states"]]
    logits = [
        keras.saving.load_model(trained / path, compile=False).predict_on_batch([x, meta])[
            :, :, 0, 0
        ]
        for path in ("whole/model.keras", *["killed/round-001.keras"] * 2)
    ]
    assert printed.shape[0] == 30
    np.testing.assert_allclose(printed[: len(x)], np.mean(np.clip(logits, -12, 12), 0), atol=0.01)
    one, other = (
        keras.saving.load_model(trained / run / "round-001.keras", compile=False).get_weights()
        for run in ("distilled", "undistilled")
    )
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert "none.keras: no such file" in (trained / "stderr").read_text()
    hops, bands = x.shape[1], x.shape[3]
    width = metadata_vectors(TOY.word).shape[1]
    with pytest.raises(DataError, match=r"makes \d+ steps of a scene, 48 are needed"):
        loaded(trained / "whole/model.keras", (hops + 30, bands), width)
    with pytest.raises(DataError, match="takes other features or states"):
        loaded(trained / "whole/model.keras", (hops, bands + 1), width)


def test_a_run_begins_with_the_mean_of_the_weights_it_is_given(trained: Path) -> None:
    import keras

    import wakestate.train.model.network  # noqa: F401  (registers its layers)

    def trainable(run: str, name: str = "model.keras") -> dict[str, list[NDArray[np.float32]]]:
        model = keras.saving.load_model(trained / run / name, compile=False)
        return {
            layer.name: [np.asarray(w) for w in layer.trainable_weights]
            for layer in model.layers
            if layer.trainable_weights
        }

    one, other = trainable("whole"), trainable("killed", "round-001.keras")
    for run, apart in (("begun", 1e-5), ("mean", 0)):  # after a round at a tiny rate; after none
        for layer, weights in trainable(run).items():
            for a, b, mean in zip(one[layer], other[layer], weights, strict=True):
                np.testing.assert_allclose((a + b) / 2, mean, rtol=0, atol=apart)
    assert any(
        np.abs(a - b).max() > 1e-3
        for layer in one
        for a, b in zip(one[layer], other[layer], strict=True)
    )
    mined = np.load(trained / "begun/mined.npy")  # in the first round already
    assert np.isfinite(mined).all()
    printed = (trained / "stderr").read_text()
    assert "alexa.keras: not of the same shape as the word file's [model]" in printed


def test_two_ways_to_place_the_word_are_compared(
    trained: Path,
    sounds: Path,
    more: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the run's pool; one of the two continuations is there already."""
    from wakestate.train.experiments import aligned
    from wakestate.train.learning import pool

    run = tmp_path / "run"
    shutil.copytree(trained / "whole", run)
    shutil.copy(run / "model.keras", run / "ends-regression.keras")
    of_word = aligned.conditions
    monkeypatch.setattr(aligned, "conditions", lambda *given: of_word(*given)[:1])
    monkeypatch.setattr(aligned, "BATCHES", 2)
    monkeypatch.setattr(pool, "SHARD", 20)
    monkeypatch.setattr(options, "CACHE", cache)
    files = {"alexa": TOY.word_path, "data/alexa": sounds}
    call = typed_example("model endpoints", files, "--also", more, "--run", run)
    assert main([*call, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ways = [("regression", "newest"), ("regression", "mean"), ("aligned", "aligned")]
    assert [(row["method"], row["way"]) for row in found] == ways
    assert {row["condition"] for row in found} == {"clean"}
    assert (run / "ends-aligned.keras").is_file()


def test_calibration_windows_come_from_the_pool(trained: Path) -> None:
    windows = np.load(trained / "killed/calibration.npy")
    assert np.array_equal(windows, np.load(trained / "whole/calibration.npy"))
    word = TOY.word
    assert windows.dtype == np.int8 and len(np.unique(windows, axis=0)) > 100
    assert windows.shape[1:] == (word.model.receptive_hops, word.frontend.bands)
    with np.load(trained / "whole/pool/train-positive-000.npz") as shard:
        clips = shard["features"]
    views = np.lib.stride_tricks.sliding_window_view(clips, windows.shape[1], axis=1)
    views = views.transpose(0, 1, 3, 2).reshape(-1, *windows.shape[1:])
    known = {view.tobytes() for view in views}
    assert sum(window.tobytes() in known for window in windows) > 50


def test_other_settings_or_data_are_refused(
    trained: Path, sounds: Path, cache: Path, tmp_path: Path
) -> None:
    assert (
        "config.json: this run was started with another budget" in (trained / "stderr").read_text()
    )
    from wakestate.train.learning.fit import Budget, fit

    saved = json.loads((trained / "whole/config.json").read_text())
    budget = Budget(**saved["budget"])
    assert fit(TOY.word, sounds, trained / "whole", cache, budget).name == "model.keras"
    (tmp_path / "data").mkdir()
    manifest = find_manifest(sounds).read_text()
    (tmp_path / "data/manifest.csv").write_text(manifest + "x,dev,noise,,,1,,,\n")
    with pytest.raises(DataError, match="started with another manifest_sha256"):
        fit(TOY.word, tmp_path / "data", trained / "whole", cache, budget)
    word = TOY.word.model_copy(update={"phrase": "other"})
    with pytest.raises(DataError, match="started with another word"):
        fit(word, sounds, trained / "whole", cache, budget)
    with pytest.raises(DataError, match=r"manifest\.csv: not found"):
        fit(TOY.word, tmp_path, tmp_path / "new", cache, budget)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--seed", "-1"], "'--seed': -1 is not in the range x>=0"),
        (["train", "--rounds", "0"], "--rounds: given 0; allowed: 1 or more, or 0 with --start"),
        (["evaluate", "--draws", "0"], "'--draws': 0 is not in the range x>=1"),
        (["evaluate", "--echo", "low"], "--echo: given 'low'; allowed: VOLUME=DB,..."),
        (["evaluate", "--echo", "lwo=3"], "--echo: given 'lwo'; allowed: low, high"),
        (["evaluate", "--set-thresholds", "--model", "none"], "none/model.json: no such file"),
        (["evaluate", "--library", "none.so"], "none.so: not found; build it"),
        (["train"], "manifest.csv: not found"),
    ],
)
def test_bad_usage_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    alexa = ["--word", str(ROOT / "words/alexa.toml"), "--data", "nowhere"]
    assert main([arguments[0], *alexa, *arguments[1:]]) in (1, 2)
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
