"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED as calls of ws_dot, ws_conv and ws_depthwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.compile.program import Range, Step, Table
from convert.errors import ConvertError
from convert.fixedpoint import quantize_multiplier
from convert.kernels import (
    Kernels,
    Packed,
    depthwise_bias,
    depthwise_scratch,
    dot_bias,
    fill_row,
    pack_depthwise,
    pack_dot,
    scratch_bytes,
    shift_row,
)
from convert.tflite_graph import Op, Quantization, Tensor

#: A sum and its zero point's part stay below: so neither the loop nor the scaling overflows.
ACCUMULATOR = 1 << 30


@dataclass(frozen=True)
class Window:
    """How a kernel moves over rows and columns, of convolutions and of pools."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int

    def fields(self, fill: int, limits: Range) -> list[tuple[str, object]]:
        """Of the C struct ws_conv_shape."""
        for name, value in vars(self).items():
            most = 65535 if name.startswith(("in_", "out_")) else 255
            if value > most:
                raise ConvertError(f"{name} {value}; {most} is the most")
        return [*vars(self).items(), ("fill", fill), ("range", limits.c)]

    @property
    def title(self) -> str:
        """For people, after the operator's name."""
        text = f" {self.kernel_h}x{self.kernel_w}"
        if (self.stride_h, self.stride_w) != (1, 1):
            text += f", stride {self.stride_h}x{self.stride_w}"
        if (self.dilation_h, self.dilation_w) != (1, 1):
            text += f", dilation {self.dilation_h}x{self.dilation_w}"
        return text

    @property
    def misses(self) -> bool:
        """Some output has no tap within the input, in rows or columns."""

        def none(size: int, out: int, kernel: int, stride: int, dilation: int, pad: int) -> bool:
            at = (np.arange(out) * stride - pad)[:, None] + np.arange(kernel) * dilation
            return not bool(((at >= 0) & (at < size)).any(axis=1).all())

        rows = (self.in_h, self.out_h, self.kernel_h, self.stride_h, self.dilation_h, self.pad_top)
        columns = (self.in_w, self.out_w, self.kernel_w, self.stride_w, self.dilation_w)
        return none(*rows) or none(*columns, self.pad_left)

    def lowest(self) -> NDArray[np.int64]:
        """For each output pixel in order the first input byte that it reads."""

        def first(out: int, stride: int, pad: int, dilation: int) -> NDArray[np.int64]:
            at = np.arange(out) * stride - pad
            return np.where(at < 0, at % dilation, at)

        y = first(self.out_h, self.stride_h, self.pad_top, self.dilation_h)
        x = first(self.out_w, self.stride_w, self.pad_left, self.dilation_w)
        return ((y[:, None] * self.in_w + x[None, :]) * self.in_c).reshape(-1)


