"""What is known when the code is generated: shapes, arithmetic on them, constants moved about.

Models with a free batch work out their shapes as they run: SHAPE, STRIDED_SLICE, PACK, RESHAPE. All
shapes are known here, so such a chain is a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.errors import ConvertError
from wakestate.convert.tflite_graph import Op, Tensor

if TYPE_CHECKING:
    from wakestate.convert.compile.simplify import Work

Values = NDArray[Any]
#: Larger constants are not made here.
MOST = 1 << 24
_NUMPY = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "BOOL": np.uint8}
_INTEGERS = {"INT32": np.int32, "INT64": np.int64}


def fold_constants(work: Work) -> None:
    """Operators whose results are known become constants."""
    kept = []
    for op in work.ops:
        made = None
        if not any(tensor in work.outputs for tensor in op.outputs):
            try:
                made = _results(op)
            except ConvertError as error:
                raise work.fail(op, error) from None
            except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError) as error:
                raise work.fail(op, f"its constants do not fit: {error}") from None
        if made is None:
            kept.append(op)
            continue
        for tensor, values in zip(op.outputs, made, strict=True):
            if values.size != tensor.size:
                raise work.fail(op, f"makes {list(values.shape)}, not {list(tensor.shape)}")
            tensor.data = values.astype(_type(tensor)).reshape(tensor.shape)
    work.ops = kept


def _type(tensor: Tensor) -> type:
    return (_NUMPY | _INTEGERS)[tensor.dtype]


def _results(op: Op) -> list[Values] | None:
    """What an operator makes of constants; None if that is not known, or not to be worked out."""
    if op.name in ("SHAPE", "RANK"):
        source = op.inputs[0]
        if source is None:
            raise ConvertError("has no input")
        return [np.asarray(source.shape if op.name == "SHAPE" else len(source.shape))]
    moves, counts = _MOVES.get(op.name), _COUNTS.get(op.name)
    given = [t for t in op.inputs if t is not None]
    if (not moves and not counts) or not op.outputs or not given:
        return None
    if any(t.data is None for t in given) or max(t.size for t in op.outputs) > MOST:
        return None
    if any(t.dtype not in _INTEGERS for t in (*given, *op.outputs)):
        # Quantized values: moved only, and only where none has another scale.
        values = [t for t in (*given, *op.outputs) if t.dtype not in _INTEGERS]
        same = {(t.dtype, tuple(t.scales), tuple(t.zero_points)) for t in values}
        if counts or len(same) > 1 or values[0].dtype not in _NUMPY:
            return None
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    data = [np.asarray(t.data) for t in given]
    if counts:
        return [np.asarray(counts(op, data))]
    assert moves
    made = moves(op, data)
    return list(made) if isinstance(made, list) else [np.asarray(made)]


def _slices(op: Op, data: Sequence[Values]) -> Values:
    """STRIDED_SLICE, with all its masks."""
    begins, ends, steps = (values.reshape(-1).tolist() for values in data[1:4])
    index: list[Any] = []

    def has(mask: str, axis: int) -> bool:
        return bool(int(op.options.get(mask, 0)) >> axis & 1)

    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if op.options.get("offset"):
            end += begin
        if has("ellipsis_mask", axis):
            index.append(Ellipsis)
        elif has("new_axis_mask", axis):
            index.append(None)
        elif has("shrink_axis_mask", axis):
            index.append(begin)
        else:
            first = None if has("begin_mask", axis) else begin
            last = None if has("end_mask", axis) else end
            index.append(slice(first, last, step))
    return np.asarray(data[0][tuple(index)])


def _slice(op: Op, data: Sequence[Values]) -> Values:
    starts, sizes = (values.reshape(-1).tolist() for values in data[1:3])
    ends = [start + size if size >= 0 else None for start, size in zip(starts, sizes, strict=True)]
    return data[0][tuple(slice(s, e) for s, e in zip(starts, ends, strict=True))]


def _sized(op: Op, shape: Sequence[int]) -> list[int]:
    """The shape, if it is the result's: so no file makes this large."""
    if math.prod(shape) != op.outputs[0].size:
        raise ConvertError(f"makes {list(shape)}, not {list(op.outputs[0].shape)}")
    return list(shape)


def _gather(op: Op, data: Sequence[Values]) -> Values:
    if int(op.options.get("batch_dims", 0)):
        raise ConvertError("batch_dims is not supported")
    return np.take(data[0], data[1], int(op.options["axis"]))


def _unpack(op: Op, data: Sequence[Values]) -> list[Values]:
    axis = int(op.options["axis"])
    return [np.take(data[0], i, axis) for i in range(data[0].shape[axis])]


def _range(op: Op, data: Sequence[Values]) -> Values:
    start, limit, step = (int(values.reshape(-1)[0]) for values in data)
    _sized(op, [len(range(start, limit, step))])
    return np.arange(start, limit, step)


def _tile(op: Op, data: Sequence[Values]) -> Values:
    times = data[1].reshape(-1).tolist()
    _sized(op, [size * n for size, n in zip(data[0].shape, times, strict=True)])
    return np.tile(data[0], times)


def _reduced(function: Callable[..., Any]) -> Callable[[Op, Sequence[Values]], Values]:
    return lambda op, data: np.asarray(function(data[0], axis=tuple(data[1].reshape(-1).tolist())))


def _pair(function: Callable[..., Any]) -> Callable[[Op, Sequence[Values]], Values]:
    return lambda op, data: np.asarray(function(data[0], data[1]))


def _same(op: Op, data: Sequence[Values]) -> Values:
    return data[0]


#: Of any type.
_MOVES: dict[str, Callable[[Op, Sequence[Values]], Values | list[Values]]] = {
    "BROADCAST_TO": lambda op, d: np.broadcast_to(d[0], _sized(op, d[1].reshape(-1).tolist())),
    "CONCATENATION": lambda op, d: np.concatenate(list(d), int(op.options["axis"])),
    "EXPAND_DIMS": _same,
    "FILL": lambda op, d: np.full(_sized(op, d[0].reshape(-1).tolist()), d[1].reshape(-1)[0]),
    "GATHER": _gather,
    "PACK": lambda op, d: np.stack(list(d), int(op.options["axis"])),
    "RESHAPE": _same,
    "SLICE": _slice,
    "SQUEEZE": _same,
    "STRIDED_SLICE": _slices,
    "TILE": _tile,
    "TRANSPOSE": lambda op, d: np.transpose(d[0], d[1].reshape(-1).tolist()),
    "UNPACK": _unpack,
}
#: Of INT32 and INT64.
_COUNTS: dict[str, Callable[[Op, Sequence[Values]], Values]] = {
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
