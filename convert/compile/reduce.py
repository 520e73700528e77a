# SPDX-License-Identifier: Apache-2.0
"""MEAN, SUM, REDUCE_MAX and REDUCE_MIN as calls of firmware/kernels/ops_reduce.h."""

from __future__ import annotations

import math

import numpy as np

from wakestate.convert.compile.plain import dense_strides, walk
from wakestate.convert.compile.program import Step, braces
from wakestate.convert.compile.window import distance, quantized
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import quantize_multiplier
from wakestate.convert.graph.move import axis_of, same_values
from wakestate.convert.graph.tflite_graph import Op, Tensor

REDUCTIONS = {"MEAN": "sum", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min"}


def lower_reduction(op: Op, name: str) -> Step:
    """Over any axes."""
    source, result = op.source(), op.outputs[0]
    for tensor in (source, result):
        quantized(tensor)
    rank = len(source.shape)
    axes = sorted({axis_of(axis, rank) for axis in op.numbers(1)})
    count = math.prod(source.shape[axis] for axis in axes)
    kind = REDUCTIONS[op.name]
    title = f"{op.name.lower().removeprefix('reduce_')} of {count}"
    if kind == "sum" and (found := _neighbors(source, axes)) is not None:
        outer, inner = found
        fields: dict[str, object] = {"outer": outer, "count": count, "inner": inner}
        lowest = np.arange(outer) * count * inner
        return Step(
            name,
            title,
            "ws_op_mean",
            [source],
            result,
            ["&{name}_shape", "{0}", "{out}"],
            struct="ws_op_mean_shape",
            fields=fields | {"scale": _scale(op, source, count)},
            distance={0: distance(lowest, inner, own=True)},
        )
    if kind != "sum" and not same_values(source, result):
        raise ConvertError(
            "input and output have different scales or zero points, which TFLM does not take; "
            "put a QUANTIZE behind it"
        )
    strides = dense_strides(source.shape)
    remaining = [axis for axis in range(rank) if axis not in axes]
    over = walk([source.shape[a] for a in remaining], [[strides[a] for a in remaining]])
    made_of = walk([source.shape[a] for a in axes], [[strides[a] for a in axes]])
    fields = dict(zip(("n", "step", "m", "apart"), map(braces, [*over, *made_of]), strict=True))
    struct = "ws_op_reduce_shape"
    if kind == "sum":
        loops = braces(f".{field} = {value}" for field, value in fields.items())
        fields = {"loops": loops, "scale": _scale(op, source, count)}
        struct = "ws_op_reduce_sum_shape"
    numbers = np.arange(source.size).reshape(source.shape)
    lowest = numbers[tuple(0 if a in axes else slice(None) for a in range(rank))].reshape(-1)
    return Step(
        name,
        title,
        f"ws_op_reduce_{kind}",
        [source],
        result,
        ["&{name}_shape", "{0}", "{out}"],
        struct=struct,
        fields=fields,
        distance={0: distance(lowest, 1, own=True)},
    )


def _neighbors(source: Tensor, axes: list[int]) -> tuple[int, int] | None:
    """(results before, values behind) where what is added is evenly spaced."""
    real = [axis for axis in axes if source.shape[axis] > 1]
    if not real:
        return source.size, 1
    if any(source.shape[a] > 1 for a in range(real[0], real[-1] + 1) if a not in axes):
        return None
    inner = math.prod(source.shape[real[-1] + 1 :])
    return math.prod(source.shape[: real[0]]), inner


def _scale(op: Op, source: Tensor, count: int) -> str:
    """As a ws_op_scale."""
    into, out = quantized(source), quantized(op.outputs[0])
    multiplier, shift = quantize_multiplier(into.scale / out.scale)
    if op.name == "MEAN":  # TFLM takes 1 / count into the multiplier
        down = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << down) // count, shift - down
    zero = into.zero_point * count
    return (
        f"{{ .multiplier = {multiplier}, .shift = {-shift}, .zero = {zero}, "
        f".out_zero = {out.zero_point} }}"
    )
