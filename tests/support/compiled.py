# SPDX-License-Identifier: Apache-2.0
"""Compiled models in tests: built by firmware/compile.mk as everybody's, and their references."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.firmware_build import ROOT
from wakestate.__main__ import main
from wakestate.boards import building
from wakestate.boards.compiled import run_compiled
from wakestate.boards.schema import load_board
from wakestate.boards.vectors import Results
from wakestate.convert.compile.emit import emit_for_make
from wakestate.convert.graph.tflite_graph import read_model

Bytes = NDArray[np.integer]  # int8 or uint8, int16 or int32 at some ends
Sequences = Sequence[Sequence[Sequence[Bytes]]]  # [sequence][run][input]
Outputs = list[list[Bytes]]  # [run][output]


@dataclass(frozen=True)
class Compiled:
    """A model built for a board."""

    board: str
    program: Path

    def run(self, sequences: Sequences) -> Results:
        """See boards/compiled.py."""
        return run_compiled(load_board(self.board), self.program, sequences)


#: A folder for each of pytest's processes: they build side by side.
FOLDER = Path("build/compiled-tests") / os.environ.get("PYTEST_XDIST_WORKER", "one")


def make(*arguments: str, lock: Path) -> None:
    """Run firmware/compile.mk."""
    done = building.build("firmware/compile.mk", *arguments, root=ROOT, lock=lock)
    assert done.returncode == 0, done.stdout + done.stderr


def refusal(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The line by which `wakestate model compile` refuses a file; it writes nothing."""
    out = path.with_name("out")
    assert main(["model", "compile", str(path), "--name", "m", "--out", str(out)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"{path}: ") and printed.count("\n") == 1 and not out.exists()
    return printed


@cache
def prepare(board: str) -> None:
    """The facts of a board, which all builds share."""
    make(f"build/boards/{board}/board.mk", f"BOARD={board}", "NAME=none", lock=building.LOCK)


@lru_cache
def build(
    path: Path, board: str, *, stream: bool = False, sanitize: bool = False, kernels: str = ""
) -> Compiled:
    """Build the runner of a .tflite file; with `kernels`, other ones than the board's."""
    prepare(board)
    folder = FOLDER / f"{board}{kernels}{'-sanitize' if sanitize else ''}"
    name = path.stem + ("_stream" if stream else "")
    out, generated = folder / name, ROOT / folder / name / "c"
    kind: Any = kernels or load_board(board).kernels
    emit_for_make(path, name, kind, generated, stream=stream)
    command = ["all", f"BOARD={board}", f"TFLITE={path}", f"NAME={name}"]
    command += [f"OUT={out}", f"GENERATED={out / 'c'}", f"FIXED_OUT={folder / 'obj'}"]
    command += ["STREAM=yes"] if stream else []
    # Quick to compile, and nothing is optimized away before it is checked; the boards have -O2.
    command += ["SANITIZE=1", "EXTRA_CFLAGS=-O0"] if sanitize else []
    command += [f"BOARD_KERNELS={kernels}"] if kernels else []
    make(*command, lock=FOLDER / ".lock")
    return Compiled(board, ROOT / out / ("compiled" if board == "host" else "compiled.elf"))


class TFLM:
    """TensorFlow Lite for Microcontrollers, the judge."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, sequences: Sequences) -> Outputs:
        """The outputs of every run, one after another; a new interpreter for each sequence."""
        from tflite_micro import runtime

        found = []
        count = len(read_model(self.path).graphs[0].outputs)
        for sequence in sequences:
            interpreter = runtime.Interpreter.from_file(str(self.path), arena_size=1 << 20)
            for run in sequence:
                for number, values in enumerate(run):
                    shape = interpreter.get_input_details(number)["shape"]
                    interpreter.set_input(values.reshape(shape), number)
                interpreter.invoke()
                found.append([interpreter.get_output(i).ravel().copy() for i in range(count)])
        return found


class LiteRT:
    """ai-edge-litert with the reference kernels, a second judge where it agrees with TFLM."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, sequences: Sequences) -> Outputs:
        """As TFLM's."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        found = []
        for sequence in sequences:
            interpreter: Any = Interpreter(
                str(self.path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
            )
            interpreter.allocate_tensors()
            given, made = interpreter.get_input_details(), interpreter.get_output_details()
            for run in sequence:
                for detail, values in zip(given, run, strict=True):
                    interpreter.set_tensor(detail["index"], values.reshape(detail["shape"]))
                interpreter.invoke()
                found.append([interpreter.get_tensor(d["index"]).ravel().copy() for d in made])
        return found


def check_equal(
    path: Path,
    sequences: Sequences,
    boards: Sequence[str],
    *,
    sanitize: bool = False,
    kernels: str = "",
) -> None:
    """Every board's outputs are TFLM's, byte for byte."""
    expected = TFLM(path).run(sequences)
    for board in boards:
        compiled = build(path, board, sanitize=sanitize, kernels=kernels)
        compare(expected, compiled.run(sequences), board)


def compare(expected: Outputs, given: Results, who: str) -> None:
    """AssertionError that names run, output, index and both values."""
    assert len(expected) == len(given)
    for number, (want, have) in enumerate(zip(expected, given, strict=True)):
        flat, at = have["out"].view(np.uint8), 0
        for output, values in enumerate(want):
            found = flat[at : at + values.nbytes].view(values.dtype)
            at += -(-values.nbytes // 4) * 4
            differ = np.flatnonzero(found != values)
            if len(differ):
                first = int(differ[0])
                raise AssertionError(
                    f"{who}: run {number}, output {output}, index {first}: expected "
                    f"{values[first]}, given {found[first]}; {len(differ)} of {values.size} differ"
                )


RUNS = 12


def random_inputs(path: Path, runs: int = RUNS, seed: int = 3) -> Sequences:
    """One sequence: every value once where there is room, then noise, then the ends."""
    rng = np.random.default_rng(seed)
    sequence = []
    for run in range(runs):
        given = []
        for tensor in read_model(path).graphs[0].inputs:
            x = rng.integers(-128, 128, tensor.size)
            if run == 0:
                x = np.resize(np.arange(-128, 128), tensor.size)
            elif run in (1, 2):
                x = np.full(tensor.size, -128 if run == 1 else 127)
            if tensor.dtype in ("INT16", "INT32"):
                lowest, highest = (
                    np.iinfo(tensor.dtype.lower()).min,
                    np.iinfo(tensor.dtype.lower()).max,
                )
                x = np.interp(x, (-128, 127), (lowest, highest)) + rng.integers(
                    -99, 99, tensor.size
                )
                given.append(np.clip(x, lowest, highest).astype(tensor.dtype.lower()))
                continue
            given.append(x.astype(np.int8).view("u1" if tensor.dtype == "UINT8" else "i1"))
        sequence.append(given)
    return [sequence]
