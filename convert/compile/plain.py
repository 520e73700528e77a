# SPDX-License-Identifier: Apache-2.0
"""Operators without weights as calls of firmware/kernels/ops.h, which is the same for all cores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wakestate.convert.compile.program import Step, Table, braces
from wakestate.convert.compile.views import TableOp
from wakestate.convert.compile.window import activation_range, distance, quantized, window
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import (
    Ints,
    divide_by_power,
    exp_of_negative,
    multiply,
    quantize_multiplier,
)
from wakestate.convert.graph.move import box, runs, same_values
from wakestate.convert.graph.tflite_graph import Op, Quantization, Tensor

#: Dimensions that a loop nest of ops.h has.
DIMENSIONS = 4
#: More exponentials could overflow their sum, which has 12 integer bits.
SOFTMAX_MAX = 4095


def lower_table(op: TableOp, name: str) -> Step:
    """One table for all, or one for each of some channels."""
    source, count = op.source(), len(op.table)
    several = [str(count), str(op.inner)] if count > 1 else []
    return Step(
        name,
        f"{count} tables of {op.name}" if several else f"table of {op.name}",
        "ws_op_tables" if several else "ws_op_table",
        [source],
        op.outputs[0],
        ["{name}_values", *several, "{0}", "{out}", str(source.size)],
        [Table("values", "int8_t", op.table.reshape(-1))],
        distance={0: 0},
    )


def lower_pool(op: Op, name: str) -> Step:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    source, result, shape = op.source(), op.outputs[0], window(op)
    if quantized(source) != quantized(result):
        raise ConvertError("input and output have different scales or zero points; not supported")
    kind = "average" if op.name == "AVERAGE_POOL_2D" else "max"
    limits = activation_range(op, quantized(result))
    return Step(
        name,
        f"{kind} pool{shape.title}",
        f"ws_op_{kind}_pool",
        [source],
        result,
        ["&{name}_shape", "{0}", "{out}"],
        struct="ws_conv_shape",
        fields=shape.fields(0, limits),
        repeat=source.shape[0],
        distance={0: distance(shape.lowest(source.shape[0]), shape.out_c, own=True)},
    )


def lower_softmax(op: Op, name: str) -> Step:
    """SOFTMAX over the last dimension."""
    source, result = op.source(), op.outputs[0]
    into, out = quantized(source), quantized(result)
    if out != Quantization(1 / 256, -128):
        raise ConvertError(
            f"output scale {out.scale}, zero point {out.zero_point}; 1/256 and -128 are supported"
        )
    depth = source.shape[-1]
    if depth > SOFTMAX_MAX:
        raise ConvertError(f"{depth} classes; {SOFTMAX_MAX} is the most")
    # Five integer bits; a difference beyond the radius counts as nothing.
    beta = min(float(op.options["beta"]) * into.scale * (1 << 26), (1 << 31) - 1.0)
    multiplier, shift = quantize_multiplier(beta)
    if shift < 0:
        raise ConvertError(f"beta {op.options['beta']} times input scale {into.scale}: too small")
    radius = min(math.floor(31 * (1 << 26) / 2.0**shift), 255)
    differences = -np.arange(radius + 1, dtype=np.int64)
    exps = exp_of_negative(multiply(differences, multiplier, shift), 5)
    exps = exps[divide_by_power(exps, 12) > 0]  # smaller ones show neither in sum nor output
    rows = source.size // depth
    return Step(
        name,
        f"softmax of {depth}",
        "ws_op_softmax",
        [source],
        result,
        ["{name}_exps", str(len(exps)), str(rows), str(depth), "{0}", "{out}"],
        [Table("exps", "int32_t", exps)],
        distance={0: 0},
    )


def lower_copy(
    name: str,
    source: Tensor,
    result: Tensor,
    shape: Sequence[int],
    from_strides: Sequence[int],
    to_strides: Sequence[int],
    from_offset: int = 0,
    to_offset: int = 0,
) -> Step:
    """Elements of `shape` from one place to another, both with strides in bytes."""
    n, reads, writes = walk(shape, [from_strides, to_strides])
    start, into = _plus("{0}", from_offset), _plus("{out}", to_offset)
    count = math.prod(shape)
    whole = count == result.size
    kernel = f"ws_op_copy{'_runs' * (reads[3] == writes[3] == 1 and n[3] > 3)}"
    if count == 1 or (n[:3] == [1, 1, 1] and reads[3] == writes[3] == 1):
        return Step(
            name,
            f"copy of {count} bytes",
            "ws_slide",
            [source],
            result,
            [into, start, str(count)],
            traced=whole,
        )
    return Step(
        name,
        f"copy of {count} bytes",
        kernel,
        [source],
        result,
        ["&{name}_shape", start, into],
        struct="ws_op_copy_shape",
        fields={"n": braces(n), "from": braces(reads), "to": braces(writes)},
        traced=whole,
    )


def lower_move(name: str, source: Tensor, result: Tensor, index: Ints) -> Step:
    """The elements of `source` with these numbers, one after another."""
    found = box(index)
    if found is not None and len(found[0]) <= DIMENSIONS:
        shape, strides, offset = found
        return lower_copy(name, source, result, shape, strides, dense_strides(shape), offset)
    starts, size = runs(index)
    long = source.size > 65536
    kernel = f"ws_op_gather{'_long' * long}"
    return Step(
        name,
        f"{len(starts)} runs of {size} bytes",
        kernel,
        [source],
        result,
        ["{name}_starts", str(len(starts)), str(size), "{0}", "{out}"],
        [Table("starts", "int32_t" if long else "uint16_t", starts)],
    )


def lower_bilinear(op: Op, name: str) -> Step:
    """RESIZE_BILINEAR, in TFLM's steps of 1/1024."""
    source, result, size = op.source(), op.outputs[0], op.numbers(1)
    corners, centers = bool(op.options["align_corners"]), bool(op.options["half_pixel_centers"])
    shape, _ = source.shape, quantized(source)
    if shape[0] != 1:
        raise ConvertError(f"a batch of {shape[0]}; 1 is supported")
    tables = [
        Table(part, "int16_t", _between(n, count, corners, centers).reshape(-1))
        for part, n, count in zip(("rows", "columns"), shape[1:3], size, strict=True)
    ]
    return Step(
        name,
        f"bilinear, {size[0]}x{size[1]}",
        "ws_op_bilinear",
        [source],
        result,
        [
            "{name}_rows",
            "{name}_columns",
            *(str(n) for n in (*size, shape[2], shape[3])),
            "{0}",
            "{out}",
        ],
        tables,
    )


