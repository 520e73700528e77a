# SPDX-License-Identifier: Apache-2.0
"""Models of the field, compiled: the same bits as TFLM on every core.

The models are next to the data (../shared/peers, or $PEERS); tests are skipped without them.
"""

from __future__ import annotations

import csv
import os
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.fft import dct

from tests.support.compiled import TFLM, LiteRT, Outputs, Sequences, build, compare
from tests.support.firmware_build import ROOT
from wakestate.bench.measure import counting_boards
from wakestate.convert.graph.tflite_graph import read_model

PEERS = Path(os.environ.get("PEERS", ROOT.parent / "shared" / "peers"))
RANDOM, REAL = 20, 20
BOARDS = ["host", *counting_boards()]


class Peer:
    """A model and how its input is made of sound."""

    def __init__(self, file: str, window_ms: int, hop_ms: int, bands: int, *, cepstra: int = 0):
        self.file, self.path = file, PEERS / f"{file}.tflite"
        self.window_ms, self.hop_ms, self.bands, self.cepstra = window_ms, hop_ms, bands, cepstra

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return read_model(self.path).graphs[0].inputs[0].shape

    @property
    def columns(self) -> int:
        """Of one input."""
        return int(np.prod(self.shape)) // (self.cepstra or self.bands)


MODELS = [
    Peer("kws_ref_model", 30, 20, 40, cepstra=10),
    Peer("str_ww_ref_model", 64, 32, 40),
    Peer("micro_speech_quantized", 30, 20, 40),
    Peer("microwakeword_alexa_v2", 30, 10, 40),
]


@pytest.fixture(params=MODELS, ids=[model.file for model in MODELS])
def peer(request: pytest.FixtureRequest) -> Peer:
    model: Peer = request.param
    if not model.path.is_file():
        pytest.skip(f"no {model.path}: set PEERS to a folder with it")
    return model


def features(pcm: NDArray[np.float64], peer: Peer) -> NDArray[np.int8]:
    """Log mel energies, or cepstra, int8 [columns, bands]: spread over int8 as the models' are."""
    window, hop = 16 * peer.window_ms, 16 * peer.hop_ms
    frames = np.lib.stride_tricks.sliding_window_view(pcm, window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, 1024)) ** 2
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), 42)
    edges = 700 * (10 ** (mel / 2595) - 1) * 1024 / 16000
    bins = np.arange(513)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    log = np.log(power @ np.clip(np.minimum(rise, fall), 0, None).T + 1e-6)
    if peer.cepstra:
        cepstra = dct(log, norm="ortho")[:, : peer.cepstra]
        return _int8(cepstra / 0.585 + 83)
    low, high = np.quantile(log, [0.05, 0.999])
    return _int8((log - low) / (high - low) * 230 - 128)


def _int8(x: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.clip(np.rint(x), -128, 127).astype(np.int8)


@cache
def recordings(data: Path) -> list[NDArray[np.float64]]:
    """People, noise and music of the dev split, at least two seconds each."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "dev"]
    rows = [row for row in rows if float(row["seconds"]) >= 2]
    chosen = rows[:: max(1, len(rows) // REAL)][:REAL]
    return [soundfile.read(data / row["path"], frames=64000)[0] for row in chosen]


@cache
def real_inputs(peer: Peer, data: Path) -> Sequences:
    """REAL recordings: one window each; of a model that remembers, all calls of two seconds."""
    sequences = []
    for pcm in recordings(data):
        columns = features(pcm, peer)
        count = len(columns) // peer.columns if peer.columns < 10 else 1
        sequences.append(
            [
                [columns[i * peer.columns : (i + 1) * peer.columns].reshape(peer.shape)]
                for i in range(count)
            ]
        )
    return sequences


@cache
def random_inputs(peer: Peer) -> Sequences:
    rng = np.random.default_rng(5)
    values = rng.integers(-128, 128, (RANDOM, *peer.shape)).astype(np.int8)
    return [[[x] for x in values[i : i + 10]] for i in range(0, RANDOM, 10)]


@pytest.mark.parametrize("board", BOARDS)
def test_random_inputs(peer: Peer, board: str) -> None:
    compare(judged(peer), build(peer.path, board).run(random_inputs(peer)), board)


@pytest.mark.parametrize("board", BOARDS)
def test_real_inputs(peer: Peer, board: str, data: Path) -> None:
    compare(judged(peer, data), build(peer.path, board).run(real_inputs(peer, data)), board)


@cache
def judged(peer: Peer, data: Path | None = None) -> Outputs:
    """TFLM's outputs of real or random inputs; LiteRT's reference kernels agree on these models."""
    sequences = real_inputs(peer, data) if data else random_inputs(peer)
    expected = TFLM(peer.path).run(sequences)
    for number, (one, other) in enumerate(
        zip(expected, LiteRT(peer.path).run(sequences), strict=True)
    ):
        assert np.array_equal(one, other), f"run {number}: TFLM {one}, LiteRT {other}"
    return expected


@pytest.fixture(scope="module")
def streamed(data: Path) -> tuple[Peer, NDArray[np.int8], Outputs]:
    """A whole-window model, columns, and what TFLM makes of each window of them."""
    peer = MODELS[1]
    if not peer.path.is_file():
        pytest.skip(f"no {peer.path}: set PEERS to a folder with it")
    columns = np.concatenate([features(pcm, peer) for pcm in recordings(data)[:3]])
    last = range(peer.columns, len(columns) + 1)
    return peer, columns, TFLM(peer.path).run([[[columns[i - peer.columns : i]] for i in last]])


@pytest.mark.parametrize("board", BOARDS)
def test_stream_equals_whole_window(
    board: str, streamed: tuple[Peer, NDArray[np.int8], Outputs]
) -> None:
    """The same model as a stream: at each column what TFLM makes of the last window."""
    peer, columns, expected = streamed
    given = build(peer.path, board, stream=True).run([[[column] for column in columns]])
    assert len(expected) > 100
    compare(expected, given[peer.columns - 1 :], board)
