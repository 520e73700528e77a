# SPDX-License-Identifier: Apache-2.0
"""The kernels of every core on shapes of all kinds = their definition in NumPy, bit for bit."""

from __future__ import annotations

import functools
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.executors import CFLAGS, ROOT
from tests.support.firmware_build import SEMIHOSTED
from wakestate.boards.generate import generate
from wakestate.boards.run import capture
from wakestate.boards.schema import load_board
from wakestate.contract.kernels import Kernels, family
from wakestate.convert.compile.kernels import (
    depthwise_bias,
    depthwise_scratch,
    dot_bias,
    kernel_macros,
    needs_width,
    pack_depthwise,
    pack_dot,
    scratch_bytes,
    shift_row,
)
from wakestate.convert.compile.window import Window
from wakestate.convert.reference import requantize

BUILDS: list[tuple[Kernels, str]] = [
    ("plain", "host"),
    ("plain", "mps2-an385"),
    ("plain", "mps2-an521"),
    ("dsp", "host"),
    ("dsp", "mps2-an386"),
    ("dsp", "mps2-an500"),
    ("dsp-wide", "host"),
    ("dsp-wide", "mps2-an386"),
    ("mve", "mps3-an547"),
]
KINDS = {"dot": 0, "conv": 1, "depthwise": 2}


@dataclass(frozen=True)
class Case:
    """One kernel call."""

    kind: str
    size: tuple[int, int, int]  # input: height, width, channels
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = False


CASES = [
    *(
        Case("dot", (h, 1, c), n)
        for h, c, n in [
            (1, 1, 1),
            (1, 3, 5),
            (1, 320, 40),
            (2, 16, 4),
            (3, 17, 3),
            (5, 40, 12),
            (7, 64, 6),
            (2, 8, 2),
            (1, 1000, 4),
            (3, 1100, 7),
            (1, 24, 1),
            (4, 33, 9),
        ]
    ),
    Case("conv", (49, 10, 1), 64, (10, 4), (2, 2), same=True),
    Case("conv", (9, 8, 3), 5, (3, 3), same=True),
    Case("conv", (9, 8, 4), 6, (2, 5), (1, 2)),
    Case("conv", (12, 7, 2), 3, (3, 2), (1, 1), (2, 3)),
    Case("conv", (5, 4, 1), 8, (7, 7), same=True),
    Case("conv", (20, 1, 40), 16, (3, 1), (3, 1)),
    Case("conv", (6, 6, 16), 4, (3, 3), (2, 2), same=True),
    Case("conv", (6, 5, 64), 6, (3, 3), same=True),
    Case("depthwise", (25, 5, 64), 64, (3, 3), same=True),
    Case("depthwise", (9, 1, 56), 56, (9, 1)),
    Case("depthwise", (13, 1, 8), 8, (3, 1), dilation=(4, 1)),
    Case("depthwise", (6, 7, 5), 5, (3, 2), (2, 1), same=True),
    Case("depthwise", (6, 7, 3), 3, (2, 3), dilation=(2, 2)),
    Case("depthwise", (4, 9, 17), 17, (1, 5), (1, 3), same=True),
    Case("depthwise", (60, 1, 44), 44, (3, 1)),
    Case("depthwise", (3, 3, 1), 1, (5, 5), same=True),
    Case("depthwise", (1, 6, 12), 12, (1, 3), dilation=(1, 2), same=True),
]


