# SPDX-License-Identifier: Apache-2.0
"""WAV files of any kind, and sound of the scripted network."""

from __future__ import annotations

import struct

import numpy as np


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def fmt(rate: int = 16000, channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)


def extensible(tag: int, bits: int = 16) -> bytes:
    more = struct.pack("<HHIH", 22, bits, 4, tag)
    return fmt(bits=bits, tag=0xFFFE) + more + bytes(14)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pcm(*levels: tuple[float, int]) -> bytes:
    """(seconds, logit) pieces; the scripted network's logit is the newest sample's high byte."""
    parts = [np.full(round(s * 16000), level * 256 + 1, "<i2") for s, level in levels]
    return np.concatenate(parts).tobytes()


def wav(data: bytes) -> bytes:
    return riff(chunk(b"fmt ", fmt()), chunk(b"data", data))


QUIET, LOUD = -100, 60

SPEECH = pcm((1.0, QUIET), (0.5, LOUD), (1.0, QUIET), (0.3, 110), (1.2, QUIET))


def sized(size: int, data: bytes = SPEECH, after: bytes = b"") -> bytes:
    """A WAV whose header declares `size` bytes of data."""
    return riff(chunk(b"fmt ", fmt())) + b"data" + struct.pack("<I", size) + data + after


def wide(size: int, ds64: bool = True) -> bytes:
    """RF64, the data's size in the ds64 chunk."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0)) if ds64 else b""
    head = b"RF64\xff\xff\xff\xffWAVE" + sizes
    return head + chunk(b"fmt ", fmt()) + b"data\xff\xff\xff\xff" + SPEECH


LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0sox 1\0")
