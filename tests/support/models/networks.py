# SPDX-License-Identifier: Apache-2.0
"""Whole small networks: random ones, with variables, with floats at the ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.tflite_maker import Maker, schema


def random_network(m: Maker) -> None:
    """A chain with branches that meet again: buffers of many lifetimes."""
    rng = m.rng
    x = m.input([1, 9, 5, int(rng.choice([1, 3, 8]))])
    state_columns: list[int] = []
    for _ in range(int(rng.integers(5, 9))):
        _, height, width, channels = m.shape(x)
        choice = rng.integers(0, 7)
        if choice == 0:
            kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
            x = m.conv(x, int(rng.choice([3, 4, 12, 17])), kernel, padding="SAME")
        elif choice == 1:
            x = m.conv(x, 0, (3, 3), depthwise=1, padding="SAME", activation="RELU")
        elif choice == 2:
            x = m.conv(x, int(rng.choice([4, 8, 16])), (1, 1), activation="RELU6")
        elif choice == 3:
            x = m.op("RELU", [x], [m.tensor(m.shape(x), scale=0.06)])
        elif choice == 4 and height > 2:
            step = {"strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 1}
            x = m.op(
                "MAX_POOL_2D",
                [x],
                [m.like(x, [1, height // 2, width, channels])],
                "Pool2DOptions",
                padding=schema.Padding.VALID,
                **step,
            )
        elif choice == 5:
            other = next((k for k in state_columns if m.shape(k) == m.shape(x)), x)
            x = m.op("ADD", [x, other], [m.tensor(m.shape(x), scale=0.2)], "AddOptions")
        else:
            two = [m.conv(x, 4, (1, 1)), m.conv(x, 8, (1, 1))]
            scale, zero = 0.21, -7
            both = [
                m.op(
                    "QUANTIZE",
                    [t],
                    [m.tensor(m.shape(t), scale=scale, zero=zero)],
                    "QuantizeOptions",
                )
                for t in two
            ]
            whole = m.tensor([1, height, width, 12], scale=scale, zero=zero)
            x = m.op("CONCATENATION", both, [whole], "ConcatenationOptions", axis=3)
        state_columns.append(x)
    x = m.dense(x, 6)
    m.output(
        m.op(
            "SOFTMAX", [x], [m.tensor([1, 6], scale=1 / 256, zero=-128)], "SoftmaxOptions", beta=1.0
        )
    )


def columns(m: Maker, take: int, keep: int, *, name: str = "a", channels: int = 4) -> None:
    """The window of a streaming network, with its first values from CALL_ONCE."""
    quantization: dict[str, Any] = {"scale": 0.04, "zero": -5}
    x = m.input([1, take, 1, channels], **quantization)
    first = m.rng.integers(-128, 128, [1, keep, 1, channels])
    m.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    handle = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName=name, container="")
    old = m.op("READ_VARIABLE", [handle], [m.tensor([1, keep, 1, channels], **quantization)])
    whole = m.tensor([1, keep + take, 1, channels], **quantization)
    m.op("CONCATENATION", [old, x], [whole], "ConcatenationOptions", axis=1)
    state_columns = m.tensor([1, keep, 1, channels], **quantization)
    ends = [m.ints(0, take, 0, 0), m.ints(1, keep + take, 1, channels), m.ints(1, 1, 1, 1)]
    m.op("STRIDED_SLICE", [whole, *ends], [state_columns], "StridedSliceOptions")
    m.op("ASSIGN_VARIABLE", [handle, state_columns], [])
    m.output(m.conv(whole, 3, (keep + take, 1)))
    m.graph()
    inner = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [inner], "VarHandleOptions", sharedName=name, container="")
    value = m.tensor([1, keep, 1, channels], scale=0.04, zero=-5, data=first)
    m.op("ASSIGN_VARIABLE", [inner, value], [])


def feedback(m: Maker) -> None:
    """A variable that is no window: the output goes back in; it is never given a first value."""
    x = m.input([1, 12], scale=0.05, zero=4)
    handle = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName="b", container="")
    old = m.op("READ_VARIABLE", [handle], [m.tensor([1, 12], scale=0.05, zero=4)])
    total = m.op("ADD", [x, old], [m.tensor([1, 12], scale=0.07)], "AddOptions")
    back = m.op("QUANTIZE", [total], [m.tensor([1, 12], scale=0.05, zero=4)], "QuantizeOptions")
    m.op("ASSIGN_VARIABLE", [handle, back], [])
    m.output(total, m.op("RELU", [old], [m.tensor([1, 12], scale=0.05)]))


def float_ends(m: Maker) -> None:
    x = m.input([1, 8], scale=None, dtype="FLOAT32")
    y = m.op("QUANTIZE", [x], [m.tensor([1, 8], scale=0.1)], "QuantizeOptions")
    y = m.dense(y, 4)
    m.output(m.op("DEQUANTIZE", [y], [m.tensor([1, 4], scale=None, dtype="FLOAT32")]))


def golden_model(m: Maker) -> None:
    """A window, a convolution, a table: all of a file's parts."""
    columns(m, 1, 2)
    m.current = m.model.subgraphs[0]
    y = m.current.outputs.pop()
    flat = m.op("RESHAPE", [y, m.ints(1, 3)], [m.like(y, [1, 3])])
    m.output(
        m.op(
            "SOFTMAX",
            [flat],
            [m.tensor([1, 3], scale=1 / 256, zero=-128)],
            "SoftmaxOptions",
            beta=1.0,
        )
    )


def foreign_word(m: Maker, scale: float = 26 / 255, out: str = "UINT8") -> None:
    """A network as microWakeWord's are: a window over columns, a probability."""
    quantization: dict[str, Any] = {"scale": scale, "zero": -128}
    x = m.input([1, 3, 40], **quantization)
    m.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    x = m.op("RESHAPE", [x, m.ints(1, 3, 1, 40)], [m.tensor([1, 3, 1, 40], **quantization)])
    handle = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName="w", container="")
    old = m.op("READ_VARIABLE", [handle], [m.tensor([1, 2, 1, 40], **quantization)])
    whole = m.tensor([1, 5, 1, 40], **quantization)
    m.op("CONCATENATION", [old, x], [whole], "ConcatenationOptions", axis=1)
    newest = m.tensor([1, 2, 1, 40], **quantization)
    ends = [m.ints(0, 3, 0, 0), m.ints(1, 5, 1, 40), m.ints(1, 1, 1, 1)]
    m.op("STRIDED_SLICE", [whole, *ends], [newest], "StridedSliceOptions")
    m.op("ASSIGN_VARIABLE", [handle, newest], [])
    # Twelve channels: the last four are past a whole eight, see firmware/kernels/config.h.
    y = m.conv(whole, 12, (3, 1), activation="RELU")
    y = m.dense(m.conv(y, 12, (3, 1), depthwise=1), 1)
    for tensor in (*m.last()[1:], y):  # finer, so that probabilities are of all sizes
        m.current.tensors[tensor].quantization.scale /= 32
    y = m.op("LOGISTIC", [y], [m.tensor([1, 1], scale=1 / 256, zero=-128)])
    if out == "UINT8":
        found = m.tensor([1, 1], scale=1 / 256, zero=0, dtype=out)
        y = m.op("QUANTIZE", [y], [found], "QuantizeOptions")
    m.output(y)
    m.graph()
    handle = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName="w", container="")
    first = m.tensor([1, 2, 1, 40], **quantization, data=np.full([1, 2, 1, 40], -128))
    m.op("ASSIGN_VARIABLE", [handle, first], [])
