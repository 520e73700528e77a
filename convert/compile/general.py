"""Weights that the fast kernels do not take, as calls of firmware/kernels/ops_weights.h.

Computed or asymmetric weights, products of two activations, and sums beyond what rows.py allows:
portable C for every core, which computes just as TFLM's reference kernels do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.program import Range, Step, Table
from wakestate.convert.compile.rows import Row, bias_values, scaling
from wakestate.convert.compile.window import Window, activation_range, quantized
from wakestate.convert.errors import ConvertError
from wakestate.convert.tflite_graph import Op, Tensor


def multiplies(op: Op) -> bool:
    """Its weights are read from memory, as int8 with a zero point of their own."""
    if op.name == "BATCH_MATMUL":
        return True
    weights = op.inputs[1] if op.name == "FULLY_CONNECTED" and len(op.inputs) > 1 else None
    if weights is None or weights.dtype != "INT8":
        return False
    return weights.data is None or (len(weights.scales) == 1 and bool(weights.zero_points[0]))


def lower_exact(
    op: Op, name: str, title: str, shape: Window, own: NDArray[np.int8], row: Row, limits: Range
) -> Step:
    """A convolution whose sums wrap as TFLM's do; `own`: [outputs, taps, inputs of a group]."""
    source = op.inputs[0]
    assert source is not None
    weights = Table("weights", "int8_t", own.astype(np.int64).reshape(-1))
    return Step(
        name, f"{title}, sums of 2^30 and more", "ws_op_exact", [source], op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", str(own.shape[2]), "{0}", "{out}"],
        [weights, *row.plain_tables()],
        "ws_conv_shape", shape.fields(quantized(source).zero_point, limits),
    )  # fmt: skip


def lower_product(op: Op, name: str) -> Step:
    """BATCH_MATMUL, and FULLY_CONNECTED by weights in memory."""
    a, b, result = op.inputs[0], op.inputs[1], op.outputs[0]
    if a is None or b is None:
        raise ConvertError("has one input; two are needed")
    bias, tables = None, []
    if op.name == "BATCH_MATMUL":
        sizes, reads = _batches(op, a, b)
    else:
        sizes, reads = _matrix(op, a, b)
        bias = op.inputs[2] if len(op.inputs) > 2 else None
    if math.prod(sizes[:-1]) != result.size:
        raise ConvertError(f"makes {sizes[:-1]}, its output is {list(result.shape)}")
    if bias is not None:
        tables = [Table("bias", "int32_t", bias_values(bias, sizes[4]))]
    qa, qb, out = quantized(a), quantized(b), quantized(result)
    limits = activation_range(op, out)
    row = scaling(op, b, qa, out, 1)
    fields: list[tuple[str, object]] = [
        ("n", _braces(sizes)),
        ("a", _braces(reads[0])),
        ("b", _braces(reads[1])),
        ("a_zero", qa.zero_point),
        ("b_zero", qb.zero_point),
        ("multiplier", int(row.multiplier[0])),
        ("shift", -int(row.shift[0])),
        ("range", limits.c),
    ]
    return Step(
        name, f"product, {sizes[3]}x{sizes[5]} by {sizes[5]}x{sizes[4]}", "ws_op_matmul",
        [a, b], result,
        ["&{name}_shape", "{name}_bias" if tables else "NULL", "{0}", "{1}", "{out}"],
        tables, "ws_op_matmul_shape", fields, macs=math.prod(sizes),
    )  # fmt: skip


def _matrix(op: Op, a: Tensor, b: Tensor) -> tuple[list[int], list[list[int]]]:
    """[rows, depth] by [columns, depth]."""
    depth = b.shape[-1] if len(b.shape) > 1 else 0
    if not depth or a.size % depth or op.options.get("weights_format", 0) != 0:
        raise ConvertError(f"weights {list(b.shape)} for input {list(a.shape)}")
    sizes = [1, 1, 1, a.size // depth, b.size // depth, depth]
    return sizes, [[0, 0, 0, depth, 0, 1], [0, 0, 0, 0, depth, 1]]


def _batches(op: Op, a: Tensor, b: Tensor) -> tuple[list[int], list[list[int]]]:
    """[..., rows, depth] by [..., depth, columns], or transposed; what comes before is broadcast.

    Sizes of the six loops, and for both the steps that each of them takes.
    """
    if not 2 <= min(len(a.shape), len(b.shape)) <= max(len(a.shape), len(b.shape)) <= 5:
        raise ConvertError(
            f"inputs {list(a.shape)} and {list(b.shape)}; 2 to 5 dimensions are supported"
        )
    first, second = ([1] * (5 - len(t.shape)) + list(t.shape) for t in (a, b))
    adj_x, adj_y = bool(op.options.get("adj_x", False)), bool(op.options.get("adj_y", False))
    rows, depth = first[3:][::-1] if adj_x else first[3:]
    again, columns = second[3:][::-1] if adj_y else second[3:]
    batch = [max(pair) for pair in zip(first[:3], second[:3], strict=True)]
    fits = all(n in (1, m) for shape in (first, second) for n, m in zip(shape, batch, strict=False))
    if depth != again or not fits:
        raise ConvertError(f"inputs {list(a.shape)} and {list(b.shape)} do not fit")
    steps = []
    for shape in (first, second):
        dense = [math.prod(shape[axis + 1 :]) for axis in range(5)]
        steps.append([dense[axis] if shape[axis] > 1 else 0 for axis in range(3)])
    of_a = [1, rows] if adj_x else [depth, 1]  # from row to row, along the depth
    of_b = [depth, 1] if adj_y else [1, columns]  # from column to column, along the depth
    return [*batch, rows, columns, depth], [
        [*steps[0], of_a[0], 0, of_a[1]],
        [*steps[1], 0, of_b[0], of_b[1]],
    ]


def _braces(values: Sequence[int]) -> str:
    return f"{{ {', '.join(str(v) for v in values)} }}"
