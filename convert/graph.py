"""Int8 .tflite files, one for each state, read into typed layers.

Only what the streaming network can run is taken: a chain of CONV_2D and DEPTHWISE_CONV_2D over
time. Anything else is refused, by the operator's index and name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConvertError
from convert.fixedpoint import quantize_multiplier
from convert.tflite_graph import Graph, Op, Quantization, Tensor, read_model

Kind = Literal["conv", "depthwise"]
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_MEND = "; models written by `python -m convert tflite` have it so"


@dataclass(frozen=True)
class Layer:
    """One convolution over time, in all states.

    Arrays with a leading [states] axis hold what a state changes; the weights are shared.
    """

    name: str
    kind: Kind
    taps: int
    dilation: int
    stride: int
    inputs: int
    outputs: int
    source: Quantization
    result: Quantization
    low: int  # smallest int8 output: the zero point after ReLU, else -128
    weights: NDArray[np.int8]  # conv [outputs, taps, inputs]; depthwise [taps, inputs]
    bias: NDArray[np.int64]  # [states, outputs], input zero point not yet folded in
    multiplier: NDArray[np.int64]  # [states, outputs], Q31, 2^30 .. 2^31 - 1
    shift: NDArray[np.int64]  # [states, outputs], 0 or negative: to the right

    @property
    def span(self) -> int:
        """Input columns from the oldest to the newest that one output needs."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one output column."""
        return int(self.weights.size)

    @property
    def folded_bias(self) -> NDArray[np.int64]:
        """Bias with the input zero point folded in: b - z sum(w), [states, outputs]."""
        w = self.weights.astype(np.int64)
        total = w.sum(axis=(1, 2)) if self.kind == "conv" else w.sum(axis=0)
        return self.bias - self.source.zero_point * total


@dataclass(frozen=True)
class Network:
    """The layers in order, and how many columns of how many bands go in."""

    hops: int
    bands: int
    states: int
    layers: tuple[Layer, ...]

    @property
    def stride(self) -> int:
        """Hops per network step."""
        return self.layers[0].stride


def read_network(files: list[Path]) -> Network:
    """Read one file for each state, in the order of the states."""
    graphs = [_read_file(path) for path in files]
    first = graphs[0]
    for path, graph in zip(files[1:], graphs[1:], strict=True):
        _check_same(files[0], first, path, graph)
    layers = []
    for index, parsed in enumerate(first.layers):
        rows = [graph.layers[index].row for graph in graphs]
        layer = Layer(
            **parsed.fields,
            weights=parsed.weights,
            bias=np.stack([row.bias for row in rows]),
            multiplier=np.stack([row.multiplier for row in rows]),
            shift=np.stack([row.shift for row in rows]),
        )
        _check_range(files, layer, index)
        layers.append(layer)
    return Network(first.hops, first.bands, len(files), tuple(layers))


@dataclass(frozen=True)
class _Row:
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


@dataclass(frozen=True)
class _Parsed:
    fields: dict[str, Any]
    weights: NDArray[np.int8]
    row: _Row


@dataclass(frozen=True)
class _Graph:
    hops: int
    bands: int
    layers: list[_Parsed]


def _read_file(path: Path) -> _Graph:
    model = read_model(path)
    if len(model.graphs) != 1:
        raise ConvertError(f"{path}: {len(model.graphs)} subgraphs; one is supported")
    return _Reader(path, model.graphs[0]).read()


