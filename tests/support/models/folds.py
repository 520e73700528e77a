# SPDX-License-Identifier: Apache-2.0
"""Models with parts that are worked out when the code is generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.tflite_maker import Maker


def shape_of(m: Maker, x: int) -> int:
    rank = len(m.shape(x))
    return m.op(
        "SHAPE", [x], [m.tensor([rank], scale=None, dtype="INT32")], "ShapeOptions", outType=2
    )


def integers(m: Maker, *shape: int) -> int:
    """A tensor that an operator is to make."""
    return m.tensor(list(shape), scale=None, dtype="INT32")


def batch_of(m: Maker, shape: int) -> int:
    given = [shape, m.ints(0), m.ints(1), m.ints(1)]
    return m.op("STRIDED_SLICE", given, [integers(m)], "StridedSliceOptions", shrinkAxisMask=1)


def flattened(m: Maker) -> None:
    """As Keras' Flatten with a free batch, and a longer way to the same."""
    x = m.conv(m.input([1, 6, 5, 3]), 4, (3, 3))
    parts = [batch_of(m, shape_of(m, x)), m.ints(48, shape=())]
    shape = m.op("PACK", parts, [integers(m, 2)], "PackOptions", valuesCount=2)
    m.output(m.dense(m.op("RESHAPE", [x, shape], [m.like(x, [1, 48])]), 3))
    whole = shape_of(m, x)
    one = m.op("SLICE", [whole, m.ints(0), m.ints(1)], [integers(m, 1)], "SliceOptions")
    two = m.op(
        "STRIDED_SLICE",
        [whole, m.ints(1), m.ints(3), m.ints(1)],
        [integers(m, 2)],
        "StridedSliceOptions",
    )
    two = m.op("MUL", [two, m.ints(1, 4)], [integers(m, 2)], "MulOptions")
    shape = m.op("CONCATENATION", [one, two], [integers(m, 3)], "ConcatenationOptions", axis=0)
    m.output(m.op("RESHAPE", [x, shape], [m.like(x, [1, 4, 12])]))


def reshaped_input(m: Maker) -> None:
    x = m.input([1, 60])
    parts = [batch_of(m, shape_of(m, x)), *(m.ints(n, shape=()) for n in (4, 5, 3))]
    shape = m.op("PACK", parts, [integers(m, 4)], "PackOptions", valuesCount=4)
    y = m.op("RESHAPE", [x, shape], [m.like(x, [1, 4, 5, 3])])
    m.output(m.conv(y, 4, (2, 2)))


Case = tuple[int, int, str, tuple[int, int], tuple[int, ...], tuple[int, ...], bool]

# Zero point, depthwise, padding, block, pads and crops of rows and columns, bias.
WHOLE: list[Case] = [
    (9, 0, "VALID", (2, 3), (0, 0, 0, 0), (0, 0, 0, 0), True),
    (7, 0, "SAME", (2, 2), (0, 0, 0, 0), (0, 0, 0, 0), False),
]

PADDED: list[Case] = [
    (0, 0, "VALID", (2, 3), (2, 2, 3, 3), (0, 0, 0, 0), False),
    (0, 1, "VALID", (3, 1), (3, 4, 0, 0), (0, 4, 0, 0), False),
]


def dilated(m: Maker, cases: list[Case] = WHOLE, before: bool = False) -> None:
    """Space to batch, convolution, batch to space; `before`: pads are a PAD of their own."""
    for zero, depthwise, padding, block, pads, crops, bias in cases:
        x = m.input([1, 8, 6, 4], zero=zero)
        high, wide = 8 + pads[0] + pads[1], 6 + pads[2] + pads[3]
        if before:
            around = m.ints(0, 0, *pads, 0, 0, shape=[4, 2])
            x, pads = m.op("PAD", [x, around], [m.like(x, [1, high, wide, 4])]), (0, 0, 0, 0)
        y = m.like(x, [block[0] * block[1], high // block[0], wide // block[1], 4])
        numbers = [m.ints(*block), m.ints(*pads, shape=[2, 2]), m.ints(*crops, shape=[2, 2])]
        m.op("SPACE_TO_BATCH_ND", [x, *numbers[:2]], [y])
        options: dict[str, Any] = {"depthwise": depthwise, "padding": padding}
        z = m.conv(y, 5, (3, 2), **options)
        if bias:
            z = with_bias(m, z)
        _, rows, columns, channels = m.shape(z)
        rows = rows * block[0] - crops[0] - crops[1]
        columns = columns * block[1] - crops[2] - crops[3]
        result = m.like(z, [1, rows, columns, channels])
        m.output(m.op("BATCH_TO_SPACE_ND", [z, numbers[0], numbers[2]], [result]))


def with_bias(m: Maker, x: int) -> int:
    channels = m.shape(x)[-1]
    bias = m.tensor([channels], scale=0.1, data=m.rng.integers(-128, 128, channels))
    y = m.tensor(m.shape(x), scale=m.quantization(x)[0] * 1.3)
    return m.op("ADD", [x, bias], [y], "AddOptions")


def dilated_in_time(m: Maker) -> None:
    """As Keras' Conv1D: three dimensions outside, four inside."""
    for dims in ([4, 1, 7, 3], [4, 7, 1, 3]):
        x = m.input([1, 28, 3])
        y = m.like(x, [4, 7, 3])
        m.op("SPACE_TO_BATCH_ND", [x, m.ints(4), m.ints(0, 0, shape=[1, 2])], [y])
        deep = m.op("RESHAPE", [y, m.ints(*dims)], [m.like(y, dims)])
        z = m.conv(deep, 8, (1, 3) if dims[1] == 1 else (3, 1))
        flat = m.op("RESHAPE", [z, m.ints(4, 5, 8)], [m.like(z, [4, 5, 8])])
        result = m.like(z, [1, 20, 8])
        m.op("BATCH_TO_SPACE_ND", [flat, m.ints(4), m.ints(0, 0, shape=[1, 2])], [result])
        m.output(with_bias(m, result))


KINDS: dict[str, Callable[[Maker], None]] = {
    f.__name__: f for f in (flattened, reshaped_input, dilated, dilated_in_time)
}
