# SPDX-License-Identifier: Apache-2.0
"""Models of every operator: each holds many variants of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.tflite_maker import Maker, schema

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def convolutions(m: Maker) -> None:
    for channels, outputs, kernel, options in [
        (1, 5, (3, 3), {"stride": (2, 1), "padding": "SAME"}),
        (3, 12, (2, 3), {"dilation": (2, 1), "activation": "RELU"}),
        (5, 17, (1, 1), {"activation": "RELU6"}),
        (12, 1, (1, 1), {"stride": (2, 2), "padding": "SAME"}),
        (17, 3, (3, 2), {"padding": "SAME", "dilation": (1, 2), "activation": "RELU_N1_TO_1"}),
        (8, 8, (4, 6), {"stride": (2, 1)}),
        (4, 6, (1, 2), {"stride": (1, 2)}),
        (16, 16, (1, 6), {"gain": 400.0}),
        (6, 4, (3, 3), {"groups": 2, "bias": False}),
        (2, 9, (5, 3), {"padding": "SAME", "per_channel": False, "gain": 30.0}),
    ]:
        x = m.input([1, 7, 6, channels])
        m.output(m.conv(x, outputs, kernel, **options))


def depthwise(m: Maker) -> None:
    for channels, kernel, options in [
        (1, (3, 3), {"depthwise": 1, "padding": "SAME"}),
        (1, (4, 3), {"depthwise": 8, "padding": "SAME", "stride": (2, 2), "activation": "RELU"}),
        (3, (3, 3), {"depthwise": 1, "padding": "SAME", "activation": "RELU6"}),
        (5, (3, 1), {"depthwise": 1, "stride": (2, 1)}),
        (12, (2, 2), {"depthwise": 1, "dilation": (3, 2), "padding": "SAME"}),
        (17, (7, 6), {"depthwise": 1}),
        (17, (3, 3), {"depthwise": 1, "padding": "SAME", "stride": (2, 2), "gain": 300.0}),
        (4, (5, 1), {"depthwise": 1, "bias": False, "activation": "RELU_N1_TO_1"}),
        (3, (3, 2), {"depthwise": 2, "padding": "SAME"}),
        (32, (3, 3), {"depthwise": 1, "padding": "SAME", "per_channel": False}),
    ]:
        x = m.input([1, 7, 6, channels])
        m.output(m.conv(x, 0, kernel, **options))


def chains(m: Maker) -> None:
    """Depthwise layers between others: their results may overwrite their inputs."""
    for height, width, channels, kernel, options in [
        (6, 10, 42, (3, 1), {}),
        (1, 12, 42, (1, 3), {"activation": "RELU6"}),
        (5, 7, 18, (2, 2), {}),
        (5, 7, 33, (3, 3), {"padding": "SAME"}),
        (9, 1, 47, (4, 1), {"gain": 300.0}),
        (4, 6, 16, (1, 4), {"activation": "RELU"}),
    ]:
        x = m.conv(m.input([1, height, width, 5]), channels, (1, 1))
        m.output(m.conv(m.conv(x, 0, kernel, depthwise=1, **options), 3, (1, 1)))


def dense(m: Maker) -> None:
    for length, outputs, options in [
        (1, 1, {}),
        (3, 5, {"activation": "RELU"}),
        (17, 12, {"activation": "RELU6", "per_channel": True}),
        (64, 17, {"bias": False}),
        (33, 3, {"gain": 200.0}),
        (12, 4, {"rows": 3, "activation": "RELU_N1_TO_1"}),
    ]:
        x = m.input([options.get("rows", 1), length])
        m.output(m.dense(x, outputs, **options))


def pairs(m: Maker) -> None:
    kinds = {"ADD": "AddOptions", "MUL": "MulOptions"}
    shapes = [
        ([1, 4, 3, 5], [1, 4, 3, 5], [1, 4, 3, 5]),
        ([1, 4, 3, 5], [5], [1, 4, 3, 5]),
        ([1, 1, 3, 1], [1, 4, 1, 17], [1, 4, 3, 17]),
        ([1, 7], [1, 1], [1, 7]),
    ]
    for name, kind in kinds.items():
        for number, (a, b, result) in enumerate(shapes):
            x, y = m.input(a, scale=0.03), m.input(b, scale=0.07)
            out = m.tensor(result, scale=0.1 if name == "ADD" else 0.2)
            activation = getattr(schema.ActivationFunctionType, ACTIVATIONS[number])
            m.output(m.op(name, [x, y], [out], kind, fusedActivationFunction=activation))
        x = m.input([1, 3, 12])
        constant = m.tensor([12], scale=0.02, zero=3, data=m.rng.integers(-128, 128, 12))
        m.output(m.op(name, [constant, x], [m.tensor([1, 3, 12], scale=0.11)], kind))
        m.output(
            m.op(name, [x, x], [m.tensor([1, 3, 12], scale=0.0003 if name == "MUL" else 0.2)], kind)
        )


def pools(m: Maker) -> None:
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        for number, (channels, kernel, stride, padding) in enumerate(
            [
                (64, (7, 6), (7, 6), "VALID"),
                (5, (2, 2), (2, 2), "SAME"),
                (12, (3, 3), (1, 1), "SAME"),
                (1, (7, 1), (1, 1), "VALID"),
            ]
        ):
            x = m.input([1, 7, 6, channels], scale=0.02)
            if padding == "SAME":
                size = [-(-7 // stride[0]), -(-6 // stride[1])]
            else:
                size = [(7 - kernel[0]) // stride[0] + 1, (6 - kernel[1]) // stride[1] + 1]
            m.output(
                m.op(
                    name,
                    [x],
                    [m.like(x, [1, *size, channels])],
                    "Pool2DOptions",
                    padding=getattr(schema.Padding, padding),
                    strideH=stride[0],
                    strideW=stride[1],
                    filterHeight=kernel[0],
                    filterWidth=kernel[1],
                    fusedActivationFunction=getattr(
                        schema.ActivationFunctionType, ACTIVATIONS[number]
                    ),
                )
            )


def means(m: Maker) -> None:
    for shape, axes, result, scale in [
        ([1, 7, 6, 17], [1, 2], [1, 1, 1, 17], 0.02),
        ([1, 7, 6, 8], [1, 2], [1, 8], 0.05),
        ([1, 300, 4], [1], [1, 4], 0.05),
        ([1, 5, 9], [2], [1, 5], 0.3),
        ([1, 5, 1, 12], [-2, -1], [1, 5], 0.04),
    ]:
        x = m.input(shape)
        m.output(
            m.op(
                "MEAN",
                [x, m.ints(*axes)],
                [m.tensor(result, scale=scale)],
                "ReducerOptions",
                keepDims=len(result) == len(shape),
            )
        )


def tables(m: Maker) -> None:
    """On all 256 values, at several scales."""
    for scale in (0.003, 0.05, 0.19, 1.7):
        x = m.input([1, 256], scale=scale)
        m.output(m.op("LOGISTIC", [x], [m.tensor([1, 256], scale=1 / 256, zero=-128)]))
        m.output(m.op("RELU", [x], [m.tensor([1, 256], scale=0.07)]))
        m.output(m.op("QUANTIZE", [x], [m.tensor([1, 256], scale=0.11)], "QuantizeOptions"))
        as_bytes = m.tensor([1, 256], scale=scale, dtype="UINT8", zero=100)
        m.output(m.op("QUANTIZE", [x], [as_bytes], "QuantizeOptions"))
        y = m.input([1, 256], scale=scale, zero=-100)
        m.output(m.op("RELU6", [y], [m.like(y)]))
    byte_input = m.input([1, 256], scale=0.05, dtype="UINT8", zero=7)
    m.output(m.op("QUANTIZE", [byte_input], [m.tensor([1, 256], scale=0.06)], "QuantizeOptions"))


def softmaxes(m: Maker) -> None:
    for shape, scale, beta in [
        ([1, 12], 0.145, 1.0),
        ([1, 3], 0.9, 1.0),
        ([1, 2], 0.004, 1.0),
        ([1, 1], 0.1, 1.0),
        ([3, 40], 0.05, 2.0),
        ([1, 2, 2, 17], 0.3, 0.5),
    ]:
        x = m.input(shape, scale=scale)
        y = m.tensor(shape, scale=1 / 256, zero=-128)
        m.output(m.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta))


def moves(m: Maker) -> None:
    """What only moves bytes: aligned and not, in a row and not."""
    for channels in (4, 5):
        x = m.input([1, 6, 3, channels], scale=0.05, zero=9)
        y = m.input([1, 2, 3, channels], scale=0.05, zero=9)
        join = [m.like(x, [1, 10, 3, channels]), m.like(x, [1, 6, 3, 2 * channels])]
        m.output(m.op("CONCATENATION", [y, x, y], [join[0]], "ConcatenationOptions", axis=1))
        m.output(m.op("CONCATENATION", [x, x], [join[1]], "ConcatenationOptions", axis=-1))
        m.output(
            m.op(
                "PACK",
                [x, x],
                [m.like(x, [1, 6, 2, 3, channels])],
                "PackOptions",
                axis=2,
                valuesCount=2,
            )
        )
        halves = [m.like(x, [1, 3, 3, channels]) for _ in range(2)]
        m.op("SPLIT", [m.ints(1, shape=[]), x], halves, "SplitOptions", numSplits=2)
        thirds = [m.like(x, [1, 6, n, channels]) for n in (1, 2)]
        m.op(
            "SPLIT_V", [x, m.ints(1, 2), m.ints(2, shape=[])], thirds, "SplitVOptions", numSplits=2
        )
        m.output(*halves, *thirds)
        for begin, end, step, masks, shape in [
            ((0, 2, 0, 0), (1, 6, 3, channels), (1, 1, 1, 1), {}, [1, 4, 3, channels]),
            ((0, 1, 0, 1), (1, 6, 3, 3), (1, 2, 2, 1), {}, [1, 3, 2, 2]),
            (
                (0, -1, 0, 0),
                (0, 0, 0, 0),
                (1, 1, 1, 1),
                {"beginMask": 12, "endMask": 15, "shrinkAxisMask": 1},
                [1, 3, channels],
            ),
            ((0, 5, 0, 0), (1, -7, 3, channels), (1, -1, 1, 1), {}, [6, 3, channels]),
        ]:
            if masks:
                shape = [1, 3, channels]
                masks = {"beginMask": 13, "endMask": 13, "shrinkAxisMask": 2}
            m.output(
                m.op(
                    "STRIDED_SLICE",
                    [x, m.ints(*begin), m.ints(*end), m.ints(*step)],
                    [m.like(x, shape if len(shape) > 3 or masks else [1, *shape])],
                    "StridedSliceOptions",
                    **masks,
                )
            )
        pads = m.ints(0, 0, 1, 2, 0, 1, 0, 3, shape=[4, 2])
        m.output(m.op("PAD", [x, pads], [m.like(x, [1, 9, 4, channels + 3])], "PadOptions"))
        m.output(m.op("RESHAPE", [x, m.ints(1, 18 * channels)], [m.like(x, [1, 18 * channels])]))
    z = m.input([1, 8], scale=0.1)
    m.output(z, m.op("EXPAND_DIMS", [z, m.ints(1)], [m.like(z, [1, 1, 8])]))


def padded_convolutions(m: Maker) -> None:
    """PAD goes into the convolution after it, even a padded one."""
    for depthwise, padding in [(0, "VALID"), (1, "VALID"), (0, "SAME"), (1, "SAME")]:
        x = m.input([1, 6, 5, 4])
        pads = m.ints(0, 0, 2, 1, 1, 0, 0, 0, shape=[4, 2])
        wide = m.op("PAD", [x, pads], [m.like(x, [1, 9, 6, 4])], "PadOptions")
        options: dict[str, Any] = {"depthwise": depthwise, "padding": padding, "stride": (2, 2)}
        m.output(m.conv(wide, 8, (3, 3), **options))


KINDS: dict[str, Callable[[Maker], None]] = {
    f.__name__: f
    for f in (
        convolutions,
        depthwise,
        chains,
        dense,
        pairs,
        pools,
        means,
        tables,
        softmaxes,
        moves,
        padded_convolutions,
    )
}
