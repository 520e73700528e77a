# SPDX-License-Identifier: Apache-2.0
"""Operators on two tensors as calls of firmware/kernels/ops_pairs.h, with broadcasting."""

from __future__ import annotations

import numpy as np

from wakestate.convert.compile.plain import dense_strides, walk
from wakestate.convert.compile.program import Step, Table, braces
from wakestate.convert.compile.tables import (
    add_multipliers,
    difference_multipliers,
    prelu_multipliers,
    quotient_multiplier,
)
from wakestate.convert.compile.window import activation_range, quantized
from wakestate.convert.graph.fixedpoint import quantize_multiplier, reciprocal
from wakestate.convert.graph.tflite_graph import Op, Tensor

#: By operator, for people.
PAIRS = {
    "ADD": "sum",
    "DIV": "quotient",
    "MAXIMUM": "larger",
    "MINIMUM": "smaller",
    "MUL": "product",
    "PRELU": "PReLU",
    "SQUARED_DIFFERENCE": "squared difference",
    "SUB": "difference",
}


def lower_pair(op: Op, name: str) -> Step:
    """One of PAIRS, of two int8 tensors, one of which may be a constant."""
    a, b, result = op.source(), op.source(1), op.outputs[0]
    loops = walk(result.shape, [_strides(a, result), _strides(b, result)])
    fields: dict[str, object] = dict(zip("nab", map(braces, loops), strict=True))
    tables: list[Table] = []
    if op.name not in ("MAXIMUM", "MINIMUM"):
        zeros = quantized(a).zero_point, quantized(b).zero_point
        fields |= {"a_zero": zeros[0], "b_zero": zeros[1]}
        if op.name == "DIV":
            tables = _inverses(zeros[1])
            fields |= {table.part: f"{name}_{table.part}" for table in tables}
        for prefix, (multiplier, shift) in _multipliers(op, a, b, result).items():
            fields |= {f"{prefix}multiplier": multiplier, f"{prefix}shift": -shift}
        fields["range"] = activation_range(op, quantized(result)).c
    same = {n: 0 for n, t in enumerate((a, b)) if t.size == result.size}
    kernel = f"ws_op_{op.name.lower()}"
    return Step(
        name,
        PAIRS[op.name],
        kernel,
        [a, b],
        result,
        ["&{name}_shape", "{0}", "{1}", "{out}"],
        tables,
        struct=f"{kernel}_shape",
        fields=fields,
        distance=same,
    )


def _multipliers(op: Op, a: Tensor, b: Tensor, result: Tensor) -> dict[str, tuple[int, int]]:
    """By prefix of the C struct's fields, the multiplier and the shift to the left."""
    scales = [quantized(t).scale for t in (a, b, result)]
    if op.name in ("ADD", "SUB"):
        return dict(zip(("a_", "b_", ""), add_multipliers(*scales), strict=True))
    if op.name == "SQUARED_DIFFERENCE":
        return dict(zip(("a_", "b_", ""), difference_multipliers(*scales), strict=True))
    if op.name == "PRELU":
        return dict(zip(("", "b_"), prelu_multipliers(*scales), strict=True))
    if op.name == "DIV":
        return {"": quotient_multiplier(*scales)}
    return {"": quantize_multiplier(scales[0] * scales[1] / scales[2])}


def _inverses(zero_point: int) -> list[Table]:
    """Of each divisor, its byte -128 first."""
    found = np.array([reciprocal(abs(q - zero_point)) for q in range(-128, 128)])
    return [Table("inverse", "int32_t", found[:, 0]), Table("down", "int8_t", found[:, 1])]


def _strides(tensor: Tensor, result: Tensor) -> list[int]:
    """Of a tensor that is broadcast to the result's shape."""
    shape = [1] * (len(result.shape) - len(tensor.shape)) + list(tensor.shape)
    strides = dense_strides(shape)
    return [stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True)]
