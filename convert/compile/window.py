# SPDX-License-Identifier: Apache-2.0
"""How kernels move over rows and columns, and what is common to what they make: scale and clamp."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.program import Range
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Quantization, Tensor
from wakestate.convert.graph.window_shapes import kernel_of, pace_of


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

    def fields(self, fill: int, limits: Range) -> dict[str, object]:
        """Of the C struct ws_conv_shape."""
        return vars(self) | {"fill": fill, "range": limits.c}

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

    def lowest(self, batch: int = 1) -> NDArray[np.int64]:
        """For each output pixel in order the first input byte that it reads."""

        def first(out: int, stride: int, pad: int, dilation: int) -> NDArray[np.int64]:
            at = np.arange(out) * stride - pad
            return np.where(at < 0, at % dilation, at)

        y = first(self.out_h, self.stride_h, self.pad_top, self.dilation_h)
        x = first(self.out_w, self.stride_w, self.pad_left, self.dilation_w)
        once = ((y[:, None] * self.in_w + x[None, :]) * self.in_c).reshape(-1)
        start = np.arange(batch) * (self.in_h * self.in_w * self.in_c)
        return (start[:, None] + once).reshape(-1)


def window(op: Op) -> Window:
    """Of a convolution or pool with `padding`, strides and perhaps dilations and folded padding."""
    source, result = op.source().shape, op.outputs[0].shape
    moves = []  # along rows and columns
    for axis, letter, sides in ((1, "h", ("top", "bottom")), (2, "w", ("left", "right"))):
        before, after = (int(op.options.get(f"pad_{side}", 0)) for side in sides)
        taps, stride, dilation = kernel_of(op)[axis - 1], *pace_of(op, letter)
        if op.options["padding"] == "SAME":
            span, whole = (taps - 1) * dilation + 1, before + source[axis] + after
            before += max((result[axis] - 1) * stride + span - whole, 0) // 2
        moves.append((taps, stride, dilation if taps > 1 else 1, before))
    return Window(*source[1:], *result[1:], *itertools.chain(*zip(*moves, strict=True)))


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


#: What fused activations clamp to.
_LIMITS = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def activation_limits(op: Op) -> tuple[float, float]:
    """The real numbers that the fused activation clamps to."""
    if op.activation not in _LIMITS:
        raise ConvertError(f"fused activation {op.activation}; {', '.join(_LIMITS)} are supported")
    return _LIMITS[op.activation]


def activation_range(op: Op, result: Quantization) -> Range:
    """The output's clamp by the fused activation."""

    def step(real: float) -> int:
        quotient = float(np.clip(np.float32(real) / np.float32(result.scale), -1000, 1000))
        return result.zero_point + int(np.floor(abs(quotient) + 0.5) * np.sign(quotient))

    low, high = activation_limits(op)
    return Range(result.zero_point, max(-128, step(low)), min(127, step(high)))
