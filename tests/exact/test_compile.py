# SPDX-License-Identifier: Apache-2.0
"""convert/compile as a whole: random networks, variables, ends, memory plans, errors, golden."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.compiled import TFLM, build, check_equal, random_inputs, refusal
from tests.support.firmware_build import ROOT
from tests.support.models.networks import (
    columns,
    feedback,
    float_ends,
    golden_model,
    random_network,
)
from tests.support.tflite_maker import Maker, written
from wakestate.contract.kernels import KERNELS, Kernels
from wakestate.convert.compile.emit import compile_model, emit_model
from wakestate.convert.compile.program import Program, Step
from wakestate.convert.compile.window import distance
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import read_model

GOLDEN = ROOT / "tests/golden/compiled"
BOARDS = ["mps2-an385", "mps2-an386", "mps3-an547"]


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(tmp_path: Path, seed: int) -> None:
    path = written(tmp_path, random_network, seed)
    for kernels in ("plain", "dsp"):
        check_equal(path, random_inputs(path), ["host"], sanitize=True, kernels=kernels)
    check_equal(path, random_inputs(path, 3), [BOARDS[seed % 3]])


@pytest.mark.parametrize(
    ("take", "keep", "channels"), [(1, 4, 4), (3, 2, 40), (2, 3, 5), (1, 1, 17)]
)
def test_windows_of_columns(tmp_path: Path, take: int, keep: int, channels: int) -> None:
    path = written(
        tmp_path, lambda m: columns(m, take, keep, channels=channels), name=f"w{take}{keep}"
    )
    inputs = random_inputs(path, 8)[0]
    check_equal(path, [inputs, inputs[3:]], ["host"], sanitize=True)
    check_equal(path, [inputs, inputs[3:]], ["mps2-an386"])
    program = compile_model(path, "m", "plain").program
    slides = [step for step in program.steps if step.name.endswith("_slide")]
    assert len(slides) == 1, "the pattern is one buffer that slides"
    assert sum(step.kernel == "ws_op_copy" for step in program.steps) == 0


def test_other_variables(tmp_path: Path) -> None:
    path = written(tmp_path, feedback)
    inputs = random_inputs(path, 10)[0]
    check_equal(path, [inputs, inputs], ["host", "mps2-an386"])


def test_float_ends_are_the_callers(tmp_path: Path) -> None:
    path = written(tmp_path, float_ends)
    x = np.arange(-128, 128, dtype=np.int8).reshape(-1, 8)
    (tensor,) = compile_model(path, "m", "plain").program.inputs
    scale, zero = tensor.quantization.scale, tensor.quantization.zero_point
    given = build(path, "host").run([[[row] for row in x]])
    floats = [[((row.astype(np.float64) - zero) * scale).astype(np.float32)] for row in x]
    (result,) = compile_model(path, "m", "plain").program.outputs
    for (expected,), have in zip(TFLM(path).run([floats]), given, strict=True):
        q = expected / result.quantization.scale + result.quantization.zero_point
        assert np.array_equal(np.rint(q), have["out"][:4])


def odd_ends(m: Maker) -> None:
    """An input nobody reads, outputs that are an input, the same tensor, a part or a constant."""
    a, _, c = m.input([1, 5]), m.input([1, 7]), m.input([1, 8])
    y = m.op("RELU", [a], [m.tensor([1, 5])])
    m.op("RELU", [a], [m.tensor([1, 5])])  # nobody reads it
    halves = [m.like(c, [1, 4]), m.like(c, [1, 4])]
    m.op("SPLIT", [m.ints(1, shape=[]), c], halves, "SplitOptions", numSplits=2)
    rows = m.op("RESHAPE", [c, m.ints(2, 4)], [m.like(c, [2, 4])])
    constant = m.tensor([1, 3], data=np.array([[1, -2, -128]]))
    m.output(y, a, y, halves[1], halves[0], rows, constant, c)


def no_work(m: Maker) -> None:
    m.input([1, 7])
    m.output(m.input([1, 5]))


@pytest.mark.parametrize("make", [odd_ends, no_work])
def test_odd_ends(tmp_path: Path, make: Callable[[Maker], None]) -> None:
    path = written(tmp_path, make, name=make.__name__)
    check_equal(path, random_inputs(path, 4), ["host"], sanitize=True)
    check_equal(path, random_inputs(path, 4), ["mps2-an386"])


# Memory plans, checked by walking each step's bytes in order: nothing that is still to be read may
# have been written over.


def lowest_reads(step: Step) -> tuple[list[int], int] | None:
    """(first input byte that each output pixel reads, bytes of a pixel) of kernels that overlap."""
    fields = dict(step.fields)

    def number(name: str) -> int:
        return int(str(fields[name]))

    def all_of(once: list[int]) -> list[int]:
        apart = step.sources[0].size // step.repeat
        return [n * apart + at for n in range(step.repeat) for at in once]

    if step.struct == "ws_dot_shape":
        pixels = range(number("pixels"))
        return all_of([p * number("step") for p in pixels]), number("outputs")
    if step.struct == "ws_conv_shape":
        found = []
        for y in range(number("out_h")):
            for x in range(number("out_w")):
                taps = [
                    (row * number("in_w") + column) * number("in_c")
                    for i in range(number("kernel_h"))
                    for j in range(number("kernel_w"))
                    if 0
                    <= (
                        row := y * number("stride_h") - number("pad_top") + i * number("dilation_h")
                    )
                    < number("in_h")
                    and 0
                    <= (
                        column := x * number("stride_w")
                        - number("pad_left")
                        + j * number("dilation_w")
                    )
                    < number("in_w")
                ]
                found.append(min(taps, default=1 << 30))
        return all_of(found), number("out_c")
    return None


Span = tuple[str, int, int]  # kind of buffer, first byte, bytes


class Plan:
    """Bytes that say which step wrote them, and whose tensor they are."""

    def __init__(self, program: Program, kernels: Kernels) -> None:
        self.program, self.kernels = program, kernels
        self.spaces = {
            "arena": np.full(program.arena_bytes, -1, np.int64),
            "state": np.full(program.state_bytes, -1, np.int64),
        }
        self.written: set[tuple[Any, int]] = set()
        self.stamp = 0
        for buffer in program.of_kind("state"):
            self.spaces["state"][buffer.offset : buffer.offset + buffer.size] = 1 << 40

    def span(self, tensor: Any) -> Span:
        place = self.program.places[tensor]
        return place.buffer.kind, place.buffer.offset + place.offset, tensor.size

    def check_reads(self, step: Step) -> None:
        """Each source is there as it was written, and is read before it is written over."""
        for number, source in enumerate(step.sources):
            kind, begin, length = self.span(source)
            if kind not in self.spaces:
                continue
            assert begin % 4 == 0 and begin + length <= len(self.spaces[kind])
            if kind == "arena":
                stamps = np.unique(self.spaces[kind][begin : begin + length])
                wrong = [b for b in stamps if b < 0 or (source, int(b)) not in self.written]
                assert not wrong, f"{step.name}: source {number} was written over by {wrong}"
            target, at, size = self.span(step.result)
            if kind == target and at < begin + length and begin < at + size:
                self.check_overlap(step, number, at, begin)

    def check_overlap(self, step: Step, number: int, at: int, begin: int) -> None:
        """A result over its source: no byte is written that is still to be read."""
        reads = lowest_reads(step)
        if step.kernel == "ws_slide" or reads is None:
            assert at <= begin
            assert step.kernel == "ws_slide" or step.distance.get(number) is not None
            return
        lowest, pixel = reads
        pairs = step.kernel.startswith("ws_dot") and step.kernel != "ws_dot_one"
        aside = int(step.kernel.startswith("ws_conv") or (pairs and self.kernels != "plain"))
        for p in range(len(lowest)):
            later = min(lowest[p + aside :], default=1 << 30)
            assert at + (p + 1) * pixel <= begin + later, f"{step.name}: pixel {p}"

    def write(self, step: Step) -> None:
        kind, at, size = self.span(step.result)
        self.stamp += 1
        if kind in self.spaces:
            assert at % 4 == 0 and at + size <= len(self.spaces[kind])
            self.spaces[kind][at : at + size] = self.stamp
            buffer = self.program.places[step.result].buffer
            places = self.program.places.items()
            self.written |= {(t, self.stamp) for t, place in places if place.buffer is buffer}
        if step in self.program.scratch:
            scratch = self.program.scratch[step]
            assert scratch.offset % 4 == 0
            self.stamp += 1
            mine = slice(scratch.offset, scratch.offset + scratch.size)
            for tensor in [*step.sources, step.result]:
                other, begin, length = self.span(tensor)
                clash = other == "arena" and begin < mine.stop and mine.start < begin + length
                assert not clash, f"{step.name}: scratch over {tensor.name}"
            self.spaces["arena"][mine] = self.stamp


def check_plan(program: Program, kernels: Kernels) -> None:
    """Run the program on bytes that say who wrote them."""
    plan = Plan(program, kernels)
    for step in program.steps:
        plan.check_reads(step)
        plan.write(step)


@pytest.mark.parametrize("kernels", KERNELS)
def test_plans_hold(tmp_path: Path, kernels: Kernels) -> None:
    for seed in range(10):
        path = written(tmp_path, random_network, seed)
        check_plan(compile_model(path, "m", kernels).program, kernels)


def test_the_checker_sees_an_overlap(tmp_path: Path) -> None:
    program = compile_model(written(tmp_path, random_network, 1), "m", "plain").program
    for buffer in program.of_kind("arena"):
        buffer.offset = 0
    with pytest.raises(AssertionError):
        check_plan(program, "plain")


def test_a_chain_lies_in_place(tmp_path: Path) -> None:
    """Depthwise 3x3 and 1x1 layers of one size: less than two buffers' worth."""

    def chain(m: Maker) -> None:
        x = m.input([1, 25, 5, 64])
        for _ in range(4):
            x = m.conv(x, 0, (3, 3), depthwise=1, padding="SAME")
            x = m.conv(x, 64)
        m.output(m.dense(x, 2))

    made = compile_model(written(tmp_path, chain), "m", "plain").program
    # Each 3x3 starts a row and two columns below its input, each 1x1 a column.
    assert made.arena_bytes == 8000 + 4 * 64 + 3 * 448


