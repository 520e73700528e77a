# SPDX-License-Identifier: Apache-2.0
"""Operators on one value at a time become tables: alone, several in a row, and where they meet.

A tensor that is a function of one other, value by value, is a view of it: ADD of a constant,
x * LOGISTIC(x), GREATER and SELECT_V2, and floats between DEQUANTIZE and QUANTIZE. What such a
function makes of each of 256 bytes is worked out here; where it ends in int8 it becomes a TableOp.
A constant that differs between channels makes a table for each of a few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.floats import (
    COMPARISONS,
    LOGIC,
    ONE,
    TWO,
    cast,
    compared,
    dequantized,
    float_result,
    quantized_float,
)
from wakestate.convert.compile.tables import INTEGER, Value
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import Ints
from wakestate.convert.graph.tflite_graph import Op, Tensor

if TYPE_CHECKING:
    from wakestate.convert.compile.simplify import Work

#: More tables than this, 256 bytes each, are not made of one operator.
MAX_TABLES = 16
#: Where values meet that were one tensor, it is looked for up to that many tensors of bytes back.
MAX_LINKS = 12
#: Least values of the types whose bytes a table can hold.
_LOWEST = {"INT8": -128, "UINT8": 0}
POINTWISE = {*INTEGER, *ONE, *TWO, *COMPARISONS, *LOGIC, "CAST", "DEQUANTIZE", "SELECT_V2"}
#: TFLM has no int8 of these.
FLOAT_ONLY = set(ONE) - set(INTEGER)


def is_table(op: Op) -> bool:
    """It works on the values of one input, one at a time."""
    return op.name in POINTWISE and len(op.inputs) == 1


@dataclass(eq=False)
class TableOp(Op):
    """An operator that looks each value up.

    `table` holds bytes as int8, input -128 first, [tables, 256]; element i of the input goes
    through table (i // inner) % tables.
    """

    table: Ints = field(kw_only=True)
    inner: int = field(default=1, kw_only=True)

    def repeats(self, size: int) -> bool:
        """Every stretch of `size` elements goes through the same tables."""
        return len(self.table) == 1 or size % (len(self.table) * self.inner) == 0


@dataclass(frozen=True)
class View:
    """A tensor as a function of `base`; `values` by byte of base, as in TableOp."""

    base: Tensor
    values: NDArray[Any]
    inner: int = 1

    def after(self, first: View) -> View | None:
        """This view, where its base is the view `first`; None where both have tables of channels.

        `first` is of int8 or uint8.
        """
        if not _same_channels(self, first):
            return None
        at = first.values.astype(np.int64).astype(np.int8).astype(np.int64) + 128
        rows = np.arange(len(self.values))[:, None]
        values = self.values[rows, at] if len(at) in (1, len(rows)) else self.values[0][at]
        return View(first.base, values, self.inner if len(self.values) > 1 else first.inner)


def _same_channels(a: View, b: View) -> bool:
    if 1 in (len(a.values), len(b.values)):
        return True
    return (len(a.values), a.inner) == (len(b.values), b.inner)


def fold_tables(work: Work, moves: Callable[[Op], bool]) -> None:
    """Rewrite in place; `moves` says of an operator that it only moves values."""
    folder = _Folder(work, moves)
    for op in list(work.ops):
        with work.at(op):
            folder.fold(op)
    folder.outputs()
    _drop_unused(work)
    _join(work)


class _Folder:
    def __init__(self, work: Work, moves: Callable[[Op], bool]) -> None:
        self.work, self.moves = work, moves
        self.views: dict[Tensor, View] = {}

    def fold(self, op: Op) -> None:
        """Make a view or a table of an operator, if it is one."""
        given = op.given
        if not given or not op.outputs:
            return
        if op.name in POINTWISE:
            _check_types(op, given)
            view = self._view(op, given)
            if view is None and any(t.dtype in ("FLOAT32", "BOOL") for t in (*given, *op.outputs)):
                raise ConvertError(
                    "floats and truth values are supported where each is made of one int8 value; "
                    "quantize its inputs"
                )
            if view is not None:
                self._replace(op, view)
        elif any(t in self.views and t.dtype in ("FLOAT32", "BOOL") for t in given):
            if not self.moves(op):
                raise ConvertError("floats and truth values are not supported; quantize its input")
            self._move(op)

    def _replace(self, op: Op, view: View) -> None:
        result = op.outputs[0]
        at = self.work.ops.index(op)
        if result.dtype not in _LOWEST:
            self.views[result] = view
            del self.work.ops[at]
            return
        lowest = _LOWEST[result.dtype]
        values = np.clip(view.values, lowest, lowest + 255).astype(np.int64)
        table = values.astype(np.uint8).astype(np.int8).astype(np.int64)
        self.views[result] = View(view.base, table, view.inner)
        self.work.ops[at] = TableOp(
            op.index, op.name, op.options, [view.base], op.outputs, table=table, inner=view.inner
        )

    def _view(self, op: Op, given: list[Tensor]) -> View | None:
        """Of its result, if all of its inputs are views of one tensor, or constants."""
        result = op.outputs[0]
        varying = list(dict.fromkeys(t for t in given if t.data is None)) or given[:1]
        if any(t.size != result.size for t in varying):
            return None
        chains = [self._chain(t) for t in varying]
        for base in chains[0]:
            if all(base in chain for chain in chains):
                found = {t: chain[base] for t, chain in zip(varying, chains, strict=True)}
                views = [found[t] if t in found else _constant(t, base, result) for t in given]
                if all(views) and (view := _apply(op, given, [v for v in views if v])):
                    return view
        return None

    def _chain(self, tensor: Tensor, links: int = MAX_LINKS) -> dict[Tensor, View]:
        """By tensor of bytes what this one is of it, the nearest first."""
        found = {}
        if tensor.dtype in _LOWEST:
            found[tensor] = View(tensor, _all_values(tensor))
        view = self.views.get(tensor)
        if view is not None and links:
            for base, first in self._chain(view.base, links - 1).items():
                if base is view.base:
                    found[base] = replace(view, values=_as_type(view.values, tensor))
                elif (both := view.after(first)) is not None:
                    found[base] = replace(both, values=_as_type(both.values, tensor))
        return found

    def _move(self, op: Op) -> None:
        """Move the bytes instead: what they mean stays."""
        timed = [t for t in op.given if t.dtype in ("FLOAT32", "BOOL")]
        views = [self.views.get(t) for t in timed]
        first = views[0]
        if first is None or any(v is None or not _alike(v, first) for v in views):
            raise ConvertError("its float inputs have different scales; quantize them first")
        if len(first.values) > 1:
            raise ConvertError("moves floats that were made with constants of channels")
        ops, at = self.work.ops, self.work.ops.index(op)
        inputs = list(op.inputs)
        for number, tensor in enumerate(inputs):
            if tensor is None or tensor not in timed:
                continue
            base = self.views[tensor].base
            if base.shape != tensor.shape:
                bent = replace(base, shape=tensor.shape, data=None)
                ops.insert(at, Op(op.index, "RESHAPE", {}, [base], [bent]))
                base, at = bent, at + 1
            inputs[number] = base
        names = ("dtype", "scales", "zero_points")
        meaning = {name: getattr(first.base, name) for name in names}
        new = {t: replace(t, **meaning) for t in op.outputs}
        ops[at] = replace(op, inputs=inputs, outputs=list(new.values()))
        for old, moved in new.items():
            self.views[old] = View(moved, first.values)

    def outputs(self) -> None:
        """A float output that is DEQUANTIZE of bytes is left to the caller: these come out."""
        for number, tensor in enumerate(self.work.outputs):
            view = self.views.get(tensor)
            if tensor.dtype != "FLOAT32" or view is None:
                continue
            if not np.array_equal(
                view.values[0], dequantized(_all_values(view.base)[0], view.base)
            ):
                raise ConvertError(
                    f"{self.work.path}: output {tensor.name} is worked out as float; quantize it, "
                    "so that DEQUANTIZE is the last operator"
                )
            self.work.outputs[number] = view.base


def _check_types(op: Op, given: list[Tensor]) -> None:
    for tensor in (*given, *op.outputs):
        if tensor.dtype not in ("INT8", "UINT8", "FLOAT32", "BOOL"):
            hint = "" if tensor.dtype != "INT16" else "; quantize activations to int8, not 16x8"
            raise ConvertError(f"tensor {tensor.name} is {tensor.dtype}; INT8 is supported{hint}")
    source = given[0]
    if source.dtype == "INT8" and op.name in FLOAT_ONLY:
        raise ConvertError(
            "TFLM runs it on floats only; leave it float, between DEQUANTIZE and QUANTIZE"
        )
    if "UINT8" in (source.dtype, op.outputs[0].dtype) and op.name not in ("QUANTIZE", "DEQUANTIZE"):
        raise ConvertError(f"tensor {source.name} is UINT8; INT8 is supported")


def _all_values(tensor: Tensor) -> Ints:
    """By byte taken as int8, what the tensor holds."""
    bytes_ = np.arange(-128, 128, dtype=np.int64)
    return (bytes_ & 255 if tensor.dtype == "UINT8" else bytes_)[None, :]


def _as_type(values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """Bytes of a uint8 tensor as what they mean."""
    return values & 255 if tensor.dtype == "UINT8" else values


def _constant(tensor: Tensor, base: Tensor, result: Tensor) -> View | None:
    """A constant with a tensor of the result's shape: one value, or some for channels."""
    assert tensor.data is not None
    data = tensor.data.reshape(-1)
    if tensor.dtype == "INT8":
        data = data.astype(np.int64)
    if tensor.dtype == "BOOL":
        data = data.astype(np.bool_)
    if len(np.unique(data)) == 1:
        return View(base, data[:1, None])
    shape = (1,) * (len(result.shape) - len(tensor.shape)) + tensor.shape
    if len(data) > MAX_TABLES or len(shape) != len(result.shape):
        return None
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    if shape[axes[0] : axes[-1] + 1] != result.shape[axes[0] : axes[-1] + 1]:
        return None
    inner = int(np.prod(result.shape[axes[-1] + 1 :], dtype=np.int64))
    return View(base, data[:, None], inner)


def _apply(op: Op, given: list[Tensor], views: list[View]) -> View | None:
    channels = [view for view in views if len(view.values) > 1]
    if any(not _same_channels(view, channels[0]) for view in channels):
        return None
    rows = max(len(view.values) for view in views)
    values = [np.broadcast_to(view.values, (rows, view.values.shape[1])) for view in views]
    found = np.broadcast_to(evaluate(op, values, given), (rows, 256))
    return View(views[0].base, found, channels[0].inner if channels else 1) if rows else None


def evaluate(op: Op, values: list[NDArray[Any]], given: list[Tensor]) -> NDArray[Any]:
    """What the operator makes of values of its inputs, which broadcast; int8 is not cut yet."""
    result = op.outputs[0]
    if op.name in COMPARISONS:
        return compared(op, values, given)
    if op.name in LOGIC:
        return LOGIC[op.name](*values)
    if op.name == "SELECT_V2":
        return np.where(values[0], values[1], values[2])
    if op.name == "CAST":
        return cast(values[0], result.dtype)
    if op.name == "DEQUANTIZE":
        return dequantized(values[0], given[0])
    if given[0].dtype == "FLOAT32":
        if op.name == "QUANTIZE":
            return quantized_float(values[0], result)
        return float_result(op, values)
    inputs = [Value(x, t.quantization) for x, t in zip(values, given, strict=True)]
    return INTEGER[op.name](op, inputs, result.quantization)


def _alike(a: View, b: View) -> bool:
    return a.base.quantization == b.base.quantization and np.array_equal(a.values, b.values)


def _drop_unused(work: Work) -> None:
    """Tables that nobody reads any more."""
    for op in work.ops[::-1]:
        if isinstance(op, TableOp):
            result = op.outputs[0]
            if result not in work.outputs and not work.consumers(result):
                work.ops.remove(op)


def _join(work: Work) -> None:
    """A table of a table is one table; a table that changes nothing is none."""
    for op in list(work.ops):
        if not isinstance(op, TableOp):
            continue
        source = op.source()
        first = work.producer(source)
        alone = len(work.consumers(source)) == 1 and source not in work.outputs
        if isinstance(first, TableOp) and alone:
            last = View(source, op.table, op.inner)
            both = last.after(View(first.source(), first.table, first.inner))
            if both is not None:
                name = f"{first.name}, {op.name}"
                joined = TableOp(
                    op.index,
                    name,
                    {},
                    first.inputs,
                    op.outputs,
                    table=both.values,
                    inner=both.inner,
                )
                work.ops[work.ops.index(op)] = joined
                work.ops.remove(first)
                op = joined
        if (op.table == np.arange(-128, 128)).all():
            work.ops[work.ops.index(op)] = Op(op.index, "RESHAPE", {}, op.inputs, op.outputs)
