# SPDX-License-Identifier: Apache-2.0
"""The gateway and devices that send anything, never read, vanish, or start utterances for ever."""

from __future__ import annotations

import json
import os
import pty
import random
import resource
import select
import socket
import struct
import sys
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.running_gateway import SOUND, START, Collector, message, read_until, running
from wakestate.verify.gateway import posting
from wakestate.verify.gateway.gateway import GAPS_MAX, Folder, Gateway, Utterance
from wakestate.verify.gateway.lines import LINES_MAX, Lines
from wakestate.verify.gateway.link import COMMANDS_MAX, Device, Loop
from wakestate.verify.gateway.posting import Poster, Service, Verdict
from wakestate.verify.protocol.frames import (
    LONGEST,
    Audio,
    End,
    Frame,
    FrameError,
    Kind,
    Start,
    encode,
    parse,
)

FIELDS = (
    "utterance",
    "version",
    "state_index",
    "rate",
    "start",
    "end",
    "wake",
    "at",
    "missed",
    "p",
)
GOOD = dict(zip(FIELDS, (1, 1, 0, 16000, 8000, 16000, 17000, 20000, 0, 32768), strict=True))


def payload(word: bytes = b"alexa", state: bytes = b"player=idle", **changes: int) -> bytes:
    """Of START, whatever its fields hold."""
    head = struct.pack("<HBBIIIIQIH", *{**GOOD, **changes}.values())
    return head + bytes([len(word)]) + word + bytes([len(state)]) + state


BAD = [
    (payload(utterance=0), "utterance: given 0; allowed: 1 to 65535"),
    (payload(version=0), "version 0 of the protocol"),
    (payload(rate=0), "sample rate: given 0; allowed: 16000"),
    (payload(rate=2**32 - 1), "sample rate: given 4294967295; allowed: 16000"),
    (payload(start=8001, end=9000), "startIndexInSamples: given 8001; allowed: 0 to 8000"),
    (payload(end=8000), "endIndexInSamples: given 8000; allowed: 8001 to 960000"),
    (payload(end=2**32 - 1), "endIndexInSamples: given 4294967295"),
    (payload(wake=15999), "wake: given 15999; allowed: 16000, the end, to 960000"),
    (payload(wake=LONGEST + 1), "wake: given 960001"),
    (payload(at=16999), "wake since listening began: given 16999; allowed: 17000 or more"),
    (payload(p=32769), "probability: given 32769; allowed: 0 to 32768"),
    (payload(b""), "word: given ''; allowed: small letters, digits"),
    (payload(b"../../evil"), "word: given '../../evil'; allowed: "),
    (payload(b"al\0exa"), "word: given 'al\\x00exa'; allowed: "),
    (payload(b"\x1b[31mred\n"), "word: given '\\x1b[31mred\\n'; allowed: "),
    (payload(b"Alexa"), "word: given 'Alexa'"),
    (payload(b"a" * 81), "up to 80"),
    (payload(b"\xff"), "the name of the word is no UTF-8"),
    (payload(state=b"a=\x1b]0;x\x07"), "state: given 'a=\\x1b]0;x\\x07'; allowed: printable"),
    (payload(state=b"s" * 201), "up to 200 characters"),
    (payload(state=b"a=\xc3"), "the name of the state is no UTF-8"),
    (payload() + b"x", "1 bytes behind the state's name"),
    (payload()[:-1], "ends within the name of the state"),
]


@pytest.mark.parametrize(("data", "wording"), BAD, ids=[wording[:20] for _, wording in BAD])
def test_of_start_only_what_is_documented_is_believed(data: bytes, wording: str) -> None:
    """The utterance before it ends, its sound is nobody's, and the next message is taken."""
    with pytest.raises(FrameError) as caught:
        parse(Frame(Kind.START, 0, data))
    assert str(caught.value).startswith("START: ") and wording in str(caught.value)
    assert str(caught.value).isprintable()
    printed: list[str] = []
    sink = Collector()
    gateway = Gateway(sink, report=printed.append)
    for part in message()[:3]:
        gateway.feed(part)
    gateway.feed(encode(Frame(Kind.START, 9, data)))
    assert [one.ended for one in sink.ended] == ["lost"] and len(printed) == 1
    gateway.feed(message()[5])
    assert sink.ended[0].samples == 320
    gateway.feed(b"".join(message(20, utterance=2)))
    assert [one.ended for one in sink.ended] == ["lost", "stopped"]


