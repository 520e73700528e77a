"""Small inputs that each target begins with, made here: one function for each target in C."""

from __future__ import annotations

import struct

import verify.frames as frames


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
