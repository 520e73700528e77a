# SPDX-License-Identifier: Apache-2.0
"""Writes a .tflite file: tensors and operators of its graphs, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from wakestate.convert.graph.tflite_graph import NUMPY, Quantization

_SCHEMA = 3
_ALIGNED = 16  # of constants
#: Of operators whose first version had no int8.
_VERSIONS = {
    "ADD": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "LOGISTIC": 2,
    "STRIDED_SLICE": 2,
}
Value = int | str


@dataclass(frozen=True)
class Scales:
    """Of each channel, along dimension `axis`; zero points are 0."""

    values: NDArray[np.float64]
    axis: int


@dataclass
class _Graph:
    name: str
    tensors: list[Callable[[flatbuffers.Builder], int]] = field(default_factory=list)
    ops: list[Callable[[flatbuffers.Builder], int]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


class Writer:
    """A file of one graph, to which `graph` adds others."""

    def __init__(self) -> None:
        self._buffers = [b""]
        self._codes: list[str] = []
        self._graphs: list[_Graph] = []
        self.graph("main")

    def graph(self, name: str) -> int:
        """What follows goes into a new graph; its index."""
        self._graphs.append(_Graph(name))
        return len(self._graphs) - 1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "INT8",
        quantization: Quantization | Scales | None = None,
        data: NDArray[np.integer] | None = None,
    ) -> int:
        """Its index; constant with `data`, which are of its shape."""
        buffer = 0
        if data is not None:
            buffer = len(self._buffers)
            self._buffers.append(np.ascontiguousarray(data).astype(NUMPY[dtype]).tobytes())

        def write(b: flatbuffers.Builder) -> int:
            named, sizes = b.CreateString(name), b.CreateNumpyVector(np.asarray(shape, np.int32))
            scaled = _quantization(b, quantization)
            tflite.TensorStart(b)
            tflite.TensorAddShape(b, sizes)
            tflite.TensorAddType(b, getattr(tflite.TensorType, dtype))
            tflite.TensorAddBuffer(b, buffer)
            tflite.TensorAddName(b, named)
            if scaled is not None:
                tflite.TensorAddQuantization(b, scaled)
            tflite.TensorAddHasRank(b, True)
            return int(tflite.TensorEnd(b))

        found = self._graphs[-1].tensors
        found.append(write)
        return len(found) - 1

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str = "",
        **options: Value,
    ) -> None:
        """An operator; `kind` is the class of its options, which are named as in the schema."""
        if name not in self._codes:
            self._codes.append(name)
        code = self._codes.index(name)

        def write(b: flatbuffers.Builder) -> int:
            given = b.CreateNumpyVector(np.asarray(inputs, np.int32))
            made = b.CreateNumpyVector(np.asarray(outputs, np.int32))
            chosen = _options(b, kind, options) if kind else None
            tflite.OperatorStart(b)
            tflite.OperatorAddOpcodeIndex(b, code)
            tflite.OperatorAddInputs(b, given)
            tflite.OperatorAddOutputs(b, made)
            if chosen is not None:
                tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, kind))
                tflite.OperatorAddBuiltinOptions(b, chosen)
            return int(tflite.OperatorEnd(b))

        self._graphs[-1].ops.append(write)

    def ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """What the graph is given and gives."""
        self._graphs[-1].inputs, self._graphs[-1].outputs = list(inputs), list(outputs)

    def content(self, description: str) -> bytes:
        """The whole file."""
        b = flatbuffers.Builder(1 << 16)
        graphs = [_graph(b, graph) for graph in self._graphs]
        codes = [_code(b, name) for name in self._codes]
        buffers = [_buffer(b, data) for data in self._buffers]
        text = b.CreateString(description)
        lists = [_list(b, found) for found in (codes, graphs, buffers)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, _SCHEMA)
        tflite.ModelAddOperatorCodes(b, lists[0])
        tflite.ModelAddSubgraphs(b, lists[1])
        tflite.ModelAddDescription(b, text)
        tflite.ModelAddBuffers(b, lists[2])
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


def _list(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _quantization(b: flatbuffers.Builder, given: Quantization | Scales | None) -> int | None:
    if given is None:
        return None
    if isinstance(given, Scales):
        scales, zeros, axis = given.values, np.zeros(len(given.values)), given.axis
    else:
        scales, zeros, axis = np.array([given.scale]), np.array([given.zero_point]), 0
    vectors = [
        b.CreateNumpyVector(scales.astype(np.float32)),
        b.CreateNumpyVector(zeros.astype(np.int64)),
    ]
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, vectors[0])
    tflite.QuantizationParametersAddZeroPoint(b, vectors[1])
    tflite.QuantizationParametersAddQuantizedDimension(b, axis)
    return int(tflite.QuantizationParametersEnd(b))


def _options(b: flatbuffers.Builder, kind: str, options: dict[str, Value]) -> int:
    given = {k: b.CreateString(v) if isinstance(v, str) else v for k, v in options.items()}
    getattr(tflite, f"{kind}Start")(b)
    for key, value in given.items():
        getattr(tflite, f"{kind}Add{key}")(b, value)
    return int(getattr(tflite, f"{kind}End")(b))


def _graph(b: flatbuffers.Builder, graph: _Graph) -> int:
    name = b.CreateString(graph.name)
    tensors = _list(b, [write(b) for write in graph.tensors])
    ops = _list(b, [write(b) for write in graph.ops])
    ends = [b.CreateNumpyVector(np.asarray(e, np.int32)) for e in (graph.inputs, graph.outputs)]
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors)
    tflite.SubGraphAddInputs(b, ends[0])
    tflite.SubGraphAddOutputs(b, ends[1])
    tflite.SubGraphAddOperators(b, ops)
    tflite.SubGraphAddName(b, name)
    return int(tflite.SubGraphEnd(b))


def _code(b: flatbuffers.Builder, name: str) -> int:
    code = getattr(tflite.BuiltinOperator, name)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
    tflite.OperatorCodeAddVersion(b, _VERSIONS.get(name, 1))
    tflite.OperatorCodeAddBuiltinCode(b, code)
    return int(tflite.OperatorCodeEnd(b))


def _buffer(b: flatbuffers.Builder, data: bytes) -> int:
    vector = None
    if data:
        b.StartVector(1, len(data), _ALIGNED)
        b.head = b.Head() - len(data)
        b.Bytes[b.Head() : b.Head() + len(data)] = data
        vector = b.EndVector()
    tflite.BufferStart(b)
    if vector is not None:
        tflite.BufferAddData(b, vector)
    return int(tflite.BufferEnd(b))
