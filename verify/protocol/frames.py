# SPDX-License-Identifier: Apache-2.0
"""The serial protocol of a device, docs/protocol.md: frames, and the messages in them.

The only place in Python that knows the bytes; tests and gateway share it. firmware/uplink/ is its
other side, written on its own.
"""

from __future__ import annotations

import enum
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import RATE
from wakestate.files import shown

VERSION = 1
PREROLL = 8000  # samples before the word
LONGEST = 60 * RATE  # samples of a message; an index beyond is not believed
WORD_MAX, STATE_MAX = 80, 200  # characters
PAYLOAD_MAX = 326  # bytes
_HEAD = struct.Struct("<xBI")  # a zero, type, number
_CRC = struct.Struct("<I")
_CONTENTS_MAX = _HEAD.size + PAYLOAD_MAX + _CRC.size
#: Bytes of the longest frame on the line, with the zeros at both ends.
FRAME_MAX = 1 + (_CONTENTS_MAX - 1) + (_CONTENTS_MAX + 252) // 254 + 2
_LINE_MAX = 4096
_FULL = 254  # bytes of a full COBS block
_CERTAIN = 32768  # a probability of 1
_WORD = re.compile(r"[a-z][a-z0-9_]*")


class FrameError(Exception):
    """A frame is whole, but what it holds is no message; the text is the reason."""


class Kind(enum.IntEnum):
    """Types of frames."""

    START = 1
    AUDIO = 2
    END = 3


class Reason(enum.IntEnum):
    """Why a message ended."""

    STOPPED = 0
    LONGEST = 1
    NEXT_WAKE = 2
    INPUT_ENDED = 3


