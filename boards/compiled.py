# SPDX-License-Identifier: Apache-2.0
"""Inputs for firmware/test/compiled.c: a compiled model on any board, run after run."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakestate.boards.run import capture
from wakestate.boards.schema import Board, BoardError
from wakestate.boards.vectors import Results, read_results

Run = Sequence[npt.NDArray[np.integer]]


def run_compiled(
    board: Board, program: Path, sequences: Sequence[Sequence[Run]], *, timeout_s: float = 600.0
) -> Results:
    """Each sequence starts with a reset; a run is one array of bytes for each of the inputs.

    One result a run: "out" holds the outputs' bytes as int8, each output filled up to a multiple
    of 4; and each step's result by its name.
    """
    data = bytearray(b"WSC1")
    for sequence in sequences:
        data += struct.pack("<I", len(sequence))
        for run in sequence:
            for values in run:
                data += values.tobytes() + bytes(-values.nbytes % 4)
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.bin", Path(folder) / "out.bin"
        given.write_bytes(data)
        done = capture(board, program, [str(given), str(found)], timeout_s=timeout_s)
        if done.returncode != 0 or done.stderr:
            raise BoardError(
                f"{board.name}: status {done.returncode}: {done.stderr.decode(errors='replace')}"
            )
        return read_results(found)
