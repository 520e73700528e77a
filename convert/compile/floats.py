# SPDX-License-Identifier: Apache-2.0
"""Float, truth and mixed operators on one value at a time, as TFLM computes them: for tables.

A converter leaves float what it cannot quantize: DEQUANTIZE, NEG, QUANTIZE. Functions of the C
library are correct to the last bit but for a few inputs in ten thousand; here they are worked out
in double precision and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.tables import below_one
from wakestate.convert.compile.window import activation_limits
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import multiply, wrap
from wakestate.convert.graph.tflite_graph import Op, Tensor

Array = NDArray[Any]
Function = Callable[..., Array]

_F = np.float32


def _library(function: Callable[[Any], Any]) -> Function:
    def found(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(x.astype(np.float64)), np.float32)

    return found


_exp = _library(np.exp)


def _logistic(x: Array) -> Array:
    """TFLM cuts off what would be 1, and what exp alone is near enough to."""
    plain = _F(1) / (_F(1) + _exp(-np.maximum(x, -80)))
    return np.where(x > _F(16.619047164916992188), _F(1), np.where(x < -9, _exp(x), plain))


def _elu(x: Array) -> Array:
    return np.where(x < 0, _exp(np.minimum(x, 0)) - _F(1), x)


def _hard_swish(x: Array) -> Array:
    return x * np.minimum(_F(6), np.maximum(_F(0), x + _F(3))) / _F(6)


ONE: dict[str, Function] = {
    "ABS": np.abs,
    "CEIL": np.ceil,
    "COS": _library(np.cos),
    "ELU": _elu,
    "EXP": _exp,
    "FLOOR": np.floor,
    "HARD_SWISH": _hard_swish,
    "LOG": _library(np.log),
    "LOGISTIC": _logistic,
    "NEG": np.negative,
    "RELU": lambda x: np.where(x < 0, _F(0), x),
    "RELU6": lambda x: np.where(x > 6, _F(6), np.where(x < 0, _F(0), x)),
    "ROUND": np.rint,  # halves to even
    "RSQRT": lambda x: _F(1) / np.sqrt(x),
    "SIN": _library(np.sin),
    "SQRT": np.sqrt,
    "SQUARE": lambda x: x * x,
    "TANH": _library(np.tanh),
}

TWO: dict[str, Function] = {
    "ADD": np.add,
    "DIV": np.divide,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "PRELU": lambda x, alpha: np.where(x >= 0, x, x * alpha),
    "SQUARED_DIFFERENCE": lambda a, b: (a - b) * (a - b),
    "SUB": np.subtract,
}

COMPARISONS: dict[str, Function] = {
    "EQUAL": np.equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "NOT_EQUAL": np.not_equal,
}

LOGIC: dict[str, Function] = {
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_NOT": np.logical_not,
    "LOGICAL_OR": np.logical_or,
}


def float_result(op: Op, given: list[Array]) -> Array:
    """Of an operator on floats."""
    with np.errstate(all="ignore"):
        if op.name == "LEAKY_RELU":
            found = np.where(given[0] > 0, given[0], given[0] * _F(float(op.options["alpha"])))
        elif op.name in ONE:
            found = ONE[op.name](*given)
        else:
            found = TWO[op.name](*given)
        if op.activation != "NONE":
            low, high = activation_limits(op)
            found = np.clip(found, _F(low), _F(high))
    return np.asarray(found, np.float32)


def compared(op: Op, given: list[Array], tensors: list[Tensor]) -> Array:
    """Of a comparison, of int8 brought to one scale first."""
    if tensors[0].dtype == "INT8":
        pairs = [below_one(float(np.float32(t.quantization.scale))) for t in tensors]
        given = [
            multiply((x.astype(np.int64) - t.quantization.zero_point) << 8, *pair)
            for x, t, pair in zip(given, tensors, pairs, strict=True)
        ]
    return COMPARISONS[op.name](*given)


def dequantized(x: Array, tensor: Tensor) -> Array:
    """int8 or uint8 as floats."""
    q = tensor.quantization
    return (q.scale * (x.astype(np.int64) - q.zero_point)).astype(np.float32)


def quantized_float(x: Array, tensor: Tensor) -> Array:
    """Floats as int8, before they are cut to that; what no int32 holds is its least."""
    q = tensor.quantization
    with np.errstate(all="ignore"):
        scaled = x / np.float32(q.scale)
        # Halves away from zero.
        rounded = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled))
    return wrap(_int32(rounded) + q.zero_point)


def cast(x: Array, dtype: str) -> Array:
    """Values as they are, without scales."""
    if dtype == "FLOAT32":
        return x.astype(np.float32)
    if dtype != "INT8":
        raise ConvertError(f"to {dtype}; TFLM casts to INT8 and FLOAT32 here")
    if x.dtype == np.float32:
        x = _int32(np.trunc(x.astype(np.float64)))
    return x.astype(np.int64).astype(np.int8).astype(np.int64)


def _int32(x: Array) -> Array:
    inside = (x >= -(1 << 31)) & (x < (1 << 31))
    return np.where(inside, np.where(inside, x, 0).astype(np.int64), -(1 << 31))
