"""What each operator makes of its inputs' shapes, as TFLM runs it; for convert/rules.py.

Each function takes an operator and gives the shapes of its outputs, derived from inputs and options
alone, or raises a ConvertError where they contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wakestate.convert.errors import ConvertError

if TYPE_CHECKING:
    from wakestate.convert.tflite_graph import Op, Tensor

Shape = tuple[int, ...]


def given(op: Op, number: int) -> Tensor:
    """An input that must be there."""
    tensor = op.inputs[number] if number < len(op.inputs) else None
    if tensor is None:
        raise ConvertError(f"input {number} is left out; it is needed")
    return tensor


def numbers(op: Op, number: int, count: int | None = None) -> list[int]:
    """The values of an input that must be constant, `count` of them."""
    tensor = given(op, number)
    if tensor.data is None:
        raise ConvertError(f"input {number}, {tensor.name}, is not constant; constants are needed")
    if count is not None and tensor.size != count:
        raise ConvertError(f"input {number}, {tensor.name}, has {tensor.size} values, not {count}")
    return [int(value) for value in tensor.data.reshape(-1)]


def axis_of(value: int, rank: int, what: str = "axis") -> int:
    """A dimension's number, counted from the front."""
    if not -rank <= value < rank:
        raise ConvertError(f"{what} {value}; {-rank} to {rank - 1} is there")
    return value % rank


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
    """Its shape, which must have so many dimensions."""
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
    return [given(op, 0).shape]


def broadcast_shapes(a: Shape, b: Shape) -> Shape:
    """The shape of two that broadcast, as NumPy's do."""
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in (a, b))
    if any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        raise ConvertError(f"shapes {list(a)} and {list(b)} do not broadcast")
    return tuple(max(m, n) for m, n in zip(a, b, strict=True))


def broadcast(op: Op) -> list[Shape]:
    """Two tensors, the smaller repeated."""
    return [broadcast_shapes(given(op, 0).shape, given(op, 1).shape)]


def select(op: Op) -> list[Shape]:
    """SELECT_V2: a condition and two values."""
    either = broadcast_shapes(given(op, 1).shape, given(op, 2).shape)
    return [broadcast_shapes(given(op, 0).shape, either)]


def broadcast_to(op: Op) -> list[Shape]:
    """BROADCAST_TO."""
    source, sizes = given(op, 0).shape, tuple(numbers(op, 1))
    if any(size < 1 for size in sizes) or broadcast_shapes(source, sizes) != sizes:
        raise ConvertError(f"{list(source)} to {list(sizes)[:8]}")
    return [sizes]


# Along axes.


def reduce(op: Op) -> list[Shape]:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""
    shape = given(op, 0).shape
    axes = {axis_of(value, len(shape)) for value in numbers(op, 1)}
    if op.options["keep_dims"]:
        return [tuple(1 if axis in axes else size for axis, size in enumerate(shape))]
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def softmax(op: Op) -> list[Shape]:
    """SOFTMAX."""
    if not given(op, 0).shape:
        raise ConvertError("input [] has no dimension to go over")
    return same(op)


def transpose(op: Op) -> list[Shape]:
    """TRANSPOSE."""
    shape = given(op, 0).shape
    order = numbers(op, 1, len(shape))
    if sorted(order) != list(range(len(shape))):
        raise ConvertError(f"order {order} of {len(shape)} dimensions")
    return [tuple(shape[axis] for axis in order)]


def gather(op: Op) -> list[Shape]:
    """GATHER."""
    shape, indices = given(op, 0).shape, given(op, 1)
    axis = axis_of(int(op.options["axis"]), len(shape))
    if indices.data is not None and not all(0 <= n < shape[axis] for n in numbers(op, 1)):
        raise ConvertError(f"indices {numbers(op, 1)[:8]}; 0 to {shape[axis] - 1} is there")
    return [(*shape[:axis], *indices.shape, *shape[axis + 1 :])]


