# SPDX-License-Identifier: Apache-2.0
"""The bytes of docs/protocol.md: C and Python, whole and damaged."""

from __future__ import annotations

import re
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.firmware_build import ROOT
from wakestate.__main__ import main
from wakestate.verify.gateway import fuzz, native
from wakestate.verify.protocol import frames
from wakestate.verify.protocol.frames import (
    Audio,
    End,
    Frame,
    FrameError,
    Kind,
    Reader,
    Start,
    decode,
    encode,
    parse,
)

PAGE = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
START = Start(3, 5, 16000, 8000, 17000, 17600, 1 << 40, 320, 0.75, "alexa", "player=music,é=1")
LINE = '{"type":"wake","t":1.835,"p":1.0000,"state":"player=idle,volume=low"}'


def heads(*items: Frame) -> tuple[np.ndarray, np.ndarray]:
    made = np.zeros(len(items), native.HEAD)
    for head, item in zip(made, items, strict=True):
        head["number"], head["count"], head["type"] = item.number, len(item.payload), item.kind
    return made, np.frombuffer(b"".join(item.payload for item in items), np.uint8)


def test_the_pages_example() -> None:
    match = re.search(r"### An example.*?\n    ([0-9a-f ]+)\n.*?`([0-9a-f ]+)`", PAGE, re.DOTALL)
    assert match
    line, undone = (bytes.fromhex(text) for text in match.groups())
    audio = Audio(3, 160, np.array([0, 1, -1, 256], np.int16))
    frame = Frame(Kind.AUDIO, 7, audio.payload())
    assert encode(frame) == line and decode(line[1:-1]) == frame
    assert undone == b"\0\2" + (7).to_bytes(4, "little") + frame.payload + undone[-4:]
    assert int.from_bytes(undone[-4:], "little") == zlib.crc32(undone[:-4])
    assert zlib.crc32(b"123456789") == 0xCBF43926 and "0xCBF43926" in PAGE
    made, payloads = heads(frame)
    assert native.write(native.library(), made, payloads)[0].tobytes() == line


def test_c_and_python_write_and_read_the_same_bytes() -> None:
    """All lengths; zeros nowhere, at both ends, everywhere: around COBS's blocks of 254."""
    c = native.library()
    items = []
    for count in range(frames.PAYLOAD_MAX + 1):
        for payload in (
            bytes(count),
            b"\x01" * count,
            (b"\xff" * 253 + b"\0")[:count] + b"\x07" * max(count - 254, 0),
            (b"\0" + b"\x02" * 400)[:count],
        ):
            items.append(Frame(len(items) % 256, len(items) * 99991, payload))
    made, payloads = heads(*items)
    stream, ends = native.write(c, made, payloads)
    assert stream.tobytes() == b"".join(map(encode, items))
    assert ends[-1] == len(stream) and np.diff(ends).max() <= frames.FRAME_MAX
    found, found_payloads, damaged = native.read(c, stream)
    for field in ("number", "count", "type"):
        assert (found[field] == made[field]).all()
    assert (found_payloads == payloads).all() and damaged == 0
    assert list(Reader().feed(stream.tobytes())) == items
    assert max(len(encode(Frame(1, 0x01010101, b"\1" * n))) for n in (325, 326)) <= 340


AUDIO = Audio(65535, 1 << 31, np.array([-32768, 32767], np.int16))


@pytest.mark.parametrize("message", [START, AUDIO, End(1, 2, 3, 4, 5)])
def test_messages_come_back(message: Start | Audio | End) -> None:
    kind = Kind[type(message).__name__.upper()]
    found = parse(Frame(kind, 0, message.payload()))
    assert found is not None and found.payload() == message.payload()
    assert type(found) is type(message)
    for cut in range(len(message.payload())):
        if kind == Kind.AUDIO and cut >= 6 and cut % 2 == 0:
            continue  # fewer samples
        with pytest.raises(FrameError, match=f"^{kind.name}: "):
            parse(Frame(kind, 0, message.payload()[:cut]))


def test_what_this_program_does_not_know() -> None:
    assert parse(Frame(99, 0, b"later")) is None
    newer = bytearray(START.payload())
    newer[2] = 2
    with pytest.raises(FrameError, match="version 2 of the protocol; this program reads 1"):
        parse(Frame(Kind.START, 0, bytes(newer)))


def test_lines_and_frames_in_any_pieces() -> None:
    some = [Frame(1, number, bytes([number] * number)) for number in range(60)]
    items: list[Frame | str] = [LINE, *some[:3], LINE, LINE, *some[3:], "{}"]
    stream = b"".join(
        encode(item) if isinstance(item, Frame) else item.encode() + b"\r\n" for item in items
    )
    for size in (1, 2, 7, 1000, len(stream)):
        reader = Reader()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [item for piece in pieces for item in reader.feed(piece)] == items
        assert (reader.damaged, reader.lost, reader.restarts) == (0, 0, 0)


def test_a_frame_is_read_whatever_came_before_it() -> None:
    good = encode(Frame(2, 9, b"sound"))
    befores = [b"", b"\0" * 9, b"\1", good[:-1], good[1:-4], b"\0\1" * 5, b"{", b"\xff" * 5000]
    for before in befores:
        found = [item for item in Reader().feed(before + good) if isinstance(item, Frame)]
        assert found[-1] == Frame(2, 9, b"sound")


def test_text_comes_at_once_and_after_a_frame_whose_end_was_lost() -> None:
    """A device that crashes within a frame, and reports why."""
    reader = Reader()
    assert list(reader.feed(encode(Frame(1, 0, b"")) + LINE.encode() + b"\n"))[1:] == [LINE]
    assert list(reader.feed(encode(Frame(1, 1, bytes(300)))[:200])) == []
    tail = (LINE + "\n") * 10
    assert list(reader.feed(tail.encode()))[-1] == LINE and reader.damaged == 1


def test_what_is_missing_is_counted() -> None:
    reader = Reader()
    stream = b"".join(encode(Frame(1, number, b"")) for number in (5, 6, 9, 10, 0, 1))
    assert len(list(reader.feed(stream))) == 6
    assert (reader.lost, reader.restarts, reader.damaged) == (2, 1, 0)


@pytest.mark.parametrize(("codec", "count"), [("c", 20000), ("python", 1500)])
def test_a_bad_line(codec: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The million: wakestate gateway fuzz --frames 1000000; see docs/protocol.md."""
    assert main(["gateway", "fuzz", "--frames", str(count), "--seed", "2", "--codec", codec]) == 0
    text = capsys.readouterr().out
    assert re.search(r"WRONG accepted +0\n", text) and re.search(r"NOT accepted +0\n", text)
    refused = re.search(r"refused pieces +(\d+)", text)
    assert refused and int(refused[1]) > count / 8


def test_both_sides_read_the_same_damage_alike() -> None:
    assert fuzz.fuzz(700, 3, "c") == fuzz.fuzz(700, 3, "python")


def test_the_fuzz_finds_a_reader_that_does_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "zlib", SimpleNamespace(crc32=lambda data: 0))
    assert fuzz.fuzz(1000, 1, "python").wrong > 0


def test_the_fuzz_finds_a_reader_that_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that gives up the next frame, too, after damage."""
    whole = decode
    after = [False]

    def late(chunk: bytes) -> Frame | None:
        frame = None if after[0] else whole(chunk)
        after[0] = whole(chunk) is None
        return frame

    monkeypatch.setattr(frames, "decode", late)
    assert fuzz.fuzz(1000, 1, "python").whole_not_accepted > 0