def window(op: Op, source: Tensor, result: Tensor, kernel: tuple[int, int]) -> Window:
    """Of an operator with `padding`, strides and perhaps dilations and folded padding."""
    if len(source.shape) != 4 or len(result.shape) != 4 or source.shape[0] != 1:
        raise ConvertError(f"input {list(source.shape)}; [1, height, width, channels] is supported")
    (_, in_h, in_w, in_c), (_, out_h, out_w, out_c) = source.shape, result.shape
    pads, sizes = [], []
    for axis, size, extra in (
        ("h", in_h, ("pad_top", "pad_bottom")),
        ("w", in_w, ("pad_left", "pad_right")),
    ):
        before, after = (int(op.options.get(name, 0)) for name in extra)
        stride = int(op.options[f"stride_{axis}"])
        dilation = int(op.options.get(f"dilation_{axis}_factor", 1))
        taps = kernel[0 if axis == "h" else 1]
        span, whole = (taps - 1) * dilation + 1, before + size + after
        if op.options["padding"] == "SAME":
            count = -(-whole // stride)
            before += max((count - 1) * stride + span - whole, 0) // 2
        else:
            count = (whole - span) // stride + 1
        pads.append(before)
        sizes.append(count)
    if (out_h, out_w) != tuple(sizes):
        raise ConvertError(f"output {out_h}x{out_w}, its options make {sizes[0]}x{sizes[1]}")
    return Window(
        *(in_h, in_w, in_c, out_h, out_w, out_c),
        *kernel,
        int(op.options["stride_h"]),
        int(op.options["stride_w"]),
        int(op.options.get("dilation_h_factor", 1)) if kernel[0] > 1 else 1,
        int(op.options.get("dilation_w_factor", 1)) if kernel[1] > 1 else 1,
        *pads,
    )


def distance(lowest: Sequence[int] | NDArray[np.int64], written: int, *, own: bool) -> int:
    """How far before its input an output may start, both walked in order.

    Pixel p reads from byte lowest[p] on and then is `written` bytes. `own`: it is read while it is
    written, else it was put aside before.
    """
    needed = np.minimum.accumulate(np.asarray(lowest, np.int64)[::-1])[::-1]
    ends = written * np.arange(1, len(needed) + 1)
    gaps = ends - needed if own else ends[:-1] - needed[1:]
    return int(gaps.max(initial=-(1 << 30)))


def quantized(tensor: Tensor) -> Quantization:
    """The scale and zero point of an int8 activation."""
    if tensor.dtype != "INT8":
        raise ConvertError(f"tensor {tensor.name} is {tensor.dtype}; INT8 is supported")
    return tensor.quantization


def activation_range(op: Op, result: Quantization) -> Range:
    """The output's clamp by the fused activation."""
    limits = {"NONE": None, "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
    name = str(op.options.get("fused_activation_function", "NONE"))
    if name not in limits:
        raise ConvertError(f"fused activation {name}; {', '.join(limits)} are supported")
    low, high = limits[name] or (None, None)

    def step(real: float) -> int:
        quotient = float(np.float32(real) / np.float32(result.scale))
        return result.zero_point + int(np.floor(abs(quotient) + 0.5) * np.sign(quotient))

    return Range(
        result.zero_point,
        -128 if low is None else max(-128, step(low)),
        127 if high is None else min(127, step(high)),
    )


def lower_dense(op: Op, name: str, kernels: Kernels) -> Step:
    """One step for an operator with weights."""
    source, weights, result = op.inputs[0], op.inputs[1], op.outputs[0]
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    if source is None or weights is None or weights.data is None:
        raise ConvertError("weights that are not constant are not supported")
    if weights.dtype != "INT8":
        raise ConvertError(f"weights are {weights.dtype}; INT8 is supported")
    if bias is not None and (bias.data is None or bias.dtype != "INT32"):
        raise ConvertError(f"bias is {bias.dtype}; constants of INT32 are supported")
    if np.any(weights.zero_points) or np.any(weights.scales <= 0) or not len(weights.scales):
        raise ConvertError("weights must be symmetric, with positive scales")
    limits = activation_range(op, quantized(result))
    if op.name == "FULLY_CONNECTED":
        return _fully_connected(op, name, kernels, limits)
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    if weights.data.ndim != 4:
        raise ConvertError(f"weights {list(weights.shape)}; four dimensions are supported")
    kernel = (weights.shape[1], weights.shape[2])
    shape = window(op, source, result, kernel)
    flat = _depthwise_weights(weights.data, shape) if depthwise else None
    # ws_depthwise needs a tap for every output; with one channel the other is faster.
    single = flat is None or shape.in_c == 1 or shape.in_c != shape.out_c or shape.misses
    dense = _spread(flat, shape) if flat is not None else _grouped(weights.data, shape)
    row = _row(op, dense, kernels, flat if not single else None)
    title = f"{'depthwise ' if depthwise else ''}convolution{shape.title}"
    pixels = shape.out_h * shape.out_w
    if not single:
        assert flat is not None
        scratch = depthwise_scratch(
            kernels,
            (shape.in_h, shape.in_w, shape.in_c),
            (shape.out_h, shape.out_w),
            (shape.kernel_h, shape.kernel_w),
            (shape.stride_h, shape.stride_w),
            (shape.dilation_h, shape.dilation_w),
            (shape.pad_top, shape.pad_left),
        )
        lowest, unit = shape.lowest(), shape.out_c
        if kernels == "mve" and scratch == 0:
            # It goes over a row of pixels more than once, a group of channels at a time.
            lowest = lowest.reshape(shape.out_h, shape.out_w).min(axis=1)
            unit *= shape.out_w
        made = Step(
            name, title, "ws_depthwise", [source], result,
            ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
            [_weights(pack_depthwise(kernels, flat)), *row],
            "ws_conv_shape", shape.fields(quantized(source).zero_point, limits),
            scratch=scratch,
            distance={0: distance(lowest, unit, own=True)},
        )  # fmt: skip
    elif (step := _run_step(shape)) is not None:
        made = _dot(name, title, op, kernels, dense, row, pixels, step, limits)
    else:
        if dense.shape[1] > 65535:
            raise ConvertError(f"{dense.shape[1]} inputs of one output; 65535 is the most")
        made = Step(
            name, title, "ws_conv", [source], result,
            ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
            [_weights(pack_dot(kernels, dense)), *row],
            "ws_conv_shape", shape.fields(quantized(source).zero_point, limits),
            scratch=scratch_bytes(kernels, dense.shape[1], shape.out_c, pixels, gathers=True),
            distance={0: distance(shape.lowest(), shape.out_c, own=False)},
        )  # fmt: skip
    made.limits, made.macs = limits, pixels * weights.size
    return made


def _fully_connected(op: Op, name: str, kernels: Kernels, limits: Range) -> Step:
    source, weights = op.inputs[0], op.inputs[1]
    assert source is not None and weights is not None and weights.data is not None
    if op.options.get("weights_format", 0) != 0:
        raise ConvertError("weights_format 0 is supported")
    if weights.data.ndim != 2 or source.size % weights.shape[1]:
        raise ConvertError(f"weights {list(weights.shape)} for input {list(source.shape)}")
    outputs, length = weights.shape
    batch = source.size // length
    row = _row(op, weights.data, kernels, None)
    title = f"dense, {length} -> {outputs}"
    step = _dot(name, title, op, kernels, weights.data, row, batch, length, limits)
    step.limits, step.macs = limits, batch * weights.size
    return step


def _dot(
    name: str,
    title: str,
    op: Op,
    kernels: Kernels,
    weights: NDArray[np.int8],
    row: list[Table],
    pixels: int,
    step: int,
    limits: Range,
) -> Step:
    outputs, length = weights.shape
    source = op.inputs[0]
    assert source is not None
    fields: list[tuple[str, object]] = [("pixels", pixels), ("step", step), ("length", length)]
    fields += [("outputs", outputs)]
    for field, value in fields:
        if int(str(value)) > 65535:
            raise ConvertError(f"{field} {value}; 65535 is the most")
    lowest = step * np.arange(pixels)
    return Step(
        name, title, "ws_dot", [source], op.outputs[0],
        ["&{name}_shape", "&{name}_row", "{name}_weights", "{0}", "{out}", "{scratch}"],
        [_weights(pack_dot(kernels, weights)), *row],
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


def _depthwise_weights(weights: NDArray[np.int8], shape: Window) -> NDArray[np.int8]:
    if weights.shape[0] != 1 or weights.shape[3] != shape.out_c or shape.out_c % shape.in_c:
        raise ConvertError(f"weights {list(weights.shape)} for {shape.in_c} input channels")
    return weights.reshape(-1, shape.out_c)


def _spread(weights: NDArray[np.int8], shape: Window) -> NDArray[np.int8]:
    """Depthwise [taps, outputs] as a convolution's [outputs, taps * inputs], zeros elsewhere."""
    taps = weights.shape[0]
    dense = np.zeros((shape.out_c, taps, shape.in_c), np.int8)
    for o in range(shape.out_c):
        dense[o, :, o // (shape.out_c // shape.in_c)] = weights[:, o]
    return dense.reshape(shape.out_c, -1)


def _grouped(weights: NDArray[np.int8], shape: Window) -> NDArray[np.int8]:
    """[outputs, kernel_h, kernel_w, inputs of a group] as [outputs, taps * inputs]."""
    outputs, inside = weights.shape[0], weights.shape[3]
    if outputs != shape.out_c or shape.in_c % inside or outputs % (shape.in_c // inside):
        raise ConvertError(f"weights {list(weights.shape)} for {shape.in_c} input channels")
    groups = shape.in_c // inside
    dense = np.zeros((outputs, *weights.shape[1:3], groups, inside), np.int8)
    for o in range(outputs):
        dense[o, :, :, o // (outputs // groups)] = weights[o]
    return dense.reshape(outputs, -1)


def _row(
    op: Op, dense: NDArray[np.int8], kernels: Kernels, depthwise: NDArray[np.int8] | None
) -> list[Table]:
    """bias, multiplier and shift of each output; `depthwise`: the weights for ws_depthwise."""
    source, weights, bias = (*op.inputs, None)[:3]
    assert source is not None and weights is not None
    outputs = dense.shape[0]
    into, out = quantized(source), quantized(op.outputs[0])
    if len(weights.scales) not in (1, outputs):
        raise ConvertError(f"{len(weights.scales)} weight scales for {outputs} outputs")
    if op.name == "FULLY_CONNECTED" and len(weights.scales) == 1:
        # TFLM multiplies these two as float.
        product = float(np.float32(into.scale) * np.float32(weights.scales[0]))
        reals = [product / out.scale] * outputs
    else:
        scales = np.broadcast_to(weights.scales, outputs)
        reals = [into.scale * float(scale) / out.scale for scale in scales]
    pairs = np.asarray([quantize_multiplier(real) for real in reals], np.int64)
    given = np.zeros(outputs, np.int64)
    if bias is not None and bias.data is not None:
        given = bias.data.astype(np.int64).reshape(-1)
    if given.size != outputs:
        raise ConvertError(f"{given.size} biases for {outputs} outputs")
    w = dense.astype(np.int64)
    most = np.abs(given) + np.abs(w).sum(axis=1) * (128 + abs(into.zero_point))
    if np.any(most >= ACCUMULATOR):
        channel = int(np.flatnonzero(most >= ACCUMULATOR)[0])
        raise ConvertError(f"channel {channel} can reach {most[channel]}; below 2^30 is supported")
    if depthwise is not None:
        sums = depthwise_bias(kernels, given, depthwise, into.zero_point)
    else:
        sums = dot_bias(kernels, given - into.zero_point * w.sum(axis=1))
    parts = {"bias": sums, "multiplier": pairs[:, 0], "shift": -pairs[:, 1]}
    types = {"bias": "int32_t", "multiplier": "int32_t", "shift": "int8_t"}
    filled = {
        part: fill_row(kernels, values, depthwise=depthwise is not None)
        for part, values in parts.items()
    }
    filled["shift"] = shift_row(kernels, filled["shift"])
    return [Table(part, types[part], values) for part, values in filled.items()]
