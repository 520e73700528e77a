# SPDX-License-Identifier: Apache-2.0
"""What each operator needs of the columns of a stream.

Time is one axis of a tensor, and all axes before it are 1: a column is bytes in a row, the newest
last. `footprint_of` returns which columns of its inputs an operator needs for new columns of its
result; an operator that is not known, or that mixes columns, needs all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wakestate.convert.compile.pairs import PAIRS
from wakestate.convert.compile.reduce import REDUCTIONS
from wakestate.convert.compile.simplify import RESHAPES
from wakestate.convert.compile.views import TableOp
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import moved
from wakestate.convert.graph.tflite_graph import Op, Tensor
from wakestate.convert.graph.window_shapes import kernel_of, pace_of


@dataclass(frozen=True)
class Time:
    """Of a tensor with time: its axis, and how many columns of the input make one of its own."""

    axis: int
    period: int


@dataclass(frozen=True)
class Footprint:
    """What one operator needs of an input with time.

    `out` columns come of a window whose newest `unused` columns are not looked at: each column of
    `span`, `stride` apart.
    """

    span: int
    stride: int
    unused: int
    out: int  # columns of the result in the whole window; 0: the result has no time
    axis: int  # time of the result

    def columns(self, new: int) -> int:
        """The window for `new` columns of the result, unused ones too."""
        return self.span + (new - 1) * self.stride + self.unused


#: All columns of every input; the result has no time.
WHOLE = Footprint(0, 1, 0, 0, 0)

Times = Mapping[Tensor, Time]


def footprint_of(op: Op, times: Times) -> Footprint:
    """What an operator, of whose inputs one has time at least, needs; ConvertError: padded time."""
    sources = [t for t in op.given if t in times]
    source, axis = sources[0], times[sources[0]].axis
    rule = _column if isinstance(op, TableOp) else _RULES.get(op.name)
    alike = {(times[t].period, t.shape[times[t].axis]) for t in sources}
    if rule is None or len(alike) > 1:
        return WHOLE
    footprint = rule(op, source, axis, times)
    if footprint.out == 0:
        return footprint
    if footprint.out > 1 and all(
        len(t.shape) > footprint.axis >= 0
        and math.prod(t.shape[: footprint.axis]) == 1
        and t.shape[footprint.axis] == footprint.out
        for t in op.outputs
    ):
        return footprint
    return WHOLE


def slice_ranges(op: Op, source: Tensor) -> list[range]:
    """What SLICE or STRIDED_SLICE takes of each axis of its input."""
    places = np.unravel_index(moved(op)[0][1], source.shape)
    taken = [list(dict.fromkeys(place.tolist())) for place in places]
    steps = [values[1] - values[0] if len(values) > 1 else 1 for values in taken]
    return [
        range(values[0], values[0] + len(values) * step, step)
        for values, step in zip(taken, steps, strict=True)
    ]


def _column(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """Each column of the result is made of that column alone."""
    if isinstance(op, TableOp) and not op.repeats(math.prod(source.shape[axis + 1 :])):
        return WHOLE
    return _same(source, axis, axis)


def _same(source: Tensor, axis: int, result_axis: int) -> Footprint:
    return Footprint(1, 1, 0, source.shape[axis], result_axis)


def _elements(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """Element by element, broadcasting; what has no time must be the same for all columns."""
    behind = len(source.shape) - axis  # axes are counted from the last
    for tensor in op.given:
        if tensor in times:
            if len(tensor.shape) - times[tensor].axis != behind:
                return WHOLE
        elif len(tensor.shape) >= behind and tensor.shape[-behind] != 1:
            return WHOLE
    return _same(source, axis, len(op.outputs[0].shape) - behind)


def _sliding(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """A convolution or pool, over rows or, where there is one row, over columns."""
    result = op.outputs[0]
    if axis not in (1, 2) or result.shape[axis] == 1 or op.optional(1) in times:
        return WHOLE
    stride, dilation = pace_of(op, "hw"[axis - 1])
    span, out = (kernel_of(op)[axis - 1] - 1) * dilation + 1, result.shape[axis]
    unused = source.shape[axis] - span - (out - 1) * stride
    sides = ("pad_top", "pad_bottom") if axis == 1 else ("pad_left", "pad_right")
    if unused < 0 or any(op.options.get(side, 0) for side in sides):
        raise ConvertError("time is padded; a stream has no padding: train with VALID")
    return Footprint(span, stride, unused, out, axis)


def _reshape(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """Columns stay, or some in a row become one."""
    columns, size = source.shape[axis], math.prod(source.shape[axis + 1 :])
    shape = op.outputs[0].shape
    for number, count in enumerate(shape):
        together = math.prod(shape[number + 1 :]) // size
        if count > 1:
            exact = count * together == columns
            return Footprint(together, together, 0, count, number) if exact else WHOLE
    return WHOLE


def _slice(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    taken = slice_ranges(op, source)[axis]
    count, step = len(taken), taken.step
    if step < 1:
        return WHOLE
    unused = source.shape[axis] - 1 - taken[-1]
    lost = len(source.shape) - len(op.outputs[0].shape)  # axes before time, each 1
    gone = int(op.options.get("shrink_axis_mask", 0)) & ((1 << axis) - 1)
    if lost and gone.bit_count() != lost and count > 1:
        return WHOLE
    return Footprint(1, step, unused, count if count > 1 else 0, axis - gone.bit_count())


def _reduce(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    rank = len(source.shape)
    axes = {a % rank for a in op.numbers(1)}
    keeps_axes = len(op.outputs[0].shape) == rank
    if axis in axes:
        return WHOLE
    return _same(source, axis, axis if keeps_axes else axis - sum(a < axis for a in axes))


def _split(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    given = op.numbers(0 if op.name == "SPLIT" else 2)
    return WHOLE if given[0] % len(source.shape) == axis else _same(source, axis, axis)


def _join(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """CONCATENATION and PACK; parts without time belong to certain columns."""
    along = int(op.options["axis"]) % len(op.outputs[0].shape)
    if any(t not in times for t in op.given):
        return WHOLE
    if op.name == "PACK":
        return _same(source, axis, axis + (along <= axis))
    return WHOLE if along == axis else _same(source, axis, axis)


def _unpack(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    along = int(op.options["axis"]) % len(source.shape)
    return WHOLE if along == axis else _same(source, axis, axis - (along < axis))


def _gather(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    along = int(op.options["axis"]) % len(source.shape)
    if along <= axis or op.inputs[0] not in times or op.inputs[1] in times:
        return WHOLE
    return _same(source, axis, axis)


def _last_axis(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """Over the last axis."""
    return WHOLE if axis == len(source.shape) - 1 else _column(op, source, axis, times)


def _transpose(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    order = [a % len(source.shape) for a in op.numbers(1)]
    return _same(source, axis, order.index(axis))


def _pad(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    given = op.numbers(1)
    return WHOLE if any(given[2 * axis : 2 * axis + 2]) else _column(op, source, axis, times)


def _dense(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """FULLY_CONNECTED over stretches of a column."""
    weights, result = op.source(1), op.outputs[0]
    if weights in times or op.inputs[0] not in times:
        return WHOLE
    if math.prod(source.shape[axis + 1 :]) % weights.shape[-1]:
        return WHOLE
    first = next((n for n, count in enumerate(result.shape) if count > 1), 0)
    return _same(source, axis, first)


def _matmul(op: Op, source: Tensor, axis: int, times: Times) -> Footprint:
    """BATCH_MATMUL of each column, as rows, with what is the same for all."""
    other, rank = op.source(1), len(source.shape)
    if op.inputs[0] is not source or other in times or axis > rank - 2:
        return WHOLE
    if op.options.get("adj_x") or (axis < rank - 2 and len(other.shape) > 2):
        return WHOLE
    return _same(source, axis, len(op.outputs[0].shape) - rank + axis)


_RULES: dict[str, Callable[[Op, Tensor, int, Times], Footprint]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), _sliding),
    **dict.fromkeys(PAIRS, _elements),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), _slice),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), _split),
    **dict.fromkeys(("CONCATENATION", "PACK"), _join),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    **dict.fromkeys(RESHAPES, _reshape),
    "BATCH_MATMUL": _matmul,
    "FULLY_CONNECTED": _dense,
    "GATHER": _gather,
    "SOFTMAX": _last_axis,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
