# SPDX-License-Identifier: Apache-2.0
"""`wakestate export --as esphome`: the streaming .tflite computes what the word's own does.

TensorFlow Lite Micro, which devices have, gives the reference's logits to the bit; so does
pymicro-wakeword with its halves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.compiled import TFLM
from tests.support.executors import TOY
from tests.support.models.networks import foreign_word
from tests.support.tflite_maker import written
from wakestate.__main__ import main
from wakestate.convert import reference
from wakestate.convert.esphome import arena_bytes, streaming_model
from wakestate.convert.graph.tflite_graph import read_model
from wakestate.convert.manifest import read_manifest, state_file
from wakestate.convert.reference import read_network

CENTER = -7  # the logit whose probability is half
STEPS = 150


def columns(hops: int, bands: int) -> NDArray[np.int8]:
    """A level that wanders, and bands around it: int8[hops, bands]."""
    rng = np.random.default_rng(8)
    level = 60 * np.sin(np.arange(hops)[:, None] / 9) - 20
    return np.clip(np.rint(level + rng.normal(0, 30, (hops, bands))), -128, 127).astype(np.int8)


def probabilities(state: int, given: NDArray[np.int8]) -> NDArray[np.int64]:
    """Of the reference on whole windows, silence before the first, in 1/256."""
    network = read_network(TOY.word, TOY.folder)
    hops, stride = network.hops, network.stride
    before = np.full((hops + stride, network.bands), -128, np.int8)
    seen = np.concatenate([before, given])
    ends = len(before) + stride * np.arange(1, len(given) // stride + 1)
    windows = np.stack([seen[end - hops : end] for end in ends])
    result = network.layers[-1].result
    logits = reference.logits(network, state, windows).astype(int)
    return np.rint(256 / (1 + np.exp(-result.scale * (logits - CENTER)))).clip(0, 255).astype(int)


def halves_up(total: Any, multiplier: Any, shift: Any) -> Any:
    """Of layers of whole eights of channels, as the toy's are."""
    high = (total * multiplier + (1 << 30)) >> 31
    return (high + (1 << -shift >> 1)) >> -shift


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy while music plays."""
    path = tmp_path_factory.mktemp("esphome") / "toy.tflite"
    state = TOY.folder / state_file(TOY.word, TOY.word.states[1])
    path.write_bytes(streaming_model(state, CENTER))
    return path


def test_probabilities_on_devices(streaming: Path) -> None:
    network = read_network(TOY.word, TOY.folder)
    given = columns(STEPS * network.stride, network.bands)
    runs = given.reshape(STEPS, 1, network.stride, network.bands)
    found = np.array(TFLM(streaming).run([[[run] for run in runs]])).ravel().astype(int)
    assert np.array_equal(found, probabilities(1, given)) and len(set(found.tolist())) > 30


def test_probabilities_of_the_package(
    streaming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mww = pytest.importorskip("pymicro_wakeword", reason="needs the extra peers")
    micro = {"probability_cutoff": 0.5, "sliding_window_size": 1}
    config = tmp_path / "toy.json"
    config.write_text(json.dumps({"model": str(streaming), "wake_word": "toy", "micro": micro}))
    network = read_network(TOY.word, TOY.folder)
    given = columns(STEPS * network.stride, network.bands)
    detector = mww.MicroWakeWord.from_config(config)
    means = [detector.process_streaming_prob(hop[None, None] / 32) for hop in given]
    found = np.rint(256 * np.array(means[network.stride - 1 :: network.stride])).astype(int)
    monkeypatch.setattr(reference, "requantize", halves_up)
    assert np.array_equal(found, probabilities(1, given))


def test_arena(streaming: Path) -> None:
    """Enough for TFLM here, whose pointers are twice as long as a chip's."""
    from tflite_micro import runtime

    arena = arena_bytes(read_model(streaming).graphs[0])
    runtime.Interpreter.from_file(str(streaming), arena_size=arena).invoke()


def test_an_imported_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes out as it came in."""
    monkeypatch.chdir(tmp_path)
    micro = {"probability_cutoff": 0.85, "sliding_window_size": 5, "feature_step_size": 10}
    given = {"type": "micro", "version": 2, "wake_word": "Hey Foreign", "model": "net.tflite"}
    Path("foreign.json").write_text(json.dumps({**given, "micro": micro}))
    network = written(tmp_path, foreign_word).rename("net.tflite").read_bytes()
    assert main(["word", "import", "foreign.json"]) == 0
    export = ["export", "--word", "words/foreign.toml", "--model", "models/foreign"]
    assert main([*export, "--as", "esphome", "--author", "A", "--out", "out"]) == 0
    made = json.loads(Path("out/foreign.json").read_text())
    assert Path("out", made.pop("model")).read_bytes() == network
    assert made["micro"].pop("tensor_arena_size") > 2 * 40 + 5 * 40
    assert made == {
        **{"type": "micro", "version": 2, "wake_word": "Hey Foreign", "author": "A"},
        "trained_languages": ["en"],
        "micro": {**micro, "minimum_esphome_version": "2024.7.0"},
    }
    assert main(["word", "import", "out/foreign.json", "--name", "again"]) == 0
    thresholds = [read_manifest(Path("models", name)).thresholds for name in ("foreign", "again")]
    assert thresholds[0] == thresholds[1]
    capsys.readouterr()


def test_refuses_other_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", "--word", "alexa", "--as", "esphome", "--out", str(out)]) == 1
    printed = capsys.readouterr().err
    assert 'frontend.kind: is "lfbe"; ESPHome' in printed and printed.count("\n") == 1
    for more in (["--word", "computer"], ["--sample", "models/alexa/sample.wav"]):
        given = ["export", "--word", "alexa", *more, "--as", "esphome", "--out", str(out)]
        assert main(given) == 2 and "--as esphome: " in capsys.readouterr().err
    assert not out.exists()
