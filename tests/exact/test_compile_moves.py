"""Operators that move values or reduce them, over any axes: host C = TFLM, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.exact.test_compile_ops import random_inputs
from tests.support.compiled import check_equal
from tests.support.firmware_build import ROOT
from tests.support.tflite_maker import Maker
from wakestate.convert.compile.lower import lower
from wakestate.convert.compile.refused import REFUSED
from wakestate.convert.compile.simplify import SUPPORTED, simplify
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import box, runs
from wakestate.convert.graph.tflite_graph import read_model


def reductions(m: Maker) -> None:
    shape = [2, 5, 3, 6]
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for axes, keep in [((1, 3), 0), ((-1, 3, 1), 1), ((0, 2), 0), ((0, 1, 2, 3), 0), ((2,), 1)]:
            x = m.input(shape, scale=0.05)
            gone = {axis % 4 for axis in axes}
            if keep:
                made = [1 if axis in gone else n for axis, n in enumerate(shape)]
            else:
                made = [n for axis, n in enumerate(shape) if axis not in gone]
            same = name.startswith("REDUCE")
            scale, zero = m.quantization(x)
            y = (
                m.tensor(made, scale=scale, zero=zero)
                if same
                else m.tensor(made, scale=0.07 if name == "MEAN" else 0.3)
            )
            kind = "ReducerOptions"
            m.output(m.op(name, [x, m.ints(*axes)], [y], kind, keepDims=bool(keep)))


def moves(m: Maker) -> None:
    x = m.input([1, 4, 6, 5], scale=0.05, zero=3)

    def moved(
        name: str, given: list[int], shape: list[int], kind: str = "", **options: object
    ) -> None:
        m.output(m.op(name, [x, *given], [m.like(x, shape)], kind, **options))

    for order in ((0, 2, 1, 3), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3)):
        shape = [[1, 4, 6, 5][axis] for axis in order]
        moved("TRANSPOSE", [m.ints(*order)], shape, "TransposeOptions")
    moved("SLICE", [m.ints(0, 1, 2, 1), m.ints(1, 2, -1, 4)], [1, 2, 4, 4], "SliceOptions")
    moved("GATHER", [m.ints(5, 0, 0, 3)], [1, 4, 4, 5], "GatherOptions", axis=2)
    moved("REVERSE_V2", [m.ints(2)], [1, 4, 6, 5])
    moved("BROADCAST_TO", [m.ints(3, 4, 6, 5)], [3, 4, 6, 5])
    pads = m.ints(0, 0, 2, 1, 1, 3, 0, 0, shape=[4, 2])
    for mode in (0, 1):
        moved("MIRROR_PAD", [pads], [1, 7, 10, 5], "MirrorPadOptions", mode=mode)
    moved("SPACE_TO_DEPTH", [], [1, 2, 3, 20], "SpaceToDepthOptions", blockSize=2)
    parts = [m.like(x, [1, 4, 5]) for _ in range(6)]
    m.op("UNPACK", [x], parts, "UnpackOptions", axis=2, num=6)
    m.output(*parts)
    z = m.input([1, 3, 2, 8], scale=0.05)
    m.output(
        m.op("DEPTH_TO_SPACE", [z], [m.like(z, [1, 6, 4, 2])], "DepthToSpaceOptions", blockSize=2)
    )
    for size in ((3, 9), (8, 4), (1, 1)):
        for corners, centers in ((False, False), (True, False), (False, True)):
            for name in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
                kind = (
                    "ResizeBilinearOptions"
                    if name == "RESIZE_BILINEAR"
                    else ("ResizeNearestNeighborOptions")
                )
                moved(
                    name,
                    [m.ints(*size)],
                    [1, *size, 5],
                    kind,
                    alignCorners=corners,
                    halfPixelCenters=centers,
                )


def floats(m: Maker) -> None:
    """Moved between DEQUANTIZE and QUANTIZE, as converters leave UNPACK."""
    x = m.input([1, 3, 6], scale=0.05)
    f, *parts = (
        m.tensor([1, 3, 6], scale=None, dtype="FLOAT32"),
        *(m.tensor([1, 6], scale=None, dtype="FLOAT32") for _ in range(3)),
    )
    m.op("DEQUANTIZE", [x], [f])
    m.op("UNPACK", [f], parts, "UnpackOptions", axis=1, num=3)
    for part in parts[1:]:
        m.output(m.op("QUANTIZE", [part], [m.tensor([1, 6], scale=0.04)]))


@pytest.mark.parametrize("kind", [reductions, moves, floats])
def test_equal(kind: Callable[[Maker], None], tmp_path: Path) -> None:
    maker = Maker(seed=2)
    kind(maker)
    path = maker.write(tmp_path / f"moved_{kind.__name__}.tflite")
    check_equal(path, random_inputs(path, runs=5), ["host"], sanitize=True, kernels="plain")
    if kind is moves:
        check_equal(path, random_inputs(path, runs=3), ["mps2-an386"])


def test_what_lies_in_a_row_costs_nothing(tmp_path: Path) -> None:
    """A permutation of axes of 1, a slice of rows, UNPACK of rows of 4 bytes."""
    maker = Maker()
    x = maker.conv(maker.input([1, 4, 1, 4]), 8)
    turned = maker.op("TRANSPOSE", [x, maker.ints(0, 2, 1, 3)], [maker.like(x, [1, 1, 4, 8])])
    parts = [maker.like(x, [1, 1, 8]) for _ in range(4)]
    maker.op("UNPACK", [turned], parts, "UnpackOptions", axis=2, num=4)
    maker.output(maker.dense(parts[1], 3), maker.dense(parts[3], 3))
    work = simplify(read_model(maker.write(tmp_path / "row.tflite")))
    assert [step.kernel for step in lower(work, "plain").steps] == ["ws_dot"] * 3


def test_boxes_and_runs() -> None:
    numbers = np.arange(60).reshape(3, 4, 5)
    assert box(numbers.transpose(2, 0, 1).reshape(-1)) == ([5, 3 * 4], [1, 5], 0)
    assert box(numbers[::-1, 1:3].reshape(-1)) == ([3, 10], [-20, 1], 45)
    assert box(np.array([0, 1, 5, 6, 8, 9])) is None
    starts, size = runs(np.array([0, 1, 5, 6, 8, 9]))
    assert (starts.tolist(), size) == ([0, 5, 8], 2)


def test_refused_operators_are_listed(tmp_path: Path) -> None:
    """docs/compile.md names every operator, those that are refused with the reason."""
    text = (ROOT / "docs/compile.md").read_text(encoding="utf-8")
    for name in {*SUPPORTED, *REFUSED} - {"SHAPE"}:
        assert name in text, name
    maker = Maker()
    x = maker.input([1, 4])
    maker.output(maker.op("TILE", [x, maker.ints(1, 2)], [maker.like(x, [1, 8])]))
    with pytest.raises(ConvertError, match=r"\(TILE\).*TFLM does not have it; hint: broadcast"):
        simplify(read_model(maker.write(tmp_path / "tile.tflite")))
