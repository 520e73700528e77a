"""Operators that only move values: for each element of a result, which of the input it is.

All are done in NumPy on the numbers of the input's elements; what comes out is a stretch of the
input, a box of it with strides, or, at worst, a list.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wakestate.convert.errors import ConvertError
from wakestate.convert.fixedpoint import Ints
from wakestate.convert.tflite_graph import Op, Tensor


def same_values(source: Tensor, result: Tensor) -> bool:
    """Both have the same scale and zero point."""
    return source.quantization == result.quantization


def moved(op: Op) -> list[tuple[Tensor, Ints]]:
    """Each result of an operator of MOVES, with the numbers of its elements in its input."""
    source = moved_from(op)
    numbers = np.arange(source.size, dtype=np.int64).reshape(source.shape)
    found = []
    for result, index in zip(op.outputs, _MOVES[op.name](op, numbers), strict=True):
        if index.size != result.size or not index.size:
            raise ConvertError(f"makes {list(index.shape)}, its output is {list(result.shape)}")
        found.append((result, index.reshape(-1)))
    return found


def moved_from(op: Op) -> Tensor:
    """The input whose values an operator of MOVES moves."""
    source = op.inputs[1] if op.name == "SPLIT" else op.inputs[0]
    if source is None:
        raise ConvertError("has no input")
    return source


def is_stretch(index: Ints) -> bool:
    """The elements lie in a row."""
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


def numbers_of(op: Op, position: int, what: str) -> list[int]:
    """A constant of integers."""
    tensor = op.inputs[position] if position < len(op.inputs) else None
    if tensor is None or tensor.data is None:
        raise ConvertError(f"{what} that is not constant is not supported")
    if tensor.dtype not in ("INT32", "INT64"):
        raise ConvertError(f"{what} of {tensor.dtype}; INT32 is supported")
    return [int(v) for v in tensor.data.reshape(-1)]


def axis_of(axis: int, rank: int) -> int:
    """An axis that may count from the end."""
    if not -rank <= axis < rank:
        raise ConvertError(f"axis {axis} of {rank} dimensions")
    return axis % rank


def _transpose(op: Op, x: Ints) -> list[Ints]:
    order = numbers_of(op, 1, "a permutation")
    if sorted(order) != list(range(x.ndim)):
        raise ConvertError(f"permutation {order} of {x.ndim} dimensions")
    return [x.transpose(order)]


def _slice(op: Op, x: Ints) -> list[Ints]:
    begin, size = numbers_of(op, 1, "begin"), numbers_of(op, 2, "size")
    if not len(begin) == len(size) == x.ndim:
        raise ConvertError(f"begin {begin}, size {size} of {x.ndim} dimensions")
    ends = [n if count < 0 else b + count for b, count, n in zip(begin, size, x.shape, strict=True)]
    if any(not 0 <= b < e <= n for b, e, n in zip(begin, ends, x.shape, strict=True)):
        raise ConvertError(f"begin {begin}, size {size} of {list(x.shape)}")
    return [x[tuple(slice(b, e) for b, e in zip(begin, ends, strict=True))]]


def _strided_slice(op: Op, x: Ints) -> list[Ints]:
    begin, end, steps = (numbers_of(op, n, "begin, end or strides") for n in (1, 2, 3))
    for mask in ("ellipsis_mask", "new_axis_mask", "offset"):
        if op.options.get(mask, 0):
            raise ConvertError(f"{mask}, which TFLM leaves out, is not supported; slice all axes")
    if not len(begin) == len(end) == len(steps) <= x.ndim or 0 in steps:
        raise ConvertError(f"begin {begin}, end {end}, strides {steps} of {x.ndim} dimensions")
    chosen = []
    for axis, (b, e, step) in enumerate(zip(begin, end, steps, strict=True)):
        bit = 1 << axis
        first = None if int(op.options["begin_mask"]) & bit else b
        last = None if int(op.options["end_mask"]) & bit else e
        if int(op.options["shrink_axis_mask"]) & bit:
            at = axis_of(b if first is not None else 0, x.shape[axis])
            chosen.append(slice(at, at + 1))
        else:
            chosen.append(slice(first, last, step))
    return [x[tuple(chosen)]]


def _split(op: Op, x: Ints) -> list[Ints]:
    (axis,) = numbers_of(op, 0 if op.name == "SPLIT" else 2, "an axis")
    axis = axis_of(axis, x.ndim)
    sizes = [t.shape[axis] if len(t.shape) == x.ndim else 0 for t in op.outputs]
    if sum(sizes) != x.shape[axis]:
        raise ConvertError(f"the parts do not make up {list(x.shape)}")
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _unpack(op: Op, x: Ints) -> list[Ints]:
    axis = axis_of(int(op.options["axis"]), x.ndim)
    if x.shape[axis] != len(op.outputs):
        raise ConvertError(f"{len(op.outputs)} outputs of {list(x.shape)}")
    return list(np.moveaxis(x, axis, 0))


def _gather(op: Op, x: Ints) -> list[Ints]:
    numbers_of(op, 1, "an index")
    assert op.inputs[1] is not None and op.inputs[1].data is not None
    at = op.inputs[1].data.astype(np.int64)
    axis = axis_of(int(op.options["axis"]), x.ndim)
    batches = int(op.options.get("batch_dims", 0))
    if batches < 0:
        batches += at.ndim
    if not 0 <= batches <= min(axis, at.ndim) or at.shape[:batches] != x.shape[:batches]:
        raise ConvertError(f"batch_dims {batches}")
    if at.min(initial=0) < 0 or at.max(initial=0) >= x.shape[axis]:
        raise ConvertError(f"index {at.min()} to {at.max()} of {x.shape[axis]}")
    if not batches:
        return [np.take(x, at, axis)]
    flat = x.reshape(-1, *x.shape[batches:])
    rows = at.reshape(-1, *at.shape[batches:])
    return [np.stack([np.take(a, b, axis - batches) for a, b in zip(flat, rows, strict=True)])]


def _broadcast(op: Op, x: Ints) -> list[Ints]:
    shape = numbers_of(op, 1, "a shape")
    try:
        return [np.broadcast_to(x, shape)]
    except ValueError:
        raise ConvertError(f"{list(x.shape)} to {shape}") from None


def _reverse(op: Op, x: Ints) -> list[Ints]:
    axes = {axis_of(axis, x.ndim) for axis in numbers_of(op, 1, "an axis")}
    if len(axes) > 1 and max(axes) - min(axes) >= len(axes):
        raise ConvertError(f"axes {sorted(axes)}, which TFLM takes only next to one another")
    return [np.flip(x, tuple(axes))]


def _mirror(op: Op, x: Ints) -> list[Ints]:
    pads = np.array(numbers_of(op, 1, "paddings")).reshape(-1, 2)
    reflects = int(op.options["mode"]) == 0
    most = [n - 1 if reflects else n for n in x.shape]
    if len(pads) != x.ndim or pads.min() < 0 or (pads.max(axis=1) > most).any():
        raise ConvertError(f"paddings {pads.tolist()} of {list(x.shape)}")
    return [np.pad(x, pads, mode="reflect" if reflects else "symmetric")]


def _blocks(op: Op, x: Ints) -> list[Ints]:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE, of [n, h, w, c]."""
    size = int(op.options["block_size"])
    if x.ndim != 4 or size < 1:
        raise ConvertError(f"block_size {size} of {list(x.shape)}")
    n, h, w, c = x.shape
    if op.name == "SPACE_TO_DEPTH":
        if h % size or w % size:
            raise ConvertError(f"block_size {size} of {list(x.shape)}")
        parts = x.reshape(n, h // size, size, w // size, size, c)
        return [parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // size, w // size, -1)]
    if c % (size * size):
        raise ConvertError(f"block_size {size} of {list(x.shape)}")
    parts = x.reshape(n, h, w, size, size, -1)
    return [parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * size, w * size, -1)]


def _nearest(op: Op, x: Ints) -> list[Ints]:
    size = numbers_of(op, 1, "a size")
    if x.ndim != 4 or len(size) != 2 or min(size) < 1:
        raise ConvertError(f"size {size} of {list(x.shape)}; [n, height, width, c] is supported")
    corners, centers = bool(op.options["align_corners"]), bool(op.options["half_pixel_centers"])
    picks = []
    for count, n in zip(size, x.shape[1:3], strict=True):
        # As TFLM has them, in floats.
        scale = np.float32(n) / np.float32(count)
        if corners and count > 1:
            scale = np.float32(n - 1) / np.float32(count - 1)
        at = (np.arange(count, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
        whole = np.floor(at + np.float32(0.5)) if corners else np.floor(at)
        picks.append(np.clip(whole.astype(np.int64), 0, n - 1))
    return [x[:, picks[0]][:, :, picks[1]]]


_MOVES: dict[str, Callable[[Op, Ints], list[Ints]]] = {
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
MOVES = tuple(_MOVES)
