# SPDX-License-Identifier: Apache-2.0
"""Which memory each tensor is in: most reshapes, slices and concatenations cost nothing.

A tensor has a buffer of its own unless it can be a part of another's:

  RESHAPE           the result is its input
  slices, splits    the result is a stretch of its input, where it is one
  CONCATENATION     the inputs are stretches of the result: their operators write there at once
  variables         READ_VARIABLE is the variable itself, if it is not assigned before the last look

A stretch must start at a multiple of ALIGN: kernels read words. A column window, the pattern of
streaming networks,

  whole = CONCATENATION(READ_VARIABLE(v), new);  ASSIGN_VARIABLE(v, the newest columns of whole)

becomes one buffer that stays: it slides down by the size of `new`, and `new` is written to its
end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wakestate.convert.compile.general import multiplies
from wakestate.convert.compile.pairs import PAIRS
from wakestate.convert.compile.program import Buffer, Place
from wakestate.convert.compile.sequence import states
from wakestate.convert.compile.simplify import RESHAPES, Work
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import (
    JOINS,
    MOVES,
    is_stretch,
    joined,
    moved,
    moved_from,
    same_values,
)
from wakestate.convert.graph.tflite_graph import Op, Tensor

ALIGN = 4


@dataclass(frozen=True)
class Window:
    """A buffer of columns that slides when its variable is read."""

    whole: Tensor
    slide: int  # bytes


class Placer:
    """Gives every tensor of a graph a place."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._parent: dict[Tensor, tuple[Tensor, int]] = {}
        self.windows: dict[str, Window] = {}
        self.buffers: list[Buffer] = []
        self.variables: dict[str, Buffer] = {}  # that are no windows
        self._roots: dict[Tensor, Buffer] = {}
        self.stand_ins: dict[Tensor, Place] = {}
        #: Outputs that still have to be brought to the caller's memory.
        self.copies: list[tuple[Tensor, Buffer]] = []
        self._fixed: set[Tensor] = set()  # constants and inputs: no part of anything

    def run(self) -> dict[Tensor, Place]:
        """The place of every tensor that holds bytes."""
        tensors = self._tensors()
        self._fixed = {t for t in tensors if t.data is not None}
        if not self.work.resident:
            self._fixed |= set(self.work.inputs)
        for op in self.work.ops:
            with self.work.at(op):
                self._alias(op)
        self._states()
        self._constant_states()
        self._inputs()
        self._outputs()
        for tensor in tensors:
            root, _ = self.root(tensor)
            if root in self._roots:
                continue
            if root.data is not None:
                data = root.data.astype(np.int8).reshape(-1)
                constant = sum(b.kind == "constant" for b in self.buffers)
                self._buffer(
                    root, Buffer(f"constant{constant}", root.size, "constant", initial=data)
                )
            else:
                self._buffer(root, Buffer(self._name(root), root.bytes, "arena"))
        return {t: Place(self._roots[self.root(t)[0]], self.root(t)[1]) for t in tensors}

    def root(self, tensor: Tensor) -> tuple[Tensor, int]:
        """The tensor that it is a part of, or itself, and the offset."""
        offset = 0
        while tensor in self._parent:
            tensor, more = self._parent[tensor]
            offset += more
        return tensor, offset

    def in_place(self, part: Tensor, whole: Tensor, offset: int) -> bool:
        """`part` is that stretch of `whole` already."""
        (a, at), (b, start) = self.root(part), self.root(whole)
        return a is b and at == start + offset

    def stand_in(self, buffer: Buffer) -> Tensor:
        """A tensor that is all of a buffer, for steps that read or write it as it is."""
        for tensor, place in self.stand_ins.items():
            if place.buffer is buffer:
                return tensor
        made = Tensor(buffer.name, (buffer.size,), "INT8", np.zeros(0), np.zeros(0, np.int64))
        self.stand_ins[made] = Place(buffer, 0)
        return made

    def is_at(self, tensor: Tensor, memory: Tensor) -> bool:
        """It is at the start of a stand-in's buffer."""
        root, at = self.root(tensor)
        return at == 0 and self._roots.get(root) is self.stand_ins[memory].buffer

    def _tensors(self) -> list[Tensor]:
        """Every tensor that holds activations, in the order of the operators."""
        found = dict.fromkeys(self.work.inputs)
        for op in self.work.ops:
            for tensor in activations(op):
                found.setdefault(tensor)
        for tensor in self.work.outputs:
            found.setdefault(tensor)
        return list(found)

    def _alias(self, op: Op) -> None:
        if op.name in RESHAPES:
            source, result = op.source(), op.outputs[0]
            if source.size != result.size:
                raise ConvertError(f"{list(source.shape)} to {list(result.shape)}")
            self._parent[result] = (source, 0)
        elif op.name in JOINS:
            whole = op.outputs[0]
            for tensor, index in joined(op):
                self._check(op, tensor, whole)
                root, at = self.root(tensor)
                free = root not in self._fixed and at == 0 and root.size == tensor.size
                if is_stretch(index) and index[0] % ALIGN == 0 and free:
                    self._parent[root] = (whole, int(index[0]))
                    self._fixed.add(whole)  # a whole is no part: keep chains simple
        elif op.name in MOVES:
            whole = moved_from(op)
            for tensor, index in moved(op):
                self._check(op, tensor, whole)
                offset = int(index[0])
                aligned = (self.root(whole)[1] + offset) % ALIGN == 0
                if is_stretch(index) and (aligned or self._only_assigned(tensor)):
                    self._parent[tensor] = (whole, offset)

    def _only_assigned(self, tensor: Tensor) -> bool:
        """No kernel reads it: it is what a variable becomes."""
        readers = self.work.consumers(tensor)
        return tensor not in self.work.outputs and all(
            op.name == "ASSIGN_VARIABLE" for op in readers
        )

    def _check(self, op: Op, tensor: Tensor, whole: Tensor) -> None:
        """Bytes are moved as they are, as TFLM does, which only of one operator checks scales."""
        if tensor.dtype != whole.dtype or tensor.dtype not in ("INT8", "UINT8"):
            raise ConvertError(
                f"tensor {tensor.name} is {tensor.dtype}, {whole.name} {whole.dtype}; INT8 of both "
                "is supported"
            )
        if op.name == "CONCATENATION" and not same_values(tensor, whole):
            raise ConvertError(
                f"tensor {tensor.name} has another scale or zero point than the result, which TFLM "
                "does not take; quantize all parts in the same way, or put a QUANTIZE before it"
            )

    def _states(self) -> None:
        """Variables: as windows, or buffers of their own."""
        ops = self.work.ops
        for name, initial in self.work.variables.items():
            reads = [op for op in ops if _is(op, "READ_VARIABLE", name)]
            assigns = [op for op in ops if _is(op, "ASSIGN_VARIABLE", name)]
            if not reads and not assigns:
                continue
            value = reads[0].outputs[0] if reads else assigns[0].source(1)
            if initial is None:
                initial = np.full(value.size, value.zero_points[0], np.int8)
            window = self._window(reads, assigns)
            if window is not None:
                self.windows[name] = window
                whole = np.full(window.whole.size, initial[0], np.int8)
                whole[window.slide :] = initial
                buffer = Buffer(self._name(window.whole), window.whole.size, "state")
                buffer.initial, buffer.note = whole, f"window of {name}"
                self._buffer(window.whole, buffer)
                continue
            buffer = Buffer(f"VARIABLE{len(self.variables)}", value.size, "state")
            buffer.initial, buffer.note = initial, f"variable {name}"
            self.buffers.append(buffer)
            self.variables[name] = buffer
            last = min((ops.index(op) for op in assigns), default=len(ops))
            for read in reads:
                result = read.outputs[0]
                reusable = result not in self.work.outputs and self._last_use(result) <= last
                if self.root(result)[0] is result and reusable:
                    self._roots[result] = buffer

    def _constant_states(self) -> None:
        """States of operators that keep some."""
        for op in self.work.ops:
            for number, tensor in enumerate(states(op)):
                others = [o for o in self.work.ops if tensor in o.inputs + o.outputs]
                if others != [op] or tensor.data is not None or tensor in self.work.inputs:
                    raise self.work.fail(op, f"its state, tensor {tensor.name}, is used elsewhere")
                buffer = Buffer(f"{step_name(op)}_state{number}".upper(), tensor.bytes, "state")
                first = int(tensor.zero_points[0]) if tensor.dtype == "INT8" else 0
                buffer.initial, buffer.note = np.full(tensor.bytes, first, np.int8), "state"
                self._buffer(tensor, buffer)

    def _window(self, reads: list[Op], assigns: list[Op]) -> Window | None:
        if len(reads) != 1 or len(assigns) != 1:
            return None
        old, new = reads[0].outputs[0], assigns[0].source(1)
        whole, at = self.root(old)
        if whole is old or at != 0 or whole in self._roots or new.size != old.size:
            return None
        if self.root(new) != (whole, whole.size - old.size):
            return None
        return Window(whole, whole.size - old.size)

    def _last_use(self, tensor: Tensor) -> int:
        """The last operator that reads the memory of a tensor."""
        root = self.root(tensor)[0]
        uses = [
            number
            for number, op in enumerate(self.work.ops)
            for t in op.given
            if self.root(t)[0] is root
        ]
        return max(uses, default=-1)

    def _inputs(self) -> None:
        for number, tensor in enumerate(self.work.inputs):
            name = "in" if len(self.work.inputs) == 1 else f"in{number}"
            if self.work.resident:
                if self.root(tensor)[0] not in self._roots:
                    buffer = Buffer(name.upper(), tensor.bytes, "state", note="given by the caller")
                    buffer.initial = np.full(tensor.bytes, tensor.zero_points[0], np.int8)
                    self._buffer(self.root(tensor)[0], buffer)
                continue
            cast = "(const int8_t *)" if tensor.dtype != "INT8" else ""
            self._buffer(tensor, Buffer(cast + name, tensor.bytes, "input"))

    def _outputs(self) -> None:
        for number, tensor in enumerate(self.work.outputs):
            name = "out" if len(self.work.outputs) == 1 else f"out{number}"
            cast = "(int8_t *)" if tensor.dtype != "INT8" else ""
            buffer = Buffer(cast + name, tensor.bytes, "output")
            root, at = self.root(tensor)
            whole = at == 0 and root.size == tensor.size
            if whole and root not in self._roots and root.data is None:
                self._buffer(root, buffer)
            else:
                self.buffers.append(buffer)
                self.copies.append((tensor, buffer))

    def _buffer(self, root: Tensor, buffer: Buffer) -> None:
        self.buffers.append(buffer)
        self._roots[root] = buffer

    def _name(self, root: Tensor) -> str:
        """After the operator that makes it."""
        op = self.work.producer(root)
        assert op is not None, root.name  # convert/graph/check.py
        number = f"_{op.outputs.index(root)}" if len(op.outputs) > 1 else ""
        return f"{step_name(op)}{number}".upper()


