# SPDX-License-Identifier: Apache-2.0
"""A .tflite file compared with itself, once, after it was read: what follows may trust it.

Every tensor that is used has a size, a type and values that make sense; every operator reads what
is there already and writes what nobody else does; its output's shape is derived from its inputs
and options (rules.py) and compared. A dimension that the file leaves free gets its size here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.rules import RULES, Rule
from wakestate.convert.graph.shapes import Shape

if TYPE_CHECKING:  # which reads files with this
    from wakestate.convert.graph.tflite_graph import Graph, Model, Op, Tensor

#: Elements of one tensor, of all results, and of all constants as often as they are read.
MAX_ELEMENTS = 1 << 22
MAX_RESULTS = 1 << 25
MAX_CONSTANTS = 1 << 22
#: Scales of activations, so that no product of three is beyond a float; weights may have less.
MIN_SCALE, MAX_SCALE = 1e-12, 1e12
_ZERO_POINTS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "INT32": (0, 0),
}
#: Of other types, all of which convert/compile refuses by name, constants are not read.
_TYPES = (*_ZERO_POINTS, "INT64", "FLOAT32", "BOOL", "RESOURCE")


def check_model(model: Model) -> None:
    """All graphs; a ConvertError names file, operator, tensor, field and value."""
    try:
        variables: dict[str, Tensor] = {}
        for what, ends in (("input", model.graphs[0].inputs), ("output", model.graphs[0].outputs)):
            if not ends:
                raise ConvertError(f"the graph has no {what}")
        for number, graph in enumerate(model.graphs):
            try:
                _Checker(graph).run()
                _variables(graph, variables)
            except ConvertError as error:
                raise ConvertError(f"graph {number}: {error}" if number else str(error)) from None
    except ConvertError as error:
        raise ConvertError(f"{model.path}: {error}") from None


class _Checker:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.there: set[Tensor] = set()  # with a value
        self.states: set[Tensor] = set()
        self.fine: set[Tensor] = set()
        self.results = self.constants = 0

    def run(self) -> None:
        """Inputs, operators in their order, outputs."""
        for tensor in self.graph.inputs:
            if tensor.data is not None:
                raise ConvertError(f"input {tensor.name} is a constant")
            if tensor in self.there:
                raise ConvertError(f"input {tensor.name} is there twice")
            self._tensor(tensor)
            self.there.add(tensor)
        for op in self.graph.ops:
            try:
                self._operator(op)
            except ConvertError as error:
                raise ConvertError(f"{op} [{op.options_text}]: {error}") from None
        for tensor in self.graph.outputs:
            if tensor not in self.there and tensor.data is None:
                raise ConvertError(f"output {tensor.name} is written by no operator")
            self._tensor(tensor)

    def _operator(self, op: Op) -> None:
        rule = RULES.get(op.name)
        for tensor in op.given:
            self._tensor(tensor)
            if tensor.data is not None:
                self.constants += tensor.size
                _check_max("constants", self.constants, MAX_CONSTANTS)
            elif tensor not in self.there and tensor.dtype in _TYPES:
                self._state(tensor, rule)
        for tensor in op.outputs:
            if tensor in self.there or tensor.data is not None:
                raise ConvertError(f"writes tensor {tensor.name}, which has a value already")
            self.there.add(tensor)
        if rule is not None:
            _arguments(op, rule)
            for tensor, shape in zip(op.outputs, rule.shapes(op), strict=True):
                _settle(tensor, shape)
        for tensor in op.outputs:
            self._tensor(tensor)
            self.results += tensor.size
        _check_max("results", self.results, MAX_RESULTS)

    def _state(self, tensor: Tensor, rule: Rule | None) -> None:
        """What nobody writes is there from run to run, for one operator alone."""
        if not tensor.variable or rule is None or not rule.keeps:
            raise ConvertError(f"reads tensor {tensor.name}, which no operator before it writes")
        if tensor in self.states:
            raise ConvertError(
                f"state {tensor.name} is used elsewhere too; one operator is supported"
            )
        self.states.add(tensor)

    def _tensor(self, tensor: Tensor) -> None:
        """Its shape, type, scales and zero points."""
        if tensor in self.fine:
            return
        self.fine.add(tensor)
        name = f"tensor {tensor.name}"
        if any(size < 1 for size in tensor.shape):
            raise ConvertError(f"{name}: shape {list(tensor.shape)}; sizes of 1 and up are needed")
        if tensor.size > MAX_ELEMENTS and tensor.data is None:
            raise ConvertError(
                f"{name}: shape {list(tensor.shape)} has {tensor.size} elements; "
                f"{MAX_ELEMENTS} is the most"
            )
        if tensor.dtype not in _ZERO_POINTS:
            return
        minimum = MIN_SCALE if tensor.data is None else 0.0
        wrong = ~((tensor.scales >= minimum) & (tensor.scales <= MAX_SCALE))
        if np.any(wrong):
            raise ConvertError(
                f"{name}: scale {tensor.scales[wrong][0]:g}; {minimum:g} to {MAX_SCALE:g} is "
                "supported"
            )
        low, high = _ZERO_POINTS[tensor.dtype]
        outside = (tensor.zero_points < low) | (tensor.zero_points > high)
        if np.any(outside):
            raise ConvertError(
                f"{name}: zero point {tensor.zero_points[outside][0]}; {low} to {high} is what "
                f"{tensor.dtype} can have"
            )


def _check_max(what: str, count: int, maximum: int) -> None:
    if count > maximum:
        raise ConvertError(f"{what} up to here have {count} elements; {maximum} is the most")


def _arguments(op: Op, rule: Rule) -> None:
    """How many inputs and outputs, their types, and the options' ranges."""
    ends = (("inputs", len(op.inputs), rule.inputs), ("outputs", len(op.outputs), rule.outputs))
    for what, count, (minimum, maximum) in ends:
        if not minimum <= count <= maximum:
            raise ConvertError(f"{count} {what}; {minimum} to {maximum} are needed")
    for number, tensor in enumerate(op.inputs):
        if tensor is None and number not in rule.optional:
            raise ConvertError(f"input {number} is left out; it is needed")
    for number in rule.integers:
        tensor = op.optional(number)
        if tensor is not None and tensor.dtype not in ("INT32", "INT64"):
            raise ConvertError(f"input {number}, {tensor.name}, is {tensor.dtype}; INT32 is needed")
    alike = [op.inputs[n] for n in rule.alike if n < len(op.inputs)] if rule.alike else op.inputs
    for tensor in [*alike, *op.outputs[1:]] if rule.typed else []:
        if tensor is not None and tensor.dtype != op.outputs[0].dtype:
            raise ConvertError(
                f"tensor {tensor.name} is {tensor.dtype}, its output {op.outputs[0].dtype}; "
                "equal types are needed"
            )
    for key, allowed in rule.options.items():
        value = op.options.get(key)
        if value is None:
            raise ConvertError(f"option {key} is missing")
        inside = (
            str(value) in allowed
            if isinstance(allowed[0], str)
            else allowed[0] <= float(value) <= float(allowed[1])
        )
        if not inside:
            raise ConvertError(
                f"option {key} is {value}; "
                + (" or " if isinstance(allowed[0], str) else " to ").join(map(str, allowed))
                + " is needed"
            )


