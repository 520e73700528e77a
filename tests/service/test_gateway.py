# SPDX-License-Identifier: Apache-2.0
"""wakestate gateway run: from a stream, or a serial port, to utterances."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
import tty
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.firmware_build import ROOT, build, host_device
from tests.support.running_gateway import SOUND, Collector, message, read_until, running
from tests.support.wav import SPEECH, wav
from wakestate.__main__ import main
from wakestate.verify.gateway.gateway import ALIVE_TICKS, TRIES_MAX, Gateway
from wakestate.verify.protocol.frames import Frame, Kind, Reader, encode
from wakestate.verify.protocol.sensitivity import Sensitivity


def fed(*parts: bytes, sink: Collector | None = None) -> Collector:
    sink = sink or Collector()
    gateway = Gateway(sink)
    for part in parts:
        gateway.feed(part)
    gateway.close()
    assert gateway.utterances == len(sink.ended)
    return sink


def stored_sound(path: Path) -> tuple[NDArray[np.int16], dict[str, Any]]:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    return pcm, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_an_utterance_that_came_whole() -> None:
    (one,) = fed(b"".join(message())).ended
    assert (one.pcm == SOUND).all() and one.gaps == [] and one.ended == "stopped"
    facts = one.facts()
    indices = facts["initiator"]["payload"]["wakeWordIndices"]
    assert indices == {"startIndexInSamples": 8000, "endIndexInSamples": 17000}
    assert facts["format"] == "AUDIO_L16_RATE_16000_CHANNELS_1"


def test_lost_frames_are_zeros_and_reported() -> None:
    frames = message()
    received = frames[:11] + frames[13:50] + frames[51:-3] + frames[-1:]
    (one,) = fed(*received).ended
    assert one.gaps == [(1600, 320), (7840, 160), (len(SOUND) - 320, 320)]
    expected = SOUND.copy()
    for at, count in one.gaps:
        expected[at : at + count] = 0
    assert (one.pcm == expected).all()


def test_a_lost_start_or_end() -> None:
    first, second = message(), message(200, utterance=2)
    sink = fed(*first[:-1], *second)
    assert [u.ended for u in sink.ended] == ["lost", "stopped"]
    assert [u.start.utterance for u in fed(*first[1:], *second).ended] == [2]
    assert fed(*first[:20]).ended[0].samples == 19 * 160


def test_a_restart_ends_what_was_begun() -> None:
    sink = fed(*message()[:20], b'{"type":"ready","board":"x"}\n', *message())
    assert [(u.ended, u.samples) for u in sink.ended] == [("lost", 3040), ("stopped", len(SOUND))]


def test_a_frame_that_is_no_message_is_reported_and_passed_over() -> None:
    printed: list[str] = []
    gateway = Gateway(Collector(), report=printed.append)
    gateway.feed(encode(Frame(Kind.AUDIO, 7, b"odd")) + encode(Frame(77, 8, b"new")))
    assert printed == ["frame 7: AUDIO: 3 bytes; at least 6 are needed"]


def test_the_device_is_asked_to_stop_until_it_does() -> None:
    replies: list[bytes] = []
    gateway = Gateway(Collector(enough=9000), replies.append)
    gateway.open()
    gateway.tick()
    gateway.feed(b'{"type":"uplink","on":true,"baud":1000000}\n')
    gateway.tick()
    frames = message(utterance=3)
    for frame in frames[:-1]:
        gateway.feed(frame)
    gateway.tick()
    gateway.feed(frames[-1])
    gateway.tick()
    gateway.close()
    on = b"uplink on\n"
    assert replies == [on, on, b"stop 3\n", b"stop 3\n", b"uplink off\n"]


def test_the_command_keeps_what_the_emulator_received(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    stream, out = tmp_path / "stream", tmp_path / "out"
    build("scripted", "host", sanitize=True).run("emulator", "--uplink", stream, tmp_path / "x.wav")
    for again in (0, 1):  # numbers continue where the folder ends
        assert main(["gateway", "run", "--from", str(stream), "--out", str(out)]) == 0
        names = sorted(path.name for path in out.iterdir())[-4:]
        first, second = (f"0000{2 * again + n}-scripted" for n in (1, 2))
        assert names == [f"{first}.json", f"{first}.wav", f"{second}.json", f"{second}.wav"]
    pcm, facts = stored_sound(out / "00001-scripted.wav")
    assert facts["samples"] == len(pcm) and facts["ended"] == "next wake"
    begin = facts["wakeSample"] - facts["wakeIndexInSamples"]
    assert (pcm == np.frombuffer(SPEECH, "<i2")[begin : begin + len(pcm)]).all()
    wording = f"00001-scripted.wav: {len(pcm) / 16000:.3f} s, next wake"
    assert wording in capsys.readouterr().err


def test_errors_name_what_and_the_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    for source, out, wording in (
        ("none", tmp_path, "none: cannot be opened: No such file or directory"),
        (
            str(tmp_path / "file"),
            tmp_path / "file" / "x",
            "cannot be written: Not a directory; name another place",
        ),
    ):
        assert main(["gateway", "run", "--from", source, "--out", str(out)]) == 1
        assert wording in capsys.readouterr().err
    assert main(["gateway", "run", "--from", str(tmp_path / "file"), "--out", str(tmp_path)]) == 0
    assert "no utterance in it" in capsys.readouterr().err
    sound = str(ROOT / "models" / "alexa" / "sample.wav")
    assert main(["gateway", "run", "--from", sound, "--out", str(tmp_path), "--quiet"]) == 1
    assert "is not what `wake-emulator --uplink FILE` writes" in capsys.readouterr().err


def test_a_device_on_a_serial_port(tmp_path: Path) -> None:
    """The device program's own bytes on a pseudo terminal: switched on, one utterance, stopped."""
    device = host_device(tmp_path)
    (tmp_path / "audio").write_bytes(SPEECH)
    happenings = ["10:uplink on", "120:stop 1", "130:uplink off"]
    call = [str(device), str(tmp_path / "audio"), *happenings]
    stream = subprocess.run(call, capture_output=True, check=True, env={"ROOM": "4000"}).stdout
    before_stop = stream[: stream.rindex(b"\0\1\3\3") - 400]

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    call = [sys.executable, "-m", "wakestate", "gateway", "run", "--from", os.ttyname(theirs)]
    call += ["--out", str(tmp_path / "out"), "--follow", "0.05"]
    with running(call) as process:
        assert process.stderr is not None
        replies = read_until(ours, b"uplink on\n")
        assert termios.tcgetattr(theirs)[4] == termios.B1000000
        os.write(ours, before_stop)
        replies += read_until(ours, b"stop 1\n")
        os.write(ours, stream[len(before_stop) :])
        while b"stopped" not in (line := process.stderr.readline()):
            assert line
        os.close(theirs)
        os.close(ours)
        while b"lost: " not in (line := process.stderr.readline()):
            assert line
        assert line.endswith(b"it is opened again when it is plugged in\n")
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert replies.startswith(b"uplink on\n")
    pcm, facts = stored_sound(tmp_path / "out" / "00001-scripted.wav")
    frames = [item for item in Reader().feed(stream) if isinstance(item, Frame)]
    assert len(pcm) == facts["samples"] == sum((len(f.payload) - 6) // 2 for f in frames[1:-1])
    assert facts["ended"] == "stopped" and facts["gaps"] == []


def test_sensitivity_is_sent_until_the_device_has_it() -> None:
    """Each command is lost twice; after a restart all is said again, at the end as shipped.

    The device is informed that the gateway runs: at once, then every 15 s.
    """
    wanted = Sensitivity("alexa", {"player=idle": 124, "player=music": -5, "player=speech": 0})
    device = [0, 0, 0]
    sent: list[str] = []

    def device_reply(text: str) -> str:
        if text == "uplink on":
            return '{"type":"uplink","on":true}\n'
        if text == "timeout 60":
            return '{"type":"timeout","seconds":60}\n'
        offset, word, state = text.removeprefix("sensitivity ").split()
        device[list(wanted.offsets).index(state)] = int(offset)
        return json.dumps({"type": "word", "word": word, "sensitivity": device}) + "\n"

    gateway = Gateway(
        Collector(), lambda data: sent.append(data.decode().strip()), sensitivity=wanted
    )
    for _ in range(2):
        device[:] = [0, 0, 0]
        gateway.feed(b'{"type":"ready"}\n')
        for tick in range(30):
            if sent and tick % 3 == 0:
                gateway.feed(device_reply(sent[-1]).encode())
            gateway.feed(b'{"type":"word","word":"computer","sensitivity":[1]}\n')
            gateway.tick()
        assert device == [124, -5, 0]
        own = [text for text in sent if text.startswith("sensitivity")]
        assert own[-1] == "sensitivity -5 alexa player=music"
        count, alive = len(sent), sent.count("timeout 60")
        assert alive >= 1
        for _ in range(2 * ALIVE_TICKS + 2):
            gateway.tick()
        assert sent[count:] == ["timeout 60"] * 2
    gateway.close()
    assert sent[-2:] == ["sensitivity 0 alexa", "uplink off"]


def test_a_device_that_takes_no_sensitivity_is_reported_once() -> None:
    sent: list[bytes] = []
    printed: list[str] = []
    wanted = Sensitivity("alexa", {"player=idle": 124})
    gateway = Gateway(Collector(), sent.append, printed.append, sensitivity=wanted)
    gateway.feed(b'{"type":"uplink","on":true}\n')
    for _ in range(2 * TRIES_MAX):
        gateway.feed(b'{"type":"word","word":"alexa","sensitivity":"none"}\n')
    assert len(sent) == TRIES_MAX
    assert sum("does not take sensitivity 124 alexa player=idle" in text for text in printed) == 1
