# SPDX-License-Identifier: Apache-2.0
"""A program to C, from templates/compiled.*.j2; its loops are those of firmware/kernels."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.contract.kernels import Kernels, family
from wakestate.convert.compile.kernels import kernel_macros, shift_row
from wakestate.convert.compile.lower import lower
from wakestate.convert.compile.memory import plan
from wakestate.convert.compile.names import check_name
from wakestate.convert.compile.program import Buffer, Program
from wakestate.convert.compile.simplify import simplify
from wakestate.convert.compile.sources import included
from wakestate.convert.compile.stream import streaming
from wakestate.convert.compile.variants import merge
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Tensor, read_model
from wakestate.explain import one_line
from wakestate.files import sha256
from wakestate.render import heading, render, write_files

#: The kernels of every set; the others are in ops.h and sequence.h.
HOT = ("ws_dot", "ws_dot_wide", "ws_dot_one", "ws_conv", "ws_conv_wide", "ws_depthwise", "ws_slide")


@dataclass(frozen=True)
class End:
    """An input or output as the header shows it."""

    name: str
    ctype: str
    bytes: int
    scale: str
    zero_point: int

    def size(self, prefix: str) -> str:
        """How many elements, as C."""
        width = int(self.ctype.strip("uint_")) // 8
        return f"{prefix}_{self.name.upper()}_BYTES" + (f" / {width}" if width > 1 else "")

    def cast(self, const: str, address: str) -> str:
        """The address of bytes as one of its type, as C."""
        if self.ctype in ("int8_t", "uint8_t"):
            return f"({const}{self.ctype} *){address}" if self.ctype == "uint8_t" else address
        return f"({const}{self.ctype} *)({const}void *)({address})"


@dataclass(frozen=True)
class Compiled:
    """What was generated: the text of each file, and the program, to count its costs."""

    files: dict[str, str]
    program: Program
    warmup: int
    warning: str  # for the caller, one line; empty: none


def compile_model(path: Path, name: str, kernels: Kernels, *, stream: bool = False) -> Compiled:
    """Read a .tflite file and generate NAME.h and NAME.c, and ws_compiled.h for firmware/test."""
    check_name(name)
    work = simplify(read_model(path))
    warmup, warning = 0, ""
    if stream:
        whole = lower(work, kernels).macs
        warmup = streaming(work)
        program = lower(work, kernels)
        warning = _no_gain(program, path, whole)
    else:
        program = lower(work, kernels)
    plan(program)
    streams, file = " --stream" if stream else "", _comment(path.name)
    first = heading(
        f"  model  {file}  sha256 {sha256(path)}",
        f"  wakestate model compile {file} --kernels {kernels}{streams} --name {name}",
    )
    values = program_values(program, name, file, first, kernels) | {"warmup": warmup}
    files = {f"{name}.h": render("compiled.h.j2", **values)}
    files[f"{name}.c"] = render("compiled.c.j2", **values)
    ends = {"given": _in_a_row(values["inputs"]), "found": _in_a_row(values["outputs"])}
    files["ws_compiled.h"] = render("ws_compiled.h.j2", **values, **ends)
    return Compiled(files, program, warmup, warning)


def compile_variants(paths: Sequence[Path], kernels: Kernels) -> Program:
    """A stream from one file for each variant, planned. Its steps are named after the tensors that
    they make; its inputs are in its state: the caller writes them there before a run."""
    programs = []
    for path in paths:
        work = simplify(read_model(path))
        work.name_steps()
        work.resident, window = True, work.inputs[0].shape[1:2]
        streaming(work)
        programs.append(lower(work, kernels))
        programs[-1].window = window[0]
    program = merge(paths, programs)
    plan(program)
    return program


def _no_gain(program: Program, path: Path, whole: int) -> str:
    """A warning where a stream saves nothing; ConvertError where axis 1 cannot be time."""
    if program.macs < whole:
        return ""
    (given,) = program.inputs
    figures = f"{program.macs} multiply-accumulates a run, {whole} for the whole window"
    if given.size == 1:
        raise ConvertError(
            f"{path}: --stream: axis 1 of the input is no time, one value would be a column: "
            f"{figures}; compile without --stream"
        )
    return f"{path}: --stream saves nothing: {figures}; compile without --stream"


def emit_model(
    path: Path,
    name: str,
    kernels: Kernels,
    out: Path,
    *,
    stream: bool = False,
    copies: bool = True,
) -> tuple[Compiled, list[Path]]:
    """The same, written to a folder, with `copies` of the headers of firmware/kernels that it
    includes; files whose text is the same are left untouched."""
    other = out / "ws_compiled.h"
    if other.is_file() and f'#include "{name}.h"' not in other.read_text(encoding="utf-8"):
        raise ConvertError(
            f"{out}: holds the C of another model, whose ws_compiled.h this would replace; give "
            "each model a folder of its own: --out"
        )
    compiled = compile_model(path, name, kernels, stream=stream)
    copied = included(compiled.files.values()) if copies else {}
    return compiled, write_files(out, {**compiled.files, **copied})


def emit_for_make(
    path: Path, name: str, kernels: Kernels, out: Path, *, stream: bool = False
) -> Compiled:
    """The same for firmware/compile.mk with GENERATED=`out`, which then starts no Python for it."""
    compiled, _ = emit_model(path, name, kernels, out, stream=stream, copies=False)
    shutil.copyfile(path, out / ".model")
    (out / ".stamp").touch()
    return compiled


def program_values(
    program: Program,
    name: str,
    title: str,
    header: str,
    kernels: Kernels,
    variants: Sequence[str] = (),
) -> dict[str, Any]:
    """What the templates of a program and of its kernels show; `name` is of its struct.

    `variants` are the names of what the tables of `program` have rows for, for the comments.
    """
    uses = {step.kernel for step in program.steps}
    for buffer in program.buffers:
        buffer.note = _comment(buffer.note)
    inputs = [] if program.resident else _ends(program, program.inputs, "input")
    outputs = _ends(program, program.outputs, "output")
    fills, starts = _start(program.of_kind("state"))
    regions = [("state", program.of_kind("state")), ("arena", program.of_kind("arena"))]
    touched = set(re.findall(r"\w+", " ".join(map(program.call, program.steps))))
    pointers = [kind for kind, found in regions if found and kind in touched]
    return {
        "header": header,
        "kernels": family(kernels),
        "name": name,
        "title": f"{title}: {len(program.steps)} steps, {program.macs} multiply-accumulates a run.",
        "macs": program.macs,
        "inputs": inputs,
        "outputs": outputs,
        "ends": [
            f"{end.name}: {_described(tensor)}"
            for end, tensor in zip(
                inputs + outputs, program.inputs[: len(inputs)] + program.outputs, strict=True
            )
        ],
        "variants": variants,
        "varying": [step for step in program.steps if step.varies],
        "columns": program.places[program.inputs[0]].start if program.resident else None,
        "linkage": "static " if variants else "",
        "state_bytes": program.state_bytes,
        "arena_bytes": max(program.arena_bytes, 4),
        "memory": regions,
        "pointers": pointers,
        "unused": [
            *([] if pointers else ["model"]),
            *(e.name for e in inputs if e.name not in touched),
        ],
        "constants": [
            *program.of_kind("constant"),
            *(replace(b, name=f"{b.name.lower()}_initial") for b in starts),
        ],
        "fills": fills,
        "starts": starts,
        "program": program,
        "described": _described,
        "ops": any(use not in HOT and not use.startswith("ws_seq_") for use in uses),
        "sequences": any(use.startswith("ws_seq_") for use in uses),
        "macros": _kernel_macros(program, kernels),
    }


def _in_a_row(ends: Sequence[End]) -> tuple[list[tuple[End, int]], int]:
    """The ends one after another, each at a multiple of 4: where, and the bytes of all."""
    at = list(accumulate((-(-end.bytes // 4) * 4 for end in ends), initial=0))
    return list(zip(ends, at[:-1], strict=True)), at[-1]


def _comment(text: str) -> str:
    """A foreign name as it may be in a comment."""
    return one_line(text).replace("*/", "* /").replace("/*", "/ *")


def _kernel_macros(program: Program, kernels: Kernels) -> list[tuple[str, str]]:
    """What the kernels of this program must cope with."""
    dense = [step for step in program.steps if step.has_row and step.kernel in HOT]
    shifts = [  # to the right, again, of real channels
        shift_row(kernels, table.values)[..., : step.result.shape[-1]]
        for step in dense
        for table in step.tables
        if table.part == "shift"
    ]
    # One pixel's dot products always take the way for both signs.
    several = [s for s in dense if s.fields.get("pixels") != 1]

    def signed(*names: str) -> bool:
        """Whether results below the zero point matter: not where it is the least output."""
        return any(s.limits.zero_point > -128 for s in several if s.limits and s.kernel in names)

    return kernel_macros(
        any_shift=any(bool(np.any(values < 1)) for values in shifts),
        clamps=any(step.limits is not None and step.limits.clamps for step in dense),
        signed_dots=signed("ws_dot", "ws_conv", "ws_dot_wide", "ws_conv_wide"),
        signed_depthwise=signed("ws_depthwise"),
        careful_depthwise=any(step.careful for step in dense),
        halves_up=program.halves_up,
        lefts=_lefts(program),
        **_types(program),
    )


def _lefts(program: Program) -> dict[str, bool]:
    """Of the operators on pairs that may scale to the left, whether they do."""
    found: dict[str, bool] = {}
    for step in program.steps:
        op = step.kernel.removeprefix("ws_op_")
        if op in ("mul", "prelu", "squared_difference"):
            shifts = [int(str(v)) for field, v in step.fields.items() if field.endswith("shift")]
            found[op] = found.get(op, False) or min(shifts) < 0
    return found


def _types(program: Program) -> dict[str, str]:
    """C types of the shapes' fields: larger ones where a window is beyond the usual."""
    shapes = [
        (name, int(str(value)))
        for step in program.steps
        if step.struct in ("ws_dot_shape", "ws_conv_shape")
        for name, value in step.fields.items()
        if name not in ("fill", "range")
    ]
    windows = ("kernel", "stride", "dilation", "pad")
    maximum = max((value for name, value in shapes if name.startswith(windows)), default=0)
    largest = max((value for name, value in shapes if not name.startswith(windows)), default=0)
    return {
        "window_type": "uint8_t" if maximum < 1 << 8 else "int32_t",
        "size_type": "uint16_t" if largest < 1 << 16 else "int32_t",
    }


