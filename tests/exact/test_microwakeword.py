# SPDX-License-Identifier: Apache-2.0
"""Imported models of microWakeWord: features and scores of pymicro-wakeword, to the bit.

Skipped without that package, whose front end and TensorFlow Lite are the judges. It has no model
of "vad": that is next to the data (../shared/peers, or $PEERS).
"""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.compiled import TFLM
from tests.support.firmware_build import ROOT, build, skip_without_qemu
from tests.support.models.networks import foreign_word
from tests.support.tflite_maker import written
from tests.support.web_module import NAMES, Module
from wakestate.boards.vectors import Vectors, differences, run_vectors
from wakestate.contract.kernels import Kernels
from wakestate.convert.emit import emit
from wakestate.convert.hostlib import Extractor
from wakestate.convert.manifest import read_manifest, state_file
from wakestate.convert.microwakeword import import_word
from wakestate.errors import UserError
from wakestate.web.module import build_module, check_tools
from wakestate.words import Word, load_word

mww = pytest.importorskip("pymicro_wakeword", reason="needs the extra peers")
MODELS = Path(mww.__file__).parent / "models"
#: From then on its logarithms have another last bit, and two weights of the front end with them.
OTHER_LIBM = platform.libc_ver()[0] == "glibc" and platform.libc_ver()[1] >= "2.41"
pytestmark = pytest.mark.skipif(OTHER_LIBM, reason="its front end depends on the C library")
PEERS = Path(os.environ.get("PEERS", ROOT.parent / "shared" / "peers"))
BOARDS: dict[str, Kernels] = {"host": "plain", "mps2-an386": "dsp"}


def sample(start: float, seconds: float) -> NDArray[np.int16]:
    """Of the recording that comes with "alexa"."""
    with wave.open("models/alexa/sample.wav") as file:
        file.setpos(round(start * 16000))
        return np.frombuffer(file.readframes(round(seconds * 16000)), "<i2").astype(np.int16)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Word]:
    """Its "alexa" as a word: word file, model folder, and the word."""
    folder = tmp_path_factory.mktemp("imported")
    path, model = import_word(MODELS / "alexa.json", folder / "words", folder / "models", "mww")
    return path, model, load_word(path)


