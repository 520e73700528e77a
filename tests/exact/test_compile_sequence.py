"""SVDF and LSTM: the C = TFLM, bit for bit, from run to run and after a reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exact.test_compile_ops import random_inputs
from tests.support.compiled import check_equal
from tests.support.tflite_maker import Maker, schema
from wakestate.convert.compile.emit import compile_model
from wakestate.convert.graph.errors import ConvertError


def _svdf(
    m: Maker,
    x: int,
    units: int,
    memory: int,
    *,
    rank: int = 1,
    bits: int = 16,
    zero: int = 0,
    gain: float = 1.0,
) -> int:
    batch, inputs = m.shape(x)
    filters, dtype, most = units * rank, f"INT{bits}", (1 << (bits - 1)) - 1
    scale, _ = m.quantization(x)
    features = m.tensor(
        [filters, inputs], scale=0.01, data=m.rng.integers(-128, 128, (filters, inputs))
    )
    feature = scale * 0.01 * 75 * 75 * np.sqrt(inputs) * 3 / most / gain
    time = m.tensor(
        [filters, memory],
        scale=0.001,
        dtype=dtype,
        data=m.rng.integers(-most - 1, most + 1, (filters, memory)),
    )
    bias = m.tensor(
        [units], scale=feature * 0.001, dtype="INT32", data=m.rng.integers(-90000, 90000, units)
    )
    kept = m.state([batch, filters * memory], scale=feature, zero=zero, dtype=dtype)
    out = feature * 0.001 * most * most / 3 * np.sqrt(rank * memory) / 60 / gain
    y = m.tensor([batch, units], scale=out)
    return m.op(
        "SVDF",
        [x, features, time, bias, kept],
        [y],
        "SVDFOptions",
        rank=rank,
        fusedActivationFunction=schema.ActivationFunctionType.RELU,
    )


def svdfs(m: Maker) -> None:
    for batch, inputs, units, memory, options in [
        (1, 13, 7, 8, {}),
        (1, 16, 4, 5, {"rank": 2}),
        (2, 5, 3, 9, {"rank": 3, "gain": 30.0}),
        (1, 21, 6, 4, {"bits": 8}),
        (2, 4, 5, 7, {"bits": 8, "rank": 2, "zero": -7, "gain": 9.0}),
        (1, 3, 2, 1, {}),
    ]:
        x = m.input([batch, inputs])
        m.output(_svdf(m, x, units, memory, **options))
    keyword(m)


def keyword(m: Maker) -> None:
    """As a keyword network: one frame a run."""
    x = m.input([1, 24])
    y = m.dense(_svdf(m, x, 12, 8), 8, activation="RELU")
    z = m.dense(_svdf(m, y, 6, 16), 3)
    m.output(
        m.op(
            "SOFTMAX", [z], [m.tensor([1, 3], scale=1 / 256, zero=-128)], "SoftmaxOptions", beta=1.0
        )
    )


def _lstm(
    m: Maker,
    x: int,
    units: int,
    *,
    time_major: bool = False,
    power: int = -11,
    clip: float = 0.0,
    gain: float = 1.0,
    **options: Any,
) -> int:
    one, two, inputs = m.shape(x)
    batch = two if time_major else one
    (into, _), hidden = m.quantization(x), 1 / 120

    def matrices(length: int, scale: float) -> list[int]:
        found = []
        for _ in range(4):
            spread = 4 * gain / (scale * 75 * 75 * np.sqrt(length))
            data = m.rng.integers(-128, 128, (units, length))
            found.append(m.tensor([units, length], scale=spread, data=data))
        return found

    w, r = matrices(inputs, into), matrices(units, hidden)
    bias = [
        m.tensor([units], scale=1e-4, dtype="INT32", data=m.rng.integers(-9000, 9000, units))
        for _ in range(4)
    ]
    zero = int(m.rng.integers(-9, 9))
    kept = m.state([batch, units], scale=hidden, zero=zero)
    cell = m.state([batch, units], scale=2.0**power, zero=0, dtype="INT16")
    y = m.tensor([one, two, units], scale=hidden, zero=zero)
    given = [x, *w, *r, -1, -1, -1, *bias, -1, -1, kept, cell, -1, -1, -1, -1]
    return m.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        given,
        [y],
        "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=schema.ActivationFunctionType.TANH,
        timeMajor=time_major,
        cellClip=clip,
        **options,
    )


def lstms(m: Maker) -> None:
    for shape, units, options in [
        ((1, 5, 7), 6, {}),
        ((1, 4, 16), 9, {"power": -15}),
        ((6, 1, 3), 4, {"time_major": True, "clip": 1.5}),
        ((3, 2, 5), 5, {"power": -12}),
        ((4, 3, 5), 5, {"time_major": True, "power": -9, "clip": 10.0}),
        ((1, 3, 2), 2, {"gain": 3.0, "power": -13}),
    ]:
        m.output(_lstm(m, m.input(shape), units, **options))
    x = _lstm(m, _lstm(m, m.input([1, 4, 6]), 8), 5)
    last = [m.ints(0, 3, 0), m.ints(0, 4, 0), m.ints(1, 1, 1)]
    m.op(
        "STRIDED_SLICE",
        [x, *last],
        [m.like(x, [1, 5])],
        "StridedSliceOptions",
        beginMask=5,
        endMask=5,
        shrinkAxisMask=2,
    )
    m.output(m.dense(len(m.current.tensors) - 1, 3), x)


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
    m.output(_lstm(m, m.input([1, 3, 2]), 4))
    m.current.operators[0].inputs[9] = m.tensor([4], dtype="INT16", data=np.ones(4))


def _relu_lstm(m: Maker) -> None:
    m.output(_lstm(m, m.input([1, 3, 2]), 4))
    relu = schema.ActivationFunctionType.RELU
    m.current.operators[0].builtinOptions.fusedActivationFunction = relu


def _shared_state(m: Maker) -> None:
    x = m.input([1, 4])
    _svdf(m, x, 3, 2)
    m.output(_svdf(m, x, 3, 2))
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