@dataclass(frozen=True)
class Frame:
    """One frame: `kind` 0 .. 255 (see Kind), `number` 0 .. 2^32 - 1, at most PAYLOAD_MAX bytes."""

    kind: int
    number: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """The frame as it goes on the line, with the zeros at both ends."""
    if len(frame.payload) > PAYLOAD_MAX:
        raise ValueError(f"{len(frame.payload)} bytes of payload; allowed: {PAYLOAD_MAX}")
    body = _HEAD.pack(frame.kind, frame.number) + frame.payload
    return b"\0" + _cobs(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def decode(chunk: bytes) -> Frame | None:
    """What stood between two zeros, if it is a whole frame."""
    contents = _uncobs(chunk)
    if contents is None or not _HEAD.size + _CRC.size <= len(contents) <= _CONTENTS_MAX:
        return None
    body, crc = contents[: -_CRC.size], contents[-_CRC.size :]
    if _CRC.unpack(crc)[0] != zlib.crc32(body) or body[0] != 0:
        return None
    kind, number = _HEAD.unpack_from(body)
    return Frame(kind, number, body[_HEAD.size :])


def _cobs(data: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing (Cheshire and Baker, SIGCOMM 1997)."""
    out = bytearray()
    runs = data.split(b"\0")
    for index, run in enumerate(runs):
        full, rest = divmod(len(run), _FULL)
        for block in range(full):
            out.append(_FULL + 1)
            out += run[block * _FULL : (block + 1) * _FULL]
        if rest or index < len(runs) - 1 or not full:  # no empty block behind a full one
            out.append(rest + 1)
            out += run[full * _FULL :]
    return bytes(out)


def _uncobs(data: bytes) -> bytes | None:
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if code == 0 or at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code <= _FULL and at < len(data):
            out.append(0)
    return bytes(out)


class Reader:
    """Takes a stream in any pieces; gives its frames, and the lines of text between them.

    A frame that came whole is always given, whatever came before it. `damaged` counts what began
    as a frame and was none; `lost` the numbers that are missing between two frames; `restarts` how
    often the numbers began again.
    """

    def __init__(self) -> None:
        self.damaged = self.lost = self.restarts = 0
        self._buffer = bytearray()
        self._text = True  # else behind a zero: a frame, another zero, or text
        self._number: int | None = None

    def clear(self) -> None:
        """The line was cut: what has begun will not continue."""
        self._buffer.clear()
        self._text = True

    def feed(self, data: bytes) -> Iterator[Frame | str]:
        """Frames and lines (without their ends) that are complete with `data`."""
        self._buffer += data
        while self._buffer:
            if self._text or self._buffer[0] > 1:
                self._text = True
                item: Frame | str | None = self._take_line()
            elif self._buffer[0] == 0:
                del self._buffer[0]
                continue
            else:
                item = self._take_frame()
            if item is None:
                return
            if item != "":
                yield item

    def _take_line(self) -> str | None:
        """The next line; "" for what is none; None where it is not whole yet."""
        line_end, zero = self._buffer.find(b"\n"), self._buffer.find(b"\0")
        if line_end < 0 and zero < 0:
            if len(self._buffer) > _LINE_MAX:
                self._buffer.clear()
            return None
        cut = line_end < 0 or 0 <= zero < line_end  # by a frame
        end = zero if cut else line_end
        line = bytes(self._buffer[: min(end, _LINE_MAX + 1)])
        del self._buffer[: end + 1]
        self._text = not cut
        if len(line) > _LINE_MAX:
            return ""
        try:
            text = line.decode().rstrip("\r")
        except UnicodeDecodeError:
            return ""
        return text if text.isprintable() and not cut else ""

    def _take_frame(self) -> Frame | str | None:
        end = self._buffer.find(b"\0")
        if end < 0:
            if len(self._buffer) <= FRAME_MAX:
                return None
            self.damaged += 1
            self._text = True  # its end was lost, and text may follow
            return ""
        frame = decode(bytes(self._buffer[:end]))
        del self._buffer[: end + 1]
        if frame is None:
            self.damaged += 1
            return ""
        if self._number is not None:
            gap = (frame.number - self._number - 1) % 2**32
            if gap < 2**31:
                self.lost += gap
            else:
                self.restarts += 1
        self._number = frame.number
        return frame


@dataclass(frozen=True)
class Start:
    """A wake: what follows is its sound. Indices count samples from the first one sent.

    `wake_sample` counts from when the device began to listen, with those it missed: its time in
    the device's event "wake". `missed` are all that it missed until then. `probability`: 0 .. 1.
    """

    utterance: int
    state_index: int
    sample_rate: int
    start_index: int
    end_index: int
    wake_index: int
    wake_sample: int
    missed: int
    probability: float
    word: str
    state: str

    _FIELDS: ClassVar = struct.Struct("<HBBIIIIQIH")

    def payload(self) -> bytes:
        word, state = self.word.encode(), self.state.encode()
        head = self._FIELDS.pack(
            self.utterance,
            VERSION,
            self.state_index,
            self.sample_rate,
            self.start_index,
            self.end_index,
            self.wake_index,
            self.wake_sample,
            self.missed,
            round(self.probability * _CERTAIN),
        )
        return head + bytes([len(word)]) + word + bytes([len(state)]) + state

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        utterance, version, *numbers = _unpack(cls._FIELDS, payload, "START")
        if version != VERSION:
            raise FrameError(
                f"START: version {version} of the protocol; this program reads {VERSION}"
            )
        rest = payload[cls._FIELDS.size :]
        strings = []
        for name in ("word", "state"):
            if not rest or len(rest) < 1 + rest[0]:
                raise FrameError(f"START: ends within the name of the {name}")
            try:
                strings.append(rest[1 : 1 + rest[0]].decode())
            except UnicodeDecodeError:
                raise FrameError(f"START: the name of the {name} is no UTF-8") from None
            rest = rest[1 + rest[0] :]
        if rest:
            raise FrameError(f"START: {len(rest)} bytes behind the state's name; allowed: none")
        state_index, rate, start, end, wake, wake_sample, missed, probability = numbers
        for field, given, right, allowed in (
            ("utterance", utterance, utterance >= 1, "1 to 65535"),
            ("sample rate", rate, rate == RATE, f"{RATE}"),
            ("startIndexInSamples", start, start <= PREROLL, f"0 to {PREROLL}"),
            ("endIndexInSamples", end, start < end <= LONGEST, f"{start + 1} to {LONGEST}"),
            ("wake", wake, end <= wake <= LONGEST, f"{end}, the end, to {LONGEST}"),
            ("wake since listening began", wake_sample, wake <= wake_sample, f"{wake} or more"),
            ("probability", probability, probability <= _CERTAIN, f"0 to {_CERTAIN}"),
        ):
            if not right:
                raise FrameError(f"START: {field}: given {given}; allowed: {allowed}")
        _check_names(*strings)
        return cls(
            utterance,
            state_index,
            rate,
            start,
            end,
            wake,
            wake_sample,
            missed,
            probability / _CERTAIN,
            word=strings[0],
            state=strings[1],
        )


def _check_names(word: str, state: str) -> None:
    if not _WORD.fullmatch(word) or len(word) > WORD_MAX:
        raise FrameError(
            f"START: word: given {shown(word)}; allowed: small letters, digits and '_', a letter "
            f"first, up to {WORD_MAX}"
        )
    if not state.isprintable() or len(state) > STATE_MAX:
        raise FrameError(
            f"START: state: given {shown(state)}; allowed: printable, up to {STATE_MAX} characters"
        )


@dataclass(frozen=True)
class Audio:
    """int16 samples of utterance `utterance`, from `index` on."""

    utterance: int
    index: int
    pcm: NDArray[np.int16]

    _FIELDS: ClassVar = struct.Struct("<HI")

    def payload(self) -> bytes:
        return self._FIELDS.pack(self.utterance, self.index) + self.pcm.astype("<i2").tobytes()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        utterance, index = _unpack(cls._FIELDS, payload, "AUDIO")
        data = payload[cls._FIELDS.size :]
        if len(data) % 2:
            raise FrameError("AUDIO: ends within a sample")
        return cls(utterance, index, np.frombuffer(data, "<i2").astype(np.int16))


@dataclass(frozen=True)
class End:
    """Utterance `utterance` is over: `samples` in all, of which `unsent` were not sent in time."""

    utterance: int
    reason: int  # see Reason
    samples: int
    unsent: int
    missed: int

    _FIELDS: ClassVar = struct.Struct("<HBIII")

    def payload(self) -> bytes:
        return self._FIELDS.pack(
            self.utterance, self.reason, self.samples, self.unsent, self.missed
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(*_unpack(cls._FIELDS, payload, "END"))


Message = Start | Audio | End
_MESSAGES: dict[int, type[Start] | type[Audio] | type[End]] = {
    Kind.START: Start,
    Kind.AUDIO: Audio,
    Kind.END: End,
}


def parse(frame: Frame) -> Message | None:
    """The message in a frame; None for a type that this program does not know. FrameError."""
    message = _MESSAGES.get(frame.kind)
    return None if message is None else message.parse(frame.payload)


def _unpack(fields: struct.Struct, payload: bytes, name: str) -> tuple[int, ...]:
    if len(payload) < fields.size:
        raise FrameError(f"{name}: {len(payload)} bytes; at least {fields.size} are needed")
    return fields.unpack_from(payload)