def _settle(tensor: Tensor, derived: Shape) -> None:
    """Compare with what the file says; a free dimension takes the derived size."""
    free = tensor.free or (False,) * len(tensor.shape)
    fits = len(derived) == len(tensor.shape) and all(
        is_free or size == declared
        for size, declared, is_free in zip(derived, tensor.shape, free, strict=True)
    )
    if not fits:
        raise ConvertError(
            f"output {tensor.name} is {list(tensor.shape)}; its inputs and options make "
            f"{list(derived)}"
        )
    tensor.shape = tuple(derived)


def _variables(graph: Graph, known: dict[str, Tensor]) -> None:
    """What reads or assigns a variable gets its name, and agrees with others on its type and
    size."""
    names: dict[Tensor, str] = {}
    for op in graph.ops:
        if op.name == "VAR_HANDLE":
            names[op.outputs[0]] = str(op.options.get("shared_name", ""))
        if op.name not in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            continue
        handle = op.inputs[0]
        if handle is None or handle not in names:
            raise ConvertError(f"{op}: its variable is not from a VAR_HANDLE before it")
        value = op.outputs[0] if op.name == "READ_VARIABLE" else op.source(1)
        op.options = {"variable": names[handle]}
        first = known.setdefault(names[handle], value)
        if (first.dtype, first.size) != (value.dtype, value.size):
            raise ConvertError(
                f"{op}: variable {names[handle]} is {value.dtype} {list(value.shape)} here and "
                f"{first.dtype} {list(first.shape)} elsewhere"
            )
