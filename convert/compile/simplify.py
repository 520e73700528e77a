"""A graph made plain: variables by name, int8 at its ends, tables, padding in convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.dilate import fold_dilation
from wakestate.convert.compile.fold import fold_constants
from wakestate.convert.compile.move import MOVES, same_values
from wakestate.convert.compile.names import fits
from wakestate.convert.compile.reduce import REDUCTIONS
from wakestate.convert.compile.refused import REFUSED
from wakestate.convert.compile.transposed import expand_transposed
from wakestate.convert.compile.types import BYTES, WIDE, is_requantization
from wakestate.convert.compile.views import POINTWISE, fold_tables
from wakestate.convert.errors import ConvertError
from wakestate.convert.kinds import refuse_other_kinds
from wakestate.convert.tflite_graph import Model, Op, Tensor

#: The result is the input under another shape.
RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
#: Values are moved, not changed.
MOVED = (*MOVES, *RESHAPES, "CONCATENATION", "PACK")
#: What is lowered.
SUPPORTED = (
    "ASSIGN_VARIABLE",
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "CALL_ONCE",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "EXPAND_DIMS",
    "FULLY_CONNECTED",
    "MAX_POOL_2D",
    "PACK",
    "PAD",
    "PADV2",
    "READ_VARIABLE",
    "RESHAPE",
    "SOFTMAX",
    "SQUEEZE",
    "RESIZE_BILINEAR",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "VAR_HANDLE",
    *REDUCTIONS,
    *sorted(POINTWISE),
    *MOVES,
)


@dataclass(eq=False)
class Variable:
    """What stays from run to run."""

    name: str
    initial: NDArray[np.int8] | None = None  # None: its zero point


@dataclass(eq=False)
class Work:
    """A graph on its way to a program."""

    path: Path
    inputs: list[Tensor]
    outputs: list[Tensor]
    ops: list[Op]
    variables: dict[str, Variable] = field(default_factory=dict)
    resident: bool = False  # inputs lie in the model's state, where the caller writes them

    def consumers(self, tensor: Tensor) -> list[Op]:
        """Who reads it."""
        return [op for op in self.ops if any(t is tensor for t in op.inputs)]

    def producer(self, tensor: Tensor) -> Op | None:
        """Who makes it."""
        return next((op for op in self.ops if any(t is tensor for t in op.outputs)), None)

    def fail(self, op: Op, problem: object) -> ConvertError:
        """An error at an operator."""
        return ConvertError(f"{self.path}: {op} [{op.options_text}]: {problem}")

    def name_steps(self) -> None:
        """Name each operator after the tensor that it makes; ConvertError: that is no C name."""
        names: set[str] = set()
        for number, op in enumerate(self.ops):
            name = op.outputs[0].name if op.outputs else ""
            if not fits(name) or name in names:
                raise self.fail(
                    op, f"its output tensor is named {name!r}; a name of a-z, 0-9 and _ that no "
                    "other has is needed; `python -m wakestate.convert tflite` writes such names"
                )  # fmt: skip
            names.add(name)
            self.ops[number] = replace(op, options=op.options | {"name": name})


def simplify(model: Model) -> Work:
    """The first graph, made plain."""
    refuse_other_kinds(model)
    graph = model.graphs[0]
    work = Work(model.path, list(graph.inputs), list(graph.outputs), list(graph.ops))
    fold_constants(work)
    fold_dilation(work)
    for op in work.ops:
        if op.name not in SUPPORTED:
            known = f"not supported; supported are {', '.join(SUPPORTED)}"
            raise work.fail(op, REFUSED.get(op.name, known))
    expand_transposed(work)
    _variables(work, model)
    _integer_ends(work)
    for number, op in enumerate(work.ops):
        if is_requantization(op):
            work.ops[number] = replace(op, name="REQUANTIZE")
    fold_tables(work, lambda op: op.name in MOVED)
    _fold_padding(work)
    for tensor in (*work.inputs, *work.outputs):
        if tensor.dtype not in (*BYTES, *WIDE) or len(tensor.scales) != 1:
            raise ConvertError(
                f"{work.path}: input or output {tensor.name} is {tensor.dtype}; INT8 and UINT8 "
                "with one scale are supported, INT16 and INT32 with QUANTIZE at it, or FLOAT32 "
                "with QUANTIZE or DEQUANTIZE at it"
            )
    return work


def _variables(work: Work, model: Model) -> None:
    """Handles become option `variable` of whoever reads or assigns."""
    work.ops = _named(work, work.ops)
    for op in [op for op in work.ops if op.name == "CALL_ONCE"]:
        number = int(op.options["init_subgraph_index"])
        if not 0 < number < len(model.graphs):
            raise work.fail(op, f"there is no subgraph {number}")
        for first in _named(work, model.graphs[number].ops):
            value = first.inputs[1] if first.name == "ASSIGN_VARIABLE" else None
            if value is None or value.data is None:
                raise work.fail(op, f"its {first}: assigning constants is supported")
            name = str(first.options["variable"])
            work.variables[name] = Variable(name, value.data.astype(np.int8).reshape(-1))
        work.ops.remove(op)
    for op in work.ops:
        if "variable" in op.options:
            name = str(op.options["variable"])
            work.variables.setdefault(name, Variable(name))


def _named(work: Work, ops: Sequence[Op]) -> list[Op]:
    handles: dict[Tensor, str] = {}
    found = []
    for op in ops:
        if op.name == "VAR_HANDLE":
            handles[op.outputs[0]] = str(op.options.get("shared_name", ""))
        elif op.name in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            handle = op.inputs[0]
            if handle is None or handle not in handles:
                raise work.fail(op, "its variable is not from a VAR_HANDLE before it")
            found.append(replace(op, options={"variable": handles[handle]}))
        else:
            found.append(op)
    return found


def _integer_ends(work: Work) -> None:
    """Floats at the ends are left to the caller: int8 goes in, at the scale the header gives."""
    for op in list(work.ops):
        source, result = op.inputs[0] if op.inputs else None, op.outputs[0] if op.outputs else None
        if op.name == "QUANTIZE" and source in work.inputs and source.dtype == "FLOAT32":
            assert result is not None
            if len(work.consumers(source)) > 1:
                raise work.fail(op, "the float input has another reader; one is supported")
            work.inputs[work.inputs.index(source)] = result
            work.ops.remove(op)
        elif op.name == "DEQUANTIZE" and source is not None and source.dtype in WIDE:
            if result not in work.outputs or work.consumers(result):
                raise work.fail(op, f"of {source.dtype}, supported as the last operator only")
            work.outputs[work.outputs.index(result)] = source
            work.ops.remove(op)


def _fold_padding(work: Work) -> None:
    """PAD of rows and columns before a convolution becomes that convolution's padding."""
    for op in list(work.ops):
        if op.name not in ("PAD", "PADV2"):
            continue
        source, pads = op.inputs[0], op.inputs[1]
        after = work.consumers(op.outputs[0])
        if source is None or pads is None or pads.data is None or pads.data.shape != (4, 2):
            continue
        value = op.inputs[2] if len(op.inputs) > 2 else None
        zero = value is None or (
            value.data is not None and int(value.data.reshape(-1)[0]) == source.zero_points[0]
        )
        (n, top_bottom, left_right, c) = pads.data.tolist()
        if (
            op.outputs[0] in work.outputs
            or not after
            or any(
                a.name not in ("CONV_2D", "DEPTHWISE_CONV_2D") or "pad_top" in a.options
                for a in after
            )
            or any(n + c)
            or not zero
            or not same_values(source, op.outputs[0])
            or max(top_bottom + left_right) > 100
        ):
            continue
        for conv in after:
            before = {"pad_top": top_bottom[0], "pad_bottom": top_bottom[1]}
            before |= {"pad_left": left_right[0], "pad_right": left_right[1]}
            work.ops[work.ops.index(conv)] = replace(
                conv, options=conv.options | before, inputs=[source, *conv.inputs[1:]]
            )
        work.ops.remove(op)
