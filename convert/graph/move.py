# SPDX-License-Identifier: Apache-2.0
"""Operators that only move values, done by NumPy on whatever stands for the values.

On nothing but a shape they give the shapes of the results (rules.py); on a constant's data,
constants (convert/compile/fold.py); on the numbers of elements, which element of the input each of
the result is, or of the result each of an input: a stretch of the larger tensor, a box of it with
strides, or, at worst, a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import Ints

if TYPE_CHECKING:
    from wakestate.convert.graph.tflite_graph import Op, Tensor

Values = NDArray[Any]

#: Their inputs are parts of the result.
JOINS = ("CONCATENATION", "PACK", "INTERLEAVE")


def same_values(source: Tensor, result: Tensor) -> bool:
    """Both have the same scale and zero point."""
    return source.quantization == result.quantization


def moved(op: Op) -> list[tuple[Tensor, Ints]]:
    """Each result of an operator of MOVES, with the numbers of its elements in its input."""
    if op.options.get("offset"):
        raise ConvertError("offset, which TFLM leaves out, is not supported; slice all axes")
    if op.name == "REVERSE_V2":
        axes = sorted({axis % len(op.source().shape) for axis in op.numbers(1)})
        if axes and axes[-1] - axes[0] >= len(axes):
            raise ConvertError(f"axes {axes}, which TFLM takes only next to one another")
    parts = MOVES[op.name](op, _numbered(moved_from(op)))
    for result, part in zip(op.outputs, parts, strict=True):
        if part.size != result.size:
            raise ConvertError(f"makes {list(part.shape)}, its output is {list(result.shape)}")
    return [(t, part.reshape(-1)) for t, part in zip(op.outputs, parts, strict=True)]


def moved_from(op: Op) -> Tensor:
    """The input whose values an operator of MOVES moves."""
    return op.source(1 if op.name == "SPLIT" else 0)


def joined(op: Op) -> list[tuple[Tensor, Ints]]:
    """Each input of an operator of JOINS, with the numbers of its elements in the result."""
    if op.activation != "NONE" and op.name == "CONCATENATION":
        raise ConvertError("a fused activation is not supported")
    x = _numbered(op.outputs[0])
    if op.name == "INTERLEAVE":  # of compile/transposed.py: one for each place within a stride
        down, right = int(op.options["stride_h"]), int(op.options["stride_w"])
        parts = [x[:, row::down, column::right] for row in range(down) for column in range(right)]
    elif op.name == "PACK":
        parts = list(np.moveaxis(x, int(op.options["axis"]), 0))
    else:
        axis = int(op.options["axis"])
        parts = np.split(x, np.cumsum([t.shape[axis] for t in op.given])[:-1], axis)
    pairs = zip(op.inputs, parts, strict=True)
    return [(tensor, part.reshape(-1)) for tensor, part in pairs if tensor is not None]


def _numbered(tensor: Tensor) -> Ints:
    return np.arange(tensor.size, dtype=np.int64).reshape(tensor.shape)


def is_stretch(index: Ints) -> bool:
    """The elements are consecutive."""
    return bool((np.diff(index) == 1).all())


def box(index: Ints) -> tuple[list[int], list[int], int] | None:
    """(shape, strides, offset) of elements that loops walk through, if so."""
    shape: list[int] = []
    strides: list[int] = []
    while index.size > 1:
        steps = np.diff(index)
        other = np.flatnonzero(steps != steps[0])
        run = int(other[0]) + 1 if len(other) else index.size
        if index.size % run:
            return None
        rows = index.reshape(-1, run)
        if (rows - rows[:, :1] != steps[0] * np.arange(run)).any():
            return None
        shape.insert(0, run)
        strides.insert(0, int(steps[0]))
        index = rows[:, 0]
    return shape or [1], strides or [1], int(index[0])


def runs(index: Ints) -> tuple[Ints, int]:
    """(where each starts, size of all): runs of elements in a row, as long as they can be."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    size = int(np.gcd.reduce([index.size, *breaks]))
    return index[::size], size


def axis_of(value: int, rank: int, what: str = "axis") -> int:
    """A dimension's number, counted from the front."""
    if not -rank <= value < rank:
        raise ConvertError(f"{what} {value}; {-rank} to {rank - 1} is there")
    return value % rank


def _transpose(op: Op, x: Values) -> list[Values]:
    order = op.numbers(1, x.ndim)
    if sorted(order) != list(range(x.ndim)):
        raise ConvertError(f"order {order} of {x.ndim} dimensions")
    return [x.transpose(order)]


def _slice(op: Op, x: Values) -> list[Values]:
    begin, sizes = op.numbers(1, x.ndim), op.numbers(2, x.ndim)
    taken = []
    for total, first, size in zip(x.shape, begin, sizes, strict=True):
        end = total if size == -1 else first + size
        if not 0 <= first < end <= total:
            raise ConvertError(f"begin {begin}, size {sizes} of {list(x.shape)}")
        taken.append(slice(first, end))
    return [x[tuple(taken)]]


