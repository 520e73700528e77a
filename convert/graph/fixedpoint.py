# SPDX-License-Identifier: Apache-2.0
"""The integer arithmetic of TFLite's reference kernels, for what is worked out at generation time.

Q31 is a fraction of 2^31. Arrays are int64 and hold int32 values; the rounding is that of
gemmlowp's fixed point, on which the kernels are defined. The device's own few lines of it are in
firmware/kernels/.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.graph.errors import ConvertError

Ints = NDArray[np.int64]

ONE = (1 << 31) - 1  # of Q31: as near as it comes


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A real, 0 or more, as (Q31 multiplier, shift to the left): TFLite's QuantizeMultiplier.

    The shift is within +-31; a ConvertError where the real is too large for that, or no number.
    """
    if not 0 <= real < 1 << 31:
        raise ConvertError(f"a factor of {real:g} between scales; below 2^31 is supported")
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def high_mul(a: Ints | int, b: Ints | int) -> Ints:
    """a * b / 2^31, halves up: SaturatingRoundingDoublingHighMul, but for -2^31 squared."""
    return (np.asarray(a, np.int64) * b + (1 << 30)) >> 31


def divide_by_power(x: Ints, exponent: int) -> Ints:
    """x / 2^exponent, halves away from zero: RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def wrap(x: Ints) -> Ints:
    """What 32 bits keep of it, as int32 does."""
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def multiply(x: Ints, multiplier: int, shift: int) -> Ints:
    """x * multiplier * 2^(shift - 31), rounded twice: MultiplyByQuantizedMultiplier."""
    return divide_by_power(high_mul(wrap(x << max(shift, 0)), multiplier), max(-shift, 0))


def _saturate(x: Ints) -> Ints:
    return np.clip(x, -(1 << 31), ONE)


def exp_of_negative(x: Ints, integer_bits: int) -> Ints:
    """exp of x <= 0 with that many integer bits, in Q31: gemmlowp's exp_on_negative_values."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (x & (quarter - 1)) - quarter  # -1/4 <= rest < 0
    t = _saturate(rest << integer_bits) + (1 << 28)  # around -1/8, where the series is
    t2 = high_mul(t, t)
    t3, t4 = high_mul(t2, t), high_mul(t2, t2)
    tail = divide_by_power(high_mul(divide_by_power(t4, 2) + t3, 715827883) + t2, 1)
    result = 1895147668 + high_mul(t + tail, 1895147668)
    # exp(-1/4), exp(-1/2) ... exp(-16) for each bit of what was left out.
    powers = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, power in zip(range(-2, integer_bits), powers, strict=False):
        bit = (rest - x) >> (fraction + exponent) & 1
        result = np.where(bit != 0, high_mul(result, power), result)
    return np.where(x == 0, ONE, result)


def _two_over_one_plus(x: Ints) -> Ints:
    """2 / (1 + x) of x in 0 .. 1 in Q31, with two integer bits: three steps of Newton's."""
    total = x + ONE
    half = (total + 1) >> 1  # RoundingHalfSum: halves away from zero
    half = np.where(total < 0, -((1 - total) >> 1), half)
    y = 1515870810 + high_mul(half, -1010580540)
    for _ in range(3):
        y = y + _saturate(high_mul(y, (1 << 29) - high_mul(half, y)) << 2)
    return y


def one_over_one_plus(x: Ints) -> Ints:
    """1 / (1 + x) of x in 0 .. 1, Q31 both."""
    return _saturate(_two_over_one_plus(x) << 1)


def logistic(x: Ints, integer_bits: int) -> Ints:
    """1 / (1 + exp(-x)), in Q31."""
    positive = one_over_one_plus(exp_of_negative(-np.abs(x), integer_bits))
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, ONE - positive))


def tanh(x: Ints, integer_bits: int) -> Ints:
    """Of x with that many integer bits, in Q31."""
    power = exp_of_negative(-np.abs(x), integer_bits + 1)  # of -2 |x|
    positive = _saturate((_two_over_one_plus(power) - (1 << 29)) << 2)  # (1 - p) / (1 + p)
    return np.where(x == 0, 0, np.where(x > 0, positive, -positive))


def reciprocal(x: int) -> tuple[int, int]:
    """1 / x of x >= 0 as (Q31, shift to the right): GetReciprocal, which makes something of 0."""
    bits = x.bit_length()
    fraction = (x << (32 - bits)) - (1 << 31)  # x is (1 + fraction / 2^31) * 2^(bits - 1)
    return int(one_over_one_plus(np.array(fraction))), bits - 1


def inverse_square_root(x: int) -> tuple[int, int]:
    """1 / sqrt(x) of x in 1 .. 2^29 as (Q31, shift to the right): five steps of Newton's."""
    if x <= 1:
        return ONE, 0
    pairs = (32 - x.bit_length() - 1) // 2 - 1
    scaled, shift = x << (2 * pairs), 11 - pairs
    half = int(divide_by_power(np.array(scaled >> 1), 1))  # three integer bits, as y
    y = 1 << 28
    for _ in range(5):
        cube = int(_saturate(high_mul(high_mul(y, y), y) << 6))
        y = int(_saturate((high_mul(3 << 27, y) - high_mul(half, cube)) << 3))
    y = int(high_mul(y, 1518500250))  # sqrt(2) / 2
    return (y << -shift, 0) if shift < 0 else (y, shift)
