# SPDX-License-Identifier: Apache-2.0
"""Products of two activations and weights in memory, as calls of firmware/kernels/ops_weights.h:
portable C for every core, which computes just as TFLM's reference kernels do."""

from __future__ import annotations

import math

from wakestate.convert.compile.program import Step, Table, braces
from wakestate.convert.compile.rows import bias_values, scaling
from wakestate.convert.compile.window import activation_range, quantized
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Tensor


def multiplies(op: Op) -> bool:
    """Its weights are read from memory, as int8 with a zero point of their own."""
    if op.name == "BATCH_MATMUL":
        return True
    if op.name != "FULLY_CONNECTED" or op.source(1).dtype != "INT8":
        return False
    weights = op.source(1)
    return weights.data is None or (len(weights.scales) == 1 and bool(weights.zero_points[0]))


def lower_product(op: Op, name: str) -> Step:
    """BATCH_MATMUL, and FULLY_CONNECTED by weights in memory."""
    a, b, result = op.source(), op.source(1), op.outputs[0]
    tables = []
    if op.name == "BATCH_MATMUL":
        sizes, reads = _batches(op, a, b)
    else:
        columns, depth = b.shape
        sizes = [1, 1, 1, a.size // depth, columns, depth]
        reads = [[0, 0, 0, depth, 0, 1], [0, 0, 0, 0, depth, 1]]
        if (bias := op.optional(2)) is not None:
            tables = [Table("bias", "int32_t", bias_values(bias))]
    qa, qb, out = quantized(a), quantized(b), quantized(result)
    limits, row = activation_range(op, out), scaling(op, 1)
    fields = {
        "n": braces(sizes),
        "a": braces(reads[0]),
        "b": braces(reads[1]),
        "a_zero": qa.zero_point,
        "b_zero": qb.zero_point,
        "multiplier": int(row.multiplier[0]),
        "shift": -int(row.shift[0]),
        "range": limits.c,
    }
    return Step(
        name,
        f"product, {sizes[3]}x{sizes[5]} by {sizes[5]}x{sizes[4]}",
        "ws_op_matmul",
        [a, b],
        result,
        ["&{name}_shape", "{name}_bias" if tables else "NULL", "{0}", "{1}", "{out}"],
        tables,
        "ws_op_matmul_shape",
        fields,
        macs=math.prod(sizes),
    )


def _batches(op: Op, a: Tensor, b: Tensor) -> tuple[list[int], list[list[int]]]:
    """[..., rows, depth] by [..., depth, columns], or transposed; what comes before is broadcast.

    Sizes of the six loops, and for both the steps that each of them takes.
    """
    if max(len(a.shape), len(b.shape)) > 5:
        raise ConvertError(
            f"inputs {list(a.shape)} and {list(b.shape)}; 2 to 5 dimensions are supported"
        )
    first, second = ([1] * (5 - len(t.shape)) + list(t.shape) for t in (a, b))
    adj_x, adj_y = bool(op.options.get("adj_x", False)), bool(op.options.get("adj_y", False))
    rows, depth = first[3:][::-1] if adj_x else first[3:]
    columns = second[3] if adj_y else second[4]
    batch = [max(pair) for pair in zip(first[:3], second[:3], strict=True)]
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
