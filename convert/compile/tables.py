"""Operators on one value at a time, as tables: what TFLM computes for each of 256 inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from convert.errors import ConvertError
from convert.fixedpoint import Ints, divide_by_power, logistic, multiply, quantize_multiplier
from convert.tflite_graph import Op, Quantization, Tensor

#: Values of a tensor's type, by byte: entry i is of the byte i of int8 -128, or of uint8 0, first.
_LEAST = {"INT8": -128, "UINT8": 0}


@dataclass(eq=False)
class TableOp(Op):
    """An operator that looks each value up; `table` holds bytes as int8, input -128 first."""

    table: Ints = field(kw_only=True)


def table_op(op: Op) -> TableOp:
    """The operator as a table; ConvertError where TFLM would not run it."""
    source, result = op.inputs[0], op.outputs[0]
    assert source is not None
    for tensor in (source, result):
        if tensor.dtype not in _LEAST:
            raise ConvertError(f"tensor {tensor.name} is {tensor.dtype}; INT8 is supported")
    values = np.arange(256, dtype=np.int64) + _LEAST[source.dtype]
    into = np.clip(
        _FUNCTIONS[op.name](values, source.quantization, result.quantization),
        _LEAST[result.dtype],
        _LEAST[result.dtype] + 255,
    )
    table = into.astype(np.uint8).astype(np.int8).astype(np.int64)
    if source.dtype == "UINT8":  # the kernel takes bytes as int8
        table = np.roll(table, 128)
    return TableOp(op.index, op.name, op.options, op.inputs, op.outputs, table=table)


def compose(first: TableOp, second: TableOp) -> TableOp:
    """The second after the first, in one table."""
    name = f"{first.name}, {second.name}"
    table = second.table[first.table + 128]
    return TableOp(second.index, name, {}, first.inputs, second.outputs, table=table)


def is_table(op: Op) -> bool:
    """It works on one value at a time."""
    return op.name in _FUNCTIONS


def _quantize(x: Ints, source: Quantization, result: Quantization) -> Ints:
    multiplier, shift = quantize_multiplier(source.scale / result.scale)
    return multiply(x - source.zero_point, multiplier, shift) + result.zero_point


def _relu(x: Ints, source: Quantization, result: Quantization) -> Ints:
    return np.maximum(_quantize(x, source, result), result.zero_point)


def _relu6(x: Ints, source: Quantization, result: Quantization) -> Ints:
    """TFLM compares with 0 and 6 in the input's scale and gives the input's value."""
    if source != result:
        raise ConvertError("RELU6 with different scales of input and output is not supported")
    # As TFLM rounds a float quotient: halves away from zero.
    six = math.floor(float(np.float32(6) / np.float32(source.scale)) + 0.5) + source.zero_point
    return np.clip(x, source.zero_point, min(six, 127))


def _logistic(x: Ints, source: Quantization, result: Quantization) -> Ints:
    if (result.scale, result.zero_point) != (1 / 256, -128):
        raise ConvertError(
            f"output scale {result.scale}, zero point {result.zero_point}; 1/256 and -128 are "
            "supported, as TFLite's specification has it"
        )
    mantissa, shift = math.frexp(source.scale * (1 << 27))  # four integer bits
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    radius = math.floor(15 * (1 << 27) / 2.0**shift)
    centred = x - source.zero_point
    inside = np.clip(centred, -radius, radius)
    middle = divide_by_power(logistic(multiply(inside, multiplier, shift), 4), 23) - 128
    return np.where(centred <= -radius, -128, np.where(centred >= radius, 127, middle))


_FUNCTIONS = {
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu6,
    "LOGISTIC": _logistic,
}


def same_values(source: Tensor, result: Tensor) -> bool:
    """Both have the same scale and zero point."""
    return source.quantization == result.quantization
