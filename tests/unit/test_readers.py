# SPDX-License-Identifier: Apache-2.0
"""Packages' files that hold many clips, or have no header."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra synth is not installed")

from wakestate.train.synthesis import recorded
from wakestate.train.synthesis.readers import HEADER, READERS, as_wav, unpack_rnc
from wakestate.train.synthesis.recorded import Source, decode

Pairs = list[tuple[bytes, tuple[int, int] | None]]


class Packer:
    """What unpack_rnc reads, written: every table gives all of 16 symbols a code of 4 bits."""

    def __init__(self) -> None:
        self.out, self.words, self.bits = bytearray(), list[int](), list[int]()

    def put(self, value: int, count: int) -> None:
        while len(self.words) * 16 < len(self.bits) + count:
            self.words.append(len(self.out))
            self.out += b"\0\0"
        self.bits += [value >> i & 1 for i in range(count)]

    def number(self, value: int) -> None:
        symbol = value.bit_length()
        self.put(int(f"{symbol:04b}"[::-1], 2), 4)
        if symbol > 1:
            self.put(value - (1 << (symbol - 1)), symbol - 1)

    def packed(self, pairs: Pairs) -> bytes:
        self.put(0, 2)
        for _ in range(3):
            self.put(16, 5)
            for _ in range(16):
                self.put(4, 4)
        self.put(len(pairs), 16)
        size = 0
        for literal, copy in pairs:
            self.number(len(literal))
            self.out += literal
            size += len(literal)
            if copy is not None:
                self.number(copy[0] - 1)
                self.number(copy[1] - 2)
                size += copy[1]
        for i, bit in enumerate(self.bits):
            self.out[self.words[i // 16] + i % 16 // 8] |= bit << i % 8
        head = b"RNC\x01" + struct.pack(">IIHHBB", size, len(self.out), 0, 0, 0, 1)
        return head + bytes(self.out)


def test_packed_bytes_come_out() -> None:
    long = bytes(range(256)) * 3
    packed = Packer().packed([(b"abc", (3, 7)), (b"", (1, 300)), (long, (700, 900)), (b"z", None)])
    want = b"abcabcabca" + b"a" * 300 + long
    for _ in range(900):
        want += want[-700:-699]
    assert unpack_rnc(packed) == want + b"z"


@pytest.mark.parametrize("cut", range(17, 130, 7))
def test_damaged_bytes_are_refused(cut: int) -> None:
    packed = Packer().packed([(bytes(range(99)), (60, 40)), (b"z", None)])
    assert len(unpack_rnc(packed)) == 140
    with pytest.raises(ValueError, match="RNC: "):
        unpack_rnc(packed[:cut])


def tone(hz: float) -> bytes:
    t = np.arange(11025) / 11025
    return np.rint(128 + 60 * np.sin(2 * np.pi * hz * t)).astype(np.uint8).tobytes()


def pitch(data: bytes) -> int:
    x = decode(data, ".wav")
    assert len(x) == pytest.approx(16000, abs=2)
    return int(np.argmax(np.abs(np.fft.rfft(x[:16000]))))


def test_spoken_lines_are_read_from_a_sky_file(tmp_path: Path) -> None:
    """By number; what is no speech, or not packed, is left."""
    disk, index = bytearray(), []
    for number, hz in ((50321, 440.0), (60000, 500.0), (50007, 300.0)):
        disk += b"\0" * (-len(disk) % 16)
        data = bytes(HEADER) + Packer().packed([(tone(hz), None)])
        index.append((number, len(disk) // 16 | 1 << 23, len(data)))
        disk += data
    index.append((50500, 0, 10))
    entries = b"".join(
        struct.pack("<H", n) + at.to_bytes(3, "little") + size.to_bytes(3, "little")
        for n, at, size in index
    )
    (tmp_path / "sky.dnr").write_bytes(struct.pack("<I", len(index)) + entries)
    (tmp_path / "sky.dsk").write_bytes(disk)
    found = dict(READERS["sky"](tmp_path / "sky.dsk"))
    assert {name: pitch(data) for name, data in found.items()} == {
        "50007.wav": 300,
        "50321.wav": 440,
    }


def test_samples_without_a_header_and_archives_are_read(tmp_path: Path) -> None:
    (tmp_path / "D12.ALS").write_bytes(tone(440))
    ((name, data),) = READERS["raw8"](tmp_path / "D12.ALS")
    assert (name, pitch(data)) == ("D12.wav", 440)
    with zipfile.ZipFile(tmp_path / "base.wz", "w") as archive:
        archive.writestr("audio/sfx/shot.wav", data)
        archive.writestr("audio/taunts/b.wav", data)
        archive.writestr("audio/taunts/b.png", b"picture")
        archive.writestr("audio/taunts/again.wav", data)
    source = Source("game", "speech", "CC0", files="*.wz", reader="zip", inside="audio/t*")
    assert [name for name, _ in recorded._files(tmp_path, source)] == ["audio/taunts/again.wav"]


def test_tags_in_old_encodings_do_not_matter() -> None:
    name = b"INAM" + struct.pack("<I", 4) + b"caf\xe9"
    tags = b"LIST" + struct.pack("<I", 4 + len(name)) + b"INFO" + name
    plain = as_wav(bytes(range(256)) * 40)
    tagged = plain[:12] + tags + plain[12:]
    tagged = tagged[:4] + struct.pack("<I", len(tagged) - 8) + tagged[8:]
    assert np.array_equal(decode(tagged, ".wav"), decode(plain, ".wav"))
