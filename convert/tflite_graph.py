"""Any .tflite file as typed tensors and operators.

Nothing is decided here about what can be run; errors name the file, the operator's index, name and
options, and the tensor.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from convert.errors import ConvertError

Option = int | float | bool | str


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_BUILTINS = _names(tflite.BuiltinOperator)
_TYPES = _names(tflite.TensorType)
_UNIONS = _names(tflite.BuiltinOptions)
_ENUMS = {
    "padding": _names(tflite.Padding),
    "fused_activation_function": _names(tflite.ActivationFunctionType),
}
_NUMPY = {
    "INT8": "<i1",
    "UINT8": "<u1",
    "BOOL": "<u1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FLOAT32": "<f4",
}


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(eq=False)
class Tensor:
    """A value; `data` is None unless it is constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # as in the file: INT8, INT32 ...
    scales: NDArray[np.float64]  # none, one, or one for each channel
    zero_points: NDArray[np.int64]
    data: NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many it takes in memory."""
        return self.size * np.dtype(_NUMPY.get(self.dtype, "<i1")).itemsize

    @property
    def quantization(self) -> Quantization:
        """The one scale and zero point; a ConvertError, to be completed, where there is not one."""
        if len(self.scales) != 1 or self.scales[0] <= 0:
            raise ConvertError(f"tensor {self.name}: one positive scale is supported")
        return Quantization(float(self.scales[0]), int(self.zero_points[0]))


@dataclass(eq=False)
class Op:
    """An operator; an input that is left out is None."""

    index: int
    name: str  # as in the file: CONV_2D ...
    options: dict[str, Option]
    inputs: list[Tensor | None]
    outputs: list[Tensor]

    def __str__(self) -> str:
        return f"operator {self.index} ({self.name})"

    @property
    def options_text(self) -> str:
        """The options as a message shows them."""
        return ", ".join(f"{k}={v}" for k, v in self.options.items()) or "no options"


@dataclass(eq=False)
class Graph:
    """One subgraph, in the order in which it runs."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    ops: list[Op] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """A file; the first graph is the one that runs."""

    path: Path
    graphs: list[Graph]


def read_model(path: Path) -> Model:
    """Read a file; a ConvertError says what is wrong with it."""
    if not path.is_file():
        raise ConvertError(f"{path}: no such file")
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ConvertError(f"{path}: not a .tflite file (its identifier is not TFL3)")
    try:
        model = tflite.Model.GetRootAsModel(data, 0)
        graphs = [_graph(model, model.Subgraphs(i)) for i in range(model.SubgraphsLength())]
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None
    except Exception as error:  # flatbuffers checks nothing: a cut-off file fails anywhere
        raise ConvertError(f"{path}: damaged: {type(error).__name__}: {error}") from None
    if not graphs:
        raise ConvertError(f"{path}: holds no graph")
    return Model(path, graphs)


def _graph(model: Any, graph: Any) -> Graph:
    tensors = [_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]

    def pick(count: int, index: Any) -> list[Tensor | None]:
        indices = (int(index(i)) for i in range(count))
        return [tensors[i] if i >= 0 else None for i in indices]

    def given(count: int, index: Any) -> list[Tensor]:
        return [tensor for tensor in pick(count, index) if tensor is not None]

    found = Graph(
        given(graph.InputsLength(), graph.Inputs), given(graph.OutputsLength(), graph.Outputs)
    )
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _BUILTINS.get(builtin, f"builtin {builtin}")
        if name == "CUSTOM":
            name = f"CUSTOM {(code.CustomCode() or b'').decode('utf-8', 'replace')}"
        inputs = pick(op.InputsLength(), op.Inputs)
        outputs = given(op.OutputsLength(), op.Outputs)
        found.ops.append(Op(i, name, _options(op), inputs, outputs))
    return found


def _options(op: Any) -> dict[str, Option]:
    """All options that are numbers, truth values or names, by the schema's own class."""
    table = op.BuiltinOptions()
    kind = _UNIONS.get(op.BuiltinOptionsType(), "NONE")
    if table is None or kind == "NONE" or not hasattr(tflite, kind):
        return {}
    read = getattr(tflite, kind)()
    read.Init(table.Bytes, table.Pos)
    found: dict[str, Option] = {}
    for name, method in vars(type(read)).items():
        if not inspect.isfunction(method) or len(inspect.signature(method).parameters) != 1:
            continue
        value = method(read)
        key = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if key in _ENUMS:
            value = _ENUMS[key].get(value, str(value))
        if isinstance(value, int | float | bool | str) and not key.endswith(("length", "is_none")):
            found[key] = value
    return found


def _tensor(model: Any, tensor: Any) -> Tensor:
    name: bytes = tensor.Name() or b""
    scales, zeros = np.zeros(0), np.zeros(0, np.int64)
    quantization = tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        scales = quantization.ScaleAsNumpy().astype(np.float64)
        zeros = np.zeros(len(scales), np.int64)
        if quantization.ZeroPointLength():
            zeros = quantization.ZeroPointAsNumpy().astype(np.int64)
    shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
    found = Tensor(
        name.decode("utf-8", "replace"),
        shape,
        _TYPES.get(tensor.Type(), f"type {tensor.Type()}"),
        scales,
        zeros,
    )
    buffer = model.Buffers(tensor.Buffer())
    if buffer is not None and buffer.DataLength() and found.dtype in _NUMPY:
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _NUMPY[found.dtype])
        if values.size != found.size:
            raise ConvertError(f"tensor {found.name}: {values.size} values for {list(shape)}")
        found.data = values.reshape(shape)
    return found
