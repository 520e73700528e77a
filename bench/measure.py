# SPDX-License-Identifier: Apache-2.0
"""Builds a word for a board, runs its counting programs in QEMU and makes rows of the counts."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wakestate.bench.image import Image, layer_constants, read_image
from wakestate.bench.rows import REST, BenchError, Report, Row, Sections
from wakestate.bench.stack import POINTED, Stack, Worst
from wakestate.boards.building import build
from wakestate.boards.run import QEMU, capture
from wakestate.boards.schema import Board, board_names, load_board
from wakestate.convert.compile.emit import compile_model, emit_for_make
from wakestate.convert.compile.names import model_name
from wakestate.convert.emit import compile_word
from wakestate.convert.graph.errors import ConvertError
from wakestate.words import Word, WordError, load_word

#: 2^6 ns an instruction: more than a tick for each where the clock is above 15.6 MHz, and the
#: counter's 24 bits still hold 8 million instructions at 32 MHz; bench.c says if it ran over.
SHIFT = 6
#: For what takes more: a tick for five instructions, 83 million of them.
COARSE = 3
#: What firmware/test/count.c counts as a check: a move, and a thousand times two.
LOOP_INSTRUCTIONS = 2001
#: firmware/test/bench.c processes this much.
SECONDS = 3

#: Where the stack is empty, and what an application calls from there.
RESET = "ws_reset"
CALLS = ("ws_init_words", "ws_push", "ws_poll", "ws_set_state")

#: MACs an instruction can do at most: MLA; SMLAD; VMLADAVA.S8 on 16 lanes.
MACS_PER_INSTRUCTION = {
    "cortex-m3": 1,
    "cortex-m4": 2,
    "cortex-m7": 2,
    "cortex-m33": 2,
    "cortex-m55": 16,
}


@dataclass(frozen=True)
class Subject:
    """A word to measure, and the folder of its model."""

    word: str
    wordfile: Path
    model: Path
    wide: bool = False  # the kernel set dsp-wide

    @property
    def name(self) -> str:
        """Of its rows."""
        return self.word + ("_wide" if self.wide else "")


@dataclass(frozen=True)
class Model:
    """Any int8 .tflite to measure, compiled whole or as a stream."""

    tflite: Path
    stream: bool = False
    wide: bool = False  # the kernel set dsp-wide

    @property
    def name(self) -> str:
        """Of its rows, and of its C."""
        ends = ("_stream" if self.stream else "") + ("_wide" if self.wide else "")
        return model_name(self.tflite) + ends


def peers(folder: Path) -> list[Model]:
    """The models of a folder; those that can stream also as streams."""
    found = []
    for path in sorted(folder.glob("*.tflite")):
        found.append(Model(path))
        try:
            compile_model(path, model_name(path), "plain", stream=True)
            found.append(Model(path, stream=True))
        except ConvertError:
            pass  # a whole-window model that pads time, or one that streams already
    return found


@dataclass(frozen=True)
class Counter:
    """One line of count.c."""

    times: int
    ticks: int
    minimum: int
    maximum: int


def counting_boards() -> list[str]:
    """The boards whose instructions QEMU can count."""
    boards = (load_board(name) for name in board_names())
    return [board.name for board in boards if board.qemu is not None and board.qemu.counts]


def macs_per_instruction(board: Board) -> int:
    """How many multiply-accumulates the core's best instruction does."""
    return MACS_PER_INSTRUCTION[board.core] if board.dsp else 1