def test_the_largest_start() -> None:
    for one in (
        payload(utterance=65535, state_index=255, start=0, end=1, wake=1, at=1, missed=2**32 - 1),
        payload(b"a" * 80, b"\xc3\xa9=1" * 40, end=LONGEST, wake=LONGEST, at=2**64 - 1, p=0),
        payload(state=b""),
    ):
        found = parse(Frame(Kind.START, 0, one))
        assert isinstance(found, Start) and found.payload() == one


def test_lines_that_are_no_events() -> None:
    replies: list[bytes] = []
    gateway = Gateway(Collector(), replies.append)
    for line in (
        b"[" * 4000,
        b"1" * 4096,
        b'{"type":NaN}',
        b'{"type":["ready"]}',
        b"null",
        b'{"type":"uplink","on":1e999}',
        b'"\\ud800"',
        b"a" * 5000,
    ):
        gateway.feed(line + b"\n")
    assert replies == []
    gateway.feed(b"x" * 5000 + b'\n{"type":"ready"}\n')
    assert replies == [b"uplink on\n"]


def test_an_utterance_is_bounded(tmp_path: Path) -> None:
    """In samples, and in gaps; without sound it is not kept."""
    sink = Collector()
    gateway = Gateway(sink)

    def audio(index: int, samples: int) -> None:
        pcm = Audio(1, index, SOUND[:samples])
        gateway.feed(encode(Frame(Kind.AUDIO, 0, pcm.payload())))

    start = encode(Frame(Kind.START, 0, START.payload()))
    gateway.feed(start)
    audio(LONGEST - 160, 160)
    audio(LONGEST - 10, 160)
    audio(2**32 - 1, 160)
    assert sink.begun[0].samples == LONGEST
    gateway.feed(start)
    for i in range(GAPS_MAX + 100):
        audio(2 * i + 1, 1)
    assert len(sink.begun[1].gaps) == GAPS_MAX and sink.begun[1].samples == 2 * GAPS_MAX
    gateway.feed(encode(Frame(Kind.END, 0, End(1, 255, 2**32 - 1, 0, 0).payload())))
    assert sink.ended[1].samples == LONGEST and sink.ended[1].ended == "unknown"
    printed: list[str] = []
    Folder(tmp_path, None, printed.append).end(Utterance(START))
    assert not list(tmp_path.iterdir()) and "no sound came of it" in printed[0]


