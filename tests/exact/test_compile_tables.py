# SPDX-License-Identifier: Apache-2.0
"""Operators on one value at a time are tables of what TFLM computes, for all 256 inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import TFLM, check_equal, random_inputs
from tests.support.models.tables import (
    alone,
    channels,
    conditions,
    floats,
    meetings,
    op,
    pairs,
    scalar,
    ties,
    with_constants,
)
from tests.support.tflite_maker import Maker
from wakestate.convert.compile.simplify import simplify
from wakestate.convert.compile.views import TableOp
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import read_model

ALL = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("kind", [alone, with_constants, ties, floats, conditions, meetings])
def test_tables(kind: Callable[[Maker], None], tmp_path: Path) -> None:
    maker = Maker(seed=3)
    kind(maker)
    path = maker.write(tmp_path / "tables.tflite")
    work = simplify(read_model(path))
    expected = TFLM(path).run([[[ALL for _ in work.inputs]]])[0]
    tables = {op.outputs[0]: op for op in work.ops}
    for number, (output, want) in enumerate(zip(work.outputs, expected, strict=True)):
        found = tables[output]
        assert found.inputs[0] in work.inputs, f"output {number} is not one table"
        table = found.table[0] if isinstance(found, TableOp) else ALL
        np.testing.assert_array_equal(table, want, f"output {number}: {found}")


def test_inverse_square_root(tmp_path: Path) -> None:
    """TFLM ends with an error on inputs below the zero point."""
    for scale, out in (
        *((0.05, 0.02), (0.0002, 0.9), (7.0, 0.001), (0.051260124891996384, 0.1359044760465622)),
        *((0.12230183184146881, 0.004200797062367201), (0.019542893394827843, 0.02811872772872448)),
    ):
        maker = Maker(seed=1)
        x = maker.input([128], scale=scale, zero=0)
        maker.output(maker.op("RSQRT", [x], [maker.tensor([128], scale=out, zero=-90)]))
        path = maker.write(tmp_path / "rsqrt.tflite")
        (found,) = simplify(read_model(path)).ops
        assert isinstance(found, TableOp)
        np.testing.assert_array_equal(found.table[0, 128:], TFLM(path).run([[[ALL[128:]]]])[0][0])


@pytest.mark.parametrize("kind", [channels, pairs])
def test_kernels(kind: Callable[[Maker], None], tmp_path: Path) -> None:
    maker = Maker(seed=5)
    kind(maker)
    path = maker.write(tmp_path / f"{kind.__name__}_of_two.tflite")
    check_equal(path, random_inputs(path), ["host"], sanitize=True, kernels="plain")
    check_equal(path, random_inputs(path, runs=4), ["mps2-an386"])


def test_channels_are_one_step(tmp_path: Path) -> None:
    """MUL and ADD by constants of channels, and RELU, are the detector alone-up."""
    maker = Maker()
    channels(maker)
    work = simplify(read_model(maker.write(tmp_path / "channels.tflite")))
    counts = [len(op.table) if isinstance(op, TableOp) else 0 for op in work.ops]
    assert counts == [5, 5, 3, 3, 4, 4, 0, 0, 1, 0]


REFUSALS: dict[str, tuple[Callable[[Maker, int], object], str]] = {
    "int8 of a float operator": (
        lambda m, x: m.output(m.op("LOG", [x], [m.like(x)])),
        "TFLM runs it on floats only",
    ),
    "float at the end": (
        lambda m, x: m.output(
            m.op(
                "NEG",
                [
                    m.op(
                        "DEQUANTIZE",
                        [m.op("RELU", [x], [m.like(x)])],
                        [m.tensor([256], scale=None, dtype="FLOAT32")],
                    )
                ],
                [m.tensor([256], scale=None, dtype="FLOAT32")],
            )
        ),
        "is worked out as float; quantize it",
    ),
    "comparison of two": (
        lambda m, x: m.output(
            m.op("LESS", [x, m.input([256], scale=0.1)], [m.tensor([256], dtype="BOOL")])
        ),
        "truth values are supported where each is made of one int8 value",
    ),
    "scales far apart": (
        lambda m, x: m.output(op(m, "ADD", [x, scalar(m, 9.0)], m.tensor([256], scale=1e-6))),
        "TFLM takes below 1 only",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(name: str, tmp_path: Path) -> None:
    make, problem = REFUSALS[name]
    maker = Maker()
    make(maker, maker.input([256]))
    with pytest.raises(ConvertError, match=problem) as refusal:
        simplify(read_model(maker.write(tmp_path / "refused.tflite")))
    assert len(str(refusal.value).splitlines()) == 1