def measure(subject: Subject | Model, board_name: str) -> Report:
    """Build, run, and return one model's rows on one board's core."""
    board = load_board(board_name)
    if board.kind != "cortex-m" or board.qemu is None:
        allowed = ", ".join(counting_boards())
        raise BenchError(f"{board.name}: QEMU cannot count its instructions; allowed: {allowed}")
    if isinstance(subject, Model):
        return _measure_model(subject, board)
    word, macs = _layers(subject)
    folder = _build(subject, board)
    engine = Counts(board, folder / "bench.elf")
    layers = Counts(board, folder / "bench-layers.elf")
    elf = folder / "image.elf"
    image = read_image(elf)
    constants = layer_constants(elf, list(macs))

    painted = engine.values["stack-bytes"]
    own_stack, whole_stack = stacks(folder / "bench.elf", board.prefix, CALLS, painted)

    row = partial(_row, subject.name, board)
    rows = [
        row(name, layers.mean(name, "empty trace"), count, constants[name])
        for name, count in macs.items()
    ]
    step = engine.mean("step")
    rows.append(row(REST, round(step) - sum(r.instructions or 0 for r in rows)))
    rows.append(row("step", step, sum(macs.values())))
    rows.append(row("front end", engine.mean("front end")))
    rows.append(row("worst hop", engine.maximum("engine")))
    rows.append(row("state change", engine.mean("state change")))
    own = image.parts["engine"]
    flash = own["code"] + own["constants"] + own["data"]
    ram = engine.values["engine-bytes"]
    rows.append(row("engine", flash=flash, ram=ram, computed=own_stack))
    rows.append(
        row(
            "total",
            engine.mean("engine") * engine.counters["engine"].times / SECONDS,
            round(
                sum(macs.values())
                * word.frontend.sample_rate
                / (word.frontend.hop_samples * word.model.stride)
            ),
            image.flash,
            image.ram,
            painted,
            whole_stack,
        )
    )
    return _report(subject.name, board, rows, image)


def _measure_model(subject: Model, board: Board) -> Report:
    """Rows of a compiled model: what its steps cost, and a run."""
    try:
        kernels = "dsp-wide" if subject.wide else board.kernels
        generated = Path("build/generated/compiled") / subject.name / kernels
        compiled = emit_for_make(
            subject.tflite, subject.name, kernels, generated, stream=subject.stream
        )
    except ConvertError as error:
        raise BenchError(str(error)) from None
    steps = {step.name: step.macs for step in compiled.program.steps if step.traced}
    out = Path("build") / board.name / "compiled" / subject.name
    variables = [f"TFLITE={subject.tflite}", f"NAME={subject.name}", f"OUT={out}"]
    variables += ["STREAM=yes"] if subject.stream else []
    _make("firmware/compile.mk", board, [*variables, *_kernel_set(subject)])
    whole, layers = Counts(board, out / "bench.elf"), Counts(board, out / "bench-layers.elf")
    image = read_image(out / "image.elf")
    constants = layer_constants(out / "image.elf", list(steps))
    row = partial(_row, subject.name, board)
    rows = [
        row(name, layers.mean(name, "empty trace"), macs or None, constants[name])
        for name, macs in steps.items()
    ]
    run, macs = whole.mean("run"), sum(steps.values())
    rows.append(row(REST, round(run) - sum(r.instructions or 0 for r in rows)))
    own = image.parts["engine"]
    flash = own["code"] + own["constants"] + own["data"]
    painted = whole.values["stack-bytes"]
    calls = (f"{subject.name}_reset", f"{subject.name}_run")
    own_stack, whole_stack = stacks(out / "bench.elf", board.prefix, calls, painted)
    ram = whole.values["model-bytes"]
    rows.append(row("engine", flash=flash, ram=ram, computed=own_stack))
    rows.append(row("total", run, macs, image.flash, image.ram, painted, whole_stack))
    return _report(subject.name, board, rows, image)


def _row(
    model: str,
    board: Board,
    layer: str,
    instructions: float | None = None,
    macs: int | None = None,
    flash: int | None = None,
    ram: int | None = None,
    painted: int | None = None,
    computed: Worst | None = None,
) -> Row:
    counted = None if instructions is None else round(instructions)
    return Row(
        model=model,
        core=board.core,
        layer=layer,
        instructions=counted,
        macs=macs,
        flash=flash,
        ram=ram,
        stack=painted,
        stack_computed=computed.bytes if computed else None,
        stack_calls=str(computed) if computed else None,
    )


def stacks(elf: Path, prefix: str, calls: Sequence[str], painted: int) -> tuple[Worst, Worst]:
    """The worst stack of the deepest of `calls`: of itself, and from reset on.

    Painting saw one run from reset on, printing not yet begun; so it may not have seen more.
    """
    stack = Stack(elf, prefix, POINTED)
    own = [stack.worst(call) for call in calls]
    whole = [
        Worst(stack.way(RESET, call).calls + worst.calls)
        for call, worst in zip(calls, own, strict=True)
    ]
    own_max, whole_max = (max(each, key=lambda worst: worst.bytes) for each in (own, whole))
    if painted > whole_max.bytes:
        raise BenchError(
            f"{elf}: a run used {painted} bytes of stack where {whole_max.bytes} is the computed "
            f"worst ({whole_max}); does something else run before the stack is read?"
        )
    return own_max, whole_max