def test_commands_wait_in_a_bounded_queue() -> None:
    """For a device that never reads; what waits already is not queued twice."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    device = Device("test", lambda text: None)
    device.gateway = Gateway(Collector(), device.command)
    device.attach(theirs, theirs)
    for i in range(20000):
        device.command(b"stop %d\n" % (i % 60000 + 1))
        device.command(b"stop %d\n" % (i % 60000 + 1))
        device.write()
    assert device.waits and len(device._commands) <= COMMANDS_MAX
    verdicts = b""
    while select.select([ours], [], [], 0)[0]:  # it reads after all
        verdicts += os.read(ours, 65536)
        device.write()
    assert verdicts.startswith(b"uplink on\nstop 1\nstop 2\n") and verdicts.endswith(
        b"stop 20000\n"
    )
    assert all(line.startswith((b"stop ", b"uplink on")) for line in verdicts.splitlines())
    device.release()
    os.close(ours)


def test_lines_that_nobody_reads_are_dropped_and_counted() -> None:
    read, write = os.pipe()
    with open(write, "w", encoding="utf-8") as stream, open(read, "rb") as reader:  # noqa: PTH123
        lines = Lines(stream)
        loop = Loop([lines])
        lines.wake = loop.wake
        for number in range(20000):
            lines(f"{number} \x1b[31m")
            if number % 1000 == 0:
                loop.step([], 0)
        assert len(lines._waiting) <= LINES_MAX and lines.full()
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(reader))
        thread.start()
        assert loop.until(lambda: lines.empty, 60)
        loop.close()
        stream.close()
        thread.join(60)
    assert got[0] == b"0 \\x1b[31m\n" and len(got) < 8000
    dropped = int(got[-1].split()[0].strip(b"("))
    assert dropped == 20000 - (len(got) - 1) and b"lines dropped" in got[-1]


def test_files_beyond_1023() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1600:
        pytest.skip("the system allows fewer than 1,600 open files")
    read, write = os.pipe()
    os.dup2(read, 1500)
    os.close(read)
    sink = Collector()
    device = Device("test", lambda text: None)
    device.gateway = Gateway(sink)
    device.attach(1500, None)
    loop = Loop()
    loop.devices = [device]
    os.write(write, b"".join(message()))
    os.close(write)
    loop.run()
    loop.finish(0)
    loop.close()
    assert [one.ended for one in sink.ended] == ["stopped"]


class _Hung:
    """A service that takes connections and never answers."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"


def test_a_flood_of_utterances_has_bounded_threads_and_spares_the_others() -> None:
    hung, verdicts = _Hung(), list[Verdict]()
    before = threading.active_count()
    poster = Poster(Service(hung.url), verdicts.append)
    sinks = {name: Gateway(poster, device=name) for name in ("hostile", "honest")}
    frames = message()
    for part in frames[:9]:
        sinks["honest"].feed(part)
    for number in range(1, 301):
        start = replace(START, utterance=number).payload()
        sinks["hostile"].feed(encode(Frame(Kind.START, number, start)))
    for part in frames[9:]:
        sinks["honest"].feed(part)
    assert threading.active_count() - before <= posting.WORKERS
    dropped = [verdict for verdict in verdicts if "utterances wait already" in verdict.problem]
    assert len(dropped) >= 300 - posting.WAITING - posting.WORKERS
    assert {verdict.device for verdict in dropped} == {"hostile"}
    assert poster.busy and poster.full()
    poster.close(0.0)
    assert len(verdicts) == 301 and {verdict.device for verdict in verdicts} == {
        "hostile",
        "honest",
    }
    assert "the gateway ended" in verdicts[-1].problem
    assert json.loads(verdicts[-1].line())["device"] in ("hostile", "honest")
    while poster.busy:
        time.sleep(0.01)
    hung.server.close()


@pytest.mark.parametrize(
    "body",
    [b"[" * 50000, b"{}", b"null", b'{"accept":1}', b"\xff", b""],
    ids=["deep", "empty", "null", "one field", "not UTF-8", "nothing"],
)
def test_an_answer_that_is_none(body: bytes) -> None:
    verdicts: list[Verdict] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        poster = Poster(Service(f"http://127.0.0.1:{server.getsockname()[1]}"), verdicts.append)
        gateway = Gateway(poster)
        for part in message():
            gateway.feed(part)
        poster.close()
        thread.join(60)
    (verdict,) = verdicts
    assert verdict.answer is None and "no answer of a Wakestate service" in verdict.problem


Make = Callable[[random.Random], bytes]
HOSTILE: dict[str, Make] = {
    "ready": lambda r: b'{"type":"ready"}\n' * 200,
    "garbage": lambda r: r.randbytes(4096),
    "no end": lambda r: b"\0\1" + b"\2" * 4000,
    "a line without an end": lambda r: b"a" * 4096,
    "empty lines": lambda r: b"\n" * 4096,
    "starts": lambda r: b"".join(
        encode(Frame(1, i, replace(START, utterance=r.randrange(1, 65536)).payload()))
        for i in range(30)
    ),
    "bad starts": lambda r: b"".join(encode(Frame(1, i, bad)) for i, (bad, _) in enumerate(BAD)),
}


