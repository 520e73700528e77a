"""Int8 .tflite files, one for each state, read into typed layers.

Only what the streaming network can run is taken: a chain of CONV_2D and DEPTHWISE_CONV_2D over
time. Anything else is refused, by the operator's index and name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tflite
from numpy.typing import NDArray

from convert.errors import ConvertError

Kind = Literal["conv", "depthwise"]
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_BUILTINS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_TYPES = {v: k for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}
_RELU = tflite.ActivationFunctionType.RELU
_ACTIVATIONS = {tflite.ActivationFunctionType.NONE: "none", _RELU: "relu"}
_MEND = "; models written by `python -m convert tflite` have it so"


@dataclass(frozen=True)
class Quantization:
    """real = scale * (int8 - zero_point)."""

    scale: float
    zero_point: int


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


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive real as (Q31 multiplier, shift), as TFLite's QuantizeMultiplier does it."""
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


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
    if not path.is_file():
        raise ConvertError(f"{path}: no such file")
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ConvertError(f"{path}: not a .tflite file (its identifier is not TFL3)")
    model = tflite.Model.GetRootAsModel(data, 0)
    if model.SubgraphsLength() != 1:
        raise ConvertError(f"{path}: {model.SubgraphsLength()} subgraphs; one is supported")
    return _Reader(path, model).read()


