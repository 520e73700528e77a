# SPDX-License-Identifier: Apache-2.0
"""The emulator's command line: events, states, options, help."""

from __future__ import annotations

import itertools
import json
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.emulator import STATES, USAGE, events, wakes
from tests.support.firmware_build import ROOT, Build, build
from tests.support.wav import (
    LOUD,
    QUIET,
    SPEECH,
    pcm,
    wav,
)
from wakestate.verify.protocol.frames import Audio, Frame, Reader, parse


def test_wakes_with_time_probability_and_state(host: Build, speech: Path) -> None:
    done = host.run("emulator", speech)
    # Steps end at 0.045 + 0.03 n; three steps of the loud level are needed to reach 150.
    assert done.stdout.decode().splitlines()[0] == (
        f'{{"type":"wake","file":"{speech}","t":1.065,"start":0.236,"end":0.935,"p":0.9770,'
        '"state":"player=idle,volume=low"}'
    )
    assert wakes(done) == [1.065, 2.565]


def test_scores_come_for_every_step_and_before_their_wake(host: Build, speech: Path) -> None:
    found = events(host.run("emulator", "--scores", speech))
    scores = [event for event in found if event["type"] == "score"]
    assert [e["t"] for e in scores] == [round(0.045 + 0.03 * i, 3) for i in range(len(scores))]
    assert len(scores) == 1 + (len(SPEECH) // 2 - 720) // 480
    assert all(set(event) == {"type", "t", "p"} for event in scores)
    for before, event in itertools.pairwise(found):
        if event["type"] == "wake":
            assert (before["type"], before["t"], before["p"]) == ("score", event["t"], event["p"])


def test_refractory_second(host: Build, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(wav(pcm((0.5, QUIET), (3.5, LOUD))))
    found = wakes(host.run("emulator", tmp_path / "long.wav"))
    assert found[0] < 0.6
    gaps = np.diff(found)
    assert np.all(gaps >= 1.0) and np.all(gaps < 1.0 + 0.03 + 1e-9)


def test_threshold_is_the_states(host: Build, speech: Path) -> None:
    """Music needs a sum of 300: only the louder burst reaches it."""
    assert wakes(host.run("emulator", "--state", "player=music", speech)) == [2.565]
    given = events(host.run("emulator", "--state", "player=music", speech))
    assert given[0]["state"] == "player=music,volume=low"


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ("player=music,volume=high", "player=music,volume=high"),
        ("volume=high,player=music", "player=music,volume=high"),
        ("volume=high", "player=idle,volume=high"),
        ("player=idle", "player=idle,volume=low"),
    ],
)
def test_states_may_be_partial(host: Build, speech: Path, given: str, state: str) -> None:
    assert {event["state"] for event in events(host.run("emulator", "--state", given, speech))} == {
        state
    }


def test_change_of_state_inside_a_file(host: Build, speech: Path) -> None:
    done = host.run("emulator", "--change", "0.5:player=music", "--change", "2:volume=high", speech)
    assert [(e["type"], e["t"], e["state"]) for e in events(done)] == [
        ("state", 0.5, "player=music,volume=low"),
        ("state", 2.0, "player=idle,volume=high"),
        ("wake", 2.565, "player=idle,volume=high"),
    ]


def test_each_file_starts_from_reset(host: Build, speech: Path) -> None:
    done = host.run("emulator", speech, speech)
    assert wakes(done) == [1.065, 2.565, 1.065, 2.565]


def test_stdin_takes_raw_and_wav(host: Build, speech: Path) -> None:
    times = wakes(host.run("emulator", speech))
    assert wakes(host.run("emulator", "-", stdin=SPEECH)) == times
    assert wakes(host.run("emulator", "-", stdin=wav(SPEECH))) == times
    assert events(host.run("emulator", "-", stdin=SPEECH))[0]["file"] == "-"
    assert wakes(host.run("emulator", "-", stdin=SPEECH[:10])) == []


