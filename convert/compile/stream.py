# SPDX-License-Identifier: Apache-2.0
"""A whole-window model as a stream: each run takes the newest columns and keeps what it needs.

Time is axis 1 of the input, [1, columns, ...], and some axis of what is made of it
(convert/compile/footprints.py). For each operator that looks at several columns its input becomes a
window: the columns kept from before, then the new ones.

    whole window, 3 taps over 5 columns       streaming, one new column a run
    x [1,5,c] -> conv -> y [1,3,d]            CONCATENATION(READ_VARIABLE 2 columns, x [1,1,c])
                                              -> conv -> y [1,1,d]

which convert/compile/place.py makes one buffer that slides. Since time is not padded, what comes
out is what the whole window gives, bit for bit, once a whole window has gone in. With strides in
time a run takes as many columns as make one new column behind the last stride. An operator that
mixes all columns, and all behind it, runs once a run on the whole of its window.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from wakestate.convert.compile.footprints import WHOLE, Footprint, Time, footprint_of, slice_ranges
from wakestate.convert.compile.place import step_name
from wakestate.convert.compile.sequence import states
from wakestate.convert.compile.simplify import Work
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Option, Tensor

TIME = 1  # of the input


def streaming(work: Work) -> int:
    """Rewrite in place; returns how many runs fill a whole window."""
    if len(work.inputs) != 1 or len(work.inputs[0].shape) < 2 or work.inputs[0].shape[0] != 1:
        shapes = ", ".join(str(list(t.shape)) for t in work.inputs)
        raise ConvertError(
            f"{work.path}: --stream: one input [1, columns, ...] is needed: {shapes}"
        )
    if work.variables or any(states(op) for op in work.ops):
        raise ConvertError(f"{work.path}: --stream: the model streams already: it has variables")
    rewrite = _Rewrite(work)
    rewrite.footprint()
    return rewrite.run()


class _Rewrite:
    def __init__(self, work: Work) -> None:
        self.work = work
        (self.input,) = work.inputs
        self.footprints: dict[Op, Footprint] = {}
        self.times: dict[Tensor, Time] = {self.input: Time(TIME, 1)}
        self.index = itertools.count(max((op.index for op in work.ops), default=0) + 1)

    def footprint(self) -> None:
        """Find which tensors have time, and what each operator needs of them."""
        for op in self.work.ops:
            timed = [t for t in op.given if t in self.times]
            if not timed:
                continue
            with self.work.at(op, "--stream: "):
                footprint = footprint_of(op, self.times)
            self.footprints[op] = footprint
            if footprint.out:
                period = self.times[timed[0]].period * footprint.stride
                self.times |= dict.fromkeys(op.outputs, Time(footprint.axis, period))
        self.hop = math.lcm(*(time.period for time in self.times.values()))

    def run(self) -> int:
        """Make the new operators."""
        work, hop = self.work, self.hop
        new: dict[Tensor, Tensor] = {  # with the columns of one run
            tensor: self._resized(tensor, time.axis, hop // time.period)
            for tensor, time in self.times.items()
        }
        needs: dict[Tensor, int] = {}
        for op, footprint in self.footprints.items():
            for source in op.given:
                if source in self.times:
                    needs[source] = max(needs.get(source, 0), self._columns(source, footprint))
        ops: list[Op] = []
        windows: dict[Tensor, Tensor] = {}
        windows[self.input] = self._window(ops, self.input, new[self.input], needs, "in")
        for op in work.ops:
            footprint_of = self.footprints.get(op)
            if footprint_of is None:
                ops.append(op)
                continue
            inputs: list[Tensor | None] = []
            for given in op.inputs:
                if given is None or given not in self.times:
                    inputs.append(given)
                    continue
                axis = self.times[given].axis
                last, windowed = self._columns(given, footprint_of), windows[given]
                begin = windowed.shape[axis] - last
                inputs.append(
                    self._slice_columns(ops, windowed, axis, begin, last - footprint_of.unused)
                )
            outputs = [new.get(t, t) for t in op.outputs]
            ops.append(self._moved(op, footprint_of, inputs, outputs))
            for number, result in enumerate(op.outputs):
                if result in self.times:
                    name = step_name(op) + (f"_{number}" if number else "")
                    windows[result] = self._window(ops, result, new[result], needs, name)
        work.ops = ops
        work.inputs = [new[self.input]]
        work.outputs = [new.get(t, t) for t in work.outputs]
        return -(-self.input.shape[TIME] // hop)

    def _columns(self, tensor: Tensor, footprint: Footprint) -> int:
        """How many of the newest columns one run looks at."""
        if footprint is WHOLE:
            return tensor.shape[self.times[tensor].axis]
        here = self.hop // self.times[tensor].period
        return footprint.columns(here // footprint.stride if footprint.out else 1)

    def _resized(self, tensor: Tensor, axis: int, columns: int) -> Tensor:
        shape = (*tensor.shape[:axis], columns, *tensor.shape[axis + 1 :])
        return replace(tensor, shape=shape)

    def _window(
        self, ops: list[Op], old: Tensor, new: Tensor, needs: dict[Tensor, int], name: str
    ) -> Tensor:
        """The kept columns and the new ones, if any are kept; appends the operators."""
        axis = self.times[old].axis
        history = needs.get(old, 0) - new.shape[axis]
        if history <= 0:
            return new
        before = self._resized(new, axis, history)
        whole = self._resized(new, axis, history + new.shape[axis])
        self.work.variables[name] = None
        options: dict[str, Option] = {"axis": axis, "name": f"{name}_window"}
        ops.append(Op(next(self.index), "READ_VARIABLE", {"variable": name}, [], [before]))
        ops.append(Op(next(self.index), "CONCATENATION", options, [before, new], [whole]))
        after = self._slice_columns(ops, whole, axis, new.shape[axis], history)
        ops.append(Op(next(self.index), "ASSIGN_VARIABLE", {"variable": name}, [None, after], []))
        return whole

    def _slice_columns(
        self, ops: list[Op], tensor: Tensor, axis: int, begin: int, count: int
    ) -> Tensor:
        """`count` columns from `begin` on."""
        if count == tensor.shape[axis]:
            return tensor
        result = self._resized(tensor, axis, count)
        start, end = [0] * len(tensor.shape), list(tensor.shape)
        start[axis], end[axis] = begin, begin + count
        ops.append(_slice(next(self.index), tensor, result, start, end))
        return result

    def _moved(
        self, op: Op, footprint: Footprint, inputs: list[Tensor | None], outputs: list[Tensor]
    ) -> Op:
        """The operator on the columns of one run."""
        old, new = op.inputs[0], inputs[0]
        if (
            op.name not in ("SLICE", "STRIDED_SLICE")
            or footprint is WHOLE
            or old is None
            or new is None
        ):
            return replace(op, inputs=inputs, outputs=outputs)
        if new.size == outputs[0].size:  # cut already
            return Op(op.index, "RESHAPE", {}, [new], outputs)
        axis, taken = self.times[old].axis, slice_ranges(op, old)
        taken[axis] = range(0, new.shape[axis], footprint.stride)
        end = [r[-1] + (1 if r.step > 0 else -1) for r in taken]
        begin, step = [r.start for r in taken], [r.step for r in taken]
        return _slice(op.index, new, outputs[0], begin, end, step)


def _slice(
    index: int,
    source: Tensor,
    result: Tensor,
    begin: list[int],
    end: list[int],
    step: list[int] | None = None,
) -> Op:
    """A STRIDED_SLICE; an end of -1 is before the first element."""
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    options: dict[str, Option] = dict.fromkeys(masks, 0)
    options["end_mask"] = sum(1 << axis for axis, value in enumerate(end) if value < 0)
    given = (begin, end, step or [1] * len(begin))
    inputs: list[Tensor | None] = [source, *(_constant(values) for values in given)]
    return Op(index, "STRIDED_SLICE", options, inputs, [result])


def _constant(values: list[int]) -> Tensor:
    data = np.asarray(values, np.int32)
    return Tensor("", data.shape, "INT32", np.zeros(0), np.zeros(0, np.int64), data)