def concatenation(op: Op) -> list[Shape]:
    """CONCATENATION."""
    shapes = [given(op, number).shape for number in range(len(op.inputs))]
    axis = axis_of(int(op.options["axis"]), len(shapes[0]))
    for shape in shapes:
        rest = (
            [size for number, size in enumerate(shape) if number != axis],
            [size for number, size in enumerate(shapes[0]) if number != axis],
        )
        if len(shape) != len(shapes[0]) or rest[0] != rest[1]:
            raise ConvertError(f"{list(shape)} and {list(shapes[0])} along axis {axis}")
    return [(*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])]


def pack(op: Op) -> list[Shape]:
    """PACK."""
    shape = given(op, 0).shape
    for number in range(len(op.inputs)):
        check_shape(given(op, number), shape)
    if op.options["values_count"] != len(op.inputs):
        raise ConvertError(f"values_count {op.options['values_count']}, {len(op.inputs)} inputs")
    axis = axis_of(int(op.options["axis"]), len(shape) + 1)
    return [(*shape[:axis], len(op.inputs), *shape[axis:])]


def unpack(op: Op) -> list[Shape]:
    """UNPACK."""
    shape = given(op, 0).shape
    axis = axis_of(int(op.options["axis"]), len(shape))
    if not int(op.options["num"]) == len(op.outputs) == shape[axis]:
        raise ConvertError(
            f"num {op.options['num']}, {len(op.outputs)} outputs of {list(shape)}, axis {axis}"
        )
    return [shape[:axis] + shape[axis + 1 :]] * len(op.outputs)


