"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED as calls of ws_dot, ws_conv and ws_depthwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.general import lower_exact, lower_product, multiplies
from wakestate.convert.compile.program import Range, Step, Table
from wakestate.convert.compile.rows import Row, make_row
from wakestate.convert.compile.window import Window, activation_range, distance, quantized, window
from wakestate.convert.errors import ConvertError
from wakestate.convert.kernels import (
    Kernels,
    Packed,
    depthwise_scratch,
    family,
    needs_care,
    needs_width,
    pack_depthwise,
    pack_dot,
    pack_one,
    scratch_bytes,
)
from wakestate.convert.tflite_graph import Op, Tensor

#: Of a layer with groups, spread to one without.
MOST_WEIGHTS = 1 << 22


def lower_dense(op: Op, name: str, kernels: Kernels) -> Step:
    """One step for an operator with weights."""
    if multiplies(op):
        return lower_product(op, name)
    source, weights, bias = _given(op)
    limits = activation_range(op, quantized(op.outputs[0]))
    if op.name == "FULLY_CONNECTED":
        return _fully_connected(op, name, kernels, limits)
    assert weights.data is not None
    if weights.data.ndim != 4:
        raise ConvertError(f"weights {list(weights.shape)}; four dimensions are supported")
    shape = window(op, source, op.outputs[0], (weights.shape[1], weights.shape[2]))
    own = _own(op, weights, shape)
    quantizations = (quantized(source), quantized(op.outputs[0]))
    row = make_row(op, weights, bias, own.reshape(len(own), -1), quantizations, limits)
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    title = f"{'depthwise ' if depthwise else ''}convolution{shape.title}"
    # ws_depthwise needs a tap for every output; with one channel the other is faster.
    single = depthwise and shape.in_c == shape.out_c > 1 and not shape.misses
    if row.exact:
        made = lower_exact(op, name, title, shape, own, row, limits)
    elif single:
        made = _depthwise(op, name, title, kernels, shape, own, row, limits)
    else:
        made = _convolution(op, name, title, kernels, shape, own, row, limits)
    made.limits, made.repeat = limits, source.shape[0]
    made.macs = made.repeat * shape.out_h * shape.out_w * weights.size
    return made


def _given(op: Op) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weights and bias, checked as far as their types go."""
    source, weights, bias = (*op.inputs, None)[:3]
    if source is None or weights is None:
        raise ConvertError("has no input or no weights")
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
    return source, weights, bias


def _depthwise(
    op: Op, name: str, title: str, kernels: Kernels, shape: Window, own: NDArray[np.int8],
    row: Row, limits: Range,
) -> Step:  # fmt: skip
    source = op.inputs[0]
    assert source is not None
    flat, zero_point = own[:, :, 0].T, quantized(source).zero_point
    scratch = depthwise_scratch(
        kernels,
        (shape.in_h, shape.in_w, shape.in_c),
        (shape.out_h, shape.out_w),
        (shape.kernel_h, shape.kernel_w),
        (shape.stride_h, shape.stride_w),
        (shape.dilation_h, shape.dilation_w),
        (shape.pad_top, shape.pad_left),
    )
    batch = source.shape[0]
    lowest, unit = shape.lowest(batch), shape.out_c
    if kernels == "mve" and scratch == 0:
        # It goes over a row of pixels more than once, a group of channels at a time.
        lowest = lowest.reshape(batch * shape.out_h, shape.out_w).min(axis=1)
        unit *= shape.out_w
    careful = needs_care(kernels, flat)
    return Step(
        name, title, "ws_depthwise", [source], op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
        [
            _weights(pack_depthwise(kernels, flat, careful=careful)),
            *row.tables(kernels, own[:, :, 0], zero_point, depthwise=flat),
        ],
        "ws_conv_shape", shape.fields(zero_point, limits),
        scratch=scratch,
        distance={0: distance(lowest, unit, own=True)},
        careful=careful,
    )  # fmt: skip


def _convolution(
    op: Op, name: str, title: str, kernels: Kernels, shape: Window, own: NDArray[np.int8],
    row: Row, limits: Range,
) -> Step:  # fmt: skip
    source = op.inputs[0]
    assert source is not None
    pixels, batch = shape.out_h * shape.out_w, source.shape[0]
    dense, zero_point = _spread(own, shape.in_c), quantized(source).zero_point
    tables = row.tables(kernels, dense, zero_point)
    step = _run_step(shape)
    if step is not None:
        return _dot(name, title, op, kernels, dense, tables, (batch, pixels, step), limits)
    wide = needs_width(kernels, dense)
    return Step(
        name, title, "ws_conv_wide" if wide else "ws_conv", [source], op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
        [_weights(pack_dot(kernels, dense, wide=wide)), *tables],
        "ws_conv_shape", shape.fields(zero_point, limits),
        scratch=scratch_bytes(kernels, dense.shape[1], shape.out_c, pixels, gathers=True),
        distance={0: distance(shape.lowest(batch), shape.out_c, own=False)},
    )  # fmt: skip


def _fully_connected(op: Op, name: str, kernels: Kernels, limits: Range) -> Step:
    source, weights, bias = _given(op)
    assert weights.data is not None
    outputs, length = _matrix(op, source, weights)
    pixels = source.size // length
    dense = weights.data.reshape(outputs, length).copy()
    into = quantized(source)
    row = make_row(op, weights, bias, dense, (into, quantized(op.outputs[0])), limits)
    title = f"dense, {length} -> {outputs}"
    if row.exact:
        shape = Window(1, pixels, length, 1, pixels, outputs, 1, 1, 1, 1, 1, 1, 0, 0)
        step = lower_exact(op, name, title, shape, dense[:, None], row, limits)
    else:
        tables = row.tables(kernels, dense, into.zero_point)
        step = _dot(name, title, op, kernels, dense, tables, (1, pixels, length), limits)
    step.limits, step.macs = limits, pixels * weights.size
    return step


def _matrix(op: Op, source: Tensor, weights: Tensor) -> tuple[int, int]:
    """[outputs, inputs] of a FULLY_CONNECTED's weights."""
    if op.options.get("weights_format", 0) != 0:
        raise ConvertError(
            "its weights are shuffled (weights_format 1), which TFLM does not take; convert the "
            "model to the default format"
        )
    if len(weights.shape) < 2 or source.size % weights.shape[-1]:
        raise ConvertError(f"weights {list(weights.shape)} for input {list(source.shape)}")
    return weights.size // weights.shape[-1], weights.shape[-1]


