# SPDX-License-Identifier: Apache-2.0
"""Integer operators on one value at a time, as TFLM computes them: for tables of 256 bytes.

Values are int64 arrays that broadcast: what an input can be, by byte in the last dimension, or a
constant. Each function returns what the output is before it is cut to its type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wakestate.convert.compile.window import activation_range
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import (
    Ints,
    divide_by_power,
    high_mul,
    inverse_square_root,
    logistic,
    multiply,
    quantize_multiplier,
    reciprocal,
    tanh,
)
from wakestate.convert.graph.tflite_graph import Op, Quantization


@dataclass(frozen=True)
class Value:
    """What a tensor of int8 or uint8 can be."""

    q: Ints
    quantization: Quantization

    @property
    def scale(self) -> np.float32:
        """As a float, which TFLM has only some operators take it for."""
        return np.float32(self.quantization.scale)

    @property
    def centered(self) -> Ints:
        """Less the zero point."""
        return self.q - self.quantization.zero_point


Function = Callable[[Op, list[Value], Quantization], Ints]


def below_one(real: float) -> tuple[int, int]:
    """quantize_multiplier of what TFLM requires to be between 0 and 1; it stops at others."""
    multiplier, shift = quantize_multiplier(real)
    if not 0 < real < 1 or shift > 0:
        raise ConvertError(
            f"its scales need a factor of {real:.6g}, which TFLM takes below 1 only; "
            "quantize with scales nearer to one another"
        )
    return multiplier, shift


def add_multipliers(a: float, b: float, out: float) -> list[tuple[int, int]]:
    """Of both inputs and of their sum or difference, for ADD and SUB."""
    maximum = 2 * max(a, b)
    return [below_one(real) for real in (a / maximum, b / maximum, maximum / ((1 << 20) * out))]


def difference_multipliers(a: float, b: float, out: float) -> list[tuple[int, int]]:
    """Of both inputs and of the result, for SQUARED_DIFFERENCE."""
    maximum = 2 * max(a, b)
    last = maximum * maximum / float(np.float32(1 << 14) * np.float32(out))
    return [below_one(a / maximum), below_one(b / maximum), quantize_multiplier(last)]


def quotient_multiplier(a: float, b: float, out: float) -> tuple[int, int]:
    """Of a quotient of integers, for DIV."""
    real = a / (b * out)
    multiplier, shift = quantize_multiplier(real)
    if shift > 22:
        raise ConvertError(f"its scales need a factor of {real:.6g}; 2^22 is the most")
    return multiplier, shift


def prelu_multipliers(a: float, alpha: float, out: float) -> list[tuple[int, int]]:
    """Of positive inputs, and of negative ones times alpha."""
    return [quantize_multiplier(a / out), quantize_multiplier(a * alpha / out)]


def _sum(op: Op, given: list[Value], out: Quantization) -> Ints:
    a, b = given
    scales = (a.quantization.scale, b.quantization.scale, out.scale)
    first, second, last = add_multipliers(*scales)
    p, q = multiply(a.centered << 20, *first), multiply(b.centered << 20, *second)
    return _clamped(op, multiply(p - q if op.name == "SUB" else p + q, *last), out)


def _product(op: Op, given: list[Value], out: Quantization) -> Ints:
    a, b = given
    pair = quantize_multiplier(a.quantization.scale * b.quantization.scale / out.scale)
    return _clamped(op, multiply(a.centered * b.centered, *pair), out)


def _squared_difference(op: Op, given: list[Value], out: Quantization) -> Ints:
    a, b = given
    first, second, last = difference_multipliers(
        a.quantization.scale, b.quantization.scale, out.scale
    )
    difference = multiply(a.centered << 7, *first) - multiply(b.centered << 7, *second)
    return multiply(difference * difference, *last) + out.zero_point


def _quotient(op: Op, given: list[Value], out: Quantization) -> Ints:
    a, b = given
    pair = quotient_multiplier(a.quantization.scale, b.quantization.scale, out.scale)
    table = np.array([reciprocal(n) for n in range(256)])
    divisor = np.abs(b.centered)
    inverse, down = table[divisor, 0], table[divisor, 1]
    dividend = np.where(b.centered < 0, -a.centered, a.centered)
    return _clamped(op, quotient(dividend, inverse, down, *pair), out)


def quotient(x: Ints, inverse: Ints, down: Ints, multiplier: int, shift: int) -> Ints:
    """x times an inverse and a multiplier, as DIV does it, which masks shifts beyond 31."""
    size = np.where(x < 0, ~x, x)
    headroom = 31 - np.array([int(n).bit_length() for n in size.reshape(-1)]).reshape(size.shape)
    value = high_mul(high_mul(x << headroom, inverse), multiplier)
    right = down + headroom - shift
    far = (value >> (right & 31)) + (value > np.where(value < 0, 0, -1))
    return np.where(right > 31, far, divide_by_power(value, np.minimum(right, 31)))


def _prelu(op: Op, given: list[Value], out: Quantization) -> Ints:
    a, alpha = given
    above, below = prelu_multipliers(a.quantization.scale, alpha.quantization.scale, out.scale)
    positive = multiply(np.maximum(a.centered, 0), *above)
    negative = multiply(np.minimum(a.centered, 0) * alpha.centered, *below)
    return np.where(a.centered >= 0, positive, negative) + out.zero_point


def _clamped(op: Op, x: Ints, out: Quantization) -> Ints:
    limits = activation_range(op, out)
    return np.clip(x + out.zero_point, limits.low, limits.high)


def _quantize(op: Op, given: list[Value], out: Quantization) -> Ints:
    pair = quantize_multiplier(given[0].quantization.scale / out.scale)
    return multiply(given[0].centered, *pair) + out.zero_point


def _relu(op: Op, given: list[Value], out: Quantization) -> Ints:
    return np.maximum(_quantize(op, given, out), out.zero_point)


def _relu6(op: Op, given: list[Value], out: Quantization) -> Ints:
    """TFLM clamps in the input's scale and gives the input's value, whatever the output's scale."""
    zero = given[0].quantization.zero_point
    six = math.floor(float(np.float32(6) / given[0].scale) + 0.5) + zero
    return np.clip(given[0].q, zero, min(six, 127))


