# SPDX-License-Identifier: Apache-2.0
"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM, with their states, for firmware/kernels/sequence.h."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.program import Step, Table, braces
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import quantize_multiplier
from wakestate.convert.graph.tflite_graph import Op, Tensor

#: Which inputs are states, kept from run to run.
STATES: dict[str, tuple[int, ...]] = {"SVDF": (4,), "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19)}


def states(op: Op) -> list[Tensor]:
    """The tensors that an operator reads and writes from run to run."""
    return [op.source(number) for number in STATES.get(op.name, ())]


def lower_svdf(op: Op, name: str) -> Step:
    """Features of the input, one value for each filter; then each filter over its last values."""
    source, features, times, state = (op.source(number) for number in (0, 1, 2, 4))
    result, rank, bias = op.outputs[0], int(op.options["rank"]), op.optional(3)
    weights, over = _constant(features, "INT8"), _constant(times, "INT8", "INT16")
    (filters, inputs), memory = weights.shape, over.shape[1]
    batches, units = source.size // inputs, filters // rank
    if state.dtype != times.dtype:
        raise ConvertError(f"a state of {state.dtype} for time weights of {times.dtype}")
    scales = [_scale(t) for t in (source, features, state, times, result)]
    # TFLM works these out as float.
    into = quantize_multiplier(float(scales[0] * scales[1] / scales[2]))
    out = quantize_multiplier(float(scales[2] * scales[3] / scales[4]))
    given = np.zeros(units, np.int64) if bias is None else _constant(bias, "INT32").reshape(-1)
    zero = int(state.zero_points[0])
    sums = given - zero * over.sum(axis=1).reshape(units, rank).sum(axis=1)
    wide = state.dtype == "INT16"
    fields = {
        "inputs": inputs,
        "units": units,
        "rank": rank,
        "memory": memory,
        "batches": batches,
        "feature": _factor(into),
        "output": _factor(out),
        "state_zero": zero,
        "out_zero": int(result.zero_points[0]),
    }
    return Step(
        name,
        f"SVDF, {filters} filters of {memory}",
        f"ws_seq_svdf{16 if wide else 8}",
        [source, state],
        result,
        [
            "&{name}_shape",
            "{name}_features",
            "{name}_feature_bias",
            "{name}_times",
            "{name}_bias",
            "{0}",
            "{1}",
            "{out}",
        ],
        [
            Table("features", "int8_t", weights.reshape(-1)),
            Table("feature_bias", "int32_t", _wrapped(-_zero(source) * weights.sum(axis=1))),
            Table("times", "int16_t" if wide else "int8_t", over.reshape(-1)),
            Table("bias", "int32_t", _wrapped(sums)),
        ],
        "ws_seq_svdf_shape",
        fields,
        macs=batches * filters * (inputs + memory),
    )


#: The gates in the order in which the kernel reads them: forget, input, cell, output.
_GATES = ((2, 6, 13), (1, 5, 12), (3, 7, 14), (4, 8, 15))


def lower_lstm(op: Op, name: str) -> Step:
    """Four gates for each unit and step, 16-bit cells; TFLM's 8x8->16 kernel."""
    source, hidden, cell, result = _lstm_ends(op)
    units = hidden.shape[-1]
    inputs = source.shape[2]
    steps, batches = source.shape[:2] if op.options["time_major"] else source.shape[1::-1]
    rows, sums, factors = [], [], {}
    for name_of, *at in zip(
        ("forget", "input", "cell", "output"), *zip(*_GATES, strict=True), strict=True
    ):
        w, r, b = (op.source(number) for number in at)
        weights, recurrent = _constant(w, "INT8"), _constant(r, "INT8")
        bias = _constant(b, "INT32").reshape(-1)
        rows.append(np.concatenate([weights, recurrent], axis=1))
        sums.append(bias - _zero(source) * weights.sum(axis=1))
        sums.append(-_zero(hidden) * recurrent.sum(axis=1))
        for given, matrix, kind in ((source, w, "input"), (hidden, r, "recurrent")):
            if np.any(matrix.zero_points != 0):
                raise ConvertError(f"{name_of} gate: weights must be symmetric")
            # TFLM multiplies these two as float; gates have 12 bits behind the point.
            product = float(_scale(given) * _scale(matrix))
            factors[name_of, kind] = quantize_multiplier(product / 2.0**-12)
    unit = float(np.float32(2.0**-15))
    scale = float(_scale(cell))
    across = (batches, 1) if op.options["time_major"] else (1, steps)  # in rows
    gates = ("forget", "input", "cell", "output")
    fields = {
        "steps": steps,
        "batches": batches,
        "inputs": inputs,
        "units": units,
        "step": across[0],
        "batch": across[1],
        **{
            kind: braces(_factor(factors[gate, kind]) for gate in gates)
            for kind in ("input", "recurrent")
        },
        "forget": _factor(quantize_multiplier(unit * scale / scale)),
        "update": _factor(quantize_multiplier(unit * unit / scale)),
        "output": _factor(quantize_multiplier(unit * unit / float(_scale(hidden)))),
        **_tanh(scale),
        "clip": _clip(op, scale),
        "out_zero": _zero(hidden),
    }
    return Step(
        name,
        f"LSTM, {inputs} -> {units}, {steps} steps",
        "ws_seq_lstm",
        [source, hidden, cell],
        result,
        ["&{name}_shape", "{name}_weights", "{name}_bias", "{0}", "{1}", "{2}", "{out}"],
        [
            Table("weights", "int8_t", np.stack(rows, axis=1).reshape(-1)),
            Table("bias", "int32_t", _wrapped(np.stack(sums, axis=1)).reshape(-1)),
        ],
        "ws_seq_lstm_shape",
        fields,
        macs=batches * steps * 4 * units * (inputs + units),
    )


def _lstm_ends(op: Op) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input, hidden state, cell state and output, and what else TFLM asks for."""
    if len(op.inputs) != 24:
        raise ConvertError(f"{len(op.inputs)} inputs; 24 are supported, as by TFLM")
    extras = {"peepholes": (9, 10, 11), "a projection": (16, 17)}
    extras["layer normalization"] = (20, 21, 22, 23)
    for what, numbers in extras.items():
        if any(op.inputs[number] is not None for number in numbers):
            raise ConvertError(f"{what}; TFLM and this compiler support the plain LSTM only")
    source, hidden, cell, result = op.source(), op.source(18), op.source(19), op.outputs[0]
    if (source.dtype, hidden.dtype, cell.dtype, result.dtype) != ("INT8", "INT8", "INT16", "INT8"):
        raise ConvertError(
            f"{source.dtype} input, {hidden.dtype} and {cell.dtype} states; an int8 LSTM with a "
            "cell of int16 is supported: convert with TFLITE_BUILTINS_INT8"
        )
    if op.options["fused_activation_function"] != "TANH":
        raise ConvertError("TANH is the activation that is supported")
    return source, hidden, cell, result


def _tanh(scale: float) -> dict[str, int]:
    """Multiplier and shift to the right that bring a cell to steps of 1/24 of the table."""
    left = 15 + round(math.log2(scale)) - 3
    if not -30 <= left <= 14:
        raise ConvertError(f"a cell state of scale {scale}; 2^-42 to 4 is supported")
    return {"tanh_multiplier": 3 << max(left, 0), "tanh_shift": max(-left, 0)}


def _clip(op: Op, scale: float) -> int:
    """The most that a cell may be; 0: any."""
    clip = float(np.float32(op.options.get("cell_clip", 0.0)))
    return math.floor(min(clip / scale, 32767.0)) if clip > 0 else 0


def _constant(tensor: Tensor, *dtypes: str) -> NDArray[np.int64]:
    if tensor.data is None or tensor.dtype not in dtypes:
        raise ConvertError(f"weights and biases must be constants of {' or '.join(dtypes)}")
    return tensor.data.astype(np.int64)


def _scale(tensor: Tensor) -> np.float32:
    return np.float32(tensor.quantization.scale)


def _zero(tensor: Tensor) -> int:
    return tensor.quantization.zero_point


def _factor(pair: tuple[int, int]) -> str:
    return braces([pair[0], -pair[1]])


def _wrapped(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """As int32, which wraps as the kernels' sums do."""
    return sums.astype(np.int32).astype(np.int64)
