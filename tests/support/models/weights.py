# SPDX-License-Identifier: Apache-2.0
"""Weights and sums of every kind that TFLM takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.tflite_maker import Maker, schema

RUNS = 10

HALF = 1 << 30


def layers(m: Maker) -> list[tuple[int, list[int], int]]:
    """A layer of each kind on an input of its own: result, inputs, axis of the weights' outputs."""
    found = []
    for kind in ("conv", "gathered", "depthwise", "multiplied", "dense"):
        if kind == "dense":
            y = m.dense(m.input([1, 40]), 7, per_channel=True)
        else:
            options: dict[str, Any] = {
                "conv": {},
                "gathered": {"padding": "SAME"},
                "depthwise": {"depthwise": 1, "padding": "SAME"},
                "multiplied": {"depthwise": 2},
            }[kind]
            channels = 18 if kind == "depthwise" else 4
            kernel = (1, 1) if kind == "conv" else (3, 3)
            y = m.conv(m.input([1, 5, 4, channels]), 7, kernel, **options)
        m.output(y)
        found.append((y, m.last(), 3 if "depthwise" in kind or kind == "multiplied" else 0))
    return found


def one_channel(
    m: Maker, given: list[int], axis: int, channel: int, weight: float, bias: int, scale: float
) -> None:
    """Change a channel: its weights by a factor, its bias, its scale."""
    w, b = given[1], given[2]
    weights, biases = m.values(w), m.values(b)
    at: list[Any] = [slice(None)] * weights.ndim
    at[axis] = channel
    weights[tuple(at)] = np.round(weights[tuple(at)] * weight)
    biases[channel] = bias
    scales = np.array(m.current.tensors[w].quantization.scale)
    scales[channel] = scale
    m.change(w, weights, scales)
    m.change(b, biases)


def dead_channels(m: Maker) -> None:
    """As converters write them: next to no weights, a bias of 2^30, a tiny scale."""
    for y, given, axis in layers(m):
        scale = m.quantization(y)[0] / m.quantization(given[0])[0]
        one_channel(m, given, axis, 2, 0, HALF, 40 * scale / HALF)
        one_channel(m, given, axis, 3, 0.02, -HALF, 30 * scale / HALF)
        one_channel(m, given, axis, 4, 0, 2 * HALF - 1, 300 * scale / HALF)
        one_channel(m, given, axis, 5, 0.5, 5, 1e-12)  # a multiplier of 0
        one_channel(m, given, axis, 6, 0, -2 * HALF, 1e-12)


def large_sums(m: Maker) -> None:
    """Biases that leave an output open, and sums that wrap."""
    for number, (y, given, axis) in enumerate(layers(m)):
        scale = m.quantization(y)[0] / m.quantization(given[0])[0]
        # A sum about 7.5 steps of the output: halves fall to both sides.
        one_channel(m, given, axis, 1, 0.1, HALF, 7.5 * scale / HALF)
        one_channel(m, given, axis, 2, 1, -HALF, 20.5 * scale / HALF)
        if number % 2:
            one_channel(m, given, axis, 3, 1, 2 * HALF - 1, 20 * scale / HALF)
            one_channel(m, given, axis, 4, 1, -2 * HALF + 5, 20 * scale / HALF)
            one_channel(m, given, axis, 5, 1, 2 * HALF - 9, 0.99999999 * scale * 4)


def steep(m: Maker) -> None:
    """Scales that shift sums far to the left: until they wrap."""
    for y, given, axis in layers(m):
        scale = m.quantization(y)[0] / m.quantization(given[0])[0]
        for channel, factor in enumerate((0.9, 3.0, 1e3, 1e6, 1e8, 2.0**30)):
            one_channel(m, given, axis, channel, 1, 1000 * channel, factor * scale)


def zero_scales(m: Maker) -> None:
    for number, (_, given, axis) in enumerate(layers(m)):
        one_channel(m, given, axis, 2, 0, 77, 0)
        one_channel(m, given, axis, number, 1, 1 << 29, 0)


def minus_128(m: Maker) -> None:
    """Weights of -128: in the first and the second of two outputs, in a pair, everywhere."""
    for y, given, axis in layers(m):
        weights = m.values(given[1])
        weights[m.rng.random(weights.shape) < 0.3] = -128
        at: list[Any] = [slice(None)] * weights.ndim
        at[axis] = 1
        weights[tuple(at)] = -128
        m.change(given[1], weights)
        del y
    x = m.input([1, 1300], zero=127)
    m.output(m.dense(x, 3))
    m.change(m.last()[1], np.full((3, 1300), -128))
    m.output(m.conv(m.input([1, 6, 6, 32]), 0, (3, 3), depthwise=1, activation="RELU"))


def products(m: Maker) -> None:
    """FULLY_CONNECTED with weights that have a zero point, and with computed ones."""
    for rows, length, outputs, zero, options in [
        (1, 17, 5, 9, {}),
        (3, 12, 4, -128, {"activation": "RELU6"}),
        (2, 33, 1, 127, {"bias": False}),
    ]:
        m.output(m.dense(m.input([rows, length]), outputs, rows=rows, **options))
        m.current.tensors[m.last()[1]].quantization.zeroPoint = np.array([zero], np.int64)
        computed = m.input([outputs, length], scale=0.01)
        kind = {"activation": "fusedActivationFunction"}
        given = [m.input([rows, length]), computed]
        if options.get("bias", True):
            biases = m.rng.integers(-3000, 3000, outputs)
            given.append(m.tensor([outputs], scale=0.0005, dtype="INT32", data=biases))
        else:
            given.append(-1)
        activation = getattr(schema.ActivationFunctionType, options.get("activation", "NONE"))
        m.output(
            m.op(
                "FULLY_CONNECTED",
                given,
                [m.tensor([rows, outputs], scale=0.3)],
                "FullyConnectedOptions",
                **{kind["activation"]: activation},
            )
        )


def matmuls(m: Maker) -> None:
    for a, b, adj_x, adj_y, result in [
        ([3, 5], [5, 4], False, False, [3, 4]),
        ([2, 5, 3], [2, 4, 5], True, True, [2, 3, 4]),
        ([1, 7, 6], [1, 9, 6], False, True, [1, 7, 9]),
        ([2, 3, 4, 5], [1, 3, 5, 6], False, False, [2, 3, 4, 6]),
        ([2, 3, 4, 5], [5, 6], False, False, [2, 3, 4, 6]),
        ([1, 6, 4], [2, 3, 6, 2], True, False, [2, 3, 4, 2]),
    ]:
        x, y = m.input(a), m.input(b, scale=0.04)
        m.output(
            m.op(
                "BATCH_MATMUL",
                [x, y],
                [m.tensor(result, scale=0.2)],
                "BatchMatMulOptions",
                adjX=adj_x,
                adjY=adj_y,
            )
        )
    constant = m.tensor([6, 5], scale=0.04, zero=7, data=m.rng.integers(-128, 128, [6, 5]))
    y = m.tensor([2, 3, 5], scale=0.2)
    m.output(m.op("BATCH_MATMUL", [m.input([2, 3, 6]), constant], [y], "BatchMatMulOptions"))


def batches(m: Maker) -> None:
    for kernel, options in [
        ((1, 1), {}),
        ((3, 3), {"padding": "SAME", "activation": "RELU"}),
        ((3, 2), {"depthwise": 1, "stride": (2, 1)}),
        ((3, 2), {"depthwise": 1, "padding": "SAME"}),
    ]:
        x = m.conv(m.input([3, 6, 5, 3]), 17, (1, 1))
        y = m.conv(x, 5, kernel, **options)
        m.output(y, m.dense(y, 4, rows=3))
        name = "AVERAGE_POOL_2D" if options else "MAX_POOL_2D"
        _, height, width, channels = m.shape(y)
        m.output(
            m.op(
                name,
                [y],
                [m.like(y, [3, height - 1, width - 1, channels])],
                "Pool2DOptions",
                padding=schema.Padding.VALID,
                strideH=1,
                strideW=1,
                filterHeight=2,
                filterWidth=2,
            )
        )


def large_windows(m: Maker) -> None:
    """Kernels, strides, dilations and pads beyond 255; sizes beyond 65535."""
    m.output(m.conv(m.input([1, 1, 700, 1]), 3, (1, 300), stride=(1, 260)))
    m.output(m.conv(m.input([1, 700, 1, 2]), 3, (3, 1), dilation=(300, 1)))
    wide: dict[str, Any] = {"depthwise": 1, "padding": "SAME", "stride": (1, 280)}
    m.output(m.conv(m.input([1, 1, 600, 17]), 0, (1, 560), **wide))
    m.output(m.conv(m.input([1, 1, 70000, 1]), 2, (1, 3), stride=(1, 7000)))
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        x = m.input([1, 700, 1, 5])
        m.output(
            m.op(
                name,
                [x],
                [m.like(x, [1, 2, 1, 5])],
                "Pool2DOptions",
                padding=schema.Padding.SAME,
                strideH=350,
                strideW=1,
                filterHeight=600,
                filterWidth=1,
            )
        )


def transposed(m: Maker) -> None:
    for size, stride, kernel, padding, result, options in [
        ((5, 4), (2, 2), (3, 3), "VALID", (11, 9), {}),
        ((5, 4), (2, 3), (4, 2), "SAME", (10, 12), {"activation": "RELU"}),
        ((5, 4), (1, 1), (3, 4), "SAME", (5, 4), {"bias": False}),
        ((3, 4), (4, 3), (4, 1), "SAME", (9, 10), {"per_channel": False}),
        ((1, 6), (1, 2), (1, 4), "VALID", (1, 14), {"batch": 2}),
        ((2, 2), (3, 5), (2, 3), "VALID", (5, 8), {}),
    ]:
        x = m.input([options.pop("batch", 1), *size, 3])
        m.output(m.transposed(x, 4, kernel, stride, padding, result, **options))


KINDS: dict[str, Callable[[Maker], Any]] = {
    f.__name__: f
    for f in (
        dead_channels,
        large_sums,
        steep,
        zero_scales,
        minus_128,
        products,
        matmuls,
        batches,
        large_windows,
        transposed,
    )
}