def _leaky_relu(op: Op, given: list[Value], out: Quantization) -> Ints:
    x = given[0]
    alpha, scale = float(op.options["alpha"]), x.quantization.scale
    above = quantize_multiplier(scale / out.scale)
    below = quantize_multiplier(abs(scale * alpha / out.scale))
    negative = multiply(np.minimum(x.centered, 0), *below) * (-1 if alpha < 0 else 1)
    positive = multiply(np.maximum(x.centered, 0), *above)
    return np.where(x.centered >= 0, positive, negative) + out.zero_point


def _absolute(op: Op, given: list[Value], out: Quantization) -> Ints:
    x, scale = np.abs(given[0].centered), given[0].quantization.scale
    if scale != out.scale:
        x = multiply(x, *quantize_multiplier(scale / out.scale))
    return x + out.zero_point


def _inverse_root(op: Op, given: list[Value], out: Quantization) -> Ints:
    """Below the zero point, where TFLM ends with an error, and at it: the most."""
    scale = math.sqrt(given[0].quantization.scale) * out.scale
    multiplier, shift = quantize_multiplier(1 / scale)
    found = np.full(given[0].centered.shape, 127, np.int64)
    for at in np.argwhere(given[0].centered > 0):
        root, down = inverse_square_root(int(given[0].centered[tuple(at)]))
        value = multiply(np.array(1), root, 20 - down)
        found[tuple(at)] = multiply(value, multiplier, shift - 20) + out.zero_point
    return found


