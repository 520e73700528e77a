# SPDX-License-Identifier: Apache-2.0
"""The fixed-point front end against its two judges: the integer reference and librosa."""

import time
from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.executors import ALEXA
from tests.support.firmware_build import build
from wakestate.boards.schema import load_board
from wakestate.boards.vectors import Vectors, differences, run_vectors
from wakestate.contract.kernels import Kernels
from wakestate.convert.emit import generate
from wakestate.convert.features import frontend_files
from wakestate.convert.frontend import (
    decibels,
    frames,
    frontend_hash,
    lfbe_name,
    reference,
    to_int8,
)
from wakestate.convert.hostlib import Extractor
from wakestate.words import load_word
from wakestate.words.schema import FrontEnd

FRONTEND = load_word(Path("words/alexa.toml")).frontend
RNG = np.random.default_rng(7)
EDGES = {
    "silence": np.zeros(2000),
    "full-scale square wave": 32767 * np.sign(np.sin(np.arange(4000) * 0.3) + 1e-9),
    "square wave to INT16_MIN": np.where(np.arange(4000) // 9 % 2, 32767, -32768),
    "DC": np.full(2000, 1234),
    "DC at INT16_MIN": np.full(2000, -32768),
    "DC at INT16_MAX": np.full(2000, 32767),
    "DC of -1": np.full(2000, -1),
    "click": np.eye(1, 2000, 700)[0] * 32767,
    "click of INT16_MIN": np.eye(1, 2000, 700)[0] * -32768,
    "click of 1": np.eye(1, 2000, 700)[0],
    "click at a window's edge": np.eye(1, 2000, 481)[0] * -1,
    "full-scale noise": RNG.integers(-32768, 32768, 8000),
    "noise of +-1": RNG.integers(-1, 2, 8000),
    "random signs of INT16_MIN": RNG.choice([-32768, 32767], 8000),
}


def _assert_equal(name: str, got: NDArray[np.int32], want: NDArray[np.int32]) -> None:
    wrong = np.argwhere(got != want)
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise AssertionError(f"{name}, (hop, band) {at}: C {got[at]}, reference {want[at]}")


@pytest.mark.parametrize("name", EDGES)
def test_c_equals_the_integer_reference_at_the_edges(name: str) -> None:
    pcm = EDGES[name].astype(np.int16)
    extract = Extractor(FRONTEND)
    want = reference(FRONTEND, frames(FRONTEND, pcm))
    _assert_equal(name, extract.features_q8(pcm), want)
    assert np.array_equal(extract.features(pcm), to_int8(want))


@pytest.mark.parametrize(
    "changed",
    [
        {"bands": 40},
        {"bands": 80, "low_hz": 0.0, "high_hz": 8000.0},
        {"window_samples": 401},
        {"window_samples": 512},
        {"window_samples": 320, "hop_samples": 320, "db_per_step": 1.0, "floor_db": -20.0},
    ],
    ids=str,
)
def test_every_setting_of_the_word_file_is_exact(changed: dict[str, float]) -> None:
    frontend = FrontEnd.model_validate({**FRONTEND.model_dump(), **changed})
    pcm = np.concatenate([EDGES["full-scale noise"], EDGES["noise of +-1"]]).astype(np.int16)
    want = reference(frontend, frames(frontend, pcm))
    _assert_equal(str(changed), Extractor(frontend).features_q8(pcm), want)
    assert frontend_hash(frontend) != frontend_hash(FRONTEND)


# The loops of each core, at the default sizes and at odd ones.
DEFAULT: dict[str, float] = {}
ODD: list[dict[str, float]] = [
    {"bands": 8},
    {"bands": 80, "low_hz": 0.0, "high_hz": 8000.0},
    {"window_samples": 33, "hop_samples": 16, "bands": 9},
    {"window_samples": 258},
    {"window_samples": 511},
    {"window_samples": 512, "floor_db": -20.0, "db_per_step": 0.1},
]
LOOPS = [
    *[(board, DEFAULT) for board in ("mps2-an385", "mps2-an386", "mps2-an500", "mps2-an521")],
    *[(board, c) for board in ("host", "mps3-an547") for c in (DEFAULT, *ODD)],
    *[("mps2-an386", c) for c in ODD[1::3]],  # the loops are those of the host
]


def comb(frontend: FrontEnd) -> NDArray[np.int16]:
    """A block whose energy is, as far as can be, in the two bins that the bands leave out."""
    n = np.arange(frontend.window_samples)
    weight = np.sin(np.pi * n / len(n)) ** 2
    return np.where(n % 2, np.rint(1 / np.maximum(weight, 1 / 32767)), 0).astype(np.int16)


@cache
def generated(kernels: Kernels) -> dict[str, str]:
    return generate(ALEXA.word, ALEXA.word_path, ALEXA.folder, kernels)


@pytest.mark.parametrize(("board", "changed"), LOOPS, ids=str)
def test_the_loops_of_every_core_are_exact(
    board: str, changed: dict[str, float], tmp_path: Path
) -> None:
    """On QEMU with the core's own loops; on the host those for DSP, under the sanitizers."""
    frontend = FrontEnd.model_validate({**FRONTEND.model_dump(), **changed})
    kernels = load_board(board).kernels if board != "host" else "dsp"
    texts = dict(generated(kernels))
    # Other sizes fit no model: only the front end is made of them, and only it runs.
    own = lfbe_name(frontend), lfbe_name(ALEXA.word.frontend)
    for name, text in frontend_files(frontend, "", kernels).items():
        texts[name] = text.replace(*own)
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    checked: dict[str, Any] = {"sanitize": True, "cflags": "-O0"} if board == "host" else {}
    made = build("alexa", board, generated=tmp_path, program="vectors", **checked)
    quiet = [EDGES["full-scale noise"][:2000] // 2**shift for shift in range(16)]
    pcm = np.concatenate([*EDGES.values(), *quiet]).astype(np.int16)
    windows = frames(frontend, pcm)
    windows = np.stack([*windows[:: max(1, len(windows) // 300)], comb(frontend)])
    vectors = Vectors()
    vectors.frontend(windows)
    q8 = reference(frontend, windows)
    given = run_vectors(made.board, made.program("vectors"), vectors)
    expected = [{"features_q8": q8, "features": to_int8(q8)}]
    found = differences(expected, given, records=vectors.records)
    assert not found, f"reference and {kernels} on {board} differ:\n" + "\n".join(found)


def test_a_changed_bit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from wakestate.convert import frontend as module

    pcm = EDGES["full-scale noise"].astype(np.int16)
    got = Extractor(FRONTEND).features_q8(pcm)
    hann = module.hann(FRONTEND)
    hann[100] ^= 1 << 4
    monkeypatch.setattr(module, "hann", lambda _: hann)
    with pytest.raises(AssertionError, match="reference"):
        _assert_equal("planted", got, reference(FRONTEND, frames(FRONTEND, pcm)))


def speech(data: Path, seconds: float) -> NDArray[np.float64]:
    """Real dev speech, RMS 1."""
    parts: list[NDArray[np.float64]] = []
    for path in sorted((data / "dev" / "speech").rglob("*.opus")):
        parts.append(soundfile.read(path, dtype="float64")[0])
        if sum(map(len, parts)) > seconds * 16000:
            break
    x = np.concatenate(parts)
    return x / np.sqrt(np.mean(x**2))


def librosa_errors(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """Fixed point less librosa in float64, dB, where a band is within 60 dB of its frame's best."""
    f = FRONTEND
    margin = (f.fft_size - f.window_samples) // 2  # librosa centers the window in the FFT
    spectrum = librosa.stft(
        np.pad(pcm.astype(np.float64), margin),
        n_fft=f.fft_size,
        hop_length=f.hop_samples,
        win_length=f.window_samples,
        window="hann",
        center=False,
        dtype=np.complex128,
    )
    mel = librosa.filters.mel(
        sr=f.sample_rate,
        n_fft=f.fft_size,
        n_mels=f.bands,
        fmin=f.low_hz,
        fmax=f.high_hz,
        htk=True,
        norm=None,
        dtype=np.float64,
    )
    energy = (mel @ np.abs(spectrum) ** 2).T
    audible = energy.max(axis=1, keepdims=True) > 1e-3  # frames of zeros have no decibels
    counted = audible & (energy >= energy.max(axis=1, keepdims=True) * 1e-6)
    got = decibels(f, Extractor(f).features_q8(pcm))
    want = 10 * np.log10(np.maximum(energy, 1e-12))
    return (got - want)[counted]


@pytest.mark.parametrize("level", [-20, -40, -60])
def test_real_speech_against_librosa(data: Path, level: int) -> None:
    x = speech(data, 40.0) * 32768 * 10 ** (level / 20)
    pcm = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    error = librosa_errors(pcm)
    extract = Extractor(FRONTEND)
    began = time.perf_counter()
    extract.features(pcm)
    speed = len(pcm) / FRONTEND.sample_rate / (time.perf_counter() - began)
    rms, p999 = np.sqrt(np.mean(error**2)), np.quantile(np.abs(error), 0.999)
    print(
        f"{level} dBFS: {len(error)} bands, RMS {rms:.4f} dB, 99.9 % {p999:.4f} dB, "
        f"max {np.abs(error).max():.3f} dB; {speed:,.0f} x real time on one core"
    )
    assert len(error) > 50_000
    assert rms <= 0.1 and p999 <= 0.5
    assert np.array_equal(
        Extractor(FRONTEND).features_q8(pcm), reference(FRONTEND, frames(FRONTEND, pcm))
    )


def test_synthetic_sound_against_librosa() -> None:
    t = np.arange(5 * 16000) / 16000
    chirp = np.sin(2 * np.pi * (100 * t + 700 * t**2)) * (1.1 + np.sin(9 * t))
    x = 2000 * chirp + RNG.standard_normal(len(t)) * 20
    error = librosa_errors(np.rint(x).astype(np.int16))
    assert np.sqrt(np.mean(error**2)) <= 0.1