def padding(case: Case) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, left), (output height, width)), as TensorFlow has it."""
    before, sizes = [], []
    for size, kernel, stride, dilation in zip(
        case.size, case.kernel, case.stride, case.dilation, strict=False
    ):
        span = (kernel - 1) * dilation + 1
        out = -(-size // stride) if case.same else (size - span) // stride + 1
        before.append(max((out - 1) * stride + span - size, 0) // 2 if case.same else 0)
        sizes.append(out)
    return (before[0], before[1]), (sizes[0], sizes[1])


def expected(
    case: Case,
    x: NDArray[np.int64],
    weights: NDArray[np.int8],
    rows: tuple[NDArray[np.int64], ...],
    spec: tuple[int, int, int],
    halves_up: bool,
) -> NDArray[np.int8]:
    """From the definition; x less its zero point; weights [outputs, kernel h, w, inputs],
    depthwise [kernel h, w, c]."""
    bias, multiplier, shift = rows
    zero_point, low, high = spec
    (top, left), (height, width) = padding(case)
    room = [(k - 1) * d + 1 for k, d in zip(case.kernel, case.dilation, strict=True)]
    padded = np.zeros((case.size[0] + 2 * room[0], case.size[1] + 2 * room[1], case.size[2]), int)
    padded[room[0] : room[0] + case.size[0], room[1] : room[1] + case.size[1]] = x
    out = np.zeros((height, width, case.outputs), np.int64)
    for i in range(height):
        for j in range(width):
            y0 = i * case.stride[0] - top + room[0]
            x0 = j * case.stride[1] - left + room[1]
            ys = y0 + np.arange(case.kernel[0]) * case.dilation[0]
            xs = x0 + np.arange(case.kernel[1]) * case.dilation[1]
            patch = padded[np.ix_(ys, xs)].astype(np.int64)
            if case.kind == "depthwise":
                out[i, j] = (patch * weights).sum(axis=(0, 1))
            else:
                out[i, j] = (patch * weights).sum(axis=(1, 2, 3))
    scaled = requantize(out + bias, multiplier, -shift)
    if halves_up:
        eights = case.outputs // 8 * 8 if case.kind == "depthwise" else case.outputs
        high_product = ((out + bias) * multiplier + (1 << 30)) >> 31
        up = (high_product + (1 << shift >> 1)) >> shift
        scaled = np.where(np.arange(case.outputs) < eights, up, scaled)
    return np.clip(scaled + zero_point, low, high).astype(np.int8)


@dataclass(frozen=True)
class Variant:
    """What the kernels are compiled for."""

    name: str
    any_shift: bool = False
    clamps: bool = False
    signed: bool = True
    halves_up: bool = False

    @property
    def macros(self) -> list[tuple[str, str]]:
        return kernel_macros(
            any_shift=self.any_shift,
            clamps=self.clamps,
            signed_dots=self.signed,
            signed_depthwise=self.signed,
            halves_up=self.halves_up,
        )


VARIANTS = [
    Variant("relu", signed=False),
    Variant("signed"),
    Variant("halves up", halves_up=True),
    Variant("clamps, halves up", clamps=True, halves_up=True),
    Variant("any shift, clamps", any_shift=True, clamps=True),
]


def shape_bytes(case: Case, length: int, fill: int, scale_range: tuple[int, int, int]) -> bytes:
    """The kernel's shape as the C struct; `length` inputs of an output."""
    ends = struct.pack("<hhh", *scale_range)
    if case.kind == "dot":
        return struct.pack("<4H", case.size[0], length, length, case.outputs) + ends
    before, after = padding(case)
    counts = (*case.size, *after, case.outputs)
    steps = (*case.kernel, *case.stride, *case.dilation, *before)
    return struct.pack("<6H8Bbx", *counts, *steps, fill) + ends


