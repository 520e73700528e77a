# SPDX-License-Identifier: Apache-2.0
"""Recordings: every emulated board wakes when the host does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.emulator import events
from tests.support.firmware_build import EMULATED, build

#: On all boards, and on these.
SHORT, MINUTES, LONG = 2, 20, ("mps2-an386",)
#: Of each kind, so that the word and what is not the word, music and noise are in it.
KINDS = ("alexa", "other_keywords", "music", "speech", "noise", "device_speech")


@pytest.fixture(scope="module")
def sound(data: Path) -> np.ndarray:
    """Recordings of the dev split, the kinds by turns, one after the other."""
    lists = [sorted((data / "dev" / kind).rglob("*.*")) for kind in KINDS]
    paths = [files for files in lists if files]
    parts: list[np.ndarray] = []
    left, turn = MINUTES * 60 * 16000, 0
    while left > 0:
        files = paths[turn % len(paths)]
        path = files[turn // len(paths) % len(files)]
        part = soundfile.read(path, frames=min(left, 30 * 16000), dtype="int16")[0]
        parts.append(part)
        left -= len(part)
        turn += 1
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def recording(
    request: pytest.FixtureRequest, sound: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    """Minutes, and a WAV of as many."""
    out = tmp_path_factory.mktemp("audio") / "recording.wav"
    soundfile.write(out, sound[: request.param * 60 * 16000], 16000, subtype="PCM_16")
    return request.param, out


@pytest.fixture(scope="module")
def expected(recording: tuple[int, Path]) -> bytes:
    minutes, path = recording
    done = build("alexa", "host").run("emulator", path)
    assert sum(event["type"] == "wake" for event in events(done)) > minutes / 4
    return done.stdout


@pytest.mark.parametrize(
    ("recording", "board"),
    [*((SHORT, board) for board in EMULATED), *((MINUTES, board) for board in LONG)],
    indirect=["recording"],
)
def test_the_same_events_as_the_host(
    board: str, recording: tuple[int, Path], expected: bytes
) -> None:
    _, path = recording
    done = build("alexa", board).run("emulator", path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected
