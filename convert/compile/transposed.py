# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE_CONV: convolutions of the small input, one for each place within a stride.

With strides of 2, say, every second row of the result sees the same rows of the kernel. Those make
a usual convolution, without the products by zeros that a widened input would have. The results are
then put between one another: operator INTERLEAVE, which is in no file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Tensor

if TYPE_CHECKING:
    from wakestate.convert.compile.simplify import Work


def expand_transposed(work: Work) -> None:
    """Every TRANSPOSE_CONV."""
    for op in list(work.ops):
        if op.name == "TRANSPOSE_CONV":
            with work.at(op):
                at = work.ops.index(op)
                work.ops[at : at + 1] = _phases(op)


def _phases(op: Op) -> list[Op]:
    weights, source, bias, result = op.source(1), op.source(2), op.optional(3), op.outputs[0]
    if weights.data is None:
        raise ConvertError("weights that are computed are not supported")
    strides = int(op.options["stride_h"]), int(op.options["stride_w"])
    rows, columns = (
        [
            _Phase(op, source.shape[a], result.shape[a], weights.shape[a], strides[a - 1], p)
            for p in range(strides[a - 1])
        ]
        for a in (1, 2)
    )
    made: list[Op] = []
    parts: list[Tensor | None] = []
    for row in rows:
        for column in columns:
            if row.count == 0 or column.count == 0:
                parts.append(None)
                continue
            kernel = row.taps(column.taps(weights.data, 2), 1)
            given = replace(weights, shape=kernel.shape, data=kernel)
            shape = (result.shape[0], row.count, column.count, result.shape[3])
            part = result if strides == (1, 1) else replace(result, shape=shape)
            options = op.options | {
                "padding": "VALID",
                "stride_h": 1,
                "stride_w": 1,
                "phase": len(parts),
                "pad_top": row.before,
                "pad_bottom": row.after,
                "pad_left": column.before,
                "pad_right": column.after,
            }
            made.append(Op(op.index, "CONV_2D", options, [source, given, bias], [part]))
            parts.append(part)
    if strides != (1, 1):
        made.append(Op(op.index, "INTERLEAVE", op.options, parts, [result]))
    return made


class _Phase:
    """One place within a stride, in rows or columns."""

    def __init__(
        self, op: Op, size: int, result: int, kernel: int, stride: int, place: int
    ) -> None:
        pad = 0
        if op.options["padding"] == "SAME":
            pad = max((-(-result // stride) - 1) * stride + kernel - result, 0) // 2
        self.count = len(range(place, result, stride))
        self.stride = stride
        lead, self.first = divmod(place + pad, stride)
        # Taps that are not there count as zeros, so that the first input is never left out.
        self.length = max(len(range(self.first, kernel, stride)), lead + 1)
        self.before = self.length - 1 - lead
        self.after = self.count - size - self.before + self.length - 1

    def taps(self, weights: NDArray[np.int8], axis: int) -> NDArray[np.int8]:
        """This place's part of the kernel, as a convolution goes over it: backwards."""
        index = [slice(None)] * weights.ndim
        index[axis] = slice(self.first, None, self.stride)
        own = np.flip(weights[tuple(index)], axis)
        room = [(0, 0)] * weights.ndim
        room[axis] = (self.length - own.shape[axis], 0)
        return np.ascontiguousarray(np.pad(own, room))
