# SPDX-License-Identifier: Apache-2.0
"""Frames through a bad line: none that is wrong may be accepted, none that came whole refused.

Damage: bits flipped, bytes lost, pieces cut out (over several frames, too), pieces overwritten and
noise put in. A frame is touched when any byte of it, its zeros at both ends too, is not as it was
sent, or when something was put in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakestate.verify.gateway import native
from wakestate.verify.protocol.frames import PAYLOAD_MAX, Frame, Reader, encode

BATCH = 2000  # frames that are sent as one stream
TOUCHES = 0.3  # damages for each frame
Bytes = NDArray[np.uint8]
Progress = Callable[[int], None]


@dataclass
class Counts:
    """What was sent and what came of it; all but bytes in frames."""

    sent: int = 0
    sent_bytes: int = 0
    touched: int = 0
    accepted: int = 0
    accepted_touched: int = 0  # right, though something happened to a zero at an end
    refused: int = 0  # began as a frame and was none
    wrong: int = 0  # accepted, and not as sent
    whole_not_accepted: int = 0  # a resynchronization that took longer than a frame

    @property
    def good(self) -> bool:
        return self.wrong == self.whole_not_accepted == 0


class _CCodec:
    def __init__(self) -> None:
        self._c = native.library()

    def write(self, heads: NDArray[np.void], payloads: Bytes) -> tuple[Bytes, native.Ends]:
        return native.write(self._c, heads, payloads)

    def read(self, stream: Bytes) -> tuple[NDArray[np.void], Bytes, int]:
        return native.read(self._c, stream)


class _PythonCodec:
    def write(self, heads: NDArray[np.void], payloads: Bytes) -> tuple[Bytes, native.Ends]:
        ends_ = np.cumsum(heads["count"])
        parts = [
            encode(Frame(int(h["type"]), int(h["number"]), payloads[e - h["count"] : e].tobytes()))
            for h, e in zip(heads, ends_, strict=True)
        ]
        ends = np.cumsum([len(part) for part in parts]).astype(np.uint32)
        return np.frombuffer(b"".join(parts), np.uint8), ends

    def read(self, stream: Bytes) -> tuple[NDArray[np.void], Bytes, int]:
        reader = Reader()
        data = stream.tobytes()
        found = []
        for at in range(0, len(data), 997):  # in pieces, as from a port
            found += [f for f in reader.feed(data[at : at + 997]) if isinstance(f, Frame)]
        heads = np.zeros(len(found), native.HEAD)
        for head, frame in zip(heads, found, strict=True):
            head["number"], head["type"] = frame.number, frame.kind
            head["count"] = len(frame.payload)
        payloads = np.frombuffer(b"".join(f.payload for f in found), np.uint8)
        return heads, payloads, reader.damaged


def fuzz(frames: int, seed: int, codec: str, progress: Progress = lambda done: None) -> Counts:
    """`frames` frames through codec "c" or "python". Same seed, same frames and damage."""
    rng = np.random.default_rng(seed)
    made = _CCodec() if codec == "c" else _PythonCodec()
    counts = Counts()
    while counts.sent < frames:
        heads, payloads = _frames(rng, counts.sent, min(BATCH, frames - counts.sent))
        stream, ends = made.write(heads, payloads)
        damaged, touched = _damage(rng, stream, ends)
        # The line is silent for a moment, which a zero ends: the next batch is a stream of its own.
        found, found_payloads, refused = made.read(np.append(damaged, np.uint8(0)))
        _check(counts, heads, payloads, touched, found, found_payloads)
        counts.sent += len(heads)
        counts.sent_bytes += len(stream)
        counts.refused += refused
        progress(counts.sent)
    return counts


def _frames(rng: np.random.Generator, first: int, count: int) -> tuple[NDArray[np.void], Bytes]:
    """Frames of all lengths; payloads that are random, nearly all zeros, or without a zero."""
    heads = np.zeros(count, native.HEAD)
    heads["number"] = first + np.arange(count)
    heads["type"] = rng.integers(0, 256, count)
    lengths = rng.integers(0, PAYLOAD_MAX + 1, count)
    heads["count"] = np.where(rng.random(count) < 0.3, PAYLOAD_MAX, lengths)
    kind = np.repeat(rng.integers(0, 3, count), heads["count"])
    payloads = rng.integers(0, 256, len(kind), np.uint8)
    payloads[(kind == 1) & (rng.random(len(kind)) < 0.9)] = 0
    payloads[kind == 2] |= 1
    return heads, payloads


def _damage(
    rng: np.random.Generator, stream: Bytes, ends: NDArray[np.integer]
) -> tuple[Bytes, NDArray[np.bool_]]:
    """The stream as it arrives, and which frames were touched."""
    data = stream.copy()
    touched = np.zeros(len(data) + 1, np.bool_)
    retained = np.ones(len(data), np.bool_)
    put_at: list[int] = []
    put: list[Bytes] = []
    starts = np.append(0, ends[:-1])
    inside = np.zeros(len(ends), np.bool_)
    for _ in range(int(rng.poisson(TOUCHES * len(ends)))):
        at = int(rng.integers(len(data)))
        kind = rng.integers(5)
        if kind == 0:  # a few bits, near each other
            for bit in rng.integers(0, 64, int(rng.integers(1, 5))):
                place = min(at + int(bit) // 8, len(data) - 1)
                data[place] ^= 1 << int(bit) % 8
                touched[place] = True
        elif kind == 4:  # noise, zeros in it too
            noise = rng.integers(0, 256, int(rng.integers(1, 400)), np.uint8)
            put_at.append(at)
            put.append(noise)
            frame = int(np.searchsorted(ends, at, "right"))
            inside[frame] |= at > starts[frame]
        else:
            end = at + int(rng.integers(1, (4, 700, 200)[kind - 1]))
            touched[at:end] = True
            if kind == 3:  # overwritten
                part = data[at:end]
                part[:] = rng.integers(0, 256, len(part), np.uint8)
            else:  # bytes lost, a piece cut out
                retained[at:end] = False
    sums = np.add.reduceat(touched, starts.astype(np.intp)) > 0
    pieces = []
    last = 0
    for index in np.argsort(put_at, kind="stable"):
        at = put_at[index]
        pieces += [data[last:at][retained[last:at]], put[index]]
        last = at
    pieces.append(data[last:][retained[last:]])
    return np.concatenate(pieces), sums | inside


def _check(
    counts: Counts,
    heads: NDArray[np.void],
    payloads: Bytes,
    touched: NDArray[np.bool_],
    found: NDArray[np.void],
    found_payloads: Bytes,
) -> None:
    sent_ends, found_ends = np.cumsum(heads["count"]), np.cumsum(found["count"])
    accepted = np.zeros(len(heads), np.bool_)
    last = -1
    for head, end in zip(found, found_ends, strict=True):
        index = int(head["number"]) - int(heads["number"][0])
        payload = found_payloads[end - head["count"] : end]
        right = (
            last < index < len(heads)  # in the order sent, none twice
            and head["type"] == heads["type"][index]
            and head["count"] == heads["count"][index]
            and np.array_equal(
                payload, payloads[sent_ends[index] - head["count"] : sent_ends[index]]
            )
        )
        if not right:
            counts.wrong += 1
            continue
        last = index
        accepted[index] = True
    counts.touched += int(touched.sum())
    counts.accepted += int(accepted.sum())
    counts.accepted_touched += int((accepted & touched).sum())
    counts.whole_not_accepted += int((~accepted & ~touched).sum())
