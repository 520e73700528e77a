# SPDX-License-Identifier: Apache-2.0
"""What windows and matrix products make of their inputs' shapes; see convert/graph/shapes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.shapes import Shape, broadcast_shapes, check_shape, of_rank

if TYPE_CHECKING:
    from wakestate.convert.graph.tflite_graph import Op


# Windows over rows and columns.


def kernel_of(op: Op) -> Sequence[int]:
    """Rows and columns of a convolution's weights or a pool."""
    if "filter_height" in op.options:
        return int(op.options["filter_height"]), int(op.options["filter_width"])
    return of_rank(op.source(1), 4)[1:3]


def pace_of(op: Op, axis: str) -> tuple[int, int]:
    """Stride and dilation along rows, h, or columns, w."""
    stride = int(op.options[f"stride_{axis}"])
    return stride, int(op.options.get(f"dilation_{axis}_factor", 1))


def _slid(op: Op, axis: str, size: int, kernel: int) -> int:
    """How many steps a kernel makes over `size`."""
    stride, dilation = pace_of(op, axis)
    span = (kernel - 1) * dilation + 1
    same = op.options["padding"] == "SAME"
    count = -(-size // stride) if same else (size - span) // stride + 1
    if count < 1:
        raise ConvertError(f"a kernel over {span} does not fit into {size}")
    return count


def _windowed(op: Op, channels: int) -> list[Shape]:
    """The result of a convolution or pool."""
    batch, rows, columns, _ = of_rank(op.source(), 4)
    height, width = kernel_of(op)
    return [(batch, _slid(op, "h", rows, height), _slid(op, "w", columns, width), channels)]


def _bias(op: Op, number: int, outputs: int) -> None:
    bias = op.optional(number)
    if bias is not None and bias.size != outputs:
        raise ConvertError(f"{bias.size} biases for {outputs} outputs")


def conv(op: Op) -> list[Shape]:
    """CONV_2D, with groups."""
    source, (outputs, _, _, inside) = of_rank(op.source(), 4), of_rank(op.source(1), 4)
    groups, rest = divmod(source[3], inside)
    if rest or outputs % groups:
        raise ConvertError(f"weights {list(op.source(1).shape)} for {source[3]} input channels")
    _bias(op, 2, outputs)
    return _windowed(op, outputs)


def depthwise(op: Op) -> list[Shape]:
    """DEPTHWISE_CONV_2D."""
    source, (one, _, _, outputs) = of_rank(op.source(), 4), of_rank(op.source(1), 4)
    times, rest = divmod(outputs, source[3])
    if one != 1 or rest or op.options["depth_multiplier"] not in (0, times):
        raise ConvertError(
            f"weights {list(op.source(1).shape)} for {source[3]} input channels, depth_multiplier "
            f"{op.options['depth_multiplier']}"
        )
    _bias(op, 2, outputs)
    return _windowed(op, outputs)


def pool(op: Op) -> list[Shape]:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    return _windowed(op, of_rank(op.source(), 4)[3])


def transpose_conv(op: Op) -> list[Shape]:
    """TRANSPOSE_CONV: what a convolution would make its input of."""
    (outputs, *kernel, inside), source = of_rank(op.source(1), 4), of_rank(op.source(2), 4)
    shape = op.outputs[0].shape
    if op.source().data is not None:
        shape = tuple(op.numbers(0, 4))
    elif len(shape) == 4:  # computed, from a free batch
        shape = (source[0], *shape[1:])
    ends = (source[0], outputs, source[3])
    if len(shape) != 4 or min(shape) < 1 or (shape[0], shape[3], inside) != ends:
        raise ConvertError(
            f"output {list(shape)} of input {list(source)} and weights {list(op.source(1).shape)}"
        )
    for axis, size, wanted, taps in zip("hw", shape[1:3], source[1:3], kernel, strict=True):
        if _slid(op, axis, size, taps) != wanted:
            raise ConvertError(f"output {list(shape)} is not what input {list(source)} grows to")
    _bias(op, 3, outputs)
    return [shape]


def resize(op: Op) -> list[Shape]:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""
    source, size = of_rank(op.source(), 4), op.numbers(1, 2)
    if op.options["align_corners"] and op.options["half_pixel_centers"]:
        raise ConvertError("align_corners and half_pixel_centers exclude each other")
    return [(source[0], *size, source[3])]


# Matrices.


def fully_connected(op: Op) -> list[Shape]:
    """FULLY_CONNECTED."""
    source, weights, result = op.source(), op.source(1), op.outputs[0]
    outputs, length = of_rank(weights, 2)
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
        shape = op.source(number).shape
        if len(shape) < 2:
            raise ConvertError(f"input {number} is {list(shape)}; 2 dimensions and more are needed")
        transposed = bool(op.options.get(option))
        sides.append((*shape[:-2], shape[-1], shape[-2]) if transposed else shape)
    a, b = sides
    if a[-1] != b[-2]:
        raise ConvertError(f"{list(a)} times {list(b)} is not possible")
    return [(*broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])]


def svdf(op: Op) -> list[Shape]:
    """SVDF."""
    (batch, length), (filters, inside) = of_rank(op.source(), 2), of_rank(op.source(1), 2)
    rank = int(op.options["rank"])
    if filters % rank or inside != length:
        raise ConvertError(f"weights {[filters, inside]} of rank {rank} for {length} inputs")
    memory = of_rank(op.source(2), 2)[1]
    check_shape(op.source(2), (filters, memory))
    if op.source(4).size != batch * memory * filters:
        raise ConvertError(
            f"state {list(op.source(4).shape)}; {[batch, memory * filters]} is needed"
        )
    _bias(op, 3, filters // rank)
    return [(batch, filters // rank)]


def lstm(op: Op) -> list[Shape]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    source = of_rank(op.source(), 3)
    cells, outputs = of_rank(op.source(6), 2)
    batch = source[1] if op.options["time_major"] else source[0]
    for number in range(1, 5):
        if op.inputs[number] is not None:
            check_shape(op.source(number), (cells, source[2]))
            check_shape(op.source(number + 4), (cells, outputs))
    for number in (9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23):
        tensor = op.optional(number)
        if tensor is not None and tensor.size != cells:
            raise ConvertError(f"input {number} has {tensor.size} values for {cells} cells")
    for number, size in ((18, outputs), (19, cells)):
        if op.source(number).size != batch * size:
            raise ConvertError(f"state {list(op.source(number).shape)}; {[batch, size]} is needed")
    return [(*source[:2], outputs)]
