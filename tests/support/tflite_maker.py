# SPDX-License-Identifier: Apache-2.0
"""Small .tflite files for tests, written through the schema's object API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

_DTYPES = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FLOAT32": np.float32,
    "BOOL": np.bool_,
}


class Maker:
    """A model with one graph, or more for CALL_ONCE."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], []
        self.graph()

    def graph(self) -> None:
        """What follows goes into a new graph."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
        self.model.subgraphs.append(graph)
        self.current = graph

    def tensor(
        self,
        shape: Sequence[int],
        *,
        scale: float | NDArray[Any] | None = 0.05,
        zero: int | None = None,
        dtype: str = "INT8",
        data: NDArray[Any] | None = None,
        axis: int = 0,
    ) -> int:
        """Its index; without `zero` a random zero point, of constants 0."""
        made = schema.TensorT()
        made.shape, made.type = list(shape), getattr(schema.TensorType, dtype)
        made.name = f"t{len(self.current.tensors)}".encode()
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            if zero is None:
                zero = 0 if data is not None else int(self.rng.integers(-128, 128))
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = scales
            made.quantization.zeroPoint = np.full(len(scales), zero, np.int64)
            made.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(
                np.ascontiguousarray(data, _DTYPES[dtype]).tobytes(), np.uint8
            )
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.current.tensors.append(made)
        return len(self.current.tensors) - 1

    def ints(self, *values: int, shape: Sequence[int] | None = None) -> int:
        """A constant of INT32."""
        data = np.asarray(values, np.int32)
        return self.tensor(
            data.shape if shape is None else shape, scale=None, dtype="INT32", data=data
        )

    def state(self, shape: Sequence[int], **quantization: Any) -> int:
        """A tensor that an operator keeps from run to run."""
        index = self.tensor(shape, **quantization)
        self.current.tensors[index].isVariable = True
        return index

    def input(self, shape: Sequence[int], **quantization: Any) -> int:
        """A tensor that the caller gives."""
        index = self.tensor(shape, **quantization)
        self.current.inputs.append(index)
        return index

    def output(self, *tensors: int) -> None:
        """Tensors that the caller gets."""
        self.current.outputs.extend(tensors)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str = "",
        **options: Any,
    ) -> int:
        """An operator; `kind` is its options' class. Returns the first output."""
        code = schema.OperatorCodeT()
        builtin = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes)
        made.inputs, made.outputs = list(inputs), list(outputs)
        self.model.operatorCodes.append(code)
        if kind:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.current.operators.append(made)
        return outputs[0] if outputs else -1

    def shape(self, tensor: int) -> list[int]:
        return list(self.current.tensors[tensor].shape)

    def quantization(self, tensor: int) -> tuple[float, int]:
        q = self.current.tensors[tensor].quantization
        return float(q.scale[0]), int(q.zeroPoint[0])

    def like(self, tensor: int, shape: Sequence[int] | None = None) -> int:
        """A tensor of the same scale and zero point."""
        scale, zero = self.quantization(tensor)
        return self.tensor(shape or self.shape(tensor), scale=scale, zero=zero)

    def values(self, tensor: int) -> NDArray[Any]:
        """A copy of a constant's data."""
        made = self.current.tensors[tensor]
        types = {getattr(schema.TensorType, name): dtype for name, dtype in _DTYPES.items()}
        data = self.model.buffers[made.buffer].data.tobytes()
        return np.frombuffer(data, types[made.type]).reshape(made.shape).copy()

    def change(
        self, tensor: int, data: NDArray[Any] | None = None, scales: NDArray[Any] | None = None
    ) -> None:
        """Give a constant other values, or other scales."""
        made = self.current.tensors[tensor]
        if data is not None:
            given = np.asarray(data).astype(self.values(tensor).dtype)
            self.model.buffers[made.buffer].data = np.frombuffer(given.tobytes(), np.uint8)
        if scales is not None:
            made.quantization.scale = np.asarray(scales, np.float32)

    def last(self) -> list[int]:
        """The inputs of the last operator."""
        return list(self.current.operators[-1].inputs)

    def write(self, path: Path) -> Path:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    # What a network is made of, with random weights and scales.

    def conv(
        self,
        x: int,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: str = "VALID",
        activation: str = "NONE",
        depthwise: int = 0,  # the multiplier
        per_channel: bool = True,
        gain: float = 1.0,
        bias: bool = True,
        groups: int = 1,
    ) -> int:
        batch, height, width, channels = self.shape(x)
        if depthwise:
            outputs = channels * depthwise
            shape, axis, fan = [1, *kernel, outputs], 3, kernel[0] * kernel[1]
        else:
            shape, axis = [outputs, *kernel, channels // groups], 0
            fan = kernel[0] * kernel[1] * channels // groups
        size = []
        for length, taps, step, apart in zip(
            (height, width), kernel, stride, dilation, strict=True
        ):
            span = (taps - 1) * apart + 1
            size.append(-(-length // step) if padding == "SAME" else (length - span) // step + 1)
        name, kind = ("CONV_2D", "Conv2DOptions")
        options: dict[str, Any] = {
            "padding": getattr(schema.Padding, padding),
            "strideH": stride[0],
            "strideW": stride[1],
            "dilationHFactor": dilation[0],
            "dilationWFactor": dilation[1],
            "fusedActivationFunction": getattr(schema.ActivationFunctionType, activation),
        }
        if depthwise:
            name, kind = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            options["depthMultiplier"] = depthwise
        return self._dense(
            name,
            kind,
            x,
            shape,
            axis,
            fan,
            [batch, *size, outputs],
            outputs,
            options,
            per_channel=per_channel,
            gain=gain,
            bias=bias,
        )

    def transposed(
        self,
        x: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: str,
        size: tuple[int, int],
        *,
        activation: str = "NONE",
        per_channel: bool = True,
        bias: bool = True,
    ) -> int:
        """TRANSPOSE_CONV to rows and columns of `size`."""
        batch, _, _, channels = self.shape(x)
        options: dict[str, Any] = {
            "padding": getattr(schema.Padding, padding),
            "strideH": stride[0],
            "strideW": stride[1],
            "fusedActivationFunction": getattr(schema.ActivationFunctionType, activation),
        }
        result = [batch, *size, outputs]
        fan = -(-kernel[0] // stride[0]) * -(-kernel[1] // stride[1]) * channels
        y = self._dense(
            "TRANSPOSE_CONV",
            "TransposeConvOptions",
            x,
            [outputs, *kernel, channels],
            0,
            fan,
            result,
            outputs,
            options,
            per_channel=per_channel,
            gain=1.0,
            bias=True,
        )
        _, weights, biases = self.last()
        made = self.current.operators[-1]
        made.inputs = [self.ints(*result), weights, x, biases][: 4 if bias else 3]
        return y

    def dense(
        self,
        x: int,
        outputs: int,
        *,
        activation: str = "NONE",
        per_channel: bool = False,
        gain: float = 1.0,
        bias: bool = True,
        rows: int = 1,
    ) -> int:
        length = int(np.prod(self.shape(x))) // rows
        options = {
            "fusedActivationFunction": getattr(schema.ActivationFunctionType, activation),
        }
        return self._dense(
            "FULLY_CONNECTED",
            "FullyConnectedOptions",
            x,
            [outputs, length],
            0,
            length,
            [rows, outputs],
            outputs,
            options,
            per_channel=per_channel,
            gain=gain,
            bias=bias,
        )

    def _dense(
        self,
        name: str,
        kind: str,
        x: int,
        shape: list[int],
        axis: int,
        fan: int,
        result: list[int],
        outputs: int,
        options: dict[str, Any],
        *,
        per_channel: bool,
        gain: float,
        bias: bool,
    ) -> int:
        scale, _ = self.quantization(x)
        count = outputs if per_channel else 1
        scales = self.rng.uniform(0.002, 0.02, count).astype(np.float32)
        weights = self.rng.integers(-127, 128, shape)
        # So that outputs spread over int8, or, with a large gain, beyond.
        spread = scale * float(scales.mean()) * 75 * 75 * np.sqrt(fan)
        y = self.tensor(result, scale=spread / 60 / gain)
        w = self.tensor(shape, scale=scales, data=weights, axis=axis)
        given = [x, w]
        if bias:
            biases = self.rng.integers(-3000, 3000, outputs)
            given.append(
                self.tensor([outputs], scale=np.float32(scale) * scales, dtype="INT32", data=biases)
            )
        elif name != "DEPTHWISE_CONV_2D":  # TFLM crashes on -1 there
            given.append(-1)
        return self.op(name, given, [y], kind, **options)


def written(tmp_path: Path, make: Callable[[Maker], None], seed: int = 0, name: str = "") -> Path:
    maker = Maker(seed)
    make(maker)
    return maker.write(tmp_path / f"{name or make.__name__}{seed}.tflite")
