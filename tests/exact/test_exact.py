# SPDX-License-Identifier: Apache-2.0
"""The shipped model, the same bits everywhere: integer reference = LiteRT = TFLM = host C = QEMU,
all cores.

Front end and network, on 200 windows of real audio and 200 random ones, in three device states (in
QEMU each window in one of them, by turns; on some cores a third of the windows); streaming = whole
window; and one changed bit in any of them is seen.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.executors import (
    ALEXA,
    TFLM,
    Executor,
    Int8,
    LiteRT,
    Model,
    check_equal,
    expected_of,
)
from tests.support.firmware_build import EMULATED, Build, build
from tests.support.vectors import (
    FRONTEND,
    Expected,
    audio_windows,
    frontend_case,
    layers_at_the_end,
    random_windows,
    sample,
)
from wakestate.boards.schema import load_board
from wakestate.boards.vectors import Vectors, differences, run_vectors
from wakestate.convert.emit import generate

STATES = [0, 3, 6]
BUILDS = ["host", *EMULATED]
#: What run all windows; the others a third: they have these kernels too, or are slow in QEMU.
THOROUGH = ("host", "mps2-an385", "mps2-an386")
INTERPRETERS: list[type[Executor]] = [LiteRT, TFLM]


@pytest.fixture(params=["sample", "recordings"], scope="module")
def pcm(request: pytest.FixtureRequest) -> NDArray[np.int16]:
    """Audio with the word in it: the bundled sample, and recordings of people (dev split)."""
    if request.param == "sample":
        return sample()
    folder = request.getfixturevalue("data") / "dev" / "alexa"
    paths = sorted(folder.rglob("*.flac"))[::12]
    return np.concatenate([soundfile.read(path, dtype="int16")[0] for path in paths])


def assert_equal(made: Build, vectors: Vectors, expected: Expected) -> None:
    """The firmware gives what the reference gives; else stage, index and both values."""
    given = run_vectors(made.board, made.program("vectors"), vectors)
    found = differences(expected, given, records=vectors.records)
    assert not found, f"reference and {made.board.name} differ:\n" + "\n".join(found)


@pytest.mark.parametrize("board", BUILDS)
def test_front_end(board: str, pcm: NDArray[np.int16]) -> None:
    assert_equal(build("alexa", board), *frontend_case(pcm))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("executor", INTERPRETERS)
def test_network_in_interpreters(
    executor: type[Executor], state: int, pcm: NDArray[np.int16]
) -> None:
    windows = np.concatenate([audio_windows(pcm), random_windows()])
    check_equal(ALEXA, state, windows, executor(ALEXA))


@dataclass(frozen=True)
class NetworkCase:
    """Windows, and what the firmware must make of each in each state."""

    windows: Int8
    expected: dict[int, Expected]

    def of(self, board: str) -> tuple[Vectors, Expected]:
        """On the host all; in QEMU each window, or each third one, in one state."""
        vectors, expected = Vectors(), []
        apart = 1 if board in THOROUGH else 3
        for number in range(0, len(self.windows), apart):
            turn = STATES[number // apart % len(STATES)]
            for state in STATES if board == "host" else [turn]:
                vectors.network(state, self.windows[number])
                expected.append(self.expected[state][number])
        return vectors, expected


def network_case(windows: Int8) -> NetworkCase:
    return NetworkCase(windows, {state: layers_at_the_end(state, windows) for state in STATES})


@pytest.fixture(scope="module")
def of_audio(pcm: NDArray[np.int16]) -> NetworkCase:
    return network_case(audio_windows(pcm))


@pytest.fixture(scope="module")
def of_noise() -> NetworkCase:
    return network_case(random_windows())


@pytest.mark.parametrize("board", BUILDS)
def test_network_in_firmware(board: str, of_audio: NetworkCase) -> None:
    assert_equal(build("alexa", board), *of_audio.of(board))


@pytest.mark.parametrize("board", BUILDS)
def test_network_in_firmware_on_random_windows(board: str, of_noise: NetworkCase) -> None:
    assert_equal(build("alexa", board), *of_noise.of(board))


@pytest.fixture(scope="module")
def of_stream(pcm: NDArray[np.int16]) -> tuple[Vectors, Expected]:
    pcm = pcm[: 8 * FRONTEND.sample_rate]
    vectors, expected = Vectors(), []
    for state in STATES:
        vectors.stream(state, pcm)
        expected.append(expected_of(ALEXA, state, pcm))
    return vectors, expected


@pytest.mark.parametrize("board", BUILDS)
def test_stream_equals_whole_windows(board: str, of_stream: tuple[Vectors, Expected]) -> None:
    """PCM in; outputs, scores, starts and ends are those of whole windows of its features."""
    assert_equal(build("alexa", board), *of_stream)


# One changed bit, in each of the parts that are compared above; a few builds stand for all.


def flipped(text: str, table: str) -> str:
    """The C text with the lowest bit of one value in the middle of a table changed."""
    start = re.search(rf"\b{table}\[[^=]*\] = \{{", text)
    assert start, table
    values = list(re.finditer(r"-?\d+(?=,)", text[start.end() : text.index("};", start.end())]))
    found = values[len(values) // 2]
    at = start.end() + found.start()
    return text[:at] + str(int(found[0]) ^ 1) + text[at + len(found[0]) :]


@pytest.mark.parametrize(
    ("file", "table", "board"),
    [
        ("ws_frontend.c", "hann", "host"),
        ("ws_frontend.c", "band_rise", "mps2-an385"),
        ("ws_alexa.c", "mix1_weights", "host"),
        ("ws_alexa.c", "mix1_weights", "mps2-an386"),
    ],
)
def test_a_changed_bit_in_the_firmware_is_seen(
    file: str, table: str, board: str, tmp_path: Path
) -> None:
    kernels = load_board(board).kernels
    texts = generate(ALEXA.word, ALEXA.word_path, ALEXA.folder, kernels)
    texts[file] = flipped(texts[file], table)
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    made = build("alexa", board, generated=tmp_path, program="vectors")
    pcm = sample()
    if file == "ws_frontend.c":
        case = frontend_case(pcm)
        stage = r"stage features_q8, index \d+: expected -?\d+, given -?\d+"
    else:
        windows = audio_windows(pcm)[:40]
        vectors = Vectors()
        for window in windows:
            vectors.network(0, window)
        case = vectors, layers_at_the_end(0, windows)
        stage = r"stage \w+, index \d+: expected -?\d+, given -?\d+"
    with pytest.raises(AssertionError, match=stage):
        assert_equal(made, *case)


@pytest.mark.parametrize("executor", INTERPRETERS)
def test_a_changed_bit_in_the_tflite_is_seen(executor: type[Executor], tmp_path: Path) -> None:
    folder = tmp_path / "alexa"
    shutil.copytree(ALEXA.folder, folder)
    model = Model(ALEXA.word_path, folder)
    model.__dict__["network"] = ALEXA.network  # the changed folder itself no longer loads
    layer = next(x for x in ALEXA.network.layers if x.name == "mix1")
    data = bytearray(model.file(0).read_bytes())
    data[data.index(layer.weights.tobytes()) + layer.weights.size // 2] ^= 8
    model.file(0).write_bytes(data)
    with pytest.raises(AssertionError, match=r"differ at index .* has -?\d+"):
        check_equal(model, 0, audio_windows(sample()), executor(model))


def test_a_changed_bit_in_the_reference_is_seen() -> None:
    layers = list(ALEXA.network.layers)
    at = next(i for i, x in enumerate(layers) if x.name == "mix1")
    weights = layers[at].weights.copy()
    weights.flat[weights.size // 2] ^= 8
    layers[at] = replace(layers[at], weights=weights)
    model = Model(ALEXA.word_path, ALEXA.folder)
    model.__dict__["network"] = replace(ALEXA.network, layers=tuple(layers))
    with pytest.raises(AssertionError, match="mix1: reference and litert differ"):
        check_equal(model, 0, audio_windows(sample()), LiteRT(ALEXA))
