# SPDX-License-Identifier: Apache-2.0
"""bench/host.py: the emulator's memory does not grow with the audio."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.examples import typed_example
from tests.support.firmware_build import ROOT, build
from wakestate.__main__ import main
from wakestate.bench.host import RATE, Audio, recordings, run_emulator
from wakestate.bench.rows import BenchError

SAMPLE = ROOT / "models/alexa/sample.wav"


@pytest.fixture(scope="module")
def emulator() -> Path:
    return build("alexa", "host").program("emulator")


def test_memory_is_flat(emulator: Path) -> None:
    audio = recordings(None, [SAMPLE])
    short, long = run_emulator(emulator, audio, 30), run_emulator(emulator, audio, 600)
    assert 0 < long.peak_kb <= short.peak_kb + 256, "pages of libc, and not of 18 MB of audio"
    assert long.peak_kb < 4096
    assert short.lines >= 1 and long.lines >= 15 * short.lines, "all of it was processed"
    assert short.seconds == 30 and short.cpu_s > 0


def test_recordings_come_from_the_data_where_there_is_some(sounds: Path) -> None:
    pytest.importorskip("soundfile")
    found = recordings(sounds, [SAMPLE])
    assert f"recordings of {sounds}/dev" in found.origin
    own = recordings(sounds / "nowhere", [SAMPLE])
    assert own.origin.startswith(f"{SAMPLE}, 16 s") and own.pcm != found.pcm
    assert len(own.pcm) == 2 * RATE * 15.91
    with pytest.raises(BenchError, match="give --data"):
        recordings(None, [])


def test_a_program_that_ends_early_is_reported() -> None:
    silence = Audio(bytes(1 << 20), "silence")
    for program, status in (("/bin/false", 1), ("/bin/true", 0)):
        with pytest.raises(BenchError, match=f"{program}: ended with status {status} before"):
            run_emulator(Path(program), silence, 60)
    with pytest.raises(BenchError, match="not built; `wakestate emulate` builds it"):
        run_emulator(Path("build/nothing"), silence, 60)


def test_the_command_prints_both(
    emulator: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([*typed_example("bench host", {"0.1": "0.005"}), "--program", str(emulator)]) == 0
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines()]
    assert ["0.005", "h"] in rows and ["0.05", "h"] in rows and "ten times the audio: " in out
