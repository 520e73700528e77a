"""Twenty minutes of recordings: every emulated board wakes when the host does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.firmware_build import EMULATED, build
from tests.test_emulator import events

MINUTES = 20
#: Of each kind, so that the word and what is not the word, music and noise are in it.
KINDS = ("alexa", "other_keywords", "music", "speech", "noise", "device_speech")


@pytest.fixture(scope="module")
def recording(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of the dev split, the kinds by turns, one after the other in one WAV."""
    lists = [sorted((data / "dev" / kind).rglob("*.*")) for kind in KINDS]
    paths = [files for files in lists if files]
    parts: list[np.ndarray] = []
    left, turn = MINUTES * 60 * 16000, 0
    while left > 0:
        files = paths[turn % len(paths)]
        path = files[turn // len(paths) % len(files)]
        part = soundfile.read(path, dtype="int16")[0][: min(left, 30 * 16000)]
        parts.append(part)
        left -= len(part)
        turn += 1
    out = tmp_path_factory.mktemp("audio") / "recording.wav"
    soundfile.write(out, np.concatenate(parts), 16000, subtype="PCM_16")
    return out


@pytest.fixture(scope="module")
def expected(recording: Path) -> bytes:
    done = build("alexa", "host").run("emulator", recording)
    assert len(events(done)) > 10
    return done.stdout


@pytest.mark.parametrize("board", EMULATED)
def test_the_same_events_as_the_host(board: str, recording: Path, expected: bytes) -> None:
    done = build("alexa", board).run("emulator", recording)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected
