# SPDX-License-Identifier: Apache-2.0
"""SVDF and LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.tflite_maker import Maker, schema


def svdf(
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
    filters, dtype, highest = units * rank, f"INT{bits}", (1 << (bits - 1)) - 1
    scale, _ = m.quantization(x)
    features = m.tensor(
        [filters, inputs], scale=0.01, data=m.rng.integers(-128, 128, (filters, inputs))
    )
    feature = scale * 0.01 * 75 * 75 * np.sqrt(inputs) * 3 / highest / gain
    time = m.tensor(
        [filters, memory],
        scale=0.001,
        dtype=dtype,
        data=m.rng.integers(-highest - 1, highest + 1, (filters, memory)),
    )
    bias = m.tensor(
        [units], scale=feature * 0.001, dtype="INT32", data=m.rng.integers(-90000, 90000, units)
    )
    state = m.state([batch, filters * memory], scale=feature, zero=zero, dtype=dtype)
    out = feature * 0.001 * highest * highest / 3 * np.sqrt(rank * memory) / 60 / gain
    y = m.tensor([batch, units], scale=out)
    return m.op(
        "SVDF",
        [x, features, time, bias, state],
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
        m.output(svdf(m, x, units, memory, **options))
    keyword(m)


def keyword(m: Maker) -> None:
    """As a keyword network: one frame a run."""
    x = m.input([1, 24])
    y = m.dense(svdf(m, x, 12, 8), 8, activation="RELU")
    z = m.dense(svdf(m, y, 6, 16), 3)
    m.output(
        m.op(
            "SOFTMAX", [z], [m.tensor([1, 3], scale=1 / 256, zero=-128)], "SoftmaxOptions", beta=1.0
        )
    )


def lstm(
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
    state = m.state([batch, units], scale=hidden, zero=zero)
    cell = m.state([batch, units], scale=2.0**power, zero=0, dtype="INT16")
    y = m.tensor([one, two, units], scale=hidden, zero=zero)
    given = [x, *w, *r, -1, -1, -1, *bias, -1, -1, state, cell, -1, -1, -1, -1]
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
        m.output(lstm(m, m.input(shape), units, **options))
    x = lstm(m, lstm(m, m.input([1, 4, 6]), 8), 5)
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
