"""Operators without weights as calls of templates/ws_ops.h.j2, which is the same for all cores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.compile.program import Step, Table
from convert.compile.tables import TableOp, same_values
from convert.compile.window import activation_range, distance, quantized, window
from convert.errors import ConvertError
from convert.fixedpoint import (
    divide_by_power,
    exp_of_negative,
    multiply,
    quantize_multiplier,
)
from convert.tflite_graph import Op, Quantization, Tensor

#: Dimensions that a loop nest of ws_ops.h has.
DIMENSIONS = 4
#: More exponentials could overflow their sum, which has 12 integer bits.
SOFTMAX_MOST = 4095


def lower_table(op: TableOp, name: str) -> Step:
    """LOGISTIC, RELU, QUANTIZE ..."""
    source = _source(op)
    return Step(
        name, f"table of {op.name}", "ws_op_table", [source], op.outputs[0],
        ["{name}_values", "{0}", "{out}", str(source.size)],
        [Table("values", "int8_t", op.table)],
        distance={0: 0},
    )  # fmt: skip


def lower_pair(op: Op, name: str) -> Step:
    """ADD and MUL, with broadcasting."""
    a, b, result = op.inputs[0], op.inputs[1], op.outputs[0]
    assert a is not None and b is not None
    qa, qb, out = quantized(a), quantized(b), quantized(result)
    walk = _walk(result.shape, [_strides(a, result), _strides(b, result)])
    fields: list[tuple[str, object]] = [
        ("n", _braces(walk[0])),
        ("a", _braces(walk[1])),
        ("b", _braces(walk[2])),
        ("a_zero", qa.zero_point),
        ("b_zero", qb.zero_point),
    ]
    if op.name == "ADD":
        most = 2 * max(qa.scale, qb.scale)
        pairs = [quantize_multiplier(q.scale / most) for q in (qa, qb)]
        pairs.append(quantize_multiplier(most / ((1 << 20) * out.scale)))
        if pairs[2][1] > 0:
            raise ConvertError(f"output scale {out.scale} is far below its inputs'; not supported")
    else:
        pairs = [quantize_multiplier(qa.scale * qb.scale / out.scale)]
    prefixes = ("a_", "b_", "") if len(pairs) == 3 else ("",)
    for prefix, (multiplier, shift) in zip(prefixes, pairs, strict=True):
        fields += [(f"{prefix}multiplier", multiplier), (f"{prefix}shift", -shift)]
    fields.append(("range", activation_range(op, out).c))
    title = {"ADD": "sum", "MUL": "product"}[op.name]
    same = {n: 0 for n, t in enumerate((a, b)) if t.size == result.size}
    return Step(
        name, title, f"ws_op_{op.name.lower()}", [a, b], result,
        ["&{name}_shape", "{0}", "{1}", "{out}"],
        struct=f"ws_op_{op.name.lower()}_shape", fields=fields, distance=same,
    )  # fmt: skip


def lower_pool(op: Op, name: str) -> Step:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    source, result = _source(op), op.outputs[0]
    if quantized(source) != quantized(result):
        raise ConvertError("input and output have different scales or zero points; not supported")
    shape = window(
        op, source, result, (int(op.options["filter_height"]), int(op.options["filter_width"]))
    )
    kind = "average" if op.name == "AVERAGE_POOL_2D" else "max"
    limits = activation_range(op, quantized(result))
    return Step(
        name, f"{kind} pool{shape.title}", f"ws_op_{kind}_pool", [source], result,
        ["&{name}_shape", "{0}", "{out}"],
        struct="ws_conv_shape", fields=shape.fields(0, limits), repeat=source.shape[0],
        distance={0: distance(shape.lowest(source.shape[0]), shape.out_c, own=True)},
    )  # fmt: skip


def lower_mean(op: Op, name: str) -> Step:
    """MEAN over neighbouring dimensions."""
    source, result = _source(op), op.outputs[0]
    given = op.inputs[1]
    if given is None or given.data is None:
        raise ConvertError("axes that are not constant are not supported")
    rank = len(source.shape)
    axes = sorted({int(axis) % rank for axis in given.data.reshape(-1)})
    real = [axis for axis in axes if source.shape[axis] > 1] or axes[:1]
    between = [axis for axis in range(real[0], real[-1] + 1) if axis not in axes]
    if any(source.shape[axis] > 1 for axis in between):
        raise ConvertError(f"axes {axes} of {list(source.shape)}; neighbours are supported")
    count = math.prod(source.shape[axis] for axis in axes)
    inner = math.prod(source.shape[real[-1] + 1 :])
    outer = source.size // (count * inner)
    into, out = quantized(source), quantized(result)
    multiplier, shift = quantize_multiplier(into.scale / out.scale)
    # As TFLM takes 1 / count into the multiplier.
    down = min(count.bit_length() - 1, 32, 31 + shift)
    fields: list[tuple[str, object]] = [
        ("outer", outer),
        ("count", count),
        ("inner", inner),
        ("multiplier", (multiplier << down) // count),
        ("shift", down - shift),
        ("zero", into.zero_point * count),
        ("out_zero", out.zero_point),
    ]
    lowest = np.arange(outer) * count * inner
    return Step(
        name, f"mean of {count}", "ws_op_mean", [source], result,
        ["&{name}_shape", "{0}", "{out}"],
        struct="ws_op_mean_shape", fields=fields,
        distance={0: distance(lowest, inner, own=True)},
    )  # fmt: skip


def lower_softmax(op: Op, name: str) -> Step:
    """SOFTMAX over the last dimension."""
    source, result = _source(op), op.outputs[0]
    into, out = quantized(source), quantized(result)
    if out != Quantization(1 / 256, -128):
        raise ConvertError(
            f"output scale {out.scale}, zero point {out.zero_point}; 1/256 and -128 are supported"
        )
    depth = source.shape[-1]
    if depth > SOFTMAX_MOST:
        raise ConvertError(f"{depth} classes; {SOFTMAX_MOST} is the most")
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
        name, f"softmax of {depth}", "ws_op_softmax", [source], result,
        ["{name}_exps", str(len(exps)), str(rows), str(depth), "{0}", "{out}"],
        [Table("exps", "int32_t", exps)],
        distance={0: 0},
    )  # fmt: skip


def lower_copy(
    name: str, source: Tensor, result: Tensor, shape: Sequence[int],
    from_strides: Sequence[int], to_strides: Sequence[int], from_offset: int = 0,
    to_offset: int = 0,
) -> Step:  # fmt: skip
    """Elements of `shape` from one place to another, both with strides in bytes."""
    n, reads, writes = _walk(shape, [from_strides, to_strides])
    start, into = _plus("{0}", from_offset), _plus("{out}", to_offset)
    count = math.prod(shape)
    whole = count == result.size
    if count == 1 or (n[:3] == [1, 1, 1] and reads[3] == writes[3] == 1):
        return Step(
            name, f"copy of {count} bytes", "ws_slide", [source], result,
            [into, start, str(count)], traced=whole,
        )  # fmt: skip
    return Step(
        name, f"copy of {count} bytes", "ws_op_copy", [source], result,
        ["&{name}_shape", start, into],
        struct="ws_op_copy_shape",
        fields=[("n", _braces(n)), ("from", _braces(reads)), ("to", _braces(writes))],
        traced=whole,
    )  # fmt: skip


def lower_pad(op: Op, name: str) -> list[Step]:
    """PAD and PADV2: fill, then copy."""
    source, pads, result = _source(op), op.inputs[1], op.outputs[0]
    if pads is None or pads.data is None:
        raise ConvertError("paddings that are not constant are not supported")
    value = op.inputs[2] if len(op.inputs) > 2 else None
    if value is not None and value.data is None:
        raise ConvertError("a value that is not constant is not supported")
    if not same_values(source, result):
        raise ConvertError("input and output have different scales or zero points; not supported")
    data = value.data if value is not None else None
    fill = int(data.reshape(-1)[0]) if data is not None else quantized(result).zero_point
    strides = dense_strides(result.shape)
    before = [int(n) for n in pads.data.reshape(-1, 2)[:, 0]]
    offset = sum(n * stride for n, stride in zip(before, strides, strict=True))
    filling = Step(
        f"{name}_fill", f"filled with {fill}", "ws_op_fill", [], result,
        ["{out}", str(fill), str(result.size)], traced=False,
    )  # fmt: skip
    copy = lower_copy(
        name, source, result, source.shape, dense_strides(source.shape), strides, 0, offset
    )
    copy.traced = True
    return [filling, copy]


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Bytes from one element to the next, for each dimension."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _source(op: Op) -> Tensor:
    source = op.inputs[0]
    if source is None:
        raise ConvertError("has no input")
    return source


def _strides(tensor: Tensor, result: Tensor) -> list[int]:
    """Of a tensor that is broadcast to the result's shape."""
    shape = [1] * (len(result.shape) - len(tensor.shape)) + list(tensor.shape)
    return [
        stride if size > 1 else 0 for size, stride in zip(shape, dense_strides(shape), strict=True)
    ]


def _walk(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[list[int]]:
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


def _braces(values: Sequence[int] | NDArray[np.int64]) -> str:
    return f"{{ {', '.join(str(v) for v in values)} }}"


def _plus(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base
