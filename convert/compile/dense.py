# SPDX-License-Identifier: Apache-2.0
"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED as calls of ws_dot, ws_conv and ws_depthwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakestate.contract.kernels import Kernels, family
from wakestate.convert.compile.general import lower_product, multiplies
from wakestate.convert.compile.kernels import (
    depthwise_scratch,
    needs_care,
    needs_width,
    pack_depthwise,
    pack_dot,
    pack_one,
    scratch_bytes,
)
from wakestate.convert.compile.program import Step, Table
from wakestate.convert.compile.rows import Row, make_row
from wakestate.convert.compile.window import Window, activation_range, distance, quantized, window
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Tensor

#: Of a layer with groups, spread to one without.
MAX_WEIGHTS = 1 << 22


def lower_dense(op: Op, name: str, kernels: Kernels) -> Step:
    """One step for an operator with weights."""
    if op.options.get("weights_format", 0) != 0:
        raise ConvertError(
            "its weights are shuffled (weights_format 1), which TFLM does not take; convert the "
            "model to the default format"
        )
    if multiplies(op):
        return lower_product(op, name)
    source, weights, into = op.source(), _weights(op), quantized(op.source())
    limits = activation_range(op, quantized(op.outputs[0]))
    depthwise, flat = op.name == "DEPTHWISE_CONV_2D", op.name == "FULLY_CONNECTED"
    if flat:
        outputs, length = weights.shape
        pixels, batch, title = source.size // length, 1, f"dense, {length} -> {outputs}"
        shape = Window(1, pixels, length, 1, pixels, outputs, 1, 1, 1, 1, 1, 1, 0, 0)
    else:
        shape, batch = window(op), source.shape[0]
        title = f"{'depthwise ' if depthwise else ''}convolution{shape.title}"
    own = _own(op, shape)
    row = make_row(op, own.reshape(len(own), -1), limits)
    step = Step(
        name,
        title,
        "ws_conv",
        [source],
        op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
        struct="ws_conv_shape",
        fields=shape.fields(into.zero_point, limits),
        limits=limits,
        macs=batch * shape.out_h * shape.out_w * weights.size,
        repeat=batch,
    )
    if row.exact:
        # As TFLM, whose sums wrap; own: [outputs, taps, inputs of a group].
        step.title, step.kernel = f"{title}, sums of 2^30 and more", "ws_op_exact"
        step.arguments[3:] = [str(own.shape[2]), "{0}", "{out}"]
        step.tables = [Table("weights", "int8_t", own.astype(np.int64).reshape(-1))]
        step.tables += row.plain_tables()
    # ws_depthwise needs a tap for every output; with one channel the other is faster.
    elif depthwise and shape.in_c == shape.out_c > 1 and not shape.misses:
        _depthwise(step, kernels, shape, own[:, :, 0], row, into.zero_point)
    else:
        dense = _spread(own, shape.in_c)
        tables = row.tables(kernels, dense, into.zero_point)
        _convolution(step, kernels, shape, dense, tables, shape.in_c if flat else _run_step(shape))
    return step


def _weights(op: Op) -> Tensor:
    """The weights, checked as far as their type goes."""
    weights = op.source(1)
    if weights.data is None:
        raise ConvertError("weights that are computed are supported in FULLY_CONNECTED only")
    if weights.dtype != "INT8":
        raise ConvertError(f"weights are {weights.dtype}; INT8 is supported")
    if np.any(weights.zero_points):
        zero_point = int(weights.zero_points[np.flatnonzero(weights.zero_points)[0]])
        raise ConvertError(
            f"weights have zero point {zero_point}, which TFLM ignores here; convert the model "
            "with symmetric weights, whose zero point is 0"
        )
    if not len(weights.scales) or np.any(weights.scales < 0):
        raise ConvertError("weights have no scale, or one below 0")
    return weights