def _strided_slice(op: Op, x: Values) -> list[Values]:
    for mask in ("ellipsis_mask", "new_axis_mask"):
        if op.options[mask]:
            raise ConvertError(f"{mask}, which TFLM leaves out, is not supported; slice all axes")
    begin = op.numbers(1)
    end, steps = op.numbers(2, len(begin)), op.numbers(3, len(begin))
    if len(begin) > x.ndim or 0 in steps:
        raise ConvertError(f"begin {begin}, strides {steps} of {list(x.shape)}")
    begins, ends, shrinks = (
        int(op.options[f"{name}_mask"]) for name in ("begin", "end", "shrink_axis")
    )
    chosen: list[int | slice] = []
    for axis, (b, e, step) in enumerate(zip(begin, end, steps, strict=True)):
        first = None if begins >> axis & 1 else b
        last = None if ends >> axis & 1 else e + (b if op.options.get("offset") else 0)
        if shrinks >> axis & 1:
            chosen.append(axis_of(first or 0, x.shape[axis], f"begin of axis {axis}"))
        else:
            chosen.append(slice(first, last, step))
    found = np.asarray(x[tuple(chosen)])
    if not found.size:
        raise ConvertError(f"begin {begin}, end {end}: an empty slice is not supported")
    return [found]


def _split(op: Op, x: Values) -> list[Values]:
    parts = len(op.outputs)
    axis = axis_of(op.numbers(0 if op.name == "SPLIT" else 2, 1)[0], x.ndim)
    if op.name == "SPLIT_V":
        sizes = op.numbers(1, parts)
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    else:
        sizes = [x.shape[axis] // parts] * parts
    if op.options["num_splits"] != parts or min(sizes) < 1 or sum(sizes) != x.shape[axis]:
        raise ConvertError(
            f"num_splits {op.options['num_splits']}, {parts} outputs, sizes {sizes} of "
            f"{list(x.shape)}, axis {axis}"
        )
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _unpack(op: Op, x: Values) -> list[Values]:
    axis = axis_of(int(op.options["axis"]), x.ndim)
    if not int(op.options["num"]) == len(op.outputs) == x.shape[axis]:
        raise ConvertError(
            f"num {op.options['num']}, {len(op.outputs)} outputs of {list(x.shape)}, axis {axis}"
        )
    return list(np.moveaxis(x, axis, 0))


def _gather(op: Op, x: Values) -> list[Values]:
    return [np.take(x, op.data(1).astype(np.int64), int(op.options["axis"]))]


def _broadcast(op: Op, x: Values) -> list[Values]:
    shape = op.numbers(1)
    try:
        return [np.broadcast_to(x, shape)]
    except ValueError:
        raise ConvertError(f"{list(x.shape)} to {shape[:8]}") from None


def _reverse(op: Op, x: Values) -> list[Values]:
    return [np.flip(x, tuple({axis_of(axis, x.ndim) for axis in op.numbers(1)}))]


def _mirror(op: Op, x: Values) -> list[Values]:
    mode = "reflect" if int(op.options["mode"]) == 0 else "symmetric"
    return [np.pad(x, np.reshape(op.numbers(1), (-1, 2)), mode=mode)]  # type: ignore[call-overload]


def _blocks(op: Op, x: Values) -> list[Values]:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE, of [n, h, w, c]."""
    if x.ndim != 4:
        raise ConvertError(f"input {list(x.shape)}; 4 dimensions are needed")
    size, (n, h, w, c) = int(op.options["block_size"]), x.shape
    deeper = op.name == "SPACE_TO_DEPTH"
    if (h % size or w % size) if deeper else c % (size * size):
        raise ConvertError(f"{list(x.shape)} is no whole number of blocks of {size}")
    if deeper:
        parts = x.reshape(n, h // size, size, w // size, size, c)
        return [parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // size, w // size, -1)]
    parts = x.reshape(n, h, w, size, size, -1)
    return [parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * size, w * size, -1)]


def _nearest(op: Op, x: Values) -> list[Values]:
    corners, centers = bool(op.options["align_corners"]), bool(op.options["half_pixel_centers"])
    picks = []
    for count, n in zip(op.numbers(1), x.shape[1:3], strict=True):
        # As TFLM has them, in floats.
        scale = np.float32(n) / np.float32(count)
        if corners and count > 1:
            scale = np.float32(n - 1) / np.float32(count - 1)
        at = (np.arange(count, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
        whole = np.floor(at + np.float32(0.5)) if corners else np.floor(at)
        picks.append(np.clip(whole.astype(np.int64), 0, n - 1))
    return [x[:, picks[0]][:, :, picks[1]]]


#: Each gives the values of its results.
MOVES: dict[str, Callable[[Op, Values], list[Values]]] = {
    "BROADCAST_TO": _broadcast,
    "DEPTH_TO_SPACE": _blocks,
    "GATHER": _gather,
    "MIRROR_PAD": _mirror,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "REVERSE_V2": _reverse,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _blocks,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
