# SPDX-License-Identifier: Apache-2.0
"""Operators that move values or reduce them, over any axes: host C = TFLM, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import check_equal, random_inputs
from tests.support.firmware_build import ROOT
from tests.support.models.moves import floats, moves, reductions
from tests.support.tflite_maker import Maker
from wakestate.convert.compile.lower import lower
from wakestate.convert.compile.refused import REFUSED
from wakestate.convert.compile.simplify import SUPPORTED, simplify
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import box, runs
from wakestate.convert.graph.tflite_graph import read_model


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
    transposed = maker.op("TRANSPOSE", [x, maker.ints(0, 2, 1, 3)], [maker.like(x, [1, 1, 4, 8])])
    parts = [maker.like(x, [1, 1, 8]) for _ in range(4)]
    maker.op("UNPACK", [transposed], parts, "UnpackOptions", axis=2, num=4)
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