def _dot(
    name: str,
    title: str,
    op: Op,
    kernels: Kernels,
    weights: NDArray[np.int8],
    row: list[Table],
    size: tuple[int, int, int],  # how often, pixels, bytes from one to the next
    limits: Range,
) -> Step:
    outputs, length = weights.shape
    source, (batch, pixels, step) = op.inputs[0], size
    assert source is not None
    fields: list[tuple[str, object]] = [("pixels", pixels), ("step", step), ("length", length)]
    fields += [("outputs", outputs)]
    starts = np.arange(batch) * (source.size // batch)
    lowest = (starts[:, None] + step * np.arange(pixels)).reshape(-1)
    if outputs == 1 and family(kernels) == "dsp":
        return Step(
            name, title, "ws_dot_one", [source], op.outputs[0],
            ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}"],
            [_weights(pack_one(weights)), *row],
            "ws_dot_shape", [*fields, ("range", limits.c)],
            distance={0: distance(lowest, 1, own=True)},
        )  # fmt: skip
    wide = needs_width(kernels, weights)
    return Step(
        name, title, "ws_dot_wide" if wide else "ws_dot", [source], op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
        [_weights(pack_dot(kernels, weights, wide=wide)), *row],
        "ws_dot_shape", [*fields, ("range", limits.c)],
        scratch=scratch_bytes(kernels, length, outputs, pixels, gathers=False),
        # dsp and mve put inputs or sums aside before they write outputs.
        distance={0: distance(lowest, outputs, own=kernels == "plain")},
    )  # fmt: skip


def _weights(packed: Packed) -> Table:
    return Table("weights", packed.ctype, packed.values)


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
    starts = shape.lowest()
    steps = np.unique(np.diff(starts))
    return int(steps[0]) if len(steps) == 1 else 0 if not len(steps) else None


def _own(op: Op, weights: Tensor, shape: Window) -> NDArray[np.int8]:
    """A copy as [outputs, taps, inputs of a group], checked against the window."""
    assert weights.data is not None
    wrong = ConvertError(f"weights {list(weights.shape)} for {shape.in_c} input channels")
    taps = shape.kernel_h * shape.kernel_w
    if op.name == "DEPTHWISE_CONV_2D":
        if weights.shape[0] != 1 or weights.shape[3] != shape.out_c or shape.out_c % shape.in_c:
            raise wrong
        return np.ascontiguousarray(weights.data.reshape(taps, shape.out_c).T)[:, :, None].copy()
    outputs, inside = weights.shape[0], weights.shape[3]
    if outputs != shape.out_c or shape.in_c % inside or outputs % (shape.in_c // inside):
        raise wrong
    return weights.data.reshape(outputs, taps, inside).copy()


def _spread(own: NDArray[np.int8], inputs: int) -> NDArray[np.int8]:
    """[outputs, taps, inputs of a group] as [outputs, taps * inputs], zeros elsewhere."""
    outputs, taps, inside = own.shape
    groups = inputs // inside
    if groups > 1 and outputs * taps * inputs > MOST_WEIGHTS:
        raise ConvertError(
            f"as a convolution without groups it has {outputs * taps * inputs} weights; "
            f"{MOST_WEIGHTS} is the most; hint: a depthwise multiplier of 1, or fewer channels"
        )
    dense = np.zeros((outputs, taps, groups, inside), np.int8)
    for o in range(outputs):
        dense[o, :, o // (outputs // groups)] = own[o]
    return dense.reshape(outputs, -1)
