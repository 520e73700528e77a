"""What each operator makes of its inputs' shapes, as TFLM runs it; for convert/rules.py.

Each function takes an operator and gives the shapes of its outputs, derived from inputs and options
alone, or raises a ConvertError where they contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convert.errors import ConvertError

if TYPE_CHECKING:
    from convert.tflite_graph import Op, Tensor

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


def _rank(tensor: Tensor, rank: int) -> Shape:
    if len(tensor.shape) != rank:
        raise ConvertError(
            f"tensor {tensor.name} is {list(tensor.shape)}; {rank} dimensions are needed"
        )
    return tensor.shape


def _wanted(tensor: Tensor, shape: Sequence[int]) -> None:
    if tensor.shape != tuple(shape):
        raise ConvertError(f"tensor {tensor.name} is {list(tensor.shape)}; {list(shape)} is needed")


# Element by element.


def same(op: Op) -> list[Shape]:
    """One value at a time."""
    return [given(op, 0).shape]


def _broadcast_shapes(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in (a, b))
    if any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        raise ConvertError(f"shapes {list(a)} and {list(b)} do not broadcast")
    return tuple(max(m, n) for m, n in zip(a, b, strict=True))


def broadcast(op: Op) -> list[Shape]:
    """Two tensors, the smaller repeated."""
    return [_broadcast_shapes(given(op, 0).shape, given(op, 1).shape)]


def select(op: Op) -> list[Shape]:
    """SELECT_V2: a condition and two values."""
    either = _broadcast_shapes(given(op, 1).shape, given(op, 2).shape)
    return [_broadcast_shapes(given(op, 0).shape, either)]


def broadcast_to(op: Op) -> list[Shape]:
    """BROADCAST_TO."""
    source, sizes = given(op, 0).shape, tuple(numbers(op, 1))
    if any(size < 1 for size in sizes) or _broadcast_shapes(source, sizes) != sizes:
        raise ConvertError(f"{list(source)} to {list(sizes)[:8]}")
    return [sizes]


# Windows over rows and columns.


def _slid(size: int, kernel: int, stride: int, dilation: int, padding: object) -> int:
    span = (kernel - 1) * dilation + 1
    count = -(-size // stride) if padding == "SAME" else (size - span) // stride + 1
    if count < 1:
        raise ConvertError(f"a kernel over {span} does not fit into {size}")
    return count


def _windowed(op: Op, kernel: Sequence[int]) -> list[int]:
    """Rows and columns of the result."""
    source, sizes = _rank(given(op, 0), 4), []
    for size, taps, axis in zip(source[1:3], kernel, "hw", strict=True):
        stride = int(op.options[f"stride_{axis}"])
        dilation = int(op.options.get(f"dilation_{axis}_factor", 1))
        sizes.append(_slid(size, taps, stride, dilation, op.options["padding"]))
    return sizes


def _bias(op: Op, number: int, outputs: int) -> None:
    bias = op.inputs[number] if number < len(op.inputs) else None
    if bias is not None and bias.size != outputs:
        raise ConvertError(f"{bias.size} biases for {outputs} outputs")


def conv(op: Op) -> list[Shape]:
    """CONV_2D, with groups."""
    source, (outputs, rows, columns, inside) = _rank(given(op, 0), 4), _rank(given(op, 1), 4)
    groups, rest = divmod(source[3], inside)
    if rest or outputs % groups:
        raise ConvertError(f"weights {list(given(op, 1).shape)} for {source[3]} input channels")
    _bias(op, 2, outputs)
    return [(source[0], *_windowed(op, (rows, columns)), outputs)]


def depthwise(op: Op) -> list[Shape]:
    """DEPTHWISE_CONV_2D."""
    source, (one, rows, columns, outputs) = _rank(given(op, 0), 4), _rank(given(op, 1), 4)
    times, rest = divmod(outputs, source[3])
    if one != 1 or rest or op.options["depth_multiplier"] not in (0, times):
        raise ConvertError(
            f"weights {list(given(op, 1).shape)} for {source[3]} input channels, depth_multiplier "
            f"{op.options['depth_multiplier']}"
        )
    _bias(op, 2, outputs)
    return [(source[0], *_windowed(op, (rows, columns)), outputs)]


def pool(op: Op) -> list[Shape]:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    source = _rank(given(op, 0), 4)
    kernel = [int(op.options[f"filter_{side}"]) for side in ("height", "width")]
    return [(source[0], *_windowed(op, kernel), source[3])]


def transpose_conv(op: Op) -> list[Shape]:
    """TRANSPOSE_CONV: what a convolution would make its input of."""
    (outputs, *kernel, inside), source = _rank(given(op, 1), 4), _rank(given(op, 2), 4)
    shape = op.outputs[0].shape
    if given(op, 0).data is not None:
        shape = tuple(numbers(op, 0, 4))
    elif len(shape) == 4:  # computed, from a free batch
        shape = (source[0], *shape[1:])
    if (
        len(shape) != 4
        or min(shape) < 1
        or (shape[0], shape[3], inside)
        != (
            source[0],
            outputs,
            source[3],
        )
    ):
        raise ConvertError(
            f"output {list(shape)} of input {list(source)} and weights {list(given(op, 1).shape)}"
        )
    for axis, size, wanted, taps in zip("hw", shape[1:3], source[1:3], kernel, strict=True):
        stride = int(op.options[f"stride_{axis}"])
        if _slid(size, taps, stride, 1, op.options["padding"]) != wanted:
            raise ConvertError(f"output {list(shape)} is not what input {list(source)} grows to")
    _bias(op, 3, outputs)
    return [shape]


def resize(op: Op) -> list[Shape]:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""
    source, size = _rank(given(op, 0), 4), numbers(op, 1, 2)
    if op.options["align_corners"] and op.options["half_pixel_centers"]:
        raise ConvertError("align_corners and half_pixel_centers exclude each other")
    return [(source[0], *size, source[3])]


# Matrices.


def fully_connected(op: Op) -> list[Shape]:
    """FULLY_CONNECTED."""
    source, weights, result = given(op, 0), given(op, 1), op.outputs[0]
    outputs, length = _rank(weights, 2)
    if source.size % length:
        raise ConvertError(f"weights {list(weights.shape)} for input {list(source.shape)}")
    _bias(op, 2, outputs)
    size = source.size // length * outputs
    if result.shape and result.shape[-1] == outputs and result.size == size:
        return [result.shape]  # TFLM looks at no more
    if op.options.get("keep_num_dims"):
        if not source.shape or source.shape[-1] != length:
            raise ConvertError(f"weights {list(weights.shape)} for input {list(source.shape)}")
        return [(*source.shape[:-1], outputs)]
    return [(source.size // length, outputs)]


def batch_matmul(op: Op) -> list[Shape]:
    """BATCH_MATMUL."""
    sides = []
    for number, option in enumerate(("adj_x", "adj_y")):
        shape = given(op, number).shape
        if len(shape) < 2:
            raise ConvertError(f"input {number} is {list(shape)}; 2 dimensions and more are needed")
        turned = bool(op.options.get(option))
        sides.append((*shape[:-2], shape[-1], shape[-2]) if turned else shape)
    a, b = sides
    if a[-1] != b[-2]:
        raise ConvertError(f"{list(a)} times {list(b)} is not possible")
    return [(*_broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])]


def svdf(op: Op) -> list[Shape]:
    """SVDF."""
    (batch, length), (filters, inside) = _rank(given(op, 0), 2), _rank(given(op, 1), 2)
    rank = int(op.options["rank"])
    if filters % rank or inside != length:
        raise ConvertError(f"weights {[filters, inside]} of rank {rank} for {length} inputs")
    memory = _rank(given(op, 2), 2)[1]
    _wanted(given(op, 2), (filters, memory))
    if given(op, 4).size != batch * memory * filters:
        raise ConvertError(
            f"state {list(given(op, 4).shape)}; {[batch, memory * filters]} is needed"
        )
    _bias(op, 3, filters // rank)
    return [(batch, filters // rank)]


def lstm(op: Op) -> list[Shape]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    source = _rank(given(op, 0), 3)
    cells, outputs = _rank(given(op, 6), 2)
    batch = source[1] if op.options["time_major"] else source[0]
    for number in range(1, 5):
        if op.inputs[number] is not None:
            _wanted(given(op, number), (cells, source[2]))
            _wanted(given(op, number + 4), (cells, outputs))
    for number in (9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23):
        tensor = op.inputs[number] if number < len(op.inputs) else None
        if tensor is not None and tensor.size != cells:
            raise ConvertError(f"input {number} has {tensor.size} values for {cells} cells")
    for number, size in ((18, outputs), (19, cells)):
        if given(op, number).size != batch * size:
            raise ConvertError(f"state {list(given(op, number).shape)}; {[batch, size]} is needed")
    return [(*source[:2], outputs)]


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
        _wanted(given(op, number), shape)
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
    batch, rows, columns, channels = _rank(given(op, 0), 4)
    block = int(op.options["block_size"])
    if rows % block or columns % block:
        raise ConvertError(f"{rows}x{columns} is no whole number of blocks of {block}")
    return [(batch, rows // block, columns // block, channels * block * block)]


def depth_to_space(op: Op) -> list[Shape]:
    """DEPTH_TO_SPACE."""
    batch, rows, columns, channels = _rank(given(op, 0), 4)
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
