# SPDX-License-Identifier: Apache-2.0
"""What is worked out when the code is generated: host C = TFLM, and no step is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import TFLM, Sequences, build, check_equal, compare, refusal
from tests.support.models.folds import KINDS, PADDED, dilated, integers, shape_of
from tests.support.tflite_maker import Maker, written
from wakestate.convert.compile.emit import compile_model
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import read_model


def inputs(path: Path) -> Sequences:
    rng = np.random.default_rng(3)
    tensors = read_model(path).graphs[0].inputs
    return [[[rng.integers(-128, 128, t.size).astype(np.int8) for t in tensors] for _ in range(5)]]


@pytest.mark.parametrize("kind", KINDS)
def test_host(kind: str, tmp_path: Path) -> None:
    maker = Maker(seed=len(kind))
    KINDS[kind](maker)
    path = maker.write(tmp_path / f"{kind}.tflite")
    check_equal(path, inputs(path), ["host"], sanitize=True, kernels="plain")
    used = {step.kernel for step in compile_model(path, "m", "plain").program.steps}
    assert used <= {"ws_conv", "ws_dot", "ws_depthwise", "ws_op_tables", "ws_op_fill", "ws_op_copy"}


def test_batches_are_padded_with_the_zero_point(tmp_path: Path) -> None:
    """TFLM pads with a byte that it never sets, so that it is asked with a PAD instead."""
    paths = []
    for before in (False, True):
        maker = Maker(seed=3)
        dilated(maker, PADDED, before)
        paths.append(maker.write(tmp_path / f"padded_{before:d}.tflite"))
    given = build(paths[0], "host", sanitize=True, kernels="plain").run(inputs(paths[0]))
    compare(TFLM(paths[1]).run(inputs(paths[1])), given, "host")


def test_a_reshape_that_turns_rows_between_batches_is_refused(tmp_path: Path) -> None:
    m = Maker(seed=5)
    x = m.input([1, 28, 3])
    y = m.op(
        "SPACE_TO_BATCH_ND", [x, m.ints(4), m.ints(0, 0, shape=[1, 2])], [m.like(x, [4, 7, 3])]
    )
    z = m.conv(m.op("RESHAPE", [y, m.ints(4, 1, 7, 3)], [m.like(y, [4, 1, 7, 3])]), 8, (1, 3))
    reshaped = m.op("RESHAPE", [z, m.ints(4, 8, 5)], [m.like(z, [4, 8, 5])])
    ends = [reshaped, m.ints(4), m.ints(0, 0, shape=[1, 2])]
    m.output(m.op("BATCH_TO_SPACE_ND", ends, [m.like(z, [1, 32, 5])]))
    path = m.write(tmp_path / "reshaped.tflite")
    with pytest.raises(ConvertError, match=r"makes \[1, 1, 20, 8\], its end is \[1, 32, 5\]"):
        compile_model(path, "m", "plain")


def test_arithmetic_of_shapes(tmp_path: Path) -> None:
    """Each operator once, on the way to a shape that only the right values give."""
    m = Maker(1)
    x = m.input([2, 6, 5, 4])
    shape = shape_of(m, x)
    picked = m.op("GATHER", [shape, m.ints(3, 1)], [integers(m, 2)], "GatherOptions", axis=0)
    long = m.tensor([2], scale=None, dtype="INT64")
    m.op("CAST", [picked], [long], "CastOptions")
    back = m.op("CAST", [long], [integers(m, 2)], "CastOptions")  # 4, 6
    product = m.op("REDUCE_PROD", [back, m.ints(0)], [integers(m)], "ReducerOptions")  # 24
    half = m.op("FLOOR_DIV", [product, m.ints(2, shape=())], [integers(m)])  # 12
    ten = m.op("SUB", [half, m.ints(2, shape=())], [integers(m)], "SubOptions")
    more = m.op("MAXIMUM", [ten, m.ints(3, shape=())], [integers(m)])
    deep = m.op("EXPAND_DIMS", [more, m.ints(0)], [integers(m, 1)])
    parts = [integers(m) for _ in range(4)]
    m.op("UNPACK", [shape], parts, "UnpackOptions", num=4, axis=0)
    two = m.op("PACK", parts[:1], [integers(m, 1)], "PackOptions", valuesCount=1)
    twelve = m.op("RESHAPE", [half, m.ints(1)], [integers(m, 1)])
    sizes = m.op(
        "CONCATENATION", [two, deep, twelve], [integers(m, 3)], "ConcatenationOptions", axis=0
    )
    m.output(m.op("RESHAPE", [x, sizes], [m.like(x, [2, 10, 12])]))
    value = m.tensor([], scale=0.05, zero=m.quantization(x)[1], data=np.array(-7))
    filled = m.op("FILL", [sizes, value], [m.like(x, [2, 10, 12])])
    m.output(m.op("RELU", [filled], [m.like(x, [2, 10, 12])]))
    path = m.write(tmp_path / "m.tflite")
    program = compile_model(path, "m", "plain").program
    (constant,) = program.of_kind("constant")
    assert constant.initial is not None and (constant.initial == -7).all()
    assert constant.initial.size == 240


def _free_batch(m: Maker) -> None:
    x = m.input([1, 28, 1, 3])
    y = m.like(x, [1, 7, 1, 3])
    zeros = m.ints(0, 0, 0, 0, shape=[2, 2])
    m.op("SPACE_TO_BATCH_ND", [x, m.ints(4, 1), zeros], [y])
    z = m.conv(y, 8, (3, 1))
    for free in (y, z):  # as the converter writes it: 1 where it does not know
        m.current.tensors[free].shapeSignature = [-1, *m.shape(free)[1:]]
    m.output(m.op("BATCH_TO_SPACE_ND", [z, m.ints(4, 1), zeros], [m.like(z, [1, 20, 1, 8])]))


def _no_convolution(m: Maker) -> None:
    x = m.input([1, 28, 1, 3])
    y, zeros = m.like(x, [4, 7, 1, 3]), m.ints(0, 0, 0, 0, shape=[2, 2])
    m.output(m.op("SPACE_TO_BATCH_ND", [x, m.ints(4, 1), zeros], [y]))


def _pads_unknown(m: Maker) -> None:
    x = m.input([1, 28, 1, 3], zero=4)
    numbers = [m.ints(4, 1), m.ints(4, 4, 0, 0, shape=[2, 2])]
    z = m.conv(m.op("SPACE_TO_BATCH_ND", [x, *numbers], [m.like(x, [4, 9, 1, 3])]), 8, (3, 1))
    zeros = m.ints(0, 0, 0, 0, shape=[2, 2])
    m.output(m.op("BATCH_TO_SPACE_ND", [z, numbers[0], zeros], [m.like(z, [1, 28, 1, 8])]))


def _wrong_size(m: Maker) -> None:
    x = m.input([1, 12])
    shape = m.op(
        "CONCATENATION",
        [shape_of(m, x), m.ints(2)],
        [integers(m, 2)],
        "ConcatenationOptions",
        axis=0,
    )
    m.output(m.op("RESHAPE", [x, shape], [m.like(x, [3, 4])]))


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (_free_batch, ["operator 0 (SPACE_TO_BATCH_ND)", "batch 1", "it is 4", "batch_size=1"]),
        (_no_convolution, ["operator 0 (SPACE_TO_BATCH_ND)", "one BATCH_TO_SPACE_ND ends"]),
        (_pads_unknown, ["operator 0 (SPACE_TO_BATCH_ND)", "zero point 4", "batch_size=1"]),
        (_wrong_size, ["operator 1 (CONCATENATION)", "t3 is [2]", "make [3]"]),
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