class _Reader:
    """Reads one file; every error names file, operator index and what is supported."""

    def __init__(self, path: Path, graph: Graph) -> None:
        self.path, self.graph = path, graph
        self.op = "input"

    def fail(self, text: str) -> ConvertError:
        return ConvertError(f"{self.path}: {self.op}: {text}")

    def read(self) -> _Graph:
        if len(self.graph.inputs) != 1 or len(self.graph.outputs) != 1:
            raise self.fail("one input and one output tensor are supported" + _MEND)
        current = first = self.graph.inputs[0]
        self._activation(first)
        if len(first.shape) != 4 or first.shape[0] != 1 or first.shape[2] != 1:
            raise self.fail(f"shape {list(first.shape)}; [1, hops, 1, bands] is supported" + _MEND)
        layers: list[_Parsed] = []
        for op in self.graph.ops:
            self.op = str(op)
            layer = self._layer(op, current)
            if any(layer.fields["name"] == other.fields["name"] for other in layers):
                raise self.fail(f"second output tensor named {layer.fields['name']}")
            layers.append(layer)
            current = op.outputs[0]
        self.op = "output"
        if not layers or current is not self.graph.outputs[0]:
            raise self.fail("the last operator's output must be the graph's output")
        self._activation(current)
        if current.shape != (1, 1, 1, 3):
            raise self.fail(
                f"shape {list(current.shape)}; logit, start and end, [1, 1, 1, 3], are supported; "
                "models trained for an older version lack the last two: train anew"
            )
        return _Graph(first.shape[1], first.shape[3], layers)

    def _activation(self, tensor: Tensor) -> Quantization:
        self._typed(tensor, "INT8")
        self._scaled(tensor)
        try:
            return tensor.quantization
        except ConvertError as error:
            raise self.fail(str(error)) from None

    def _typed(self, tensor: Tensor, wanted: str) -> None:
        if tensor.dtype != wanted:
            raise self.fail(
                f"tensor {tensor.name} is {tensor.dtype}; "
                f"{wanted} is supported: convert with int8 throughout"
            )

    def _scaled(self, tensor: Tensor) -> None:
        if not len(tensor.scales):
            raise self.fail(f"tensor {tensor.name} has no scale: convert with int8 throughout")

    def _constant(self, tensor: Tensor | None, wanted: str) -> tuple[Tensor, NDArray[Any]]:
        if tensor is None:
            raise self.fail("input, weights and bias are needed" + _MEND)
        self._typed(tensor, wanted)
        if tensor.data is None:
            raise self.fail(f"tensor {tensor.name} is not constant; constants are supported")
        return tensor, tensor.data

    def _options(self, op: Op, first: bool) -> tuple[Kind, int, int, str]:
        """(kind, stride, dilation, activation) of one operator."""
        kinds: dict[str, Kind] = {"CONV_2D": "conv", "DEPTHWISE_CONV_2D": "depthwise"}
        if op.name not in kinds:
            raise self.fail("not supported; CONV_2D and DEPTHWISE_CONV_2D are")
        kind, options = kinds[op.name], op.options
        if options["padding"] != "VALID":
            raise self.fail("padding SAME; VALID is supported: a stream has no padding")
        if options["fused_activation_function"] not in ("NONE", "RELU"):
            raise self.fail(
                f"fused activation {options['fused_activation_function']}; NONE and RELU are "
                "supported"
            )
        stride, dilation = int(options["stride_h"]), int(options["dilation_h_factor"])
        if stride != 1 and not first:
            raise self.fail(f"stride {stride} in time; only the first operator may have one")
        if kind == "conv" and dilation != 1:
            raise self.fail(f"CONV_2D with dilation {dilation}; 1 is supported")
        if kind == "depthwise" and (first or options["depth_multiplier"] not in (0, 1)):
            raise self.fail("depthwise is supported with depth multiplier 1, not as the first")
        return kind, stride, dilation, str(options["fused_activation_function"]).lower()

    def _layer(self, op: Op, current: Tensor) -> _Parsed:
        kind, stride, dilation, activation = self._options(op, op.index == 0)
        if len(op.inputs) != 3:
            raise self.fail("input, weights and bias are needed" + _MEND)
        if op.inputs[0] is not current:
            raise self.fail("not fed by the operator before it; a plain chain is supported")
        source, result = self._activation(current), self._activation(op.outputs[0])
        tensor, weights = self._constant(op.inputs[1], "INT8")
        _, bias = self._constant(op.inputs[2], "INT32")
        inputs, outputs = current.shape[3], op.outputs[0].shape[3]
        wanted = [outputs, None, 1, inputs] if kind == "conv" else [1, None, 1, inputs]
        got = [n if w is not None else None for n, w in zip(weights.shape, wanted, strict=True)]
        if got != wanted or bias.size != outputs or (kind == "depthwise" and outputs != inputs):
            raise self.fail(
                f"weights {list(weights.shape)}, input {list(current.shape)}, output "
                f"{list(op.outputs[0].shape)}; kernels over time only, [outputs, taps, 1, inputs] "
                "or depthwise [1, taps, 1, inputs]"
            )
        self._scaled(tensor)
        scales = tensor.scales
        if np.any(tensor.zero_points) or np.any(scales <= 0) or len(scales) not in (1, outputs):
            raise self.fail("weights must be symmetric, with positive scales per channel" + _MEND)
        name = op.outputs[0].name
        if not _NAME.match(name):
            raise self.fail(
                f"output tensor is named {name!r}; a layer name of a-z, 0-9 and _ is needed" + _MEND
            )
        fields = {
            "name": name,
            "kind": kind,
            "taps": int(weights.shape[1]),
            "dilation": dilation,
            "stride": stride,
            "inputs": inputs,
            "outputs": outputs,
            "source": source,
            "result": result,
            "low": max(-128, result.zero_point) if activation == "relu" else -128,
        }
        shaped = weights.reshape(outputs, -1, inputs) if kind == "conv" else weights[0, :, 0]
        row = self._row(source, result, np.broadcast_to(scales, outputs), bias)
        return _Parsed(fields, shaped, row)

    def _row(
        self,
        source: Quantization,
        result: Quantization,
        scales: NDArray[np.float64],
        bias: NDArray[np.int32],
    ) -> _Row:
        pairs = []
        for channel, scale in enumerate(scales):
            real = source.scale * float(scale) / result.scale
            multiplier, shift = quantize_multiplier(real)
            if shift > 0:
                raise self.fail(
                    f"channel {channel}: factor {real:.3g} of weights to output; below 1 is "
                    "supported. The output range is far too small: calibrate on real windows"
                )
            pairs.append((multiplier, shift))
        table = np.asarray(pairs, np.int64)
        return _Row(bias.astype(np.int64), table[:, 0], table[:, 1])


