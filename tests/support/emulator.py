# SPDX-License-Identifier: Apache-2.0
"""What the emulator of the scripted word is called with, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.firmware_build import ROOT


def events(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """What an emulator printed, without a word on stderr."""
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]


STATES = "player=idle|music,volume=low|high"


def wakes(done: subprocess.CompletedProcess[bytes]) -> list[float]:
    return [event["t"] for event in events(done) if event["type"] == "wake"]


USAGE = [
    ([], b"no file given"),
    (["--state", "player=loud", "x"], f"'player=loud'; allowed: {STATES}".encode()),
    (["--state", "mood=good", "x"], f"'mood=good'; allowed: {STATES}".encode()),
    (["--state", "", "x"], f"allowed: {STATES}".encode()),
    (["--state", "player=music,player=idle", "x"], f"allowed: {STATES}".encode()),
    (["--state"], b"--state: needs a value"),
    (["--near", "0", "x"], b"--near needs a number from 1 to 32767, given '0'"),
    (["--verbose", "x"], b"--verbose: unknown option; allowed: --state"),
    (["x", "--scores"], b"--scores: options come before the files"),
    (["--change", "x:player=music", "x"], b"SECONDS:STATE"),
    (["--change", "1.23456:player=music", "x"], b"SECONDS:STATE"),
    (["--change", "1:player=loud", "x"], f"allowed: {STATES}".encode()),
    (["--name", "x", "x", "y"], b"--name: names one file"),
    (["--change", "2:volume=low", "--change", "1:volume=low", "x"], b"in the order of time"),
]


def check_names(call: list[str], path: Path, cwd: Path) -> None:
    """The program wakes at SPEECH's words, and its events name the recording as it was given."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*call, path], capture_output=True, cwd=cwd, check=True, env=env)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["t"] for event in found] == [1.065, 2.565]
    # "./" before "-", or it would be an option.
    assert {event["file"].removeprefix("./") for event in found} == {str(path)}