def _report(model: str, board: Board, rows: list[Row], image: Image) -> Report:
    sections = [
        Sections(model=model, core=board.core, part=part, **kinds)
        for part, kinds in image.parts.items()
    ]
    return Report(
        compiler=_version(f"{board.prefix}gcc"),
        emulator=_version(QEMU),
        rows=rows,
        sections=sections,
    )


class Counts:
    """What one program counted, in instructions."""

    def __init__(self, board: Board, program: Path) -> None:
        assert board.clock_hz is not None  # the schema: every Cortex-M has one
        for shift in (SHIFT, COARSE):
            done = capture(board, program, [], icount=shift, timeout_s=300.0)
            if b"a smaller shift helps" not in done.stderr:
                break
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip()
            raise BenchError(f"{board.name}: {program.name}: status {done.returncode}: {message}")
        self.counters, self.values = parse(done.stdout.decode())
        self._per_tick = 1e9 / board.clock_hz / 2**shift
        loop = self.mean("loop")
        if abs(loop - LOOP_INSTRUCTIONS) > max(self._per_tick, 0.5):
            raise BenchError(
                f"{board.name}: a loop of {LOOP_INSTRUCTIONS} instructions is counted as "
                f"{round(loop)}; "
                f"is clock_hz = {board.clock_hz} in its board.toml the emulated SysTick's?"
            )

    def mean(self, name: str, overhead: str = "empty") -> float:
        """Instructions a time, without those of the counting."""
        return self._per_tick * (self._ticks(name) - self._ticks(overhead))

    def maximum(self, name: str) -> float:
        """Instructions of the dearest time."""
        return self._per_tick * (self._counter(name).maximum - self._ticks("empty"))

    def _ticks(self, name: str) -> float:
        counter = self._counter(name)
        return counter.ticks / counter.times

    def _counter(self, name: str) -> Counter:
        if name not in self.counters:
            raise BenchError(f"{name}: not counted; the C must TRACE every layer's end")
        return self.counters[name]


def parse(text: str) -> tuple[dict[str, Counter], dict[str, int]]:
    """The output of bench.c: counters, and single values."""
    counters, values = {}, {}
    for line in text.splitlines():
        name, *numbers = line.split(",")
        if len(numbers) == 4:
            counters[name] = Counter(*map(int, numbers))
        elif len(numbers) == 1:
            values[name] = int(numbers[0])
        else:
            raise BenchError(f"bench.c printed '{line}': give 4 numbers or 1 after the name")
    return counters, values


def _layers(subject: Subject) -> tuple[Word, dict[str, int]]:
    """The word, and its layers' MACs for one step."""
    try:
        word = load_word(subject.wordfile)
        program = compile_word(word, subject.model, "plain")
    except (ConvertError, WordError) as error:
        raise BenchError(str(error)) from None
    return word, {step.name: step.macs for step in program.steps if step.traced}


def build_image(subject: Subject, board: Board) -> Path:
    """The least image, without what counts; QEMU need not have the board."""
    if board.kind != "cortex-m":
        raise BenchError(f"{board.name}: has no flash; take a Cortex-M board, as mps2-an386")
    try:
        load_word(subject.wordfile)
    except WordError as error:
        raise BenchError(str(error)) from None
    variables = [f"WORD={subject.word}", f"WORDFILE={subject.wordfile}", f"MODEL={subject.model}"]
    _make("firmware/build.mk", board, variables, "image")
    return Path("build") / board.name / subject.word / "image.elf"


def _build(subject: Subject, board: Board) -> Path:
    variables = [f"WORD={subject.word}", f"WORDFILE={subject.wordfile}", f"MODEL={subject.model}"]
    out = Path("build") / board.name / subject.name
    _make("firmware/build.mk", board, [*variables, f"OUT={out}", *_kernel_set(subject)])
    return out


def _kernel_set(subject: Subject | Model) -> list[str]:
    return ["BOARD_KERNELS=dsp-wide"] if subject.wide else []


def _make(makefile: str, board: Board, variables: list[str], goal: str = "bench") -> None:
    done = build(makefile, goal, f"BOARD={board.name}", *variables)
    if done.returncode != 0:
        raise BenchError(f"{board.name}: does not build:\n{(done.stdout + done.stderr).strip()}")


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def floor(macs: int, board: Board) -> int:
    """The fewest instructions that do `macs`, nothing else counted."""
    return math.ceil(macs / macs_per_instruction(board))
