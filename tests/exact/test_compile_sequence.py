# SPDX-License-Identifier: Apache-2.0
"""SVDF and LSTM: the C = TFLM, bit for bit, from run to run and after a reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import check_equal, random_inputs
from tests.support.models.sequences import keyword, lstm, lstms, svdf, svdfs
from tests.support.tflite_maker import Maker, schema
from wakestate.convert.compile.emit import compile_model
from wakestate.convert.graph.errors import ConvertError


@pytest.mark.parametrize("make", [svdfs, lstms], ids=lambda f: f.__name__)
def test_equal(tmp_path: Path, make: Callable[[Maker], None]) -> None:
    maker = Maker(len(make.__name__))
    make(maker)
    path = maker.write(tmp_path / f"{make.__name__}.tflite")
    (runs,) = random_inputs(path, 12)
    sequences = [runs, runs[3:]]  # the second after a reset
    for kernels in ("plain", "dsp"):
        check_equal(path, sequences, ["host"], sanitize=True, kernels=kernels)
    check_equal(path, [runs[:6]], ["mps2-an386", "mps3-an547"])


def _peephole(m: Maker) -> None:
    m.output(lstm(m, m.input([1, 3, 2]), 4))
    m.current.operators[0].inputs[9] = m.tensor([4], dtype="INT16", data=np.ones(4))


def _relu_lstm(m: Maker) -> None:
    m.output(lstm(m, m.input([1, 3, 2]), 4))
    relu = schema.ActivationFunctionType.RELU
    m.current.operators[0].builtinOptions.fusedActivationFunction = relu


def _shared_state(m: Maker) -> None:
    x = m.input([1, 4])
    svdf(m, x, 3, 2)
    m.output(svdf(m, x, 3, 2))
    m.current.operators[1].inputs[4] = m.current.operators[0].inputs[4]


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (_peephole, "peepholes; TFLM and"),
        (_relu_lstm, "TANH is the activation"),
        (_shared_state, "is used elsewhere"),
    ],
)
def test_refused(tmp_path: Path, make: Callable[[Maker], None], part: str) -> None:
    maker = Maker(1)
    make(maker)
    with pytest.raises(ConvertError, match=part):
        compile_model(maker.write(tmp_path / "m.tflite"), "m", "plain")


def test_a_stream_keeps_its_state_already(tmp_path: Path) -> None:
    maker = Maker(1)
    keyword(maker)
    with pytest.raises(ConvertError, match="streams already"):
        compile_model(maker.write(tmp_path / "m.tflite"), "m", "plain", stream=True)


def wide_ends(m: Maker) -> None:
    """Inputs and outputs of 16 and 32 bits, as TFLM's keyword example has them."""
    for dtype in ("INT16", "INT32"):
        x = m.input([1, 40], scale=4e-4 if dtype == "INT16" else 3e-9, zero=0, dtype=dtype)
        m.output(m.op("QUANTIZE", [x], [m.tensor([1, 40], scale=0.06)], "QuantizeOptions"))
    y = m.input([2, 9], scale=0.04)
    p = m.op(
        "SOFTMAX",
        [y],
        [m.tensor([2, 9], scale=1 / 65536, zero=-32768, dtype="INT16")],
        "SoftmaxOptions",
        beta=1.0,
    )
    m.output(p)
    for tensor, dtype, scale in [(p, "INT32", 3e-5), (y, "INT16", 2e-4), (y, "INT32", 7e-9)]:
        wide = m.tensor([2, 9], scale=scale, zero=0, dtype=dtype)
        m.output(m.op("QUANTIZE", [tensor], [wide], "QuantizeOptions"))
    m.output(m.op("QUANTIZE", [p], [m.tensor([2, 9], scale=0.004)], "QuantizeOptions"))


def test_wide_ends(tmp_path: Path) -> None:
    maker = Maker(2)
    wide_ends(maker)
    path = maker.write(tmp_path / "wide_ends.tflite")
    check_equal(path, random_inputs(path), ["host"], sanitize=True)
    check_equal(path, random_inputs(path, 4), ["mps2-an386"])