def step_name(op: Op) -> str:
    """A C name for what an operator does, with its index."""
    short = {
        "CONV_2D": "conv",
        "DEPTHWISE_CONV_2D": "depthwise",
        "FULLY_CONNECTED": "dense",
        "BATCH_MATMUL": "matmul",
        "AVERAGE_POOL_2D": "average",
        "MAX_POOL_2D": "max",
        "CONCATENATION": "concat",
        "STRIDED_SLICE": "slice",
        "READ_VARIABLE": "read",
        "ASSIGN_VARIABLE": "assign",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "lstm",
    }
    if "name" in op.options:  # of a word's own network
        return str(op.options["name"])
    name = op.name.split(",")[0]
    phase = f"_{op.options['phase']}" if "phase" in op.options else ""
    return short.get(name, name.lower()) + str(op.index) + phase


def _is(op: Op, name: str, variable: str) -> bool:
    return op.name == name and op.options["variable"] == variable


def activations(op: Op) -> list[Tensor]:
    """What an operator reads and writes as it runs; weights, axes and shapes it does not."""
    count = {
        "FULLY_CONNECTED": slice(0, 2 if multiplies(op) else 1),
        **dict.fromkeys(("BATCH_MATMUL", *PAIRS), slice(0, 2)),
        **dict.fromkeys(JOINS, slice(None)),
        "SPLIT": slice(1, 2),
        "READ_VARIABLE": slice(0, 0),
        "ASSIGN_VARIABLE": slice(1, 2),
    }.get(op.name, slice(0, 1))
    return [t for t in op.inputs[count] if t is not None] + states(op) + op.outputs