def _saturating(x: Value, function: Callable[[Ints, int], Ints], bits: int, add: int) -> Ints:
    """LOGISTIC or TANH of four integer bits, in that many fewer bits than Q31; -128 and 127 beyond
    what they cover."""
    mantissa, shift = math.frexp(x.quantization.scale * (1 << 27))
    radius = math.floor(15 * (1 << 27) / 2.0**shift)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    inside = multiply(np.clip(x.centered, -radius, radius), multiplier, shift)
    middle = divide_by_power(function(inside, 4), bits) + add
    return np.where(x.centered <= -radius, -128, np.where(x.centered >= radius, 127, middle))


def _logistic(op: Op, given: list[Value], out: Quantization) -> Ints:
    if out.zero_point != -128:
        raise ConvertError(f"output zero point {out.zero_point}; TFLM takes -128 only")
    return _saturating(given[0], logistic, 23, -128)


def _tanh(op: Op, given: list[Value], out: Quantization) -> Ints:
    """Of steps of 1/128, whatever the output's scale and zero point."""
    return _saturating(given[0], tanh, 24, 0)


def _hard_swish(op: Op, given: list[Value], out: Quantization) -> Ints:
    """x * relu6(x + 3) / 6 in 16 bits."""
    fine = given[0].quantization.scale / 128
    to_output = quantize_multiplier(fine / out.scale)
    to_three = quantize_multiplier(fine / (3 / 32768))
    if to_output[1] > 0:
        raise ConvertError(
            f"input scale {given[0].quantization.scale:.6g} is more than 128 times the output's "
            f"{out.scale:.6g}, which TFLM does not take; quantize with another output scale"
        )
    x, up = given[0].centered << 7, to_three[1]
    value = _high_mul16(x, to_output[0])
    gate = _saturate16(x << (up - 1)) if up > 0 else x
    gate = _high_mul16(gate, to_three[0])
    gate = _saturate16(gate << 1) if up > 0 else _divide16(gate, -up)
    gate = (gate + (1 << 15)) >> 1
    found = np.abs(gate * value) >> 15  # towards zero
    found = np.where(gate * value < 0, -found, found)
    return _divide16(found, -to_output[1]) + out.zero_point


def _high_mul16(x: Ints, multiplier: int) -> Ints:
    """x * multiplier / 2^31 of 16 bits each, halves up."""
    short = 32767 if multiplier >= (1 << 31) - 1 - (1 << 15) else (multiplier + (1 << 15)) >> 16
    return (x * short + (1 << 14)) >> 15


def _saturate16(x: Ints) -> Ints:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def _divide16(x: Ints, exponent: int) -> Ints:
    """divide_by_power, where a mask of 16 bits is full from an exponent of 16 on."""
    if exponent < 16:
        return divide_by_power(x, exponent)
    return (x >> exponent) + (x > np.where(x < 0, 0, -1))


def _elu(op: Op, given: list[Value], out: Quantization) -> Ints:
    x = given[0].scale * given[0].centered.astype(np.float32)
    below = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
    scaled = np.where(x < 0, below, x) * (np.float32(1) / np.float32(out.scale))
    rounded = np.trunc(scaled + np.copysign(0.5, scaled.astype(np.float64)))
    return (rounded + out.zero_point).astype(np.int64)


def _extreme(op: Op, given: list[Value], out: Quantization) -> Ints:
    """Of the bytes as they are: TFLM looks at no scale."""
    return (np.maximum if op.name == "MAXIMUM" else np.minimum)(given[0].q, given[1].q)


#: By operator; all inputs are int8, of QUANTIZE also uint8.
INTEGER: dict[str, Function] = {
    "ABS": _absolute,
    "ADD": _sum,
    "DIV": _quotient,
    "ELU": _elu,
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _logistic,
    "MAXIMUM": _extreme,
    "MINIMUM": _extreme,
    "MUL": _product,
    "PRELU": _prelu,
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu6,
    "RSQRT": _inverse_root,
    "SQUARED_DIFFERENCE": _squared_difference,
    "SUB": _sum,
    "TANH": _tanh,
}