def _depthwise(
    step: Step, kernels: Kernels, shape: Window, own: NDArray[np.int8], row: Row, zero_point: int
) -> None:
    """Weights `own` are [channels, taps]."""
    step.kernel, step.scratch = "ws_depthwise", depthwise_scratch(kernels, shape)
    lowest, unit = shape.lowest(step.repeat), shape.out_c
    if kernels == "mve" and step.scratch == 0:
        # It goes over a row of pixels more than once, a group of channels at a time.
        lowest = lowest.reshape(step.repeat * shape.out_h, shape.out_w).min(axis=1)
        unit *= shape.out_w
    step.careful = needs_care(kernels, own.T)
    step.tables = [pack_depthwise(kernels, own.T)]
    step.tables += row.tables(kernels, own, zero_point, depthwise=True)
    step.distance = {0: distance(lowest, unit, own=True)}


def _convolution(
    step: Step,
    kernels: Kernels,
    shape: Window,
    weights: NDArray[np.int8],
    row: list[Table],
    apart: int | None,
) -> None:
    """Weights are [outputs, length]; `apart`: patches are inputs in a row, so far apart."""
    (outputs, length), pixels = weights.shape, shape.out_h * shape.out_w
    wide, lowest, gathers = needs_width(kernels, weights), shape.lowest(step.repeat), apart is None
    if not gathers:
        step.kernel, step.struct = "ws_dot", "ws_dot_shape"
        sizes = {"pixels": pixels, "step": apart, "length": length, "outputs": outputs}
        step.fields = sizes | {"range": step.fields["range"]}
        if outputs == 1 and family(kernels) == "dsp":
            step.kernel = "ws_dot_one"
            del step.arguments[-1]
            step.tables = [pack_one(weights), *row]
            step.distance = {0: distance(lowest, 1, own=True)}
            return
    step.kernel += "_wide" if wide else ""
    step.tables = [pack_dot(kernels, weights, wide=wide), *row]
    step.scratch = scratch_bytes(kernels, length, outputs, pixels, gathers=gathers)
    # dsp and mve put inputs or sums aside before they write outputs, as do gathered patches.
    step.distance = {0: distance(lowest, outputs, own=kernels == "plain" and not gathers)}


def _run_step(shape: Window) -> int | None:
    """If each patch is inputs in a row, and patches are evenly apart: how far."""
    if shape.pad_top or shape.pad_left or (shape.dilation_h, shape.dilation_w) != (1, 1):
        return None
    # Padding at the far ends shows in the last patch.
    if (shape.out_h - 1) * shape.stride_h + shape.kernel_h > shape.in_h:
        return None
    if (shape.out_w - 1) * shape.stride_w + shape.kernel_w > shape.in_w:
        return None
    if shape.kernel_h > 1 and shape.kernel_w != shape.in_w:
        return None
    steps = np.unique(np.diff(shape.lowest()))
    return int(steps[0]) if len(steps) == 1 else 0 if not len(steps) else None


def _own(op: Op, shape: Window) -> NDArray[np.int8]:
    """A copy of the weights as [outputs, taps, inputs of a group]."""
    data, taps = op.data(1), shape.kernel_h * shape.kernel_w
    if op.name == "DEPTHWISE_CONV_2D":
        return np.ascontiguousarray(data.reshape(taps, shape.out_c).T)[:, :, None].copy()
    return data.reshape(shape.out_c, taps, -1).copy()


def _spread(own: NDArray[np.int8], inputs: int) -> NDArray[np.int8]:
    """[outputs, taps, inputs of a group] as [outputs, taps * inputs], zeros elsewhere."""
    outputs, taps, inside = own.shape
    groups = inputs // inside
    if groups > 1 and outputs * taps * inputs > MAX_WEIGHTS:
        raise ConvertError(
            f"as a convolution without groups it has {outputs * taps * inputs} weights; "
            f"{MAX_WEIGHTS} is the most; hint: a depthwise multiplier of 1, or fewer channels"
        )
    dense = np.zeros((outputs, taps, groups, inside), np.int8)
    for o in range(outputs):
        dense[o, :, o // (outputs // groups)] = own[o]
    return dense.reshape(outputs, -1)