def test_a_live_stream_is_answered_at_once(host: Build) -> None:
    """Odd pieces through a pipe, and the wake comes before the stream has ended."""
    command = [str(host.program("emulator")), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for start in range(0, len(SPEECH) // 2, 997):
            process.stdin.write(SPEECH[start : start + 997])
            process.stdin.flush()
        assert json.loads(process.stdout.readline())["t"] == 1.065
        process.stdin.close()


def test_a_word_at_the_very_end_wakes(tmp_path: Path) -> None:
    """Half a second of silence is processed after the end; scores end where the sound does."""
    sample = (ROOT / "models/alexa/sample.wav").read_bytes()
    whole = np.frombuffer(sample[sample.index(b"data") + 8 :], "<i2")
    alexa = build("alexa", "host", program="emulator")
    for cut in (28_160, 28_640, 29_359):  # the word ends at 1.742 s, the wake comes at 1.835 s
        path, frames = tmp_path / "x.wav", tmp_path / "frames"
        path.write_bytes(wav(whole[:cut].tobytes()))
        found = events(alexa.run("emulator", "--scores", "--uplink", frames, path))
        wake = found[-1]
        assert (wake["type"], wake["t"]) == ("wake", 1.835)
        assert abs(wake["end"] - 1.742) < 0.03
        assert len(found) == 2 + (cut - 560) // 480
        reader = Reader()
        sent = [parse(f) for f in reader.feed(frames.read_bytes()) if isinstance(f, Frame)]
        sound = np.concatenate([part.pcm for part in sent if isinstance(part, Audio)])
        silent = 29_360 - cut
        assert not sound[-silent:].any() and len(sound) > 16_000
        assert np.array_equal(sound[:-silent], whole[cut - len(sound) + silent : cut])


def test_other_files_are_still_read(host: Build, speech: Path, tmp_path: Path) -> None:
    done = host.run("emulator", tmp_path / "missing.wav", speech)
    assert done.returncode == 1
    assert b"missing.wav: cannot be opened" in done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(("arguments", "problem"), USAGE)
def test_bad_usage_gets_one_clear_line(host: Build, arguments: list[str], problem: bytes) -> None:
    done = host.run("emulator", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert problem in done.stderr
    assert done.stderr.startswith(b"wake-emulator: ") and done.stderr.count(b"\n") == 1


def test_help(host: Build) -> None:
    done = host.run("emulator", "--help")
    assert done.returncode == 0 and done.stdout.startswith(b"usage: wake-emulator")
    assert f"Word: scripted. States: {STATES}\n".encode() in done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b'quo"te\\.wav', 'quo"te\\.wav'),
        ("Grüße 日本 🎤.wav".encode(), "Grüße 日本 🎤.wav"),
        (b"new\nline\ttab\x7f.wav", "new\nline\ttab\x7f.wav"),
        (b"bad\xff\xc3utf8\xed\xa0\x80.wav", "bad\ufffd\ufffdutf8\ufffd\ufffd\ufffd.wav"),
        (b"a, b,c.wav", "a, b,c.wav"),
    ],
)
def test_json_whatever_the_file_is_called(
    host: Build, tmp_path: Path, name: bytes, shown: str
) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(wav(SPEECH))
    done = subprocess.run([host.program("emulator"), path], capture_output=True, check=False)
    assert [event["file"] for event in events(done)] == [f"{tmp_path}/{shown}"] * 2
    missing = subprocess.run(
        [host.program("emulator"), path + b"x"], capture_output=True, check=False
    )
    assert missing.stderr.count(b"\n") == 1
    missing.stderr.decode("utf-8")


def test_a_terminal_gets_a_table(host: Build, speech: Path) -> None:
    table = host.run("emulator", "--table", speech).stdout.decode().splitlines()
    assert table[0].split() == ["seconds", "event", "start", "end", "p", "state", "file"]
    assert table[1].split()[:4] == ["1.065", "wake", "0.236", "0.935"] and len(table) == 3
    leader, follower = pty.openpty()
    subprocess.run([host.program("emulator"), speech], stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 10000).decode().replace("\r\n", "\n")
    os.close(leader)
    assert shown.splitlines() == table


def test_full_disk_is_reported(host: Build, speech: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [host.program("emulator"), speech], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr
