# SPDX-License-Identifier: Apache-2.0
"""Integer reference of the network in NumPy: whole windows and streaming.

It is written from the definition of TFLite's reference kernels and shares no loop with the
generated C, nor with its compiler more than the reader of files and `quantize_multiplier`: it is
what the C, LiteRT and TFLM are compared with, bit for bit. It knows what a word's network is made
of: CONV_2D and DEPTHWISE_CONV_2D over time, one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import quantize_multiplier
from wakestate.convert.graph.tflite_graph import Op, Quantization, read_model
from wakestate.convert.manifest import state_file
from wakestate.words import Word

Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """One convolution over time, in all states; the weights are shared."""

    name: str
    kind: str  # conv or depthwise
    dilation: int
    stride: int
    source: Quantization
    result: Quantization
    low: int  # smallest int8 output: the zero point after ReLU, else -128
    weights: Int8  # conv [outputs, taps, inputs]; depthwise [taps, inputs]
    bias: Int64  # [states, outputs], input zero point not yet folded in
    multiplier: Int64  # [states, outputs], Q31
    shift: Int64  # [states, outputs], 0 or negative: to the right

    @property
    def taps(self) -> int:
        """Columns that one output looks at."""
        return int(self.weights.shape[-2])

    @property
    def outputs(self) -> int:
        """Channels."""
        return int(self.bias.shape[1])

    @property
    def span(self) -> int:
        """Input columns from the oldest to the newest that one output needs."""
        return (self.taps - 1) * self.dilation + 1


@dataclass(frozen=True)
class Network:
    """The layers in order, and how many columns of how many bands go in."""

    hops: int
    bands: int
    layers: tuple[Layer, ...]

    @property
    def stride(self) -> int:
        """Hops per network step."""
        return self.layers[0].stride


def read_network(word: Word, folder: Path) -> Network:
    """The network of a model folder in all states. ConvertError: an operator it does not know."""
    graphs = [read_model(folder / state_file(word, state)).graphs[0] for state in word.states]
    hops, bands = graphs[0].inputs[0].shape[1], graphs[0].inputs[0].shape[3]
    layers = zip(*(graph.ops for graph in graphs), strict=True)
    return Network(hops, bands, tuple(_layer(ops) for ops in layers))


def _layer(ops: tuple[Op, ...]) -> Layer:
    """One operator of each state's file."""
    first = ops[0]
    kind = {"CONV_2D": "conv", "DEPTHWISE_CONV_2D": "depthwise"}.get(first.name)
    activation = first.options.get("fused_activation_function")
    if kind is None or activation not in ("NONE", "RELU"):
        raise ConvertError(f"{first}: the reference knows CONV_2D, DEPTHWISE_CONV_2D and ReLU")
    weights, result = first.data(1), first.outputs[0]
    into, out = first.source().quantization, result.quantization
    rows = [_row(into, out, op) for op in ops]
    bias, multiplier, shift = (np.stack(part) for part in zip(*rows, strict=True))
    return Layer(
        name=result.name,
        kind=kind,
        dilation=int(first.options["dilation_h_factor"]),
        stride=int(first.options["stride_h"]),
        source=into,
        result=out,
        low=out.zero_point if activation == "RELU" else -128,
        weights=weights[:, :, 0] if kind == "conv" else weights[0, :, 0],
        bias=bias,
        multiplier=multiplier,
        shift=shift,
    )


def _row(into: Quantization, out: Quantization, op: Op) -> tuple[Int64, Int64, Int64]:
    """Bias, multiplier and shift of one state."""
    bias = op.data(2).astype(np.int64)
    scales = np.broadcast_to(op.source(1).scales, bias.size)
    pairs = [quantize_multiplier(into.scale * float(scale) / out.scale) for scale in scales]
    table = np.asarray(pairs, np.int64)
    return bias, table[:, 0], table[:, 1]


def requantize(
    total: NDArray[np.int64], multiplier: NDArray[np.int64], shift: NDArray[np.int64]
) -> NDArray[np.int64]:
    """total * multiplier * 2^(shift - 31), rounded twice as in TFLite's reference.

    SaturatingRoundingDoublingHighMul (round half away from zero below, towards zero at -1/2),
    then RoundingDivideByPOT (round half away from zero). multiplier > 0, shift <= 0.

    >>> int(requantize(np.int64(-5), np.int64(1 << 30), np.int64(-1)))
    -1
    """
    product = total * multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = product + nudge
    high = np.where(high >= 0, high // (1 << 31), -(-high // (1 << 31)))  # C division: truncates
    right = -shift
    mask = (np.int64(1) << right) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)


def run_layer(layer: Layer, state: int, x: Int8) -> Int8:
    """One layer on columns int8[n, time, inputs] -> int8[n, time', outputs], time not padded."""
    steps = (x.shape[1] - layer.span) // layer.stride + 1
    # Doubles hold sums of int8 products exactly, and NumPy multiplies their matrices faster.
    centered = x.astype(np.float64) - layer.source.zero_point
    weights = layer.weights.astype(np.float64)
    total = np.zeros((x.shape[0], steps, layer.outputs))
    for tap in range(layer.taps):
        begin = tap * layer.dilation
        columns = centered[:, begin : begin + (steps - 1) * layer.stride + 1 : layer.stride]
        if layer.kind == "conv":
            total += columns @ weights[:, tap].T
        else:
            total += columns * weights[tap]
    biased = total.astype(np.int64) + layer.bias[state]
    scaled = requantize(biased, layer.multiplier[state], layer.shift[state])
    return np.clip(scaled + layer.result.zero_point, layer.low, 127).astype(np.int8)


def whole(network: Network, state: int, windows: Int8) -> dict[str, Int8]:
    """Whole windows int8[n, hops, bands] -> every layer's int8[n, time, outputs], by name."""
    x, outputs = windows, {}
    for layer in network.layers:
        outputs[layer.name] = x = run_layer(layer, state, x)
    return outputs


def logits(network: Network, state: int, windows: Int8) -> Int8:
    """The logit of each window, int8[n]."""
    return outputs(network, state, windows)[:, 0]


def outputs(network: Network, state: int, windows: Int8) -> Int8:
    """Logit, START and END of each window, int8[n, 3]."""
    return whole(network, state, windows)[network.layers[-1].name][:, 0]


def endpoints(
    steps: Int8, ends: Int64, zero_point: int, q16: int, smoothing: int, step_samples: int
) -> tuple[Int64, Int64]:
    """(start, end) of the word in samples, as an event at each step reports them; int64[n] each.

    steps: int8[smoothing - 1 + n, 3], outputs of the network, those before the n that are asked
    for included; ends: int64[n], samples at the end of each step's newest window. Each is the mean
    of what the `smoothing` newest steps say, every one counted from its own window's end, rounded
    to a sample (halves to the earlier), then clipped: 0 <= start < end <= ends.
    """
    centered = steps.astype(np.int64) - zero_point
    total = np.zeros((len(ends), 2), np.int64)
    for age in range(smoothing):
        newest = smoothing - 1 - age
        total += centered[newest : newest + len(ends), 1:] * q16
    ages = sum(range(smoothing)) * step_samples * 65536
    ago = (total + ages // smoothing + 32768) // 65536
    end = np.clip(ends - ago[:, 1], 1, ends)
    return np.clip(ends - ago[:, 0], 0, end - 1), end


class Stream:
    """The streaming network: each layer keeps the columns it still needs, in a list."""

    def __init__(self, network: Network, state: int) -> None:
        self.network, self.state = network, state
        self.reset(state)

    def reset(self, state: int) -> None:
        """As after digital silence; a step is due after `taps` hops, then every `stride`."""
        self.state = state
        self.history: list[list[Int8]] = [[] for _ in self.network.layers]
        self.due = self.network.layers[0].taps
        silence = np.full(self.network.bands, -128, np.int8)
        stride = self.network.stride
        for _ in range(-(-self.network.hops // stride) * stride):
            self.push(silence)

    def push(self, column: Int8) -> dict[str, Int8] | None:
        """One hop; at a step each layer's new column by name, else None.

        In the first steps after a reset, layers that have not enough columns yet are left out.
        """
        self.history[0].append(column)
        self.due -= 1
        if self.due:
            return None
        self.due = self.network.stride
        newest, outputs = column, {}
        for i, layer in enumerate(self.network.layers):
            if i:
                self.history[i].append(newest)
            if len(self.history[i]) < layer.span:
                break
            self.history[i] = self.history[i][-layer.span :]
            x = np.stack(self.history[i])[None]
            outputs[layer.name] = newest = run_layer(layer, self.state, x)[0, 0]
        return outputs