def _check_same(path_a: Path, a: _Graph, path_b: Path, b: _Graph) -> None:
    """All states must be one network with the same weight bytes."""
    if (a.hops, a.bands, len(a.layers)) != (b.hops, b.bands, len(b.layers)):
        raise ConvertError(f"{path_b}: another network than {path_a}: shapes or layers differ")
    for index, (one, two) in enumerate(zip(a.layers, b.layers, strict=True)):
        name = one.fields["name"]
        for key, value in one.fields.items():
            if two.fields[key] != value:
                raise ConvertError(
                    f"{path_b}: operator {index} ({name}): {key} is {two.fields[key]}, in "
                    f"{path_a.name} {value}; states share everything but scales and bias"
                )
        if one.weights.tobytes() != two.weights.tobytes():
            where = int(np.flatnonzero(one.weights.ravel() != two.weights.ravel())[0])
            raise ConvertError(
                f"{path_b}: operator {index} ({name}): weight {where} is "
                f"{two.weights.ravel()[where]}, in {path_a.name} {one.weights.ravel()[where]}; "
                "states share the weight bytes: convert all states in one run"
            )


def _check_range(files: list[Path], layer: Layer, index: int) -> None:
    """No input may overflow the int32 accumulator; so the C needs no check.

    Stricter than for foreign models (convert/compile/rows.py): all states share the weights, and
    a channel of ours that is dead in some state says that training went wrong.
    """
    w = np.abs(layer.weights.astype(np.int64))
    most = 128 * (w.sum(axis=(1, 2)) if layer.kind == "conv" else w.sum(axis=0))
    # In the order of TFLite (bias last) and in ours (zero point folded in); a bit is left, so that
    # adding the output zero point cannot overflow either.
    worst = np.abs(layer.bias) + np.abs(layer.bias - layer.folded_bias) + most
    if np.any(worst >= 1 << 30):
        state, channel = (int(i) for i in np.argwhere(worst >= 1 << 30)[0])
        raise ConvertError(
            f"{files[state]}: operator {index} ({layer.name}): channel {channel} can reach "
            f"{int(worst[state, channel])}; less than 2^30 is needed, and every trained channel is "
            "far below; hint: train the model again"
        )
