# SPDX-License-Identifier: Apache-2.0
"""Any .tflite file as typed tensors and operators.

Nothing is decided here about what can be run; errors name the file, the operator's index, name and
options, and the tensor. A file is not trusted: every index is checked here, the work is bounded,
and what the file says is then compared with itself by convert/graph/check.py.
"""

from __future__ import annotations

import inspect
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from wakestate.convert.graph.check import check_model
from wakestate.convert.graph.errors import ConvertError, shown

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
NUMPY = {
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


#: Bytes of a file.
MAX_BYTES = 64 << 20
#: Dimensions of a tensor, as TFLM has them at most.
MAX_RANK = 6
#: Of all graphs together.
MAX_TENSORS, MAX_OPERATORS = 1 << 14, 1 << 11
#: Entries of all lists and bytes of all names together.
MAX_WORK = 1 << 22
#: What flatbuffers' accessors raise where a file is damaged: they check nothing.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError)


@dataclass(eq=False)
class Tensor:
    """A value; `data` is None unless it is constant."""

    name: str  # printable
    shape: tuple[int, ...]
    dtype: str  # as in the file: INT8, INT32 ...
    scales: NDArray[np.float64]  # none, one, or one for each channel
    zero_points: NDArray[np.int64]
    data: NDArray[Any] | None = None
    free: tuple[bool, ...] = ()  # dimensions whose size the file leaves open, if there are any
    variable: bool = False  # it keeps its value from run to run

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many it takes in memory."""
        return self.size * np.dtype(NUMPY.get(self.dtype, "<i1")).itemsize

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

    @property
    def activation(self) -> str:
        """The fused one."""
        return str(self.options.get("fused_activation_function", "NONE"))

    @property
    def given(self) -> list[Tensor]:
        """The inputs that are not left out."""
        return [tensor for tensor in self.inputs if tensor is not None]

    def optional(self, number: int) -> Tensor | None:
        """An input, if it is there."""
        return self.inputs[number] if number < len(self.inputs) else None

    def source(self, number: int = 0) -> Tensor:
        """An input that must be there."""
        tensor = self.optional(number)
        if tensor is None:
            raise ConvertError(f"input {number} is left out; it is needed")
        return tensor

    def data(self, number: int) -> NDArray[Any]:
        """Those of an input that must be constant."""
        tensor = self.source(number)
        if tensor.data is None:
            raise ConvertError(
                f"input {number}, {tensor.name}, is not constant; constants are needed"
            )
        return tensor.data

    def numbers(self, number: int, count: int | None = None) -> list[int]:
        """The values of an input that must be constant integers, `count` of them."""
        data, tensor = self.data(number), self.source(number)
        if count is not None and data.size != count:
            raise ConvertError(
                f"input {number}, {tensor.name}, has {data.size} values, not {count}"
            )
        return [int(value) for value in data.reshape(-1)]


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
    """Read a file and check it; a ConvertError names in one line what is wrong with it."""
    try:
        size = path.stat().st_size if path.is_file() else -1
        data = path.read_bytes() if 0 <= size <= MAX_BYTES else b""
    except OSError as error:
        raise ConvertError(f"{path}: {error.strerror}") from None
    if size < 0:
        raise ConvertError(f"{path}: no such file")
    if size > MAX_BYTES:
        raise ConvertError(f"{path}: {size} bytes; {MAX_BYTES} is the most")
    return model_of(data, path)


def model_of(data: bytes, path: Path) -> Model:
    """The same of the content of a file, which `path` names."""
    if data[4:8] != b"TFL3":
        raise ConvertError(f"{path}: not a .tflite file (its identifier is not TFL3)")
    try:
        graphs = _Reader(data).graphs()
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise ConvertError(
            f"{path}: damaged or cut off: {shown(str(error))}; hint: copy or convert it again"
        ) from None
    found = Model(path, graphs)
    check_model(found)
    return found


class _Reader:
    """What flatbuffers leaves open: lengths, indices and the amount of work are checked."""

    def __init__(self, data: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.work = 0
        self.codes = self._length("operator codes", self.model.OperatorCodesLength(), MAX_OPERATORS)
        self.buffers = self._length("buffers", self.model.BuffersLength(), 4 * MAX_TENSORS)

    def graphs(self) -> list[Graph]:
        """All of them."""
        count = self._length("subgraphs", self.model.SubgraphsLength(), 256)
        if not count:
            raise ConvertError("holds no graph")
        return [self._graph(self.model.Subgraphs(i)) for i in range(count)]

    def _spend(self, amount: int) -> None:
        self.work += amount
        if self.work > MAX_WORK:
            raise ConvertError(
                f"damaged: its lists and names together have more than {MAX_WORK} entries"
            )

    def _length(self, what: str, count: int, maximum: int) -> int:
        if count > maximum:
            raise ConvertError(f"{count} {what}; {maximum} is the most")
        self._spend(count)
        return count

    def _text(self, raw: bytes | None) -> str:
        self._spend(len(raw or b""))
        return shown((raw or b"").decode("utf-8", "backslashreplace"))

    def _graph(self, graph: Any) -> Graph:
        count = self._length("tensors", graph.TensorsLength(), MAX_TENSORS)
        self._spend(64 * count)
        tensors = [self._tensor(i, graph.Tensors(i)) for i in range(count)]

        def pick(who: str, count: int, index: Callable[[int], int]) -> list[Tensor | None]:
            found: list[Tensor | None] = []
            for i in range(self._length(f"tensors of {who}", count, MAX_TENSORS)):
                number = int(index(i))
                if not -1 <= number < len(tensors):
                    raise ConvertError(f"{who}: tensor {number}; there are {len(tensors)}")
                found.append(tensors[number] if number >= 0 else None)
            return found

        def given(who: str, count: int, index: Callable[[int], int]) -> list[Tensor]:
            found = pick(who, count, index)
            if None in found:
                raise ConvertError(f"{who}: tensor -1; only operators' inputs may be left out")
            return [tensor for tensor in found if tensor is not None]

        read = Graph(
            given("the graph's inputs", graph.InputsLength(), graph.Inputs),
            given("the graph's outputs", graph.OutputsLength(), graph.Outputs),
        )
        for i in range(self._length("operators", graph.OperatorsLength(), MAX_OPERATORS)):
            self._spend(256)
            op = graph.Operators(i)
            name = self._operator(i, op.OpcodeIndex())
            inputs = pick(f"operator {i} ({name})", op.InputsLength(), op.Inputs)
            outputs = given(f"operator {i} ({name})", op.OutputsLength(), op.Outputs)
            read.ops.append(Op(i, name, self._options(op), inputs, outputs))
        return read

    def _operator(self, number: int, index: int) -> str:
        if not 0 <= index < self.codes:
            raise ConvertError(f"operator {number}: opcode_index {index}; there are {self.codes}")
        code = self.model.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _BUILTINS.get(builtin, f"builtin {builtin}")
        return f"CUSTOM {self._text(code.CustomCode())}" if name == "CUSTOM" else name

    def _options(self, op: Any) -> dict[str, Option]:
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
                value = self._text(value)
            if key in _ENUMS:
                value = _ENUMS[key].get(value, str(value))
            if isinstance(value, int | float | bool | str) and not key.endswith(
                ("length", "is_none")
            ):
                found[key] = value
        return found

    def _tensor(self, number: int, tensor: Any) -> Tensor:
        name = self._text(tensor.Name()) or f"number {number}"
        scales, zeros = np.zeros(0), np.zeros(0, np.int64)
        quantization = tensor.Quantization()
        if quantization is not None and quantization.ScaleLength():
            self._length(f"scales of tensor {name}", quantization.ScaleLength(), MAX_WORK)
            with np.errstate(invalid="ignore"):  # of a signaling NaN, which is refused later
                scales = quantization.ScaleAsNumpy().astype(np.float64)
            zeros = np.zeros(len(scales), np.int64)
            if quantization.ZeroPointLength():
                zeros = quantization.ZeroPointAsNumpy().astype(np.int64)
            if len(zeros) == 1:
                zeros = np.repeat(zeros, len(scales))
            if len(zeros) != len(scales):
                raise ConvertError(
                    f"tensor {name}: {len(zeros)} zero points for {len(scales)} scales"
                )
        if tensor.Sparsity() is not None:
            raise ConvertError(
                f"tensor {name} is sparse; dense weights are supported; hint: convert without "
                "EXPERIMENTAL_SPARSITY"
            )
        ranks = (tensor.ShapeLength(), tensor.ShapeSignatureLength())
        for rank in ranks:
            self._length(f"dimensions of tensor {name}", rank, MAX_RANK)
        shape = tuple(int(tensor.Shape(i)) for i in range(ranks[0]))
        free = tuple(int(tensor.ShapeSignature(i)) == -1 for i in range(ranks[1]))
        found = Tensor(
            name,
            shape,
            _TYPES.get(tensor.Type(), f"type {tensor.Type()}"),
            scales,
            zeros,
            free=free if any(free) and len(free) == len(shape) else (),
            variable=bool(tensor.IsVariable()),
        )
        if not 0 <= tensor.Buffer() < max(self.buffers, 1):
            raise ConvertError(f"tensor {name}: buffer {tensor.Buffer()}; there are {self.buffers}")
        found.data = self._data(found, self.model.Buffers(tensor.Buffer()))
        return found

    def _data(self, tensor: Tensor, buffer: Any) -> NDArray[Any] | None:
        if buffer is None or not buffer.DataLength() or tensor.dtype not in NUMPY:
            return None
        data, kind = buffer.DataAsNumpy(), np.dtype(NUMPY[tensor.dtype])
        if any(size < 1 for size in tensor.shape) or data.size != tensor.size * kind.itemsize:
            raise ConvertError(
                f"tensor {tensor.name}: {data.size} bytes for {list(tensor.shape)} {tensor.dtype}"
            )
        return np.frombuffer(data, kind).reshape(tensor.shape)
