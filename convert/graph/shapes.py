# SPDX-License-Identifier: Apache-2.0
"""What each operator makes of its inputs' shapes, as TFLM runs it; for convert/graph/rules.py.

Each function takes an operator and gives the shapes of its outputs, derived from inputs and options
alone, or raises a ConvertError where they contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import MOVES, axis_of, moved_from

if TYPE_CHECKING:
    from wakestate.convert.graph.tflite_graph import Op, Tensor

Shape = tuple[int, ...]


def refit(tensor: Tensor, size: int) -> Shape:
    """Its shape, where one free dimension takes what is left of `size`."""
    shape = list(tensor.shape)
    if tensor.size != size and any(tensor.free):
        at = tensor.free.index(True)
        rest = math.prod(shape[:at] + shape[at + 1 :])
        if rest > 0 and size % rest == 0:
            shape[at] = size // rest
    if math.prod(shape) != size:
        raise ConvertError(f"output {tensor.name} is {shape}, {size} elements go in")
    return tuple(shape)


def of_rank(tensor: Tensor, rank: int) -> Shape:
    """Its shape, which must have that many dimensions."""
    if len(tensor.shape) != rank:
        raise ConvertError(
            f"tensor {tensor.name} is {list(tensor.shape)}; {rank} dimensions are needed"
        )
    return tensor.shape


def check_shape(tensor: Tensor, shape: Sequence[int]) -> None:
    """ConvertError where a tensor has another shape."""
    if tensor.shape != tuple(shape):
        raise ConvertError(f"tensor {tensor.name} is {list(tensor.shape)}; {list(shape)} is needed")


# Element by element.


def same(op: Op) -> list[Shape]:
    """One value at a time."""
    return [op.source().shape]


def broadcast_shapes(a: Shape, b: Shape) -> Shape:
    """The shape of two that broadcast, as NumPy's do."""
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in (a, b))
    if any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        raise ConvertError(f"shapes {list(a)} and {list(b)} do not broadcast")
    return tuple(max(m, n) for m, n in zip(a, b, strict=True))


def broadcast(op: Op) -> list[Shape]:
    """Two tensors, the smaller repeated."""
    return [broadcast_shapes(op.source().shape, op.source(1).shape)]


def select(op: Op) -> list[Shape]:
    """SELECT_V2: a condition and two values."""
    either = broadcast_shapes(op.source(1).shape, op.source(2).shape)
    return [broadcast_shapes(op.source().shape, either)]


# Along axes.


def moved(op: Op) -> list[Shape]:
    """Those of convert/graph/move.py that make no more values than go in, and BROADCAST_TO."""
    nothing = np.broadcast_to(np.int8(0), moved_from(op).shape)
    return [part.shape for part in MOVES[op.name](op, nothing)]


def reduce(op: Op) -> list[Shape]:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""
    shape = op.source().shape
    axes = {axis_of(value, len(shape)) for value in op.numbers(1)}
    if op.options["keep_dims"]:
        return [tuple(1 if axis in axes else size for axis, size in enumerate(shape))]
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def softmax(op: Op) -> list[Shape]:
    """SOFTMAX."""
    if not op.source().shape:
        raise ConvertError("input [] has no dimension to go over")
    return same(op)


def gather(op: Op) -> list[Shape]:
    """GATHER."""
    shape, indices = op.source().shape, op.source(1)
    axis = axis_of(int(op.options["axis"]), len(shape))
    if indices.data is not None and not all(0 <= n < shape[axis] for n in op.numbers(1)):
        raise ConvertError(f"indices {op.numbers(1)[:8]}; 0 to {shape[axis] - 1} is there")
    return [(*shape[:axis], *indices.shape, *shape[axis + 1 :])]


def concatenation(op: Op) -> list[Shape]:
    """CONCATENATION."""
    shapes = [op.source(number).shape for number in range(len(op.inputs))]
    axis = axis_of(int(op.options["axis"]), len(shapes[0]))
    before, after = shapes[0][:axis], shapes[0][axis + 1 :]
    for shape in shapes:
        if shape[:axis] != before or shape[axis + 1 :] != after or len(shape) <= axis:
            raise ConvertError(f"{list(shape)} and {list(shapes[0])} along axis {axis}")
    return [(*before, sum(shape[axis] for shape in shapes), *after)]


