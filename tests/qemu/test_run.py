# SPDX-License-Identifier: Apache-2.0
"""Running on a board in QEMU: arguments, files, and builds side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.emulator import check_names
from tests.support.firmware_build import ROOT, build
from tests.support.wav import SPEECH, wav
from wakestate.boards import timeline
from wakestate.boards.run import command
from wakestate.boards.schema import BoardError, load_board


def test_qemu_gets_arguments_whole() -> None:
    arguments = command(load_board("mps2-an385"), Path("x.elf"), ["--state", "a=b,c=d", "my file"])
    assert "enable=on,target=native,arg=--state\na=b,,c=d\nmy file" in arguments
    with pytest.raises(BoardError, match="newline"):
        command(load_board("mps2-an385"), Path("x.elf"), ["a\nb"])


def test_qemu_command_passes_everything_through(tmp_path: Path) -> None:
    made = build("scripted", "mps2-an386")
    (tmp_path / "x y.wav").write_bytes(wav(SPEECH))
    call = [sys.executable, "-m", "wakestate", "board", "run", "--board", "mps2-an386"]
    call += [str(made.program("emulator")), "--"]
    done = subprocess.run(
        [*call, "--state", "volume=high", "--", str(tmp_path / "x y.wav"), "none.wav"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count(b'"type":"wake"') == 2
    assert done.stderr.startswith(b"wake-emulator: none.wav: cannot be opened")


def test_events_name_the_recording(tmp_path: Path) -> None:
    """A recording that is no WAV is decoded before QEMU processes it."""
    program = build("scripted", "mps2-an386", program="emulator").program("emulator")
    call = [sys.executable, "-m", "wakestate", "qemu", "--board", "mps2-an386"]
    call += ["--state", "volume=high", "--program", str(program), "--"]
    name = 'it is a "word", said.flac'
    soundfile.write(tmp_path / name, np.frombuffer(SPEECH, "<i2"), 16000)
    for path in (Path(name), tmp_path / name):
        check_names(call, path, tmp_path)


def test_too_many_arguments_are_refused() -> None:
    made = build("scripted", "mps2-an386")
    for arguments, problem in ((["x"] * 33, b"too many"), (["x" * 9000], b"too long")):
        done = made.run("emulator", *arguments)
        assert (done.returncode, done.stdout) == (2, b"")
        assert problem in done.stderr


def test_timeline_shows_builds_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(SPEECH))
    builds = [build("scripted", board) for board in ("host", "mps2-an386")]
    pairs = [(made.board, made.program("emulator")) for made in builds]
    text, equal = timeline.timeline(pairs, [str(path)], "volume=high")
    assert equal
    assert text.count("1.065 s  wake  word 0.236-0.935  p=") == 2
    assert text.splitlines()[0].split("  ")[0] == "host emulator"
    assert "Equal, line for line: 2 wakes" in text


def test_timeline_names_the_first_difference(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(np.zeros(16000, "<i2").tobytes()))
    toy, scripted = build("toy", "mps2-an386"), build("scripted", "host")
    pairs = [(made.board, made.program("emulator")) for made in (scripted, toy)]
    text, equal = timeline.timeline(pairs, [str(path)], None)
    assert not equal
    assert "DIFFERENT at line 1" in text