def test_distance_is_exact() -> None:
    assert distance([0, 4, 8], 4, own=True) == 4
    assert distance([0, 4, 8], 4, own=False) == 0
    assert distance([0, 0, 4], 4, own=True) == 8
    assert distance([0, 8, 16], 2, own=False) == -6


# Errors.


def _custom(m: Maker) -> None:
    x = m.input([1, 4])
    m.output(m.op("L2_NORMALIZATION", [x], [m.like(x)]))


def _unsupported_with_options(m: Maker) -> None:
    x = m.input([1, 4])
    m.output(m.op("RELU", [x], [m.tensor([1, 4])]))
    m.output(m.op("CUMSUM", [x, m.ints(1)], [m.like(x)], "CumsumOptions", reverse=True))


def _float_middle(m: Maker) -> None:
    x = m.input([1, 4], scale=None, dtype="FLOAT32")
    m.output(m.op("RELU", [x], [m.tensor([1, 4], scale=None, dtype="FLOAT32")]))


def _other_scales(m: Maker) -> None:
    a, b = m.input([1, 4]), m.input([1, 4])
    m.output(m.op("CONCATENATION", [a, b], [m.like(a, [1, 8])], "ConcatenationOptions", axis=1))


def _asymmetric_convolution(m: Maker) -> None:
    m.output(m.conv(m.input([1, 3, 3, 4]), 4, per_channel=False))
    m.current.tensors[m.last()[1]].quantization.zeroPoint = np.array([5], np.int64)