def pack(op: Op) -> list[Shape]:
    """PACK."""
    shape = op.source().shape
    for number in range(len(op.inputs)):
        check_shape(op.source(number), shape)
    if op.options["values_count"] != len(op.inputs):
        raise ConvertError(f"values_count {op.options['values_count']}, {len(op.inputs)} inputs")
    axis = axis_of(int(op.options["axis"]), len(shape) + 1)
    return [(*shape[:axis], len(op.inputs), *shape[axis:])]


def pad(op: Op) -> list[Shape]:
    """PAD, PADV2."""
    shape = op.source().shape
    pads = op.numbers(1, 2 * len(shape))
    if not all(0 <= pad < 1 << 16 for pad in pads):
        raise ConvertError(f"paddings {pads}")
    if op.optional(2) is not None:
        op.numbers(2, 1)
    return [tuple(sum(size) for size in zip(shape, pads[::2], pads[1::2], strict=True))]


def mirror_pad(op: Op) -> list[Shape]:
    """MIRROR_PAD: with values of the input, its edge once (0, REFLECT) or twice (1)."""
    (shape,), source = pad(op), op.source().shape
    edge, pads = 1 - int(op.options["mode"]), op.numbers(1)
    if any(max(pads[2 * n : 2 * n + 2]) > size - edge for n, size in enumerate(source)):
        raise ConvertError(f"paddings {pads} of {list(source)}: no values for them")
    return [shape]


# Other shapes of the same values.


def reshape(op: Op) -> list[Shape]:
    """RESHAPE."""
    source, result = op.source(), op.outputs[0]
    wanted = op.optional(1)
    if wanted is None or wanted.data is None:  # in the options, or computed from a free batch
        return [refit(result, source.size)]
    sizes = op.numbers(1)
    if sizes.count(-1) == 1:
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = source.size // known if known > 0 else 0
    if any(size < 1 for size in sizes) or math.prod(sizes) != source.size:
        raise ConvertError(f"shape {op.numbers(1)[:8]} for input {list(source.shape)}")
    return [tuple(sizes)]


def squeeze(op: Op) -> list[Shape]:
    """SQUEEZE."""
    source, result = op.source(), op.outputs[0]
    shape = refit(result, source.size)
    if [n for n in shape if n > 1] != [n for n in source.shape if n > 1]:
        raise ConvertError(f"{list(source.shape)} to {list(shape)}")
    return [shape]


def expand_dims(op: Op) -> list[Shape]:
    """EXPAND_DIMS."""
    shape = op.source().shape
    axis = axis_of(op.numbers(1, 1)[0], len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def shape_of(op: Op) -> list[Shape]:
    """SHAPE."""
    return [(len(op.source().shape),)]


def _blocks(op: Op) -> tuple[Shape, list[int], list[int], int]:
    """Input, block sizes, paddings or crops, and how many pixels a block has."""
    shape = op.source().shape
    blocks = op.numbers(1)
    ends = op.numbers(2, 2 * len(blocks))
    if len(shape) not in (3, 4) or len(blocks) != len(shape) - 2 or min(blocks) < 1:
        raise ConvertError(f"blocks {blocks} of {list(shape)}")
    if not all(0 <= end < 1 << 16 for end in ends):
        raise ConvertError(f"paddings or crops {ends}")
    return shape, blocks, ends, math.prod(blocks)


def space_to_batch(op: Op) -> list[Shape]:
    """SPACE_TO_BATCH_ND."""
    shape, blocks, pads, pixels = _blocks(op)
    found = []
    for size, block, before, after in zip(shape[1:-1], blocks, pads[::2], pads[1::2], strict=True):
        if (size + before + after) % block:
            raise ConvertError(
                f"{size} and paddings {before}, {after} are no whole blocks of {block}"
            )
        found.append((size + before + after) // block)
    return [(shape[0] * pixels, *found, shape[-1])]


def batch_to_space(op: Op) -> list[Shape]:
    """BATCH_TO_SPACE_ND."""
    shape, blocks, crops, pixels = _blocks(op)
    if shape[0] % pixels:
        raise ConvertError(f"batch {shape[0]} is no whole number of blocks {blocks}")
    found = [
        size * block - before - after
        for size, block, before, after in zip(
            shape[1:-1], blocks, crops[::2], crops[1::2], strict=True
        )
    ]
    return [(shape[0] // pixels, *found, shape[-1])]


# Variables.


def nothing(op: Op) -> list[Shape]:
    """No output."""
    return []


def as_declared(op: Op) -> list[Shape]:
    """What the file says: nothing determines it."""
    return [op.outputs[0].shape]
