# SPDX-License-Identifier: Apache-2.0
"""What is known when the code is generated: shapes, arithmetic on them, constants moved about.

Models with a free batch work out their shapes as they run: SHAPE, STRIDED_SLICE, PACK, RESHAPE. All
shapes are known here, so such a chain is a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import MOVES, Values, moved_from
from wakestate.convert.graph.tflite_graph import NUMPY, Op

if TYPE_CHECKING:
    from wakestate.convert.compile.simplify import Work

#: Larger constants are not made here.
MAX_ELEMENTS = 1 << 24
_INTEGERS = ("INT32", "INT64")


def fold_constants(work: Work) -> None:
    """Operators whose results are known become constants."""
    remaining = []
    for op in work.ops:
        made = None
        if not any(tensor in work.outputs for tensor in op.outputs):
            try:
                with work.at(op):
                    made = _results(op)
            except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError) as error:
                raise work.fail(op, f"its constants do not fit: {error}") from None
        if made is None:
            remaining.append(op)
            continue
        for tensor, values in zip(op.outputs, made, strict=True):
            if values.size != tensor.size:
                raise work.fail(op, f"makes {list(values.shape)}, not {list(tensor.shape)}")
            tensor.data = values.astype(NUMPY[tensor.dtype]).reshape(tensor.shape)
    work.ops = remaining


def _results(op: Op) -> list[Values] | None:
    """What an operator makes of constants; None if that is not known, or not to be worked out."""
    if op.name in ("SHAPE", "RANK"):
        shape = op.source().shape
        return [np.asarray(shape if op.name == "SHAPE" else len(shape))]
    counts = op.name in _COUNTS
    moves = op.name in MOVES or op.name in _MOVES
    if not (moves or counts) or not op.outputs or not op.given:
        return None
    data = [t.data for t in op.given if t.data is not None]
    if len(data) < len(op.given) or max(t.size for t in op.outputs) > MAX_ELEMENTS:
        return None
    # Quantized values: moved only, and only where none has another scale.
    values = [t for t in (*op.given, *op.outputs) if t.dtype not in _INTEGERS]
    same = {(t.dtype, tuple(t.scales), tuple(t.zero_points)) for t in values}
    if values and (counts or len(same) > 1 or values[0].dtype not in _BYTES):
        return None
    if op.activation != "NONE":
        return None
    if op.name in MOVES:
        return MOVES[op.name](op, np.asarray(moved_from(op).data))
    return [np.asarray((_MOVES | _COUNTS)[op.name](op, data))]


def _sized(op: Op, shape: Sequence[int]) -> list[int]:
    """The shape, if it is the result's: so no file makes this large."""
    if math.prod(shape) != op.outputs[0].size:
        raise ConvertError(f"makes {list(shape)}, not {list(op.outputs[0].shape)}")
    return list(shape)


def _range(op: Op, data: Sequence[Values]) -> Values:
    start, limit, step = (int(values.reshape(-1)[0]) for values in data)
    _sized(op, [len(range(start, limit, step))])
    return np.arange(start, limit, step)


def _tile(op: Op, data: Sequence[Values]) -> Values:
    times = data[1].reshape(-1).tolist()
    _sized(op, [size * n for size, n in zip(data[0].shape, times, strict=True)])
    return np.tile(data[0], times)


Function = Callable[[Op, Sequence[Values]], Values]


def _reduced(function: Callable[..., Any]) -> Function:
    return lambda op, data: function(data[0], axis=tuple(data[1].reshape(-1).tolist()))


def _pair(function: Callable[..., Any]) -> Function:
    return lambda op, data: function(data[0], data[1])


def _same(op: Op, data: Sequence[Values]) -> Values:
    return data[0]


#: Of any type, in addition to those of convert/graph/move.py.
_MOVES: dict[str, Function] = {
    "CONCATENATION": lambda op, d: np.concatenate(list(d), int(op.options["axis"])),
    "EXPAND_DIMS": _same,
    "FILL": lambda op, d: np.full(_sized(op, d[0].reshape(-1).tolist()), d[1].reshape(-1)[0]),
    "PACK": lambda op, d: np.stack(list(d), int(op.options["axis"])),
    "RESHAPE": _same,
    "SQUEEZE": _same,
    "TILE": _tile,
}
_BYTES = ("INT8", "UINT8", "INT16", "BOOL")
#: Of INT32 and INT64.
_COUNTS: dict[str, Function] = {
    "ADD": _pair(np.add),
    "BROADCAST_ARGS": lambda op, d: np.asarray(
        np.broadcast_shapes(*(tuple(values.reshape(-1).tolist()) for values in d))
    ),
    "CAST": _same,
    "FLOOR_DIV": _pair(np.floor_divide),
    "FLOOR_MOD": _pair(np.mod),
    "MAXIMUM": _pair(np.maximum),
    "MINIMUM": _pair(np.minimum),
    "MUL": _pair(np.multiply),
    "RANGE": _range,
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "REDUCE_PROD": _reduced(np.prod),
    "SUB": _pair(np.subtract),
    "SUM": _reduced(np.sum),
}
