# SPDX-License-Identifier: Apache-2.0
"""A board's emulator prints what the host's prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.emulator import USAGE, events
from tests.support.firmware_build import Build, build
from tests.support.wav import SPEECH, sized, wav


@pytest.mark.parametrize(
    ("board", "cflags", "problem"),
    [
        ("host", "-DSCRIPTED_SCHEMA=1", b"another version of this firmware"),
        ("mps2-an386", "-DSCRIPTED_HASH=1", b"trained with another front end"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    speech: Path, board: str, cflags: str, problem: bytes
) -> None:
    """The same check of the engine in both, and each builds the program once more."""
    made = build("scripted", board, cflags=cflags, program="emulator")
    done = made.run("emulator", speech)
    assert (done.returncode, done.stdout) == (1, b"")
    assert problem in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386"])
def test_a_board_prints_what_the_host_prints(host: Build, tmp_path: Path, board: str) -> None:
    """Every byte on stdout and stderr, and the status; paths with spaces and commas, too."""
    device = build("scripted", board)
    folder = tmp_path / "a folder, with comma"
    folder.mkdir()
    good, cut, none = folder / "good, one.wav", folder / "cut.wav", folder / "none.wav"
    good.write_bytes(wav(SPEECH))
    cut.write_bytes(wav(SPEECH)[:-1000])
    runs: list[tuple[list[str | Path], bytes]] = [
        (["--scores", good], b""),
        (["--scores", "--state", "player=music,volume=high", good, good], b""),
        (["--table", "--change", "1:volume=high", good], b""),
        (["-"], SPEECH),
        (["-"], SPEECH + b"x"),
        (["-"], wav(SPEECH)[:-999]),
        ([good, cut, none, folder], b""),
        (["-"], sized(0xFFFFFFFF)),
        (["--name", "a name, b", good], b""),
        (["--help"], b""),
    ]
    for usage, _ in USAGE:
        if "" not in usage:  # an empty argument is the same as none
            runs.append(([*usage], b""))
    for arguments, stdin in runs:
        want = host.run("emulator", *arguments, stdin=stdin)
        have = device.run("emulator", *arguments, stdin=stdin)
        assert (have.stdout, have.stderr, have.returncode) == (
            want.stdout,
            want.stderr,
            want.returncode,
        ), arguments


@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386"])
def test_the_toy_models_scores_are_equal_on_boards(tmp_path: Path, board: str) -> None:
    random = np.random.default_rng(3)
    sound = random.normal(0, 1, 48000) * np.repeat(random.uniform(0, 9000, 30), 1600)
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(np.clip(sound, -32768, 32767).astype("<i2").tobytes()))
    options = ["--scores", "--state", "player=idle", "--change", "1.5:player=music", path]
    want = build("toy", "host", sanitize=True).run("emulator", *options)
    have = build("toy", board).run("emulator", *options)
    assert len(events(want)) > 100
    assert have.stdout == want.stdout