def _state(pid: int) -> tuple[int, int, int]:
    """Memory in MB, threads, open files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    facts = dict(line.split(":", 1) for line in status.splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(facts["VmRSS"].split()[0]) // 1024, int(facts["Threads"]), files


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
def test_an_honest_device_beside_a_hostile_one(tmp_path: Path) -> None:
    """Which never reads, and whose every stream ends with a hang-up in the end."""
    rng, (bad, bad_end), (good, good_end) = random.Random(1), pty.openpty(), pty.openpty()
    for end in (bad_end, good_end):
        tty.setraw(end)
    os.set_blocking(bad, False)
    call = [
        sys.executable,
        "-m",
        "wakestate",
        "gateway",
        "run",
        "--from",
        os.ttyname(bad_end),
        "--from",
        os.ttyname(good_end),
        "--quiet",
        "--out",
        str(tmp_path),
    ]
    with running(call) as process:
        read_until(good, b"uplink on\n")
        for number, make in enumerate(HOSTILE.values(), 1):
            flood(bad, make, rng)
            for part in message(utterance=number)[:20]:
                os.write(good, part)
                flood(bad, make, rng, 1)
            os.write(good, message(utterance=number)[-1])
            await_files(tmp_path, number)
            memory, threads, files = _state(process.pid)
            assert memory < 100 and threads <= 12 and files < 30
        process.terminate()
        verdicts = read_until(good, b"uplink off\n")
        _, err = process.communicate(timeout=60)
    assert (
        process.returncode == 0 and b"Traceback" not in err and verdicts.endswith(b"uplink off\n")
    )
    assert b"\x1b" not in err and b"\0" not in err
    facts = json.loads(sorted(tmp_path.glob("[0-9]*.json"))[-1].read_text())
    assert facts["device"] == os.ttyname(good_end) and facts["ended"] == "stopped"
    for file in (bad, bad_end, good, good_end):
        os.close(file)


def flood(port: int, make: Make, rng: random.Random, times: int = 40) -> None:
    """Write to a port, of what is made, what it takes; never read."""
    for _ in range(times):
        try:
            os.write(port, make(rng))
        except BlockingIOError:
            time.sleep(0.001)


def await_files(folder: Path, count: int) -> None:
    """Utterances of the honest device."""
    end = time.monotonic() + 60
    while True:
        found = [path for path in folder.glob("[0-9]*.json") if path.stat().st_size]
        if sum(json.loads(path.read_text())["samples"] == len(SOUND) for path in found) >= count:
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_device_that_is_plugged_in_again(tmp_path: Path) -> None:
    port = tmp_path / "port"

    def plug() -> tuple[int, int]:
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        port.unlink(missing_ok=True)
        port.symlink_to(os.ttyname(theirs))
        return ours, theirs

    ends = plug()
    out = tmp_path / "out"
    call = [
        sys.executable,
        "-m",
        "wakestate",
        "gateway",
        "run",
        "--from",
        str(port),
        "--out",
        str(out),
    ]
    with running([*call, "--follow", "9"]) as process:
        assert process.stderr is not None
        read_until(ends[0], b"uplink on\n")
        os.write(ends[0], b"".join(message()[:9]) + b'{"type":"here"}\n')
        assert b"here" in process.stderr.readline()
        for end in ends:
            os.close(end)
        port.unlink()
        printed = process.stderr.readline() + process.stderr.readline()
        assert b"lost: " in printed and b" s, lost" in printed  # the device; its utterance
        ends = plug()
        read_until(ends[0], b"uplink on\n")
        os.write(ends[0], b"".join(message()))
        while b", stopped" not in (line := process.stderr.readline()):
            assert line
        process.terminate()
        assert process.wait(60) == 0
    assert len(list(out.glob("[0-9]*.wav"))) == 2
    for end in ends:
        os.close(end)
