"""A whole-window model as a stream: each run takes the newest columns and keeps what it needs.

Time is axis 1 of the input, [1, columns, ...]. For each operator that looks at several columns its
input becomes a window: the columns kept from before, then the new ones.

    whole window, 3 taps over 5 columns       streaming, one new column a run
    x [1,5,c] -> conv -> y [1,3,d]            CONCATENATION(READ_VARIABLE 2 columns, x [1,1,c])
                                              -> conv -> y [1,1,d]

which convert/compile/place.py makes one buffer that slides. Since time is not padded, what comes
out is what the whole window gives, bit for bit, once a whole window has gone in. With strides in
time a run takes as many columns as make one new column behind the last stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convert.compile.place import RESHAPES, step_name
from convert.compile.simplify import Variable, Work
from convert.compile.tables import TableOp
from convert.errors import ConvertError
from convert.tflite_graph import Op, Tensor

TIME = 1
SLIDING = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclass(frozen=True)
class Look:
    """What one operator needs of a tensor with time.

    `out` columns come of a window whose newest `unused` columns are not looked at: each column of
    `span`, `stride` apart.
    """

    span: int
    stride: int
    unused: int
    out: int  # columns of the result in the whole window; 0: the result has no time

    def columns(self, new: int) -> int:
        """The window for `new` columns of the result, unused ones too."""
        return self.span + (new - 1) * self.stride + self.unused


def streaming(work: Work) -> int:
    """Rewrite in place; returns how many runs fill a whole window."""
    if len(work.inputs) != 1 or len(work.inputs[0].shape) < 2 or work.inputs[0].shape[0] != 1:
        shapes = ", ".join(str(list(t.shape)) for t in work.inputs)
        raise ConvertError(
            f"{work.path}: --stream: one input [1, columns, ...] is needed: {shapes}"
        )
    if work.variables:
        raise ConvertError(f"{work.path}: --stream: the model streams already: it has variables")
    rewrite = _Rewrite(work)
    rewrite.look()
    return rewrite.run()


class _Rewrite:
    def __init__(self, work: Work) -> None:
        self.work = work
        (self.input,) = work.inputs
        self.looks: dict[Op, Look] = {}
        self.period: dict[Tensor, int] = {self.input: 1}  # of the tensors that have time
        self.next = max((op.index for op in work.ops), default=0) + 1

    def look(self) -> None:
        """Find which tensors have time, and what each operator needs of them."""
        for op in self.work.ops:
            timed = [t for t in op.inputs if t is not None and t in self.period]
            if not timed:
                continue
            try:
                look = self._look(op, timed)
            except ConvertError as error:
                raise self.work.fail(op, f"--stream: {error}") from None
            self.looks[op] = look
            if look.out:
                for result in op.outputs:
                    self.period[result] = self.period[timed[0]] * look.stride
        self.hop = math.lcm(*self.period.values())

    def _look(self, op: Op, timed: list[Tensor]) -> Look:
        source = timed[0]
        columns, result = source.shape[TIME], op.outputs[0]
        if any(t.shape[TIME] != columns for t in timed):
            raise ConvertError("its inputs have different numbers of columns")
        if any(self.period[t] != self.period[source] for t in timed):
            raise ConvertError("its inputs come at different strides")
        whole = Look(columns, 1, 0, 0)
        if op.name in SLIDING:
            look = _sliding(op, columns, result)
            return whole if look.out == 1 else look
        if op.name == "STRIDED_SLICE" and _crop(op, source) is not None:
            begin, end = _crop(op, source) or (0, 0)
            keeps = len(result.shape) == len(source.shape)
            return Look(1, 1, columns - end, end - begin if keeps and end - begin > 1 else 0)
        if self._each_column(op, source):
            static = [t for t in op.inputs[:2] if t not in self.period and t is not None]
            if op.name in ("ADD", "MUL", "CONCATENATION", "PACK") and any(
                len(t.shape) >= len(result.shape) - TIME
                and t.size > 1
                and t.shape[len(t.shape) - len(result.shape) + TIME] != 1
                for t in static
            ):
                raise ConvertError("an input without time meets one with it")
            return Look(1, 1, 0, columns)
        return whole

    def _each_column(self, op: Op, source: Tensor) -> bool:
        """Each column of the result is made of that column alone."""
        rank, result = len(source.shape), op.outputs[0]
        if isinstance(op, TableOp) or op.name in ("ADD", "MUL"):
            return len(result.shape) > TIME and result.shape[TIME] == source.shape[TIME]
        if op.name in RESHAPES:
            return result.shape[: TIME + 1] == source.shape[: TIME + 1]
        if op.name == "CONCATENATION":
            if int(op.options["axis"]) % rank == TIME:
                raise ConvertError("columns are joined along time; not supported")
            return True
        if op.name in ("SPLIT", "SPLIT_V", "MEAN"):
            axis = op.inputs[{"SPLIT": 0, "SPLIT_V": 2, "MEAN": 1}[op.name]]
            return (
                axis is not None
                and axis.data is not None
                and all(int(a) % rank > TIME for a in axis.data.reshape(-1))
                and len(result.shape) > TIME
            )
        if op.name == "SOFTMAX":
            return rank > TIME + 1
        if op.name == "STRIDED_SLICE":
            return len(result.shape) == rank and result.shape[TIME] == source.shape[TIME]
        return False

    def run(self) -> int:
        """Make the new operators."""
        work, hop = self.work, self.hop
        new: dict[Tensor, Tensor] = {}  # with the columns of one run
        for tensor, period in self.period.items():
            shape = (1, hop // period, *tensor.shape[TIME + 1 :])
            new[tensor] = replace(tensor, shape=shape)
        needs: dict[Tensor, int] = {}
        for op, look in self.looks.items():
            for given in op.inputs:
                if given is not None and given in self.period:
                    needs[given] = max(needs.get(given, 0), self._columns(given, look))
        ops: list[Op] = []
        windows: dict[Tensor, Tensor] = {}
        windows[self.input] = self._window(ops, self.input, new[self.input], needs, "in")
        for op in work.ops:
            look_at = self.looks.get(op)
            if look_at is None:
                ops.append(op)
                continue
            inputs: list[Tensor | None] = []
            for given in op.inputs:
                if given is None or given not in self.period:
                    inputs.append(given)
                    continue
                last, windowed = self._columns(given, look_at), windows[given]
                begin = windowed.shape[TIME] - last
                inputs.append(self._cut(ops, windowed, begin, last - look_at.unused))
            outputs = [new.get(t, t) for t in op.outputs]
            ops.append(self._moved(op, look_at, inputs, outputs))
            for result in op.outputs:
                if result in self.period:
                    windows[result] = self._window(ops, result, new[result], needs, step_name(op))
        work.ops = ops
        work.inputs = [new[self.input]]
        work.outputs = [new.get(t, t) for t in work.outputs]
        return -(-self.input.shape[TIME] // hop)

    def _columns(self, tensor: Tensor, look: Look) -> int:
        """How many of the newest columns one run looks at."""
        here = self.hop // self.period[tensor]
        return look.columns(here // look.stride if look.out else 1)

    def _window(
        self, ops: list[Op], old: Tensor, new: Tensor, needs: dict[Tensor, int], name: str
    ) -> Tensor:
        """The kept columns and the new ones, if any are kept; appends the operators."""
        kept = needs.get(old, 0) - new.shape[TIME]
        if kept <= 0:
            return new
        before = replace(new, shape=(1, kept, *new.shape[TIME + 1 :]))
        whole = replace(new, shape=(1, kept + new.shape[TIME], *new.shape[TIME + 1 :]))
        self.work.variables[name] = Variable(name)
        variable: dict[str, int | float | bool | str] = {"variable": name}
        ops.append(Op(self._index(), "READ_VARIABLE", variable, [], [before]))
        ops.append(Op(self._index(), "CONCATENATION", {"axis": TIME}, [before, new], [whole]))
        after = self._cut(ops, whole, new.shape[TIME], kept)
        ops.append(Op(self._index(), "ASSIGN_VARIABLE", variable, [None, after], []))
        return whole

    def _cut(self, ops: list[Op], tensor: Tensor, begin: int, count: int) -> Tensor:
        """`count` columns from `begin` on."""
        if count == tensor.shape[TIME]:
            return tensor
        shape = (1, count, *tensor.shape[TIME + 1 :])
        result = replace(tensor, shape=shape)
        start, end = [0] * len(shape), list(tensor.shape)
        start[TIME], end[TIME] = begin, begin + count
        ops.append(_slice(self._index(), tensor, result, start, end))
        return result

    def _moved(self, op: Op, look: Look, inputs: list[Tensor | None], outputs: list[Tensor]) -> Op:
        """The operator on the columns of one run."""
        if op.name == "STRIDED_SLICE" and inputs[0] is not None and look.span == 1:
            source = inputs[0]
            if _crop(op, op.inputs[0]) is not None:  # cut already
                return Op(op.index, "RESHAPE", {}, [source], outputs)
            begin, end, steps = (_numbers(t) for t in op.inputs[1:4])
            begin[TIME], end[TIME] = 0, source.shape[TIME]
            inputs = [source, _constant(begin), _constant(end), _constant(steps)]
        return replace(op, inputs=inputs, outputs=outputs)

    def _index(self) -> int:
        self.next += 1
        return self.next - 1


def _sliding(op: Op, columns: int, result: Tensor) -> Look:
    """Of a convolution or pool."""
    weights = op.inputs[1] if len(op.inputs) > 1 else None
    taps = int(op.options["filter_height"]) if weights is None else weights.shape[1]
    span = (taps - 1) * int(op.options.get("dilation_h_factor", 1)) + 1
    stride, out = int(op.options["stride_h"]), result.shape[TIME]
    unused = columns - span - (out - 1) * stride
    if unused < 0 or op.options.get("pad_top", 0) or op.options.get("pad_bottom", 0):
        raise ConvertError("time is padded; a stream has no padding: train with VALID")
    return Look(span, stride, unused, out)


def _crop(op: Op, source: Tensor | None) -> tuple[int, int] | None:
    """(begin, end) if a slice takes columns in a row and all of each."""
    if source is None or any(t is None or t.data is None for t in op.inputs[1:4]):
        return None
    begin, end, steps = (_numbers(t) for t in op.inputs[1:4])
    masks = [int(op.options[name]) for name in ("begin_mask", "end_mask", "shrink_axis_mask")]
    if int(op.options.get("ellipsis_mask", 0)) or int(op.options.get("new_axis_mask", 0)):
        return None
    found = None
    for axis, size in enumerate(source.shape[: len(begin)]):
        bit = 1 << axis
        first = None if masks[0] & bit else begin[axis]
        last = None if masks[1] & bit else end[axis]
        if masks[2] & bit:
            first, last = begin[axis] % size, begin[axis] % size + 1
        chosen = range(size)[slice(first, last, steps[axis])]
        if axis == TIME and steps[axis] == 1 and len(chosen) < size:
            found = (chosen[0], chosen[-1] + 1)
        elif len(chosen) < size or steps[axis] != 1:
            return None
    return found


def _numbers(tensor: Tensor | None) -> list[int]:
    assert tensor is not None and tensor.data is not None
    return [int(v) for v in tensor.data.reshape(-1)]


def _slice(index: int, source: Tensor, result: Tensor, begin: list[int], end: list[int]) -> Op:
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    inputs: list[Tensor | None] = [source, _constant(begin), _constant(end)]
    inputs.append(_constant([1] * len(begin)))
    return Op(index, "STRIDED_SLICE", dict.fromkeys(masks, 0), inputs, [result])


def _constant(values: list[int]) -> Tensor:
    data = np.asarray(values, np.int32)
    return Tensor("", data.shape, "INT32", np.zeros(0), np.zeros(0, np.int64), data)
