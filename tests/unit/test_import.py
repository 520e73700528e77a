# SPDX-License-Identifier: Apache-2.0
"""`wakestate word import`: what it writes, and what it refuses in one line, writing nothing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.examples import typed_example
from tests.support.models.networks import columns, foreign_word
from tests.support.tflite_maker import Maker, written
from wakestate.__main__ import main
from wakestate.convert.emit import generate
from wakestate.convert.manifest import read_manifest
from wakestate.convert.microwakeword import threshold
from wakestate.words import WordError, load_word

GIVEN: dict[str, Any] = {
    "type": "micro",
    "wake_word": "Hey Foreign",
    "author": "Somebody",
    "website": "https://example.org/",
    "model": "net.tflite",
    "trained_languages": ["en"],
    "version": 2,
    "micro": {"probability_cutoff": 0.97, "sliding_window_size": 5, "feature_step_size": 10},
}


def given(folder: Path, make: Callable[[Maker], None] = foreign_word, **changed: Any) -> Path:
    """A JSON manifest with its network."""
    path = folder / "hey_foreign.json"
    path.write_text(json.dumps(GIVEN | changed), encoding="utf-8")
    written(folder, make).rename(folder / "net.tflite")
    return path


def test_writes_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = given(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(typed_example("word import", {"okay_nabu.json": path})) == 0
    word = load_word(Path("words/hey_foreign.toml"))
    assert (word.phrase, word.states, word.frontend.bands) == ("hey foreign", ("player=idle",), 40)
    assert word.model.stride == 3 and word.model.receptive_hops == 3 * (1 + 2)
    manifest = read_manifest(Path("models/hey_foreign"))
    assert manifest.thresholds == {"player=idle": threshold(0.97, 5)}
    texts = generate(word, Path("words/hey_foreign.toml"), Path("models/hey_foreign"))
    assert ".cold = true" in texts["ws_hey_foreign.c"]
    assert main(["word", "import", str(path)]) == 1  # it is there


@pytest.mark.parametrize("cutoff", [0.0, 0.5, 0.85, 0.97])
def test_threshold(cutoff: float) -> None:
    """The least sum whose mean is above: 0.85 itself, of 1088 / 1280, is not."""
    lowest = threshold(cutoff, 5) + 5 * 128
    assert statistics.fmean([lowest / 256, 0, 0, 0, 0]) > cutoff
    assert not statistics.fmean([(lowest - 1) / 256, 0, 0, 0, 0]) > cutoff
    assert threshold(1.0, 5) == 5 * 127 + 1  # never


def micro(**changed: Any) -> dict[str, Any]:
    return {"micro": GIVEN["micro"] | changed}


@pytest.mark.parametrize(
    ("make", "changed", "said"),
    [
        (foreign_word, {"version": 1}, "hey_foreign.json: version: given 1;"),
        (foreign_word, {"wake_word": "a\nb"}, r"wake_word: given 'a\nb';"),
        (foreign_word, {"model": "../net.tflite"}, "has separators; allowed: a plain file name"),
        (foreign_word, {"model": "other.tflite"}, "other.tflite: no such file"),
        (foreign_word, micro(probability_cutoff=2), "micro.probability_cutoff: given 2;"),
        (foreign_word, micro(sliding_window_size=17), "micro.sliding_window_size: given 17;"),
        (foreign_word, micro(feature_step_size=20), "micro.feature_step_size: given 20;"),
        (lambda m: foreign_word(m, out="INT8"), {}, "net.tflite: output: ('INT8', 1, "),
        (lambda m: foreign_word(m, scale=2.0), {}, "frontend.feature_scale: given 2.0"),
        (lambda m: columns(m, 1, 2), {}, "net.tflite: input: INT8 [1, 1, 1, 4]; allowed: INT8"),
    ],
)
def test_refuses(
    make: Callable[[Maker], None],
    changed: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = given(tmp_path, make, **changed)
    monkeypatch.chdir(tmp_path)
    assert main(["word", "import", path.name]) == 1
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["hey_foreign.json", "net.tflite"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[frontend]\nkind = "micro"\nfeature_scale = 0.1\nbands = 64', "bands: given 64; allowed"),
        ("[frontend]\nfeature_scale = 0.1", "feature_scale: given 0.1; allowed: none without kind"),
        ('[model]\nnetwork = "microwakeword"', 'model.network: given "microwakeword"; allowed'),
    ],
)
def test_word_files(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(f'name = "w"\nphrase = "w"\n{text}\n[data]\npositive = ["w"]\n')
    with pytest.raises(WordError, match=said.replace("(", r"\(")):
        load_word(path)