def split(op: Op) -> list[Shape]:
    """SPLIT."""
    shape, parts = given(op, 1).shape, len(op.outputs)
    axis = axis_of(numbers(op, 0, 1)[0], len(shape))
    if op.options["num_splits"] != parts or shape[axis] % parts:
        raise ConvertError(
            f"num_splits {op.options['num_splits']}, {parts} outputs of {list(shape)}, axis {axis}"
        )
    return [(*shape[:axis], shape[axis] // parts, *shape[axis + 1 :])] * parts


def split_v(op: Op) -> list[Shape]:
    """SPLIT_V."""
    shape = given(op, 0).shape
    sizes, axis = numbers(op, 1, len(op.outputs)), axis_of(numbers(op, 2, 1)[0], len(shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(sizes) - 1
    if op.options["num_splits"] != len(sizes) or min(sizes) < 1 or sum(sizes) != shape[axis]:
        raise ConvertError(
            f"num_splits {op.options['num_splits']}, sizes {sizes} of {list(shape)}, axis {axis}"
        )
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def slice_of(op: Op) -> list[Shape]:
    """SLICE."""
    shape = given(op, 0).shape
    begin, sizes = numbers(op, 1, len(shape)), numbers(op, 2, len(shape))
    found = []
    for total, first, size in zip(shape, begin, sizes, strict=True):
        count = total - first if size == -1 else size
        if first < 0 or count < 1 or first + count > total:
            raise ConvertError(f"begin {begin}, size {sizes} of {list(shape)}")
        found.append(count)
    return [tuple(found)]


def strided_slice(op: Op) -> list[Shape]:
    """STRIDED_SLICE."""
    shape = given(op, 0).shape
    for mask in ("ellipsis_mask", "new_axis_mask"):
        if op.options[mask]:
            raise ConvertError(f"{mask} is not supported")
    begin = numbers(op, 1)
    end, steps = numbers(op, 2, len(begin)), numbers(op, 3, len(begin))
    if len(begin) > len(shape) or 0 in steps:
        raise ConvertError(f"begin {begin}, strides {steps} of {list(shape)}")
    found: list[int] = []
    for axis, size in enumerate(shape):
        if axis >= len(begin):
            found.append(size)
            continue
        bits = {
            k: int(op.options[f"{k}_mask"]) >> axis & 1 for k in ("begin", "end", "shrink_axis")
        }
        if bits["shrink_axis"]:
            axis_of(begin[axis], size, f"begin of axis {axis}")
            continue
        first = None if bits["begin"] else begin[axis]
        last = None if bits["end"] else end[axis]
        if op.options.get("offset") and first is not None and last is not None:
            last += first
        count = len(range(size)[slice(first, last, steps[axis])])
        if not count:
            raise ConvertError(f"begin {begin}, end {end}: an empty slice is not supported")
        found.append(count)
    return [tuple(found)]


def pad(op: Op) -> list[Shape]:
    """PAD, PADV2."""
    shape = given(op, 0).shape
    pads = numbers(op, 1, 2 * len(shape))
    if not all(0 <= pad < 1 << 16 for pad in pads):
        raise ConvertError(f"paddings {pads}")
    if len(op.inputs) > 2 and op.inputs[2] is not None:
        numbers(op, 2, 1)
    return [tuple(sum(size) for size in zip(shape, pads[::2], pads[1::2], strict=True))]


def mirror_pad(op: Op) -> list[Shape]:
    """MIRROR_PAD: with values of the input, its edge once (0, REFLECT) or twice (1)."""
    (shape,), source = pad(op), given(op, 0).shape
    edge = 1 - int(op.options["mode"])
    if any(most > size - edge for most, size in zip(_most_pads(op), source, strict=True)):
        raise ConvertError(f"paddings {numbers(op, 1)} of {list(source)}: no values for them")
    return [shape]


def _most_pads(op: Op) -> list[int]:
    pads = numbers(op, 1)
    return [max(pair) for pair in zip(pads[::2], pads[1::2], strict=True)]


def reverse(op: Op) -> list[Shape]:
    """REVERSE_V2."""
    for axis in numbers(op, 1):
        axis_of(axis, len(given(op, 0).shape))
    return same(op)


def space_to_depth(op: Op) -> list[Shape]:
    """SPACE_TO_DEPTH."""
    batch, rows, columns, channels = of_rank(given(op, 0), 4)
    block = int(op.options["block_size"])
    if rows % block or columns % block:
        raise ConvertError(f"{rows}x{columns} is no whole number of blocks of {block}")
    return [(batch, rows // block, columns // block, channels * block * block)]


def depth_to_space(op: Op) -> list[Shape]:
    """DEPTH_TO_SPACE."""
    batch, rows, columns, channels = of_rank(given(op, 0), 4)
    block = int(op.options["block_size"])
    if channels % (block * block):
        raise ConvertError(f"{channels} channels are no whole number of blocks of {block}")
    return [(batch, rows * block, columns * block, channels // (block * block))]


# Other shapes of the same values.


def reshape(op: Op) -> list[Shape]:
    """RESHAPE."""
    source, result = given(op, 0), op.outputs[0]
    wanted = op.inputs[1] if len(op.inputs) > 1 else None
    if wanted is None or wanted.data is None:  # in the options, or computed from a free batch
        return [refit(result, source.size)]
    sizes = numbers(op, 1)
    if sizes.count(-1) == 1:
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = source.size // known if known > 0 else 0
    if any(size < 1 for size in sizes) or math.prod(sizes) != source.size:
        raise ConvertError(f"shape {numbers(op, 1)[:8]} for input {list(source.shape)}")
    return [tuple(sizes)]


def squeeze(op: Op) -> list[Shape]:
    """SQUEEZE."""
    source, result = given(op, 0), op.outputs[0]
    shape = refit(result, source.size)
    if [n for n in shape if n > 1] != [n for n in source.shape if n > 1]:
        raise ConvertError(f"{list(source.shape)} to {list(shape)}")
    return [shape]


def expand_dims(op: Op) -> list[Shape]:
    """EXPAND_DIMS."""
    shape = given(op, 0).shape
    axis = axis_of(numbers(op, 1, 1)[0], len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def shape_of(op: Op) -> list[Shape]:
    """SHAPE."""
    return [(len(given(op, 0).shape),)]


def _blocks(op: Op) -> tuple[Shape, list[int], list[int], int]:
    """Input, block sizes, paddings or crops, and how many pixels a block has."""
    shape = given(op, 0).shape
    blocks = numbers(op, 1)
    ends = numbers(op, 2, 2 * len(blocks))
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


def as_said(op: Op) -> list[Shape]:
    """What the file says: nothing determines it."""
    return [op.outputs[0].shape]
