# SPDX-License-Identifier: Apache-2.0
"""Test vectors for firmware/test/vectors.c: the same inputs through any build of the firmware.

`Vectors` collects inputs and writes the file, `run_vectors` runs a build on it, and `differences`
names the stage, the index and both values where two results differ.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakestate.boards.run import capture
from wakestate.boards.schema import Board, BoardError

FRONTEND, NETWORK, STREAM = 1, 2, 3
_TYPES: dict[int, np.dtype[np.integer]] = {
    1: np.dtype("<i1"),
    2: np.dtype("<i2"),
    4: np.dtype("<i4"),
    8: np.dtype("<i8"),
}

#: What each stage gave, one array a record: all values of the stage in the order they came.
Results = list[dict[str, npt.NDArray[np.integer]]]


class Vectors:
    """Inputs for the firmware; `records` says what each is, for messages."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self._bytes = bytearray(b"WSV1")

    def frontend(self, windows: npt.NDArray[np.int16]) -> int:
        """int16[n, window] -> "features" and "features_q8", one after the other."""
        if windows.ndim != 2:
            raise ValueError("windows must be [n, window]")
        return self._add("front end", FRONTEND, 0, len(windows), windows.astype("<i2"))

    def network(self, state: int, columns: npt.NDArray[np.int8]) -> int:
        """int8[hops, bands] after a reset -> each layer's newest column, "returned": outputs."""
        if columns.ndim != 2:
            raise ValueError("columns must be [hops, bands]")
        return self._add("network", NETWORK, state, len(columns), columns.astype("<i1"))

    def stream(self, state: int, pcm: npt.NDArray[np.int16]) -> int:
        """int16[n] -> of all steps "stream_outputs" (three each), "stream_score", "stream_start"
        and "stream_end"; "stream_wake". The last three in samples."""
        return self._add("stream", STREAM, state, len(pcm), pcm.astype("<i2"))

    def _add(
        self, name: str, kind: int, state: int, count: int, values: npt.NDArray[np.integer]
    ) -> int:
        self._bytes += struct.pack("<III", kind, state, count) + values.tobytes()
        self.records.append(f"{name} (state {state})")
        return len(self.records) - 1

    def write(self, path: Path) -> None:
        path.write_bytes(self._bytes)


def read_results(path: Path) -> Results:
    """Read what firmware/test/vectors.c wrote."""
    data = path.read_bytes()
    chunks: dict[int, dict[str, list[npt.NDArray[np.integer]]]] = {}
    position = 0
    while position < len(data):
        record, name_bytes, item, count = struct.unpack_from("<IIII", data, position)
        position += 16
        name = data[position : position + name_bytes].decode()
        position += name_bytes
        values = np.frombuffer(data, _TYPES[item], count, position)
        position += item * count
        chunks.setdefault(record, {}).setdefault(name, []).append(values)
    return [
        {name: np.concatenate(parts) for name, parts in chunks.get(record, {}).items()}
        for record in range(max(chunks, default=-1) + 1)
    ]


def run_vectors(board: Board, program: Path, vectors: Vectors) -> Results:
    """Run `program`, a build of firmware/test/vectors.c for `board`."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.bin", Path(folder) / "out.bin"
        vectors.write(given)
        done = capture(board, program, [str(given), str(found)])
        if done.returncode != 0 or done.stderr:
            raise BoardError(
                f"{board.name}: status {done.returncode}: {done.stderr.decode(errors='replace')}"
            )
        return read_results(found)


def differences(
    expected: Sequence[Mapping[str, npt.NDArray[np.integer]]],
    given: Sequence[Mapping[str, npt.NDArray[np.integer]]],
    *,
    records: Sequence[str] | None = None,
    maximum: int = 10,
) -> list[str]:
    """One line a difference, up to `maximum`; only the stages of `expected` are compared."""
    lines = []
    if len(expected) != len(given):
        lines.append(f"{len(expected)} records were expected, {len(given)} given")
    for number, (want, have) in enumerate(zip(expected, given, strict=False)):
        where = f"record {number}" + (f", {records[number]}" if records else "")
        for stage, values in want.items():
            if stage not in have:
                lines.append(f"{where}: stage {stage}: not given")
                continue
            flat, other = np.ravel(values), np.ravel(have[stage])
            if flat.size != other.size:
                lines.append(f"{where}: stage {stage}: {flat.size} values expected, {other.size}")
                continue
            for index in np.flatnonzero(flat != other)[:maximum]:
                lines.append(
                    f"{where}: stage {stage}, index {index}: "
                    f"expected {flat[index]}, given {other[index]}"
                )
    return lines[:maximum]
