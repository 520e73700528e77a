# SPDX-License-Identifier: Apache-2.0
"""A placed graph to a program: one step, or none, for each operator."""

from __future__ import annotations

from collections.abc import Callable

from wakestate.contract.kernels import Kernels
from wakestate.convert.compile.dense import lower_dense
from wakestate.convert.compile.pairs import PAIRS, lower_pair
from wakestate.convert.compile.place import Placer, Window, step_name
from wakestate.convert.compile.plain import (
    dense_strides,
    lower_bilinear,
    lower_copy,
    lower_move,
    lower_pad,
    lower_pool,
    lower_table,
)
from wakestate.convert.compile.program import Program, Step
from wakestate.convert.compile.reduce import REDUCTIONS, lower_reduction
from wakestate.convert.compile.sequence import lower_lstm, lower_svdf
from wakestate.convert.compile.simplify import RESHAPES, Work
from wakestate.convert.compile.views import TableOp
from wakestate.convert.compile.wide import check_widths, lower_requantize, lower_softmax
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.move import JOINS, MOVES, box, is_stretch, joined, moved, moved_from
from wakestate.convert.graph.tflite_graph import Op, Tensor


def lower(work: Work, kernels: Kernels) -> Program:
    """Place and lower; convert/compile/memory.py gives the offsets."""
    placer = Placer(work)
    places = placer.run()
    steps: list[Step] = []
    for op in work.ops:
        with work.at(op):
            steps += _lower(op, kernels, placer)
    for number, (tensor, buffer) in enumerate(placer.copies):
        steps.append(_whole_copy(f"output{number}", tensor, placer.stand_in(buffer)))
    places |= placer.stand_ins
    program = Program(steps, places, work.inputs, work.outputs, placer.buffers)
    program.resident = work.resident
    for window in placer.windows.values():
        _slide(window, program)
    return program


#: One step each; those with weights, joins, moves and variables are below.
_LOWER: dict[str, Callable[[Op, str], Step]] = {
    **dict.fromkeys(PAIRS, lower_pair),
    **dict.fromkeys(REDUCTIONS, lower_reduction),
    "AVERAGE_POOL_2D": lower_pool,
    "MAX_POOL_2D": lower_pool,
    "REQUANTIZE": lower_requantize,
    "RESIZE_BILINEAR": lower_bilinear,
    "SOFTMAX": lower_softmax,
    "SVDF": lower_svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lower_lstm,
}


def _lower(op: Op, kernels: Kernels, placer: Placer) -> list[Step]:
    name = step_name(op)
    check_widths(op)
    if isinstance(op, TableOp):
        return [lower_table(op, name)]
    if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
        return [lower_dense(op, name, kernels)]
    if op.name in _LOWER:
        return [_LOWER[op.name](op, name)]
    if op.name in ("PAD", "PADV2"):
        return lower_pad(op, name)
    if op.name in RESHAPES:
        return []
    if op.name in JOINS:
        return _joined(op, name, placer)
    if op.name in MOVES:
        return _moved(op, name, placer)
    if op.name in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
        return _variable(op, name, placer)
    raise ConvertError("supported at the ends of a graph only")


def _joined(op: Op, name: str, placer: Placer) -> list[Step]:
    """What of a concatenation is not yet where it should be."""
    whole, parts, found = op.outputs[0], joined(op), []
    for number, (tensor, index) in enumerate(parts):
        if is_stretch(index) and placer.in_place(tensor, whole, int(index[0])):
            continue
        shape, strides, offset = box(index) or ([], [], 0)  # it always is one
        label = f"{name}_{number}" if len(parts) > 1 else name
        dense = dense_strides(shape)
        found.append(lower_copy(label, tensor, whole, shape, dense, strides, 0, offset))
    if found:
        found[-1].traced = True
    return found


def _moved(op: Op, name: str, placer: Placer) -> list[Step]:
    """What of a slice, split, permutation ... is no stretch of its input."""
    whole, found = moved_from(op), []
    for number, (tensor, index) in enumerate(moved(op)):
        if not is_stretch(index) or not placer.in_place(tensor, whole, int(index[0])):
            label = f"{name}_{number}" if len(op.outputs) > 1 else name
            found.append(lower_move(label, whole, tensor, index))
    return found


def _variable(op: Op, name: str, placer: Placer) -> list[Step]:
    """READ_VARIABLE and ASSIGN_VARIABLE, where the value is not the variable itself."""
    variable, reads = str(op.options["variable"]), op.name == "READ_VARIABLE"
    if variable in placer.windows:
        return []
    memory = placer.stand_in(placer.variables[variable])
    value = op.outputs[0] if reads else op.source(1)
    if placer.is_at(value, memory):
        return []
    return [_whole_copy(name, memory, value) if reads else _whole_copy(name, value, memory)]


def _slide(window: Window, program: Program) -> None:
    """Before the first step that touches a window, it slides; after the last, where the caller
    writes its newest columns."""
    buffer = program.places[window.whole].buffer
    retained = window.whole.size - window.slide
    first = next(
        number
        for number, step in enumerate(program.steps)
        if any(program.places[t].buffer is buffer for t in [*step.sources, step.result])
    )
    slide = Step(
        f"{buffer.name.lower()}_slide",
        f"window slides by {window.slide} bytes",
        "ws_slide",
        [window.whole],
        window.whole,
        ["{out}", f"{{0}} + {window.slide}", str(retained)],
        traced=False,
    )
    given = any(program.places[t].buffer is buffer for t in program.inputs)
    program.steps.insert(len(program.steps) if given else first, slide)


def _whole_copy(name: str, source: Tensor, result: Tensor) -> Step:
    shape = (source.bytes,)
    return lower_copy(name, source, result, shape, (1,), (1,))
