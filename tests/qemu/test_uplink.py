# SPDX-License-Identifier: Apache-2.0
"""The sound of a wake on its way out: ring, messages and frames, on the host, in QEMU, on a device.

`expected` computes in Python what a message must be; all C must give the same bytes.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.firmware_build import ROOT, Build, build, host_device
from tests.support.wav import LOUD, QUIET, SPEECH, pcm, wav
from wakestate.boards.run import command
from wakestate.verify.protocol.frames import (
    PREROLL,
    Audio,
    End,
    Frame,
    Kind,
    Message,
    Reader,
    Reason,
    Start,
    encode,
    parse,
)

HOP = 160
LONGEST = 10 * 16000
PCM = np.frombuffer(SPEECH, "<i2").astype(np.int16)
#: The scripted network's wakes in SPEECH, in samples.
WAKES = (17040, 41040)


def first(start: Start) -> int:
    """The engine's number of the first sample sent."""
    return start.wake_sample - start.missed - start.wake_index


@dataclass
class Sent:
    """What a stream holds."""

    frames: list[Frame]
    lines: list[dict[str, Any]]
    messages: list[Message]

    @property
    def starts(self) -> list[Start]:
        return [m for m in self.messages if isinstance(m, Start)]

    @property
    def ends(self) -> list[End]:
        return [m for m in self.messages if isinstance(m, End)]

    def audio(self, utterance: int) -> list[Audio]:
        return [m for m in self.messages if isinstance(m, Audio) and m.utterance == utterance]

    def sound(self, utterance: int) -> NDArray[np.int16]:
        return np.concatenate([a.pcm for a in self.audio(utterance)])

    @property
    def frame_bytes(self) -> bytes:
        return b"".join(encode(frame) for frame in self.frames)


def sent(stream: bytes) -> Sent:
    """Read a stream; every byte of it must be a frame's or a line's, and all frames there."""
    reader = Reader()
    items = list(reader.feed(stream))
    frames = [item for item in items if isinstance(item, Frame)]
    lines = [item for item in items if isinstance(item, str)]
    size = sum(len(encode(f)) for f in frames) + sum(len(line.encode()) + 1 for line in lines)
    assert (size, reader.damaged, reader.lost, reader.restarts) == (len(stream), 0, 0, 0)
    messages = [message for f in frames if (message := parse(f)) is not None]
    assert len(messages) == len(frames)
    return Sent(frames, [json.loads(line) for line in lines if line[0] == "{"], messages)


def expected(received: NDArray[np.int16], starts: list[Start], *, number: int = 0) -> bytes:
    """The frames for these wakes in `received`, nothing missed, to its end.

    When it woke, and where the word is, is taken from `starts`; all else must follow from it.
    """
    out = []
    for given, following in itertools.zip_longest(starts, starts[1:]):
        wake = given.wake_sample
        start, end = first(given) + given.start_index, first(given) + given.end_index
        begin = max(start - PREROLL, 0)
        limits = [(wake + LONGEST, Reason.LONGEST), (len(received), Reason.INPUT_ENDED)]
        if following:
            limits.append((following.wake_sample, Reason.NEXT_WAKE))
        last, reason = min(limits)
        begun = replace(
            given,
            sample_rate=16000,
            start_index=start - begin,
            end_index=end - begin,
            wake_index=wake - begin,
            missed=0,
        )
        out.append((Kind.START, begun.payload()))
        for at in range(begin, last, HOP):
            audio = Audio(given.utterance, at - begin, received[at : min(at + HOP, last)])
            out.append((Kind.AUDIO, audio.payload()))
        out.append((Kind.END, End(given.utterance, reason, last - begin, 0, 0).payload()))
    return b"".join(encode(Frame(kind, number + i, data)) for i, (kind, data) in enumerate(out))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return host_device(tmp_path_factory.mktemp("device"))