def _between(size: int, count: int, corners: bool, centers: bool) -> Ints:
    """[count, 3]: the two inputs of each output, and how far it is from the first, in 1/1024."""
    step = (1024 * size + count // 2) // count
    if corners and count > 1:
        step = (1024 * (size - 1) + (count - 1) // 2) // (count - 1)
    at = np.arange(count, dtype=np.int64) * step + (step // 2 - 512 if centers else 0)
    first = np.maximum(at // 1024, 0)
    second = np.minimum(-((-at) // 1024), size - 1)
    if first.max() >= size or size > 32767:
        raise ConvertError(
            f"{size} to {count}: TFLM would read behind its input; resize to another size"
        )
    return np.stack([first, np.maximum(second, 0), at - 1024 * first], axis=1)


def lower_pad(op: Op, name: str) -> list[Step]:
    """PAD and PADV2: fill, then copy."""
    source, result = op.source(), op.outputs[0]
    if not same_values(source, result):
        raise ConvertError("input and output have different scales or zero points; not supported")
    fill = op.numbers(2)[0] if op.optional(2) else quantized(result).zero_point
    strides = dense_strides(result.shape)
    offset = sum(n * stride for n, stride in zip(op.numbers(1)[::2], strides, strict=True))
    filling = Step(
        f"{name}_fill",
        f"filled with {fill}",
        "ws_op_fill",
        [],
        result,
        ["{out}", str(fill), str(result.size)],
        traced=False,
    )
    copy = lower_copy(
        name, source, result, source.shape, dense_strides(source.shape), strides, 0, offset
    )
    copy.traced = True
    return [filling, copy]


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Bytes from one element to the next, for each dimension."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def walk(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same walk in DIMENSIONS loops, innermost last: sizes, then each one's strides."""
    merged: list[list[int]] = []  # [size, stride, stride ...]
    for size, *steps in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if merged and all(
            outer == inner * size for outer, inner in zip(merged[-1][1:], steps, strict=True)
        ):
            merged[-1] = [merged[-1][0] * size, *steps]
        else:
            merged.append([size, *steps])
    if len(merged) > DIMENSIONS:
        raise ConvertError(f"shape {list(shape)} needs {len(merged)} loops; {DIMENSIONS} at most")
    padding = [[1, *([0] * len(strides))]] * (DIMENSIONS - len(merged))
    return [list(column) for column in zip(*padding, *merged, strict=True)]


def _plus(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base
