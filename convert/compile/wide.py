# SPDX-License-Identifier: Apache-2.0
"""Values of 16 and 32 bits at the ends of a graph, for firmware/kernels/sequence.h."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wakestate.convert.compile import plain
from wakestate.convert.compile.place import activations
from wakestate.convert.compile.program import Step, braces
from wakestate.convert.compile.sequence import states
from wakestate.convert.compile.simplify import BYTES, RESHAPES
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import quantize_multiplier
from wakestate.convert.graph.tflite_graph import Op

#: They take or make values of more than a byte, or care for none.
_ANY_WIDTH = ("REQUANTIZE", "SOFTMAX", *RESHAPES)


def check_widths(op: Op) -> None:
    """ConvertError where an operator would take values of more than a byte for bytes."""
    state_tensors = states(op)
    for tensor in activations(op):
        if tensor.dtype not in BYTES and tensor not in state_tensors and op.name not in _ANY_WIDTH:
            raise ConvertError(f"tensor {tensor.name} is {tensor.dtype}; INT8 is supported")


def lower_requantize(op: Op, name: str) -> Step:
    """QUANTIZE between integers of any width."""
    source, result = op.source(), op.outputs[0]
    into, out = source.quantization, result.quantization
    multiplier, shift = quantize_multiplier(into.scale / out.scale)
    types = (_short(source.dtype), _short(result.dtype))
    return Step(
        name,
        f"{types[0]} to {types[1]}",
        "ws_seq_requantize",
        [source],
        result,
        ["&{name}_shape", "{0}", "{out}", str(source.size), *(f"WS_SEQ_{kind}" for kind in types)],
        struct="ws_seq_requantize_shape",
        fields={
            "factor": braces([multiplier, -shift]),
            "zero": into.zero_point,
            "out_zero": out.zero_point,
        },
        distance={0: 0} if result.bytes <= source.bytes else {},
    )


def lower_softmax(op: Op, name: str) -> Step:
    """SOFTMAX of int8 to int8 or int16."""
    result = op.outputs[0]
    if result.dtype != "INT16":
        return plain.lower_softmax(op, name)
    scale, zero = result.quantization.scale, result.quantization.zero_point
    if abs(scale * 65536 - 1) > 0.001 or zero != -32768:  # as near as TFLM requires
        raise ConvertError("an int16 output of scale 1/65536 and zero point -32768 is supported")
    narrow = replace(
        result, dtype="INT8", scales=np.array([1 / 256]), zero_points=np.array([-128])
    )  # the same but for how it ends
    step = plain.lower_softmax(replace(op, outputs=[narrow]), name)
    step.kernel, step.result, step.distance = "ws_seq_softmax16", result, {}
    return step


def _short(dtype: str) -> str:
    return dtype.lower().replace("int", "i")
