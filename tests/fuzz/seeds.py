# SPDX-License-Identifier: Apache-2.0
"""Small inputs that each target begins with, made here: one function for each target in C."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import wakestate.verify.protocol.frames as frames


def _chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def _wav(fmt: bytes, data: bytes, *, size: int | None = None, extra: bytes = b"") -> bytes:
    chunks = _chunk(b"fmt ", fmt) + extra + _chunk(b"data", data, size)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def wav() -> list[bytes]:
    """Whole, cut, empty and foreign WAV files; each read in several ways."""
    pcm16 = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
    pcm24 = struct.pack("<HHIIHH", 1, 2, 48000, 288000, 6, 24)
    extensible = struct.pack("<HHIIHHHHIH14x", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4, 1)
    sound = struct.pack("<160h", *range(-80, 80))
    files = [
        _wav(pcm16, sound),
        _wav(extensible, sound),
        _wav(pcm24, sound),
        _wav(pcm16, sound, extra=_chunk(b"LIST", b"INFOx\0")),
        _wav(pcm16, sound, size=0),
        _wav(pcm16, sound, size=0x7FFFF000),
        _wav(pcm16, sound, size=0xFFFFFFFF),
        _wav(pcm16, b"", size=0),
        sound,
        b"",
    ]
    ways = (b"\x40\0", b"\x47\7", b"\x17\0")  # a file; stdin by short reads, or whole; may be raw
    return [way + file for file in files for way in ways]


def frame() -> list[bytes]:
    """Payloads of every kind of block, and streams of frames between lines."""
    head = bytes([frames.Kind.AUDIO]) + struct.pack("<I", 7)
    stream = frames.encode(frames.Frame(2, 7, b"\3\0\0\xff")) + b'{"type":"wake"}\n'
    payloads = [b"", b"\0", b"\0" * 9, bytes(range(256)), b"\1" * 254, b"\1" * 400, stream * 2]
    return [head + payload for payload in payloads]


def command() -> list[bytes]:
    """Every command, good, cut and damaged; between hops, quiet and loud, with wakes."""
    quiet, loud, pins = b"\xfc", b"\xfd", b"\xfe"
    lines = [
        b"state player=music,volume=high\n",
        b"state volume=high\r\n",
        b"state \n",
        b"stats\n",
        b"uplink on\n",
        b"uplink off\n",
        b"stop\n",
        b"stop 3\n",
        b"late 30\n",
        b"late 9999999999\n",
        b'state player=\xff"\\\x01\n',
        b"x" * 200 + b"\n",
        b"stats\0\n",
    ]
    commands_ = quiet * 3 + (quiet * 2).join(lines)
    sound = b"uplink on\n" + quiet * 30 + loud * 20 + quiet * 10 + b"stop 1\n" + b"\xf0" * 9
    return [
        *lines,
        commands_,
        sound,
        sound.replace(quiet, b"\xf4"),
        commands_.replace(quiet, pins) + sound,
    ]


def _operations(*operations: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<BH", *operation) for operation in operations)


def uplink() -> list[bytes]:
    """Wakes that are sent whole, too slowly, stopped, and one after another."""
    process, wake, switch, stop, missed, finish, device, pump = range(8)
    whole = [(process, 20000), (wake, 0x4010), *[(device, 400)] * 30]
    slow = [(process, 60000), (wake, 0x0108), *[(device, 9)] * 20, (process, 40000), (pump, 65535)]
    stopped = [*whole, (stop, 1), (finish, 100), (pump, 4000), (switch, 0), (switch, 1)]
    return [
        _operations(*each)
        for each in (whole, slow, stopped, [*slow, (missed, 0xFFFF), *whole], [(missed, 47), *slow])
    ]


def engine() -> list[bytes]:
    """Silence, waves and noise in pieces, and states that are there and are not."""
    quiet = [(0, 800)] * 6
    loud = [(2, 3200), (4, 1), (12, 1600), (0x42, 159), (0x82, 161)]
    states = [(1, 3), (2, 480), (1, 7), (1, 99), (0, 480), (1, 0xFFFF)]
    again = [*loud, (3, 0x020F), *quiet, (3, 0x630F), *states, (3, 0x000F), *loud]
    cases = (quiet, loud, states, again, [*loud, *states])
    return [bytes([1]) + _operations(*each) for each in cases]


def loader() -> list[bytes]:
    """The smallest of the models that tests/fuzz/mutants.py takes."""
    from tests.fuzz.mutants import own_models

    with tempfile.TemporaryDirectory() as folder:
        made = [path.read_bytes() for path in own_models(Path(folder))]
    return [data for data in made if len(data) < 5000]