class _Reader:
    """Reads one file; every error names file, operator index and what is supported."""

    def __init__(self, path: Path, model: Any) -> None:
        self.path, self.model, self.graph = path, model, model.Subgraphs(0)
        self.op = "input"

    def fail(self, text: str) -> ConvertError:
        return ConvertError(f"{self.path}: {self.op}: {text}")

    def read(self) -> _Graph:
        if self.graph.InputsLength() != 1 or self.graph.OutputsLength() != 1:
            raise self.fail("one input and one output tensor are supported" + _MEND)
        current = int(self.graph.Inputs(0))
        shape, _ = self._activation(current)
        if shape[0] != 1 or shape[2] != 1:
            raise self.fail(f"shape {shape}; [1, hops, 1, bands] is supported" + _MEND)
        layers: list[_Parsed] = []
        for index in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(index)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            self.op = f"operator {index} ({_BUILTINS.get(builtin, builtin)})"
            layer = self._layer(index, op, builtin, current)
            if any(layer.fields["name"] == other.fields["name"] for other in layers):
                raise self.fail(f"second output tensor named {layer.fields['name']}")
            layers.append(layer)
            current = int(op.Outputs(0))
        self.op = "output"
        if not layers or current != int(self.graph.Outputs(0)):
            raise self.fail("the last operator's output must be the graph's output")
        end, _ = self._activation(current)
        if end != [1, 1, 1, 1]:
            raise self.fail(f"shape {end}; one logit, [1, 1, 1, 1], is supported" + _MEND)
        return _Graph(shape[1], shape[3], layers)

    def _activation(self, index: int) -> tuple[list[int], Quantization]:
        tensor = self.graph.Tensors(index)
        self._typed(tensor, tflite.TensorType.INT8)
        scales, zeros = self._scales(tensor)
        if len(scales) != 1 or scales[0] <= 0:
            raise self.fail(f"tensor {_text(tensor)}: one positive scale is supported")
        return _shape(tensor), Quantization(float(scales[0]), int(zeros[0]))

    def _typed(self, tensor: Any, wanted: int) -> None:
        if tensor.Type() != wanted:
            raise self.fail(
                f"tensor {_text(tensor)} is {_TYPES.get(tensor.Type())}; "
                f"{_TYPES[wanted]} is supported: convert with int8 throughout"
            )

    def _scales(self, tensor: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        quantization = tensor.Quantization()
        if quantization is None or quantization.ScaleLength() == 0:
            raise self.fail(f"tensor {_text(tensor)} has no scale: convert with int8 throughout")
        zeros = quantization.ZeroPointAsNumpy().astype(np.int64)
        return quantization.ScaleAsNumpy().astype(np.float64), zeros

    def _constant(self, index: int, wanted: int) -> tuple[Any, NDArray[Any]]:
        tensor = self.graph.Tensors(index)
        self._typed(tensor, wanted)
        buffer = self.model.Buffers(tensor.Buffer())
        if buffer.DataLength() == 0:
            raise self.fail(f"tensor {_text(tensor)} is not constant; constants are supported")
        dtype = "<i1" if wanted == tflite.TensorType.INT8 else "<i4"
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype)
        if values.size != math.prod(_shape(tensor)):
            raise self.fail(f"tensor {_text(tensor)}: {values.size} values for {_shape(tensor)}")
        return tensor, values.reshape(_shape(tensor))

    def _options(self, op: Any, builtin: int, first: bool) -> tuple[Kind, int, int, str]:
        """(kind, stride, dilation, activation) of one operator."""
        kind: Kind
        options: Any
        if builtin == tflite.BuiltinOperator.CONV_2D:
            kind, options = "conv", tflite.Conv2DOptions()
        elif builtin == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            kind, options = "depthwise", tflite.DepthwiseConv2DOptions()
        else:
            raise self.fail("not supported; CONV_2D and DEPTHWISE_CONV_2D are")
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        if options.Padding() != tflite.Padding.VALID:
            raise self.fail("padding SAME; VALID is supported: a stream has no padding")
        if options.FusedActivationFunction() not in _ACTIVATIONS:
            raise self.fail(
                f"fused activation {options.FusedActivationFunction()}; NONE and RELU are supported"
            )
        stride, dilation = int(options.StrideH()), int(options.DilationHFactor())
        if stride != 1 and not first:
            raise self.fail(f"stride {stride} in time; only the first operator may have one")
        if kind == "conv" and dilation != 1:
            raise self.fail(f"CONV_2D with dilation {dilation}; 1 is supported")
        if kind == "depthwise" and (first or options.DepthMultiplier() not in (0, 1)):
            raise self.fail("depthwise is supported with depth multiplier 1, not as the first")
        return kind, stride, dilation, _ACTIVATIONS[options.FusedActivationFunction()]

    def _layer(self, index: int, op: Any, builtin: int, current: int) -> _Parsed:
        kind, stride, dilation, activation = self._options(op, builtin, index == 0)
        if op.InputsLength() != 3 or int(op.Inputs(2)) < 0:
            raise self.fail("input, weights and bias are needed" + _MEND)
        if int(op.Inputs(0)) != current:
            raise self.fail("not fed by the operator before it; a plain chain is supported")
        shape, source = self._activation(current)
        out_shape, result = self._activation(int(op.Outputs(0)))
        tensor, weights = self._constant(int(op.Inputs(1)), tflite.TensorType.INT8)
        _, bias = self._constant(int(op.Inputs(2)), tflite.TensorType.INT32)
        outputs = out_shape[3]
        wanted = [outputs, None, 1, shape[3]] if kind == "conv" else [1, None, 1, shape[3]]
        got = [n if w is not None else None for n, w in zip(weights.shape, wanted, strict=True)]
        if got != wanted or bias.size != outputs or (kind == "depthwise" and outputs != shape[3]):
            raise self.fail(
                f"weights {list(weights.shape)}, input {shape}, output {out_shape}; kernels over "
                "time only, [outputs, taps, 1, inputs] or depthwise [1, taps, 1, inputs]"
            )
        scales, zeros = self._scales(tensor)
        if np.any(zeros) or np.any(scales <= 0) or len(scales) not in (1, outputs):
            raise self.fail("weights must be symmetric, with positive scales per channel" + _MEND)
        name = _text(self.graph.Tensors(int(op.Outputs(0))))
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
            "inputs": shape[3],
            "outputs": outputs,
            "source": source,
            "result": result,
            "low": max(-128, result.zero_point) if activation == "relu" else -128,
        }
        shaped = weights.reshape(outputs, -1, shape[3]) if kind == "conv" else weights[0, :, 0]
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
    """No input may overflow the int32 accumulator; so the C needs no check."""
    w = np.abs(layer.weights.astype(np.int64))
    most = 128 * (w.sum(axis=(1, 2)) if layer.kind == "conv" else w.sum(axis=0))
    # In the order of TFLite (bias last) and in ours (zero point folded in); a bit is left, so that
    # adding the output zero point cannot overflow either.
    worst = np.abs(layer.bias) + np.abs(layer.bias - layer.folded_bias) + most
    if np.any(worst >= 1 << 30):
        state, channel = (int(i) for i in np.argwhere(worst >= 1 << 30)[0])
        raise ConvertError(
            f"{files[state]}: operator {index} ({layer.name}): channel {channel} can overflow int32"
        )


def _shape(tensor: Any) -> list[int]:
    return [int(n) for n in tensor.ShapeAsNumpy()]


def _text(tensor: Any) -> str:
    name: bytes = tensor.Name() or b""
    return name.decode("utf-8", "replace")