def features(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """Its front end's, [hops, bands]."""
    found = list(mww.MicroWakeWordFeatures().process_streaming(pcm.tobytes()))
    return np.concatenate(found)[:, 0]


def quantized(pcm: NDArray[np.int16], word: Word) -> NDArray[np.int8]:
    """As its package does, but that nothing wraps."""
    steps = np.round(features(pcm) / word.frontend.feature_scale - 128)
    return np.clip(steps, -128, 127).astype(np.int8)


RNG = np.random.default_rng(3)
SOUNDS = {
    "speech": sample(0, 4),
    "silence": np.zeros(4000),
    "the least of int16": np.full(4000, -32768),
    "clicks": np.where(np.arange(16000) % 1600, 0, -32768),
    "full-scale noise": RNG.choice([-32768, 32767], 16000),
    "noise, louder and louder": np.concatenate([RNG.normal(0, 2**k, 3200) for k in range(16)]),
    "full-scale tone": 32767 * np.sin(np.arange(16000) / 5),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_features(name: str, imported: tuple[Path, Path, Word]) -> None:
    pcm = np.clip(np.rint(SOUNDS[name]), -32768, 32767).astype(np.int16)
    given = Extractor(imported[2].frontend).features(pcm)
    assert np.array_equal(given, quantized(pcm, imported[2])) and len(given) > 20


def package_outputs(config: Path, folder: Path, pcm: NDArray[np.int16]) -> NDArray[np.int64]:
    """The int8 output of every step by the package: its mean over a single one."""
    given = json.loads(config.read_text())
    given["model"] = str(config.parent.resolve() / given["model"])
    given["micro"]["sliding_window_size"] = 1
    single = folder / "single.json"
    single.write_text(json.dumps(given))
    detector = mww.MicroWakeWord.from_config(single)
    columns = mww.MicroWakeWordFeatures().process_streaming(pcm.tobytes())
    means = [detector.process_streaming_prob(one) for one in columns]
    return np.rint(256 * np.array(means[2::3])).astype(int) - 128


def sums(outputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the newest five."""
    return np.convolve(np.pad(outputs, (4, 0), constant_values=-128), np.ones(5, int), "valid")


@pytest.fixture(scope="module")
def expected(
    imported: tuple[Path, Path, Word], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, NDArray[Any]]:
    """Of four seconds: the outputs, the sums of the newest five, and where these are above the
    cutoff outside the refractory time."""
    _, folder, word = imported
    outputs = package_outputs(MODELS / "alexa.json", tmp_path_factory.mktemp("one"), sample(0, 4))
    steps = len(outputs)
    threshold = read_manifest(folder).thresholds[word.states[0]]
    ends = 480 + 160 * (3 * np.arange(steps) + 2)
    wakes: list[int] = []
    for end in ends[sums(outputs) >= threshold].tolist():
        if not wakes or end - wakes[-1] >= 16000:
            wakes.append(end)
    assert wakes and len(set(outputs.tolist())) > 10
    placed = np.stack([outputs, np.full(steps, -28), np.full(steps, -128)], axis=1)
    return {
        "stream_outputs": placed,
        "stream_score": sums(outputs),
        "stream_wake": np.array(wakes),
    }


@pytest.mark.parametrize("board", BOARDS)
def test_scores(
    board: str,
    imported: tuple[Path, Path, Word],
    expected: dict[str, NDArray[Any]],
    tmp_path: Path,
) -> None:
    if board != "host":
        skip_without_qemu(board)
    path, folder, _ = imported
    emit(path, folder, tmp_path, BOARDS[board], copies=False)
    made = build("mww", board, generated=tmp_path, program="vectors", sanitize=board == "host")
    vectors = Vectors()
    vectors.stream(0, sample(0, 4))
    assert differences([expected], run_vectors(made.board, made.program("vectors"), vectors)) == []


def test_scores_in_the_browser(
    imported: tuple[Path, Path, Word], expected: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    """The module of the page."""
    try:
        check_tools()
    except UserError as error:
        pytest.skip(str(error))
    emit(*imported[:2], tmp_path, "plain", copies=False)
    build_module(["mww"], [tmp_path], tmp_path, tmp_path / "mww.wasm")
    _, events = Module("mww", tmp_path / "mww.wasm").push(sample(0, 4))
    scores = [int(score) for kind, _, _, score, *_ in events if NAMES[int(kind)] == "score"]
    wakes = [int(at) for kind, *_, at, _, _ in events if NAMES[int(kind)] == "wake"]
    assert scores == expected["stream_score"].tolist() and wakes == expected["stream_wake"].tolist()


def test_halves(tmp_path: Path) -> None:
    """A network whose halves are many, in channels within whole eights and past them; and the
    package's own mean of five is above the cutoff where ours is."""
    config = tmp_path / "foreign.json"
    micro = {"probability_cutoff": 0.5, "sliding_window_size": 5, "feature_step_size": 10}
    given = {"type": "micro", "version": 2, "wake_word": "foreign", "model": "foreign_word5.tflite"}
    config.write_text(json.dumps({**given, "micro": micro}))
    path = written(tmp_path, foreign_word, 5)
    word_path, folder = import_word(config, tmp_path / "words", tmp_path / "models")
    emit(word_path, folder, tmp_path, "plain", copies=False)
    made = build("foreign", "host", generated=tmp_path, program="vectors")
    pcm = sample(0, 15)
    vectors = Vectors()
    vectors.stream(0, pcm)
    (found,) = run_vectors(made.board, made.program("vectors"), vectors)
    outputs = package_outputs(config, tmp_path, pcm)
    assert np.array_equal(found["stream_outputs"][::3], outputs)
    columns = quantized(pcm, load_word(word_path))[: 3 * len(outputs)].reshape(-1, 3, 40)
    devices = TFLM(path).run([[[run[None]] for run in columns]])
    differing = np.count_nonzero(np.array(devices).ravel() - 128 != outputs)
    assert differing > 3, "rounded as on devices it is the same: this network says nothing"
    detector = mww.MicroWakeWord.from_config(config)
    steps = mww.MicroWakeWordFeatures().process_streaming(pcm.tobytes())
    above = [bool(detector.process_streaming(one)) for one in steps][2::3]
    threshold = read_manifest(folder).thresholds["player=idle"]
    assert (found["stream_score"] >= threshold)[4:].tolist() == above[4:]
    assert 5 < sum(above) < len(above) - 5


def recordings(data: Path) -> list[NDArray[np.int16]]:
    """Twenty, of up to 4 s: of people, of a device, and of voices that say "hey Jarvis"."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = {"alexa": 9, "computer": 4, "other_keywords": 3, "device_speech": 3}
    paths = [
        row["path"]
        for kind, count in wanted.items()
        for row in [r for r in rows if (r["split"], r["kind"]) == ("dev", kind)][:count]
    ]
    paths += [row["path"] for row in rows if row["text"] == "hey jarvis"][:1]
    assert len(paths) == 20
    return [soundfile.read(data / path, frames=64000, dtype="int16")[0] for path in paths]


def config_of(name: str, folder: Path) -> Path:
    """A model's manifest, with its network beside it."""
    if name != "vad":
        return MODELS / f"{name}.json"
    given = PEERS / "microwakeword_vad_v2.json"
    if not given.is_file():
        pytest.skip(f"no {given}: set PEERS to a folder with it")
    config = Path(shutil.copy(given, folder / "vad.json"))
    shutil.copy(given.with_suffix(".tflite"), folder / json.loads(config.read_text())["model"])
    return config


@pytest.mark.parametrize("name", ["okay_nabu", "hey_jarvis", "vad"])
def test_twenty_recordings(name: str, data: Path, tmp_path: Path) -> None:
    """Outputs, and with them scores; of TFLM some are others."""
    config = config_of(name, tmp_path)
    path, folder = import_word(config, tmp_path / "words", tmp_path / "models", f"{name}_mww")
    emit(path, folder, tmp_path, "plain", copies=False)
    made = build(f"{name}_mww", "host", generated=tmp_path, program="vectors")
    vectors, word = Vectors(), load_word(path)
    pcms = recordings(data)
    for pcm in pcms:
        vectors.stream(0, pcm)
    found = run_vectors(made.board, made.program("vectors"), vectors)
    outputs = [package_outputs(config, tmp_path, pcm) for pcm in pcms]
    expected = [{"stream_score": sums(each)} for each in outputs]
    assert differences(expected, found) == []
    assert all(
        np.array_equal(run["stream_outputs"][::3], each)
        for run, each in zip(found, outputs, strict=True)
    )
    columns = [quantized(pcm, word) for pcm in pcms]
    network = TFLM(folder / state_file(word, word.states[0]))
    runs = network.run(
        [[[c[3 * i : 3 * i + 3][None]] for i in range(len(c) // 3)] for c in columns]
    )
    assert np.any(np.array(runs).ravel() - 128 != np.concatenate(outputs))