def _ends(program: Program, tensors: list[Tensor], kind: str) -> list[End]:
    names = [b.name.split(")")[-1] for b in program.buffers if b.kind == kind]
    found = []
    for tensor, name in zip(tensors, names, strict=True):
        ctype, quantization = f"{tensor.dtype.lower()}_t", tensor.quantization
        scale = f"{np.float32(quantization.scale)!s}f"
        found.append(End(name, ctype, tensor.bytes, scale, quantization.zero_point))
    return found


def _start(states: list[Buffer]) -> tuple[list[dict[str, object]], list[Buffer]]:
    """How a reset fills the state: with one value each, all at once where it is the same, and the
    rest from tables."""
    values = {buffer: np.unique(np.asarray(buffer.initial)).tolist() for buffer in states}
    uniform = [buffer for buffer in states if len(values[buffer]) == 1]
    stretches = [(f"model->state + {b.name}", values[b][0], b.size) for b in uniform]
    if len(uniform) == len(states) and len({value for _, value, _ in stretches}) == 1:
        stretches = [("model->state", stretches[0][1], states[-1].offset + states[-1].size)]
    fills = [dict(zip(("at", "value", "bytes"), stretch, strict=True)) for stretch in stretches]
    return fills, [buffer for buffer in states if buffer not in uniform]


def _described(tensor: Tensor) -> str:
    """Its shape and what its values mean."""
    shape = "x".join(str(n) for n in tensor.shape) or "1"
    if not len(tensor.scales):
        return shape
    scale, zero = tensor.quantization.scale, tensor.quantization.zero_point
    return f"{shape}, scale {scale:.6g}, zero point {zero}"