def record(kernels: Kernels, case: Case, variant: Variant) -> tuple[bytes, NDArray[np.int8]]:
    """The driver's input for one case with random values, and what must come out."""
    rng = np.random.default_rng([*case.size, case.outputs, *case.kernel])
    fill, zero_point = int(rng.integers(-128, 128)), int(rng.integers(-40, 40))
    zero_point = zero_point if variant.signed else -128
    low, high = (-100, 90) if variant.clamps else (-128, 127)
    x = rng.integers(-128, 128, case.size).astype(np.int8)
    taps = case.kernel[0] * case.kernel[1]
    depthwise = case.kind == "depthwise"
    shape = case.kernel + case.size[2:] if depthwise else (case.outputs, *case.kernel, case.size[2])
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    length = taps if depthwise else taps * case.size[2]
    # So that outputs fill the range: the sum's deviation is about 74 * 74 * sqrt(length).
    right = rng.integers(0 if variant.any_shift else 1, 3, case.outputs)
    gain = 60 / (74 * 74 * np.sqrt(length))
    exponent = np.floor(np.log2(gain)).astype(int)
    bias = rng.integers(-3000, 3000, case.outputs)
    multiplier = rng.integers(1 << 30, 1 << 31, case.outputs)
    shift = np.clip(-exponent - 2 + right, 0 if variant.any_shift else 1, 31)
    if variant.any_shift:
        shift[0] = 0
    flat = weights.reshape(taps, -1) if depthwise else weights.reshape(case.outputs, -1)
    packed = (
        pack_depthwise(kernels, flat)
        if depthwise
        else pack_dot(kernels, flat, wide=needs_width(kernels, flat))
    )
    data = packed.values.astype("<i2" if packed.ctype == "int16_t" else "<i1").tobytes()
    (top, left), (height, width) = padding(case)
    pixels = height * width
    gathers = case.kind == "conv"
    scratch = scratch_bytes(kernels, length, case.outputs, pixels, gathers=gathers)
    if depthwise:
        sizes = (*case.size, height, width, case.outputs)
        shape = Window(*sizes, *case.kernel, *case.stride, *case.dilation, top, left)
        scratch = depthwise_scratch(kernels, shape)
    counts = struct.pack("<5I", case.outputs, len(data), x.size, pixels * case.outputs, scratch)
    if depthwise:
        table = depthwise_bias(kernels, bias, flat, fill)
    else:
        table = dot_bias(kernels, bias - fill * flat.astype(np.int64).sum(axis=1))
    rows = table.astype("<i4").tobytes() + multiplier.astype("<i4").tobytes()
    rows += shift_row(kernels, shift).astype("<i1").tobytes()
    spec = zero_point, low, high
    rounded = bias, multiplier, shift
    want = expected(case, x.astype(int) - fill, weights, rounded, spec, variant.halves_up)
    kind = struct.pack("<I", KINDS[case.kind])
    head = shape_bytes(case, length, fill, (zero_point, low, high))
    return kind + head + counts + rows + data + x.tobytes(), want


@functools.cache
def driver(folder: Path, kernels: Kernels, board_name: str, variant: Variant) -> Path:
    """tests/native/kernels.c built for a board."""
    folder = folder / f"{kernels}-{board_name}-{variant.name}"
    folder.mkdir()
    board = load_board(board_name)
    sources = [ROOT / "tests/native/kernels.c"]
    command = [f"{board.prefix}gcc", *CFLAGS, "-O2", f"-I{ROOT / 'firmware'}", *board.cflags]
    command.append(f"-I{ROOT / 'firmware/include'}")
    command += [f"-D{name}={value}" for name, value in variant.macros]
    command += [f'-DKERNELS="kernels/{family(kernels)}.h"']
    command += ["-DWIDE"] if kernels == "dsp-wide" else []
    if board.kind == "host":
        sources.append(ROOT / "firmware/platform/posix/posix.c")
        command += ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        command += ["-DWS_CHECKED"]
    else:
        generate(board_name, folder)
        sources += [ROOT / f"firmware/{path}.c" for path in SEMIHOSTED]
        sources.append(ROOT / "firmware/programs/common/text.c")
        command += [*board.ldflags, "-T", str(folder / "linker.ld")]
    program = folder / "kernels.elf"
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.mark.parametrize("variant", VARIANTS, ids=[v.name for v in VARIANTS])
@pytest.mark.parametrize(("kernels", "board"), BUILDS, ids=[f"{k}-{b}" for k, b in BUILDS])
def test_kernels(kernels: Kernels, board: str, variant: Variant, folder: Path) -> None:
    program = driver(folder, kernels, board, variant)
    cases = [record(kernels, case, variant) for case in CASES]
    given, found = program.parent / "in.bin", program.parent / "out.bin"
    given.write_bytes(b"".join(data for data, _ in cases))
    done = capture(load_board(board), program, [str(given), str(found)])
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr.decode()}"
    values = np.frombuffer(found.read_bytes(), np.int8)
    for case, (_, want) in zip(CASES, cases, strict=True):
        have, values = values[: want.size], values[want.size :]
        differ = np.flatnonzero(have != want.ravel())
        assert not len(differ), (
            f"{case}: {len(differ)} of {want.size} differ, first at {differ[0]}: expected "
            f"{want.ravel()[differ[0]]}, given {have[differ[0]]}"
        )
        assert np.unique(want).size > min(20, want.size // 8), f"{case}: outputs say too little"
    assert values.size == 0


def test_a_weight_of_minus_128_in_the_second_of_two_outputs_needs_width_with_dsp() -> None:
    weights = np.full((2, 8), -128, np.int8)
    assert needs_width("dsp", weights) and not needs_width("plain", weights)
    weights[1] = -127
    assert not needs_width("dsp", weights)
