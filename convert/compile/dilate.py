# SPDX-License-Identifier: Apache-2.0
"""SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND: one dilated convolution.

Converters write a dilated convolution so where they do not fold it themselves. What is between,
a bias or an activation, runs on the whole result instead.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wakestate.convert.compile.views import is_table
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Op, Option, Tensor
from wakestate.convert.graph.window_shapes import kernel_of, pace_of

if TYPE_CHECKING:
    from wakestate.convert.compile.simplify import Work

_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def fold_dilation(work: Work) -> None:
    """Every such pattern; ConvertError for one that cannot be folded."""
    for op in list(work.ops):
        if op.name == "SPACE_TO_BATCH_ND":
            with work.at(op):
                _fold(work, op)


def _fold(work: Work, first: Op) -> None:
    chain = _chain(work, first)
    last = chain[-1]
    number = next((i for i, op in enumerate(chain) if op.name.endswith("CONV_2D")), 0)
    conv = chain[number]
    between = [op for op in chain[number + 1 : -1] if op.name not in _SHAPES]
    if not number or any(op.name not in _SHAPES for op in chain[1:number]):
        raise ConvertError("supported around a convolution only, as dilation")
    source, block = first.source(), first.numbers(1)
    if block != last.numbers(1):
        raise ConvertError(f"blocks {block} and {last.numbers(1)}")
    pads, crops = (np.reshape(op.numbers(2), (-1, 2)).tolist() for op in (first, last))
    if any(n for pair in pads for n in pair) and source.zero_points.any():
        raise ConvertError(
            f"pads input of zero point {int(source.zero_points[0])}, which TFLM does with bytes "
            "that it never sets; convert the model with a fixed batch, in Keras Input(..., "
            "batch_size=1): then this is a dilated convolution"
        )
    _check_batch(first, source, block)
    if (conv.options["stride_h"], conv.options["stride_w"]) != (1, 1):
        raise ConvertError("the convolution between has strides; without is supported")
    axis = _axis(source, conv.source(), first)
    result = last.outputs[0]
    deep = _four(source, axis)
    options, extra = _window(conv, block, pads, crops, axis)
    made: list[Op] = []
    if source.shape != deep:
        source = _reshaped(made, first, source, deep)
    for pair, names in zip(extra, (("top", "bottom"), ("left", "right")), strict=True):
        options |= {f"pad_{name}": n for name, n in zip(names, pair, strict=True)}
    folded = replace(conv, options=options, inputs=[source, *conv.inputs[1:]])
    spans = [
        (taps - 1) * pace_of(folded, name)[1]
        for name, taps in zip("hw", kernel_of(conv), strict=True)
    ]
    sizes = (deep[a + 1] + sum(extra[a]) - spans[a] for a in (0, 1))
    value = _like(conv.outputs[0], (deep[0], *sizes, conv.outputs[0].shape[3]))
    if value.shape != _four(result, axis):
        raise ConvertError(f"makes {list(value.shape)}, its end is {list(result.shape)}")
    folded.outputs = [value]
    made.append(folded)
    for op in between:
        following = _like(op.outputs[0], value.shape)
        inputs = [value if t is not None and t.data is None else t for t in op.inputs]
        made.append(replace(op, inputs=inputs, outputs=[following]))
        value = following
    made.append(Op(last.index, "RESHAPE", {}, [value], [result]))
    at = work.ops.index(last)
    work.ops[at : at + 1] = made
    work.ops = [op for op in work.ops if op not in chain]


def _window(
    conv: Op, block: list[int], pads: list[list[int]], crops: list[list[int]], axis: int
) -> tuple[dict[str, Option], list[list[int]]]:
    """The convolution's options without padding, and what it pads rows and columns by."""
    weights, options, extra = conv.source(1), dict(conv.options), []
    for a, name in enumerate("hw"):
        n = a + 1 - axis
        split = 0 <= n < len(block)
        inside, d = int(options.get(f"dilation_{name}_factor", 1)), block[n] if split else 1
        options[f"dilation_{name}_factor"] = inside * d
        span = (weights.shape[1 + a] - 1) * inside if options["padding"] == "SAME" else 0
        pair = [d * (span // 2), d * (span - span // 2)]
        if split:
            pair = [pair[i] + pads[n][i] - crops[n][i] for i in range(2)]
        extra.append(pair)
    if min(n for pair in extra for n in pair) < 0:
        raise ConvertError(f"crops {crops} beyond paddings {pads} are not supported")
    options["padding"] = "VALID"
    return options, extra


def _chain(work: Work, first: Op) -> list[Op]:
    """From SPACE_TO_BATCH_ND to BATCH_TO_SPACE_ND, each the only reader of the one before."""
    chain = [first]
    while chain[-1].name != "BATCH_TO_SPACE_ND":
        tensor = chain[-1].outputs[0]
        readers = work.consumers(tensor)
        if len(readers) != 1 or tensor in work.outputs:
            raise ConvertError("supported only where one BATCH_TO_SPACE_ND ends what follows")
        op = readers[0]
        channels = tensor.shape[-1]
        constants = [t for t in op.given if t is not tensor]
        fits = all(t.data is not None and t.size in (1, channels) for t in constants)
        known = op.name in _SHAPES or op.name.endswith("CONV_2D") or is_table(op)
        ends = op.name == "BATCH_TO_SPACE_ND"
        if not known and not ends and not (op.name in ("ADD", "MUL", "SUB") and fits):
            raise ConvertError(f"{op} between it and BATCH_TO_SPACE_ND is not supported")
        chain.append(op)
    return chain


def _check_batch(first: Op, source: Tensor, block: list[int]) -> None:
    """TFLM believes the file: of a batch that is too small it computes a part."""
    result, needed = first.outputs[0], source.shape[0] * math.prod(block)
    given = 1 if result.free[:1] == (True,) else result.shape[0]  # free is 1 in the file
    if given != needed:
        raise ConvertError(
            f"its output has batch {given} in the file, by its block it is {needed}: a model with "
            f"a free batch, of which TFLM would compute {given} of {needed} parts; convert it "
            "with a fixed batch, in Keras Input(..., batch_size=1)"
        )


def _axis(source: Tensor, inner: Tensor, first: Op) -> int:
    """Of the convolution's 4-D input, the first that was split into batches."""
    if len(source.shape) == 4:
        return 1
    if len(inner.shape) != 4 or first.outputs[0].size != inner.size:
        raise ConvertError(f"the convolution's input is {list(inner.shape)}")
    axis = 2 if inner.shape[1] == 1 else 1
    if inner.shape[3 - axis] != 1 or inner.shape[axis] != first.outputs[0].shape[1]:
        raise ConvertError(f"the convolution's input is {list(inner.shape)}")
    return axis


def _four(tensor: Tensor, axis: int) -> tuple[int, ...]:
    """Its shape with four dimensions."""
    if len(tensor.shape) == 4:
        return tensor.shape
    batch, length, channels = tensor.shape
    return (batch, 1, length, channels) if axis == 2 else (batch, length, 1, channels)


def _like(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    return replace(tensor, shape=shape, data=None)


def _reshaped(made: list[Op], at: Op, source: Tensor, shape: tuple[int, ...]) -> Tensor:
    result = _like(source, shape)
    made.append(Op(at.index, "RESHAPE", {}, [source], [result]))
    return result
