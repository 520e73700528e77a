# SPDX-License-Identifier: Apache-2.0
"""bench/stack.py: the computed stack is right where it can be computed, and no run takes more."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT
from tests.support.tflite_maker import Maker
from wakestate.__main__ import main
from wakestate.bench.measure import CALLS, Model, Subject, measure, stacks
from wakestate.bench.rows import BenchError, Report, Row
from wakestate.bench.stack import Stack, read_usage

PREFIX = "arm-none-eabi-"
TOY = Subject("toy", Path("tests/toy/toy.toml"), Path("tests/toy"))
#: M3, M4F and M55: plain C, the DSP extension and Helium.
BOARDS = ("mps2-an385", "mps2-an386", "mps3-an547")
#: Bytes at the end of the deepest frame that a run leaves alone: padding, a case not met.
MARGIN = 16
#: What the toy's layers are too short or too thin for; the computed worst holds it all the same.
UNTAKEN = re.compile(r"\b(?:ws_long|ws_whole_groups)[\w.]* (\d+)$")

#: Programs whose first function is `top`.
PROGRAMS = ROOT / "tests/native/stack"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def linked(folder: Path, program: str, core: str = "cortex-m4", *flags: str) -> Stack:
    """A program of PROGRAMS."""
    fpu = ["-mfpu=fpv4-sp-d16"] if core == "cortex-m4" else []
    machine = [f"{PREFIX}gcc", f"-mcpu={core}", "-mthumb", *fpu]
    machine += ["-mfloat-abi=hard" if core != "cortex-m3" else "-mfloat-abi=soft"]
    elf = folder / "x.elf"
    link = ["-nostartfiles", "--specs=nano.specs", "-Wl,-e,top", f"-Wl,-Map={elf}.map", *flags]
    for command in (
        [*machine, "-O2", "-fstack-usage", "-c", PROGRAMS / f"{program}.c", "-o", folder / "x.o"],
        [*machine, *link, folder / "x.o", "-o", elf],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return Stack(elf, PREFIX)


def usage(folder: Path) -> dict[str, int]:
    return read_usage([folder / "x.su"])


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_the_deepest_of_a_chain_is_found(tmp_path: Path, core: str) -> None:
    stack, printed = linked(tmp_path, "chain", core), usage(tmp_path)
    worst = stack.worst("top")
    assert [name for name, _ in worst.calls] == ["top", "middle", "low"]
    assert worst.bytes == printed["top"] + printed["middle"] + printed["low"]
    assert printed["low"] >= 200 and printed["middle"] >= 40
    assert str(worst).startswith(f"top {printed['top']}, middle {printed['middle']}, low")
    way = stack.way("top", "high")
    assert [name for name, _ in way.calls] == ["top", "middle"], "the longer way there"
    assert way.bytes == printed["top"] + printed["middle"]


def test_a_tail_call_gives_its_frame_back_first(tmp_path: Path) -> None:
    stack = linked(tmp_path, "tail_call")
    printed = usage(tmp_path)
    assert stack.worst("first").bytes == printed["last"] > printed["first"] >= 6 * 4
    assert stack.worst("top").bytes == printed["top"] + printed["last"]


def test_saved_float_registers_count(tmp_path: Path) -> None:
    stack = linked(tmp_path, "saved_floats")
    assert stack.worst("top").bytes == usage(tmp_path)["top"] >= 3 * 8


def test_a_switch_by_table_is_followed(tmp_path: Path) -> None:
    stack = linked(tmp_path, "switch")
    listing = subprocess.run(
        [f"{PREFIX}objdump", "-d", tmp_path / "x.elf"], capture_output=True, text=True, check=True
    ).stdout
    assert "\ttbb\t" in listing or "\ttbh\t" in listing, "the compiler made no table"
    assert stack.worst("top").bytes == usage(tmp_path)["top"] + usage(tmp_path)["deep"]


def test_a_veneer_is_followed(tmp_path: Path) -> None:
    stack = linked(tmp_path, "veneer", "cortex-m4", "-Wl,--section-start=.far=0x20000000")
    worst, printed = stack.worst("top"), usage(tmp_path)
    assert [name for name, _ in worst.calls] == ["top", "__far_veneer", "far"]
    assert worst.bytes == printed["top"] + printed["far"]


def test_library_functions_are_read_from_their_instructions(tmp_path: Path) -> None:
    stack = linked(tmp_path, "library")
    assert "memmove" not in usage(tmp_path)
    library = stack.worst("memmove").bytes
    assert library > 0, "it saves registers"
    assert stack.worst("top").bytes == usage(tmp_path)["top"] + library


@pytest.mark.parametrize(
    ("program", "wording"),
    [
        ("recursion", "recursion has no bound: odd -> even -> odd"),
        ("pointer", "calls through a pointer at 0x"),
        ("tail_pointer", "top: calls thro"),
        ("push", "top: takes 4 bytes, 0 of them as the compiler reports; inline assembly"),
        ("write_back", "top: takes 8 bytes"),
        ("sets_sp", "top: sets sp at 0x"),
        ("dynamic", "its stack is dynamic"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(tmp_path: Path, program: str, wording: str) -> None:
    with pytest.raises(BenchError) as error:
        linked(tmp_path, program).worst("top")
    assert wording in str(error.value)


def test_names_that_are_not_there_are_reported(tmp_path: Path) -> None:
    stack = linked(tmp_path, "chain")
    with pytest.raises(BenchError, match="no function nowhere"):
        stack.worst("nowhere")
    with pytest.raises(BenchError, match="no call leads from low to high"):
        stack.way("low", "high")
    with pytest.raises(BenchError, match=r"y\.su: no such file; build again"):
        read_usage([tmp_path / "y.su"])


def test_the_command_prints_bytes_and_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    low = linked(tmp_path, "chain").worst("low").bytes
    command = ["bench", "stack", "--board", "mps2-an386", "--elf", str(tmp_path / "x.elf")]
    assert main([*command, "low", "use"]) == 0
    assert capsys.readouterr().out == (
        f"low: {low} bytes of stack: low {low}\nuse: 0 bytes of stack: use 0\n"
    )
    (tmp_path / "x.elf.map").unlink()
    assert main([*command, "low"]) == 1
    assert "x.elf.map: no such file; link with -Wl,-Map=" in capsys.readouterr().err


def _bounded(report: Report) -> tuple[Row, Row]:
    rows = {row.layer: row for row in report.rows}
    total, engine = rows["total"], rows["engine"]
    assert total.stack is not None and total.stack_computed is not None
    assert engine.stack_computed is not None and engine.stack_calls is not None
    untaken = UNTAKEN.search(engine.stack_calls)
    margin = MARGIN + (int(untaken[1]) if untaken else 0)
    assert total.stack <= total.stack_computed <= total.stack + margin
    frames = [int(call.rsplit(" ", 1)[1]) for call in engine.stack_calls.split(", ")]
    assert sum(frames) == engine.stack_computed < total.stack_computed
    return engine, total


@pytest.mark.parametrize("board", BOARDS)
def test_a_word_takes_what_was_computed(board: str) -> None:
    """Also shows that no kernel's assembly pushes: that would be refused."""
    engine, total = _bounded(measure(TOY, board))
    assert engine.stack_calls is not None and total.stack_calls is not None
    assert engine.stack_calls.split()[0] in CALLS
    assert total.stack_calls.startswith("ws_reset ") and engine.stack_calls in total.stack_calls
    elf = Path(f"build/{board}/toy/bench.elf")
    assert total.stack_computed is not None
    with pytest.raises(BenchError, match="does something else run before the stack is read"):
        stacks(elf, PREFIX, CALLS, total.stack_computed + 4)


@pytest.mark.parametrize("board", BOARDS)
def test_a_compiled_model_takes_what_was_computed(board: str, tmp_path: Path) -> None:
    maker = Maker(1)
    # An odd number of pixels, so that a kernel for pairs of them takes its other way, too.
    x = maker.conv(maker.input([1, 11, 3, 8]), 16, (3, 3), padding="SAME", activation="RELU")
    maker.output(maker.dense(x, 4))
    model = Model(maker.write(tmp_path / "stacked.tflite"))
    engine, _ = _bounded(measure(model, board))
    assert engine.stack_calls is not None and engine.stack_calls.startswith("stacked_run ")
