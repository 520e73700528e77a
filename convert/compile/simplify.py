# SPDX-License-Identifier: Apache-2.0
"""A graph made plain: variables by name, int8 at its ends, tables, padding in convolutions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.dilate import fold_dilation
from wakestate.convert.compile.fold import fold_constants
from wakestate.convert.compile.names import fits
from wakestate.convert.compile.reduce import REDUCTIONS
from wakestate.convert.compile.refused import REFUSED
from wakestate.convert.compile.transposed import expand_transposed
from wakestate.convert.compile.views import POINTWISE, fold_tables
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.kinds import refuse_other_kinds
from wakestate.convert.graph.move import MOVES, same_values
from wakestate.convert.graph.tflite_graph import Model, Op, Tensor

BYTES = ("INT8", "UINT8")
#: Of inputs and outputs that QUANTIZE makes bytes of, or is made of bytes.
WIDE = ("INT16", "INT32")
#: The result is the input under another shape.
RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
#: Values are moved, not changed.
MOVED = (*MOVES, *RESHAPES, "CONCATENATION", "PACK")
#: What is lowered.
SUPPORTED = (
    *MOVED,
    *REDUCTIONS,
    *sorted(POINTWISE),
    *("ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CALL_ONCE", "CONV_2D"),
    *("DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "PAD", "PADV2", "READ_VARIABLE"),
    *("RESIZE_BILINEAR", "SOFTMAX", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    "VAR_HANDLE",
)


@dataclass(eq=False)
class Work:
    """A graph on its way to a program."""

    path: Path
    inputs: list[Tensor]
    outputs: list[Tensor]
    ops: list[Op]
    #: What stays from run to run, and its first values; None: its zero point.
    variables: dict[str, NDArray[np.int8] | None] = field(default_factory=dict)
    resident: bool = False  # inputs are in the model's state, where the caller writes them

    def consumers(self, tensor: Tensor) -> list[Op]:
        """Its readers."""
        return [op for op in self.ops if any(t is tensor for t in op.inputs)]

    def producer(self, tensor: Tensor) -> Op | None:
        """Its producer."""
        return next((op for op in self.ops if any(t is tensor for t in op.outputs)), None)

    def fail(self, op: Op, problem: object) -> ConvertError:
        """An error at an operator."""
        return ConvertError(f"{self.path}: {op} [{op.options_text}]: {problem}")

    @contextlib.contextmanager
    def at(self, op: Op, what: str = "") -> Iterator[None]:
        """ConvertErrors of what is done to an operator say so."""
        try:
            yield
        except ConvertError as error:
            raise self.fail(op, f"{what}{error}") from None

    def name_steps(self) -> None:
        """Name each operator after the tensor that it makes; ConvertError: that is no C name."""
        names: set[str] = set()
        for number, op in enumerate(self.ops):
            name = op.outputs[0].name if op.outputs else ""
            if not fits(name) or name in names:
                raise self.fail(
                    op,
                    f"its output tensor is named {name!r}; a name of a-z, 0-9 and _ that no "
                    "other has is needed; `wakestate model convert` writes such names",
                )
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
        types = {tensor.dtype for tensor in (*op.given, *op.outputs)}
        if op.name == "QUANTIZE" and types & set(WIDE) and types <= {*BYTES, *WIDE}:
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
    """Which there are, and their first values; handles, which convert/graph/check.py named, go."""
    work.ops = [op for op in work.ops if op.name != "VAR_HANDLE"]
    for op in [op for op in work.ops if op.name == "CALL_ONCE"]:
        number = int(op.options["init_subgraph_index"])
        if not 0 < number < len(model.graphs):
            raise work.fail(op, f"there is no subgraph {number}")
        for first in model.graphs[number].ops:
            if first.name == "VAR_HANDLE":
                continue
            if first.name != "ASSIGN_VARIABLE" or first.source(1).data is None:
                raise work.fail(op, f"its {first}: assigning constants is supported")
            values = first.data(1).astype(np.int8).reshape(-1)
            work.variables[str(first.options["variable"])] = values
        work.ops.remove(op)
    for op in work.ops:
        if "variable" in op.options:
            work.variables.setdefault(str(op.options["variable"]))


def _integer_ends(work: Work) -> None:
    """Floats at the ends are left to the caller: int8 goes in, at the scale the header gives."""
    for op in list(work.ops):
        source, result = op.optional(0), op.outputs[0] if op.outputs else None
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
        source, pads, result = op.source(), op.numbers(1), op.outputs[0]
        after = work.consumers(result)
        pads_space = len(pads) == 8 and not any(pads[:2] + pads[6:]) and max(pads) <= 100
        zero = op.optional(2) is None or op.numbers(2) == source.zero_points.tolist()
        convolved = (
            bool(after)
            and result not in work.outputs
            and all(
                conv.name in ("CONV_2D", "DEPTHWISE_CONV_2D") and "pad_top" not in conv.options
                for conv in after
            )
        )
        if not (pads_space and zero and convolved and same_values(source, result)):
            continue
        sides = ("pad_top", "pad_bottom", "pad_left", "pad_right")
        options = dict(zip(sides, pads[2:6], strict=True))
        for conv in after:
            work.ops[work.ops.index(conv)] = replace(
                conv, options=conv.options | options, inputs=[source, *conv.inputs[1:]]
            )
        work.ops.remove(op)
