# SPDX-License-Identifier: Apache-2.0
"""Files of packages that hold many clips: each as (name, bytes of a file that FFmpeg reads)."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Clips = Iterator[tuple[str, bytes]]
OLD_RATE = 11025  # Hz of the 8-bit sound of games of the 1990s
SPEECH = range(50000, 56000)  # file numbers of the spoken lines in sky.dsk
HEADER = 22  # bytes before the compressed data of a file in sky.dsk
RNC_HEADER, LONGEST_CODE = 18, 16  # bytes; bits


def queen(path: Path) -> Clips:
    """The MP3 clips in a queen.1c: header QTBL, then entries of name, bundle, offset, size."""
    archive = path.read_bytes()
    (count,) = struct.unpack_from(">H", archive, 13)
    for i in range(count):
        name, _, offset, size = struct.unpack_from(">12sBII", archive, 15 + 21 * i)
        stem, _, kind = name.rstrip(b"\0").decode("ascii").partition(".")
        if kind == "SB":
            yield f"{stem}.mp3", archive[offset : offset + size]


def sky(path: Path) -> Clips:
    """The spoken lines in a sky.dsk, in the order of their numbers.

    sky.dnr next to it is the index: a count, then entries of number (16 bits), offset (23 bits, and
    one that says that it counts blocks of 16 bytes) and size (22 bits, and two flags).
    """
    index, disk = path.with_suffix(".dnr").read_bytes(), path.read_bytes()
    (count,) = struct.unpack_from("<I", index)
    places = {}
    for at in range(4, 4 + 8 * count, 8):
        number = int.from_bytes(index[at : at + 2], "little")
        offset = int.from_bytes(index[at + 2 : at + 5], "little")
        size = int.from_bytes(index[at + 5 : at + 8], "little") & 0x3FFFFF
        in_blocks, offset = offset >> 23, offset & 0x7FFFFF
        places[number] = (offset * 16 if in_blocks else offset, size)
    for number in sorted(places.keys() & set(SPEECH)):
        offset, size = places[number]
        packed = disk[offset + HEADER : offset + size]
        if packed.startswith(b"RNC\x01"):
            yield f"{number}.wav", as_wav(unpack_rnc(packed))


def raw8(path: Path) -> Clips:
    """One file of unsigned 8-bit samples without a header."""
    yield f"{path.stem}.wav", as_wav(path.read_bytes())


def zipped(path: Path) -> Clips:
    """The files of a ZIP archive under any name (.wz, .pk3), in the order of their names."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                yield name, archive.read(name)


#: By the name that recorded.toml gives: what reads one file of a package.
READERS: dict[str, Callable[[Path], Clips]] = {
    "queen": queen,
    "raw8": raw8,
    "sky": sky,
    "zip": zipped,
}


def as_wav(samples: bytes) -> bytes:
    """Unsigned 8-bit samples at OLD_RATE as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(OLD_RATE)
        file.writeframes(samples)
    return out.getvalue()


def unpack_rnc(packed: bytes) -> bytes:
    """RNC ProPack, method 1: LZ77 whose lengths and distances are Huffman coded.

    Header (big endian): "RNC", 1, unpacked size, packed size, two CRCs, leeway, count of blocks.
    Bits come from 16-bit words (little endian), lowest first; literal bytes are between the words.
    A block has three code tables (literals, distances, lengths), then a count of pairs of
    (literals, copy), of which the last has no copy. Raises ValueError for damaged data.
    """
    if len(packed) < RNC_HEADER:
        raise ValueError("RNC: cut off")
    (size,) = struct.unpack_from(">I", packed, 4)
    bits = _Bits(packed, RNC_HEADER)
    bits.take(2)
    out = bytearray()
    for _ in range(packed[RNC_HEADER - 1]):
        literals, distances, lengths = bits.table(), bits.table(), bits.table()
        for left in reversed(range(bits.take(16))):
            out += bits.literal(bits.value(literals))
            if left:
                back, count = bits.value(distances) + 1, bits.value(lengths) + 2
                if back > len(out) or len(out) + count > size:
                    raise ValueError("RNC: damaged")
                while count:  # a copy may repeat what it has just written
                    part = out[-back:][:count] if back >= count else out[-back:]
                    out += part
                    count -= len(part)
    if len(out) != size:
        raise ValueError("RNC: damaged")
    return bytes(out)


Table = dict[tuple[int, int], int]  # (bits, code as it comes, lowest bit first) -> symbol


class _Bits:
    """A stream of bits with literal bytes in between."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.buffer = self.have = 0

    def take(self, count: int) -> int:
        """The next bits as a number, the first the lowest."""
        while self.have < count:
            if self.at >= len(self.data):
                raise ValueError("RNC: cut off")
            word = int.from_bytes(self.data[self.at : self.at + 2], "little")
            self.buffer |= word << self.have
            self.at += 2
            self.have += 16
        value = self.buffer & ((1 << count) - 1)
        self.buffer >>= count
        self.have -= count
        return value

    def literal(self, count: int) -> bytes:
        """Bytes that are in the stream uncompressed."""
        self.at += count
        return self.data[self.at - count : self.at]

    def table(self) -> Table:
        """The code of each symbol: canonical, from the lengths that come first."""
        lengths = [self.take(4) for _ in range(self.take(5))]
        code, found = 0, {}
        for length in range(1, LONGEST_CODE + 1):
            code <<= 1
            for symbol, own in enumerate(lengths):
                if own == length:
                    found[length, int(f"{code:0{length}b}"[::-1], 2)] = symbol
                    code += 1
        return found

    def value(self, table: Table) -> int:
        """A number: a symbol gives its highest bit, more bits follow."""
        code = 0
        for length in range(1, LONGEST_CODE + 1):
            code |= self.take(1) << (length - 1)
            symbol = table.get((length, code))
            if symbol is not None:
                return symbol if symbol < 2 else 1 << (symbol - 1) | self.take(symbol - 1)
        raise ValueError("RNC: damaged")