def emulate(made: Build, out: Path, *arguments: str | Path) -> bytes:
    """What the emulator's --uplink writes."""
    done = made.run("emulator", "--uplink", out, *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return out.read_bytes()


def test_the_emulator_sends_what_python_expects(host: Build, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    stream = emulate(host, tmp_path / "out", "--state", "volume=high", tmp_path / "x.wav")
    found = sent(stream)
    assert [s.wake_sample for s in found.starts] == list(WAKES)
    assert [s.utterance for s in found.starts] == [1, 2]
    for start in found.starts:
        assert (start.word, start.state, start.state_index) == (
            "scripted",
            "player=idle,volume=high",
            1,
        )
    assert found.starts[0].probability == pytest.approx(0.977, abs=2e-3)
    assert found.starts[1].start_index == PREROLL
    assert stream == expected(PCM, found.starts)
    assert [end.reason for end in found.ends] == [Reason.NEXT_WAKE, Reason.INPUT_ENDED]


def test_the_word_lies_where_the_engine_reports(host: Build, tmp_path: Path) -> None:
    """The line of each wake and its message agree; but no more than the ring holds of a
    word, which is what the scripted network claims to see."""
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    both = sent(host.run("emulator", "--uplink", "-", tmp_path / "x.wav").stdout)
    assert len(both.lines) == len(both.starts) == 2
    for line, start in zip(both.lines, both.starts, strict=True):
        before = [start.wake_index - start.start_index, start.wake_index - start.end_index]
        longest = ((6 + 2 * 3 - 1) * HOP + 400) / 16000  # what the three steps that wake see
        reported = [min(line["t"] - line["start"], longest), line["t"] - line["end"]]
        assert [n / 16000 for n in before] == pytest.approx(reported, abs=0.0011)
        assert start.start_index < start.end_index <= start.wake_index


def test_boards_send_the_same_bytes(host: Build, tmp_path: Path) -> None:
    """The scripted emulator in QEMU; and lines and frames together on stdout."""
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    stream = emulate(host, tmp_path / "out", tmp_path / "x.wav")
    both = host.run("emulator", "--uplink", "-", tmp_path / "x.wav").stdout
    assert sent(both).frame_bytes == stream and len(sent(both).lines) == 2
    for board in ("mps2-an385", "mps3-an547"):
        made = build("scripted", board)
        assert emulate(made, tmp_path / board, tmp_path / "x.wav") == stream
    assert made.run("emulator", "--uplink", "-", tmp_path / "x.wav").stdout == both


def test_a_word_right_at_the_start_and_one_that_nobody_stops(host: Build, tmp_path: Path) -> None:
    """Less than half a second before it; ten seconds behind it, then no more."""
    early = pcm((0.3, LOUD), (14.0, QUIET), (0.3, LOUD), (0.2, QUIET))
    (tmp_path / "x.wav").write_bytes(wav(early))
    stream = emulate(host, tmp_path / "out", tmp_path / "x.wav")
    found = sent(stream)
    assert len(found.starts) == 2 and found.starts[0].start_index < PREROLL
    assert [end.reason for end in found.ends] == [Reason.LONGEST, Reason.INPUT_ENDED]
    assert stream == expected(np.frombuffer(early, "<i2").astype(np.int16), found.starts)


def test_numbers_go_on_from_file_to_file(host: Build, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    stream = emulate(host, tmp_path / "out", tmp_path / "x.wav", tmp_path / "x.wav")
    found = sent(stream)
    assert [s.utterance for s in found.starts] == [1, 2, 3, 4]
    once = expected(PCM, found.starts[:2])
    number = len(sent(once).frames)
    assert stream == once + expected(PCM, found.starts[2:], number=number)


def test_where_frames_cannot_go(host: Build, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    for out, status, wording in (
        (tmp_path / "none" / "out", 1, b"cannot be written; is there such a folder?"),
        ("/dev/full", 1, b"/dev/full: cannot write; is the disk full?"),
    ):
        done = host.run("emulator", "--uplink", out, tmp_path / "x.wav")
        assert done.returncode == status and wording in done.stderr
    done = host.run("emulator", "--uplink")
    assert (done.returncode, done.stderr) == (
        2,
        b"wake-emulator: --uplink: needs a value; see --help\n",
    )


# The device program, on the host: see tests/native/device_driver.c.


def run(device: Path, audio: bytes, *happenings: str, **environment: str) -> Sent:
    path = device.parent / "audio.raw"
    path.write_bytes(audio)
    done = subprocess.run(
        [str(device), str(path), *happenings],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return sent(done.stdout)


def test_the_device_sends_what_python_expects(device: Path) -> None:
    found = run(device, SPEECH, "10:uplink on")
    assert found.frame_bytes == expected(PCM, found.starts)
    answers = [line for line in found.lines if line["type"] == "uplink"]
    assert answers == [{"type": "uplink", "on": True, "baud": 1000000}]


def test_without_the_command_there_are_only_lines(device: Path) -> None:
    assert run(device, SPEECH).frames == []
    assert run(device, SPEECH, "10:uplink on", "20:uplink off").frames == []


def test_stop(device: Path) -> None:
    """By number, or whichever; a number that is not now does nothing."""
    for stop in ("120:stop", "120:stop 1"):
        found = run(device, SPEECH, "10:uplink on", stop, "130:stop", "140:stop 1", "150:stop 7")
        one, other = found.ends
        assert (one.reason, other.reason) == (Reason.STOPPED, Reason.INPUT_ENDED)
        begin = first(found.starts[0])
        assert abs(one.samples - (120 * HOP - begin)) <= 2 * HOP and one.unsent == 0
        assert (found.sound(1) == PCM[begin : begin + one.samples]).all()
        assert len(found.sound(2)) == other.samples
    found = run(device, SPEECH, "10:uplink on", "120:stop 2", "130:uplink off")
    assert len(found.starts) == 1 and found.ends[0].reason == Reason.STOPPED


@pytest.mark.parametrize("room", ["115", "20"])
def test_a_link_that_is_too_slow_loses_sound_and_reports_so(device: Path, room: str) -> None:
    """115,200 baud carry 115 bytes a hop; the detector continues as if nothing were."""
    audio = pcm((1.0, QUIET), (0.5, LOUD), (4.0, QUIET))
    received = np.frombuffer(audio, "<i2").astype(np.int16)
    found = run(device, audio, "10:uplink on", "500:stats", ROOM=room)
    assert [line["t"] for line in found.lines if line["type"] == "wake"] == [1.065]
    (end,) = found.ends
    begin = first(found.starts[0])
    assert end.reason == Reason.INPUT_ENDED and end.samples == len(received) - begin
    pieces = found.audio(1)
    for piece in pieces:
        at = begin + piece.index
        assert (piece.pcm == received[at : at + len(piece.pcm)]).all()
    assert sum(len(piece.pcm) for piece in pieces) == end.samples - end.unsent
    assert end.unsent > 0.5 * end.samples
    gaps = sum(b.index > a.index + HOP for a, b in itertools.pairwise(pieces))
    assert 1 <= gaps < 20  # long pieces, not crumbs
    (stats,) = [line for line in found.lines if line["type"] == "stats"]
    assert 0 < stats["unsent"] <= end.unsent and stats["overruns"] == 0


def test_a_link_that_stands_still_skips_wakes(device: Path) -> None:
    audio = pcm((0.5, QUIET), (6.0, LOUD))
    found = run(device, audio, "10:uplink on", "30:^1", "600:^999", "640:stats", ROOM="999")
    (stats,) = [line for line in found.lines if line["type"] == "stats"]
    wakes = sum(line["type"] == "wake" for line in found.lines)
    assert wakes == 6 and stats["skipped"] >= 1
    assert len(found.starts) == len(found.ends) == wakes - stats["skipped"]


def test_what_was_missed_is_not_in_the_sound(device: Path) -> None:
    """Late by 100 ms at 0.5 s: hops 58 and 59 are lost, half a second before the word."""
    found = run(device, SPEECH, "10:uplink on", "50:+10")
    received = np.concatenate([PCM[: 58 * HOP], PCM[60 * HOP :]])
    start, second = found.starts
    assert (start.missed, second.missed, found.ends[0].missed) == (2 * HOP,) * 3
    wake = next(line for line in found.lines if line["type"] == "wake")
    assert wake["t"] == start.wake_sample / 16000
    assert (found.sound(1) == received[first(start) :][: found.ends[0].samples]).all()
    assert start.start_index == PREROLL < start.end_index <= start.wake_index


SCRIPTED = ("words", "scripted", "frontend")


def test_more_missed_than_the_field_holds(tmp_path: Path) -> None:
    """2^33 samples, six days: the field of 32 bits stays at its most, the time stays true."""
    call = ["gcc", "-std=c11", "-fsanitize=address,undefined", "-Itests/scripted"]
    call += ["-Ifirmware/include", "-Ifirmware"]
    call += ["tests/native/missed_long.c", *(f"tests/scripted/ws_{n}.c" for n in SCRIPTED)]
    call += [f"firmware/uplink/{name}.c" for name in ("frame", "uplink")]
    subprocess.run([*call, "-o", str(tmp_path / "missed")], cwd=ROOT, check=True)
    done = subprocess.run([str(tmp_path / "missed")], capture_output=True, check=True)
    found = sent(done.stdout)
    (start,), (end,) = found.starts, found.ends
    assert start.wake_sample == 20000 + 2 * (2**32 - 1)
    assert (start.missed, end.missed) == (2**32 - 1, 2**32 - 1)


def test_a_line_does_not_part_a_frame(device: Path) -> None:
    """Lines and frames go out in pieces of 100 bytes: all of both come whole. Commands that come
    faster than their answers go out wait."""
    stats = [f"{hop}:stats" for hop in range(100, 200, 10)]
    found = run(device, SPEECH, "10:uplink on", *stats, ROOM="100")
    assert sum(line["type"] == "stats" for line in found.lines) == 10
    stats = [f"{hop}:stats" for hop in range(100, 200)]
    found = run(device, SPEECH, "10:uplink on", *stats, ROOM="100")
    assert 20 < sum(line["type"] == "stats" for line in found.lines) < 50


def run_device(made: Build, audio: Path) -> bytes:
    """What the device image prints with the uplink on, without the first line."""
    call = command(made.board, made.program("device"), [str(audio)], icount=5, serial=True)
    with subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        out, _ = process.communicate(b"uplink on\n", timeout=300)
        assert process.returncode == 0
    return out


def test_device_image_emulator_and_host_agree_on_the_real_word(tmp_path: Path) -> None:
    """Two chips' serial ports, by interrupts that QEMU has; and the emulator's files."""
    sample = tmp_path / "sample.wav"
    sample.write_bytes(wav((ROOT / "models/alexa/sample.wav").read_bytes()[44:][: 9 * 32000]))
    stream = emulate(build("alexa", "host"), tmp_path / "host", sample)
    found = sent(stream)
    assert len(found.starts) == 2
    received = np.frombuffer(sample.read_bytes()[44:], "<i2").astype(np.int16)
    assert stream == expected(received, found.starts)
    assert emulate(build("alexa", "mps2-an386"), tmp_path / "m4", sample) == stream
    for board in ("mps2-an385", "netduinoplus2"):
        printed = sent(run_device(build("alexa", board), sample))
        assert printed.frame_bytes == stream
        assert [line["type"] for line in printed.lines].count("wake") == 2
