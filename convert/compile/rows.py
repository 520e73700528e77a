# SPDX-License-Identifier: Apache-2.0
"""Bias, multiplier and shift of each output channel, and which of them a fast kernel computes.

The fast kernels keep a bit or two of an int32 for themselves: a sum, with all of its parts, must
stay below 2^30. Trained channels are far below. Converters write others too: a channel with next
to no weights has a tiny scale, so its bias is huge, up to 2^30 and more. Whatever its input, it
mostly gives one value; then that is what is emitted. Where it does not, or where TFLM's own int32
wraps, the layer goes to ws_op_exact, which computes as TFLM does, wraps and all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakestate.contract.kernels import Kernels
from wakestate.convert.compile.kernels import depthwise_bias, dot_bias, fill_row, shift_row
from wakestate.convert.compile.program import Range, Table
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import multiply, quantize_multiplier
from wakestate.convert.graph.tflite_graph import Op, Tensor

#: A sum and its zero point's part stay below: so neither the loop nor the scaling overflows.
ACCUMULATOR = 1 << 30
INT32 = 1 << 31
#: What gives any small value exactly: 4 * value, scaled by a quarter.
CONSTANT = (1 << 30, -1)


@dataclass
class Row:
    """What TFLM takes for each output: its bias, not folded, multiplier and shift to the left."""

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    exact: bool = False  # some sum needs ws_op_exact

    def tables(
        self,
        kernels: Kernels,
        dense: NDArray[np.int8],
        zero_point: int,
        *,
        depthwise: bool = False,
    ) -> list[Table]:
        """As the kernels read them. `dense`: [outputs, inputs], or, `depthwise`, [channels, taps]
        for ws_depthwise."""
        if depthwise:
            sums = depthwise_bias(kernels, self.bias, dense.T, zero_point)
        else:
            folded = self.bias - zero_point * dense.sum(axis=1, dtype=np.int64)
            sums = dot_bias(kernels, folded)
        parts = {"bias": sums, "multiplier": self.multiplier, "shift": -self.shift}
        filled = {
            part: fill_row(kernels, values, depthwise=depthwise) for part, values in parts.items()
        }
        filled["shift"] = shift_row(kernels, filled["shift"])
        return _tables(filled)

    def plain_tables(self) -> list[Table]:
        """As TFLM has them, for the kernels of ops_weights.h; shifts to the right."""
        return _tables({"bias": self.bias, "multiplier": self.multiplier, "shift": -self.shift})


def _tables(parts: dict[str, NDArray[np.int64]]) -> list[Table]:
    return [
        Table(part, "int8_t" if part == "shift" else "int32_t", values)
        for part, values in parts.items()
    ]


def scaling(op: Op, outputs: int) -> Row:
    """Multiplier and shift of each output; no bias yet."""
    weights, into, out = op.source(1), op.source().quantization, op.outputs[0].quantization
    if len(weights.scales) not in (1, outputs):
        raise ConvertError(f"{len(weights.scales)} weight scales for {outputs} outputs")
    if op.name in ("FULLY_CONNECTED", "BATCH_MATMUL") and len(weights.scales) == 1:
        # TFLM multiplies these two as float.
        product = float(np.float32(into.scale) * np.float32(weights.scales[0]))
        reals = [product / out.scale] * outputs
    else:
        scales = np.broadcast_to(weights.scales, outputs)
        reals = [into.scale * float(scale) / out.scale for scale in scales]
    pairs = np.asarray([quantize_multiplier(real) for real in reals], np.int64)
    return Row(np.zeros(outputs, np.int64), pairs[:, 0], pairs[:, 1])


def make_row(op: Op, dense: NDArray[np.int8], limits: Range) -> Row:
    """Of an operator with constant weights `dense`, [outputs, inputs], which change: a channel that
    gives one value, but whose sums are too large, gets no weights."""
    into, bias, row = op.source().quantization, op.optional(2), scaling(op, len(dense))
    if bias is not None:
        row.bias = bias_values(bias)
    positive = np.maximum(dense, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(dense, 0).sum(axis=1, dtype=np.int64)
    # From the least and to the most that inputs are, less their zero point; a tap beyond the edge
    # counts as 0, which is between.
    lowest, last = -128 - into.zero_point, 127 - into.zero_point
    low = row.bias + positive * lowest + negative * last
    high = row.bias + positive * last + negative * lowest
    bound = np.abs(row.bias) + (positive - negative) * (128 + abs(into.zero_point))
    reach = np.minimum(np.maximum(np.abs(low), np.abs(high)), INT32) << np.maximum(row.shift, 0)
    # Shifted left until it wraps, and scaled by almost 1: the zero point may make it wrap again.
    wraps = (reach >= INT32 - 256) & (row.multiplier >= INT32 - 256)
    odd = (bound >= ACCUMULATOR) | (row.multiplier == 0) | wraps
    for channel in np.flatnonzero(odd).tolist():
        value = _one_value(row, channel, int(low[channel]), int(high[channel]), limits)
        if value is None:
            row.exact = True
            continue
        dense[channel] = 0
        row.bias[channel] = 4 * (value - limits.zero_point)
        row.multiplier[channel], row.shift[channel] = CONSTANT
    return row


def bias_values(bias: Tensor) -> NDArray[np.int64]:
    """Of a bias tensor, checked."""
    if bias.dtype == "INT64":
        raise ConvertError(
            f"bias {bias.name} is INT64, as 16-bit activations have it; convert the model with "
            "int8 activations (TFLITE_BUILTINS_INT8), whose biases are INT32"
        )
    if bias.dtype != "INT32":
        raise ConvertError(f"bias {bias.name} is {bias.dtype}; INT32 is supported")
    if bias.data is None:
        raise ConvertError(f"bias {bias.name} is computed; constant ones are supported")
    return bias.data.astype(np.int64).reshape(-1)


def _one_value(row: Row, channel: int, low: int, high: int, limits: Range) -> int | None:
    """The output, if it is the same for every sum from `low` to `high`."""
    multiplier, shift = int(row.multiplier[channel]), int(row.shift[channel])
    if multiplier == 0:
        low = high = 0
    left = max(shift, 0)
    if low << left < -INT32 or high << left >= INT32:
        return None
    scaled = [int(multiply(np.asarray(s, np.int64), multiplier, shift)) for s in (low, high)]
    ends = [value + limits.zero_point for value in scaled]
    if min(ends) < -INT32 or max(ends) >= INT32:
        return None
    values = {min(max(end, limits.low), limits.high) for end in ends}
    return values.pop() if len(values) == 1 else None