def _shuffled_weights(m: Maker) -> None:
    m.output(m.dense(m.input([1, 4]), 2))
    m.current.operators[0].builtinOptions.weightsFormat = 1


def _long_bias(m: Maker) -> None:
    m.output(m.dense(m.input([1, 4]), 2))
    bias = m.tensor([2], scale=0.01, dtype="INT64", data=np.array([1, 2]))
    m.current.operators[0].inputs = [*m.last()[:2], bias]


def _computed_convolution(m: Maker) -> None:
    m.output(m.conv(m.input([1, 3, 3, 4]), 4))
    m.current.operators[0].inputs[1] = m.input([4, 1, 1, 4], zero=0)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (_custom, ["operator 0 (L2_NORMALIZATION) [no options]: "]),
        (_unsupported_with_options, ["operator 1 (CUMSUM) [exclusive=False, reverse=True]: "]),
        (_float_middle, ["operator 0 (RELU)", "FLOAT32; INT8 is supported"]),
        (_other_scales, ["operator 0 (CONCATENATION) [axis=1", "scale or zero point"]),
        (_asymmetric_convolution, ["operator 0 (CONV_2D)", "zero point 5", "symmetric weights"]),
        (_shuffled_weights, ["operator 0 (FULLY_CONNECTED)", "shuffled (weights_format 1)"]),
        (_long_bias, ["operator 0 (FULLY_CONNECTED)", "is INT64", "TFLITE_BUILTINS_INT8"]),
        (_computed_convolution, ["operator 0 (CONV_2D)", "computed", "FULLY_CONNECTED only"]),
    ],
)
def test_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Maker], None],
    parts: list[str],
) -> None:
    printed = refusal(written(tmp_path, make), capsys)
    assert all(part in printed for part in parts), printed


def test_damaged_file(tmp_path: Path) -> None:
    path = written(tmp_path, golden_model)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConvertError, match="damaged"):
        read_model(path)


def test_name_must_be_c(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="'2x': a C name"):
        compile_model(written(tmp_path, golden_model), "2x", "plain")


def test_each_model_has_a_folder_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, golden_model)
    emit_model(path, "one", "plain", tmp_path / "out")
    emit_model(path, "one", "dsp", tmp_path / "out")
    with pytest.raises(ConvertError, match="holds the C of another model"):
        emit_model(path, "two", "plain", tmp_path / "out")
    for name in ("int", "ws_x", "9"):
        with pytest.raises(ConvertError, match="a C name"):
            emit_model(path, name, "plain", tmp_path / "other")


# Golden.


def test_golden(tmp_path: Path) -> None:
    """After a wanted change: cp -r build/golden-compiled/* tests/golden/compiled/"""
    path = written(tmp_path, golden_model)
    _, made = emit_model(path, "tiny", "plain", tmp_path / "out", copies=False)
    names = sorted(p.name for p in made)
    state_columns = ROOT / "build/golden-compiled"
    state_columns.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(tmp_path / "out" / name, state_columns)
    assert sorted(p.name for p in GOLDEN.iterdir()) == names
    for name in names:
        old, new = (GOLDEN / name).read_text(), (tmp_path / "out" / name).read_text()
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), name, "generated")
        assert old == new, "\n".join(diff) + f"\n{test_golden.__doc__}"


def test_reproducible(tmp_path: Path) -> None:
    path = written(tmp_path, random_network, 2)
    first, second = (compile_model(path, "m", "dsp").files for _ in range(2))
    assert first == second
