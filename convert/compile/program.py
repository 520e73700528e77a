# SPDX-License-Identifier: Apache-2.0
"""A compiled model before it is text: steps, each a kernel call, on tensors in buffers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.graph.tflite_graph import Tensor

#: input, output: the caller's memory; constant: flash; state: kept between runs; arena: the rest.
Kind = Literal["arena", "state", "input", "output", "constant"]


@dataclass(eq=False)
class Buffer:
    """A piece of memory that is given an address as a whole; `name` is its C name."""

    name: str
    size: int
    kind: Kind
    offset: int = -1  # in the arena or the state, once planned
    initial: NDArray[np.int8] | None = None  # of a state, what a reset puts there, or a constant
    note: str = ""


@dataclass(frozen=True)
class Place:
    """Where a tensor is."""

    buffer: Buffer
    offset: int

    @property
    def start(self) -> int:
        """Its offset in the arena or the state, once planned."""
        return self.buffer.offset + self.offset

    @property
    def address(self) -> str:
        """As a C expression."""
        rest = f" + {self.offset}" if self.offset else ""
        if self.buffer.kind in ("arena", "state"):
            return f"{self.buffer.kind} + {self.buffer.name}{rest}"
        return self.buffer.name + rest


#: The tables that make a ws_row.
ROW = ("bias", "multiplier", "shift")


@dataclass(frozen=True)
class Table:
    """A C array in flash."""

    part: str  # its name is that of the step, _ and this
    ctype: str
    values: NDArray[np.int64]  # [n], or [rows, n] where variants differ
    row_of: tuple[int, ...] = ()  # the row of each variant; empty: all have the same values

    def row(self, step: str, variant: int) -> str:
        """C expression of a variant's values."""
        name = f"{step}_{self.part}"
        return f"{name}[{self.row_of[variant]}]" if self.row_of else name


@dataclass(frozen=True)
class Range:
    """What an output is clamped to once its zero point was added."""

    zero_point: int
    low: int
    high: int

    @property
    def clamps(self) -> bool:
        """It is narrower than int8."""
        return (self.low, self.high) != (-128, 127)

    @property
    def c(self) -> str:
        """As a ws_range."""
        return f"{{ .zero_point = {self.zero_point}, .low = {self.low}, .high = {self.high} }}"


def braces(values: Iterable[object]) -> str:
    """A C initializer."""
    return f"{{ {', '.join(str(v) for v in values)} }}"


@dataclass(eq=False)
class Step:
    """One call of a kernel."""

    name: str  # a C name, unique: what it does and the operator's index
    title: str  # for people
    kernel: str
    sources: list[Tensor]  # what it reads of memory
    result: Tensor
    arguments: list[str]  # of the call; {0}, {1} are sources, {out} the result, {name}, {scratch}
    tables: list[Table] = field(default_factory=list)
    struct: str = ""  # type of the struct with the kernel's shape, named NAME_shape
    fields: dict[str, object] = field(default_factory=dict)
    limits: Range | None = None  # of a layer with weights
    macs: int = 0
    scratch: int = 0
    #: For source number n: the result may start `distance[n]` bytes before it, or lower, and take
    #: its memory while it is read. A source that is not named must not be touched.
    distance: dict[int, int] = field(default_factory=dict)
    traced: bool = True  # its result is whole
    #: So often, one after another: each time on its part of the first source and of the result.
    repeat: int = 1
    careful: bool = False  # see convert/compile/kernels.py: needs_care

    @property
    def has_row(self) -> bool:
        """It has bias, multiplier and shift for each channel."""
        return any(table.part == "multiplier" for table in self.tables)

    @property
    def varies(self) -> bool:
        """Variants have rows of their own."""
        return any(table.row_of for table in self.tables)

    @property
    def initializer(self) -> str:
        """Of the shape struct, wrapped."""
        lines, line = [], "   "
        for name, value in self.fields.items():
            part = f" .{name} = {value},"
            if len(line) + len(part) > 100:
                lines.append(line)
                line = "   "
            line += part
        return "\n".join([*lines, line])

    def row(self, variant: int) -> str:
        """C initializer of a variant's ws_row."""
        parts = {table.part: table.row(self.name, variant) for table in self.tables}
        return ", ".join(parts[part] for part in ROW)


@dataclass(eq=False)
class Program:
    """All steps in order, and where every tensor is."""

    steps: list[Step]
    places: dict[Tensor, Place]
    inputs: list[Tensor]
    outputs: list[Tensor]
    buffers: list[Buffer]
    scratch: dict[Step, Buffer] = field(default_factory=dict)
    arena_bytes: int = 0
    state_bytes: int = 0
    resident: bool = False  # inputs are in the state: the caller writes them there
    window: int = 0  # columns of the whole window, of a stream
    halves_up: bool = False  # see firmware/kernels/config.h

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a run."""
        return sum(step.macs for step in self.steps)

    @property
    def weight_bytes(self) -> int:
        """In flash: more than there are weights where kernels want zeros or int16."""
        found = [t for step in self.steps for t in step.tables if t.part == "weights"]
        return sum(len(t.values) * (2 if t.ctype == "int16_t" else 1) for t in found)

    def call(self, step: Step) -> str:
        """The C statement."""
        values = [self.places[t].address for t in step.sources]
        scratch, out, loop = self.scratch.get(step), self.places[step.result].address, ""
        if step.repeat > 1:
            loop = f"for (int n = 0; n < {step.repeat}; n++) "
            values[0] += f" + n * {step.sources[0].size // step.repeat}"
            out += f" + n * {step.result.size // step.repeat}"
        names = {"name": step.name, "out": out}
        names["scratch"] = f"arena + {scratch.name}" if scratch else "NULL"
        given = ", ".join(a.format(*values, **names) for a in step.arguments)
        if step.varies:
            given = given.replace(f"&{step.name}_row", f"&variant->{step.name}_row")
        return f"{loop}{step.kernel}({given});"

    def of_kind(self, kind: Kind) -> list[Buffer]:
        """The buffers of a kind, in order of address."""
        return sorted((b for b in self.buffers if b.kind == kind), key=lambda b: b.offset)
