# SPDX-License-Identifier: Apache-2.0
"""Operators on one value at a time, with constants and with each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.tflite_maker import Maker

#: Options' classes of operators that have any.
KINDS = {
    "ADD": "AddOptions",
    "DIV": "DivOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MUL": "MulOptions",
    "SUB": "SubOptions",
}


def op(m: Maker, name: str, inputs: list[int], output: int, **options: Any) -> int:
    """An operator with the class of its options."""
    return m.op(name, inputs, [output], KINDS.get(name, ""), **options)


def spread(m: Maker, around: float, decades: float) -> float:
    """A scale, that many decades to both sides."""
    return float(np.float32(around * 10 ** m.rng.uniform(-decades, decades)))


def scalar(m: Maker, scale: float) -> int:
    """A constant that is not 0."""
    zero, value = (int(v) for v in m.rng.choice(np.arange(-128, 128), 2, replace=False))
    return m.tensor([], scale=scale, zero=zero, data=np.array(value))


def alone(m: Maker) -> None:
    """Operators of one input."""
    for name in [
        "ABS",
        "ELU",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "TANH",
    ]:
        for far in (0.5, 0.5, 1.0, 3.0):
            scale = spread(m, 0.03, far)
            x = m.input([256], scale=scale)
            if name == "LOGISTIC":  # TFLM looks at the zero point only
                y = m.tensor([256], scale=spread(m, 1 / 256, 0.5), zero=-128)
            else:
                y = m.tensor([256], scale=spread(m, scale, min(far, 1.5)))
            alpha = {"alpha": float(m.rng.choice([0.1, 0.3, -0.2, 1.5]))}
            m.output(op(m, name, [x], y, **alpha if name == "LEAKY_RELU" else {}))


def with_constants(m: Maker) -> None:
    """Operators of two inputs, one a constant of one value, or both the same."""
    for name in ["ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB"]:
        for number, far in enumerate((0.3, 0.5, 0.5, 1.0, 2.0)):
            scale, other = spread(m, 0.05, far), spread(m, 0.05, far)
            x, c = m.input([256], scale=scale), scalar(m, other)
            out = {"MUL": scale * other * 60, "DIV": scale / other / 60}.get(name, scale)
            if name == "SQUARED_DIFFERENCE":
                out = max(scale, other) ** 2 * 100
            options = {"fusedActivationFunction": number % 4} if name in KINDS else {}
            given = [c, x] if number == 1 and name not in ("DIV", "PRELU") else [x, c]
            if number == 2 and name not in ("DIV", "PRELU"):
                given, out = (
                    [x, x],
                    {"MUL": scale**2 * 60, "SQUARED_DIFFERENCE": 1}.get(name, scale),
                )
            m.output(op(m, name, given, m.tensor([256], scale=spread(m, out, 0.3)), **options))


def ties(m: Maker) -> None:
    """Scales at which results are half between two steps, so that the last bit decides."""
    for a in (0.02, 0.03, 0.07, 0.1, 0.14):
        for b in (0.03, 0.05, 0.14, 0.6):
            for name in ("ABS", "ELU", "LEAKY_RELU", "RELU"):
                options = {"alpha": 0.1} if name == "LEAKY_RELU" else {}
                x = m.input([256], scale=a)
                m.output(op(m, name, [x], m.tensor([256], scale=b), **options))
            for name in ("ADD", "DIV", "SUB"):
                x, c = m.input([256], scale=a), m.tensor([], scale=b, zero=0, data=np.array(10))
                m.output(op(m, name, [x, c], m.tensor([256], scale=0.04)))
    for a, b in ((0.013768933713436127, 0.0035975284408777952), (0.0046287472, 0.0011094151)):
        for zero in (-112, 82):
            x = m.input([256], scale=a, zero=zero)
            m.output(m.op("HARD_SWISH", [x], [m.tensor([256], scale=b, zero=14)]))


def floats(m: Maker) -> None:
    """What a converter leaves float, between DEQUANTIZE and QUANTIZE, also moved."""
    for name in [
        "ABS",
        "CEIL",
        "COS",
        "EXP",
        "FLOOR",
        "LOG",
        "LOGISTIC",
        "NEG",
        "ROUND",
        "SIN",
        "SQUARE",
        "SQRT",
        "RSQRT",
        "TANH",
    ]:
        x = m.input([256], scale=0.05, zero=-128 if name in ("LOG", "SQRT", "RSQRT") else None)
        f, g, h = (m.tensor([256], scale=None, dtype="FLOAT32") for _ in range(3))
        m.op("DEQUANTIZE", [x], [f])
        little = m.tensor([], scale=None, dtype="FLOAT32", data=np.array(0.01, np.float32))
        op(m, "ADD", [f, little], g)
        m.op(name, [g], [h])
        m.output(m.op("QUANTIZE", [h], [m.tensor([256], scale=0.07)]))
    x = m.input([256], scale=0.05)
    f, g, h = (m.tensor([256], scale=None, dtype="FLOAT32") for _ in range(3))
    half = m.tensor([], scale=None, dtype="FLOAT32", data=np.array(0.5, np.float32))
    m.op("DEQUANTIZE", [x], [f])
    op(m, "MUL", [f, half], g)
    op(m, "ADD", [g, f], h, fusedActivationFunction=1)
    m.output(m.op("QUANTIZE", [h], [m.tensor([256], scale=0.04)]))


def conditions(m: Maker) -> None:
    """Comparisons and SELECT_V2, as a ReLU with a threshold is written."""
    for name in ["EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"]:
        x = m.input([256], scale=0.03)
        truth = m.tensor([256], scale=None, dtype="BOOL")
        m.op(name, [x, m.tensor([], scale=0.05, zero=4, data=np.array(11))], [truth])
        zero = m.tensor([], scale=0.03, zero=0, data=np.array(int(m.quantization(x)[1])))
        m.output(m.op("SELECT_V2", [truth, x, zero], [m.like(x)]))


def meetings(m: Maker) -> None:
    """What is made of one tensor on several ways."""
    x = m.input([256], scale=0.05)
    gate = m.op("LOGISTIC", [x], [m.tensor([256], scale=1 / 256, zero=-128)])
    swish = op(m, "MUL", [x, gate], m.tensor([256], scale=0.03))
    m.output(op(m, "SUB", [swish, x], m.tensor([256], scale=0.04)))
    m.output(
        op(
            m,
            "TANH",
            [m.op("RELU", [swish], [m.tensor([256], scale=0.02)])],
            m.tensor([256], scale=1 / 128, zero=0),
        )
    )


def channels(m: Maker) -> None:
    """Constants that differ between channels: a table for each, or for many a loop."""
    for shape, constant in [
        ([1, 4, 3, 5], [5]),
        ([1, 4, 3, 5], [1, 1, 3, 1]),
        ([1, 4, 3, 5], [4, 1, 1]),
        ([1, 4, 3, 40], [40]),
    ]:
        x = m.input(shape, scale=0.05)
        values = m.rng.integers(-128, 128, constant)
        given = [m.tensor(constant, scale=s, zero=3, data=values) for s in (0.02, 0.03)]
        y = op(m, "MUL", [x, given[0]], m.tensor(shape, scale=0.05))
        y = op(m, "ADD", [y, given[1]], m.tensor(shape, scale=0.06))
        m.output(m.op("RELU", [y], [m.tensor(shape, scale=0.06)]))
        m.output(op(m, "PRELU", [x, given[0]], m.tensor(shape, scale=0.05)))


def pairs(m: Maker) -> None:
    """Of two inputs that vary, also broadcast."""
    for name in ["ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB"]:
        for a, b in [([1, 4, 3, 5], [1, 4, 3, 5]), ([1, 4, 3, 5], [3, 1]), ([1, 3, 4], [1, 1, 1])]:
            # Of DIV the divisor is never 0.
            x = m.input(a, scale=0.03)
            y = m.input(b, scale=0.02, zero=-128)
            if name == "DIV":
                one = m.tensor([], scale=0.02, zero=0, data=np.array(50))
                y = op(m, "ADD", [y, one], m.tensor(b, scale=0.03, zero=-128))
            out = {"MUL": 0.06, "SQUARED_DIFFERENCE": 0.1, "DIV": 0.04}.get(name, 0.05)
            m.output(op(m, name, [x, y], m.tensor(a, scale=out)))
    x, y = m.input([1, 40], scale=0.03), m.input([1, 40], scale=0.02)
    for name in ("MUL", "PRELU", "SQUARED_DIFFERENCE"):  # scaled to the left
        m.output(op(m, name, [x, y], m.tensor([1, 40], scale=0.0001)))
