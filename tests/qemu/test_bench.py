# SPDX-License-Identifier: Apache-2.0
"""bench/: the counts are right and the same each time, and a regression is seen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT
from tests.support.tflite_maker import Maker
from wakestate.__main__ import main
from wakestate.bench import table
from wakestate.bench.image import layer_constants, read_image, read_map
from wakestate.bench.measure import (
    LOOP_INSTRUCTIONS,
    Counts,
    Model,
    Subject,
    counting_boards,
    measure,
    parse,
    peers,
)
from wakestate.bench.rows import (
    COSTS,
    BenchError,
    Report,
    Row,
    compare,
    merge,
    read_report,
    write_report,
)
from wakestate.boards.elf import symbols
from wakestate.boards.run import QEMU, command
from wakestate.boards.schema import Board, load_board

TOY = Subject("toy", Path("tests/toy/toy.toml"), Path("tests/toy"))
BOARD = "mps2-an386"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def toy() -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return measure(TOY, BOARD)


def rows(report: Report) -> dict[str, Row]:
    return {row.layer: row for row in report.rows}


def instructions(report: Report, layer: str) -> int:
    count = rows(report)[layer].instructions
    assert count is not None
    return count


def test_two_runs_are_equal(toy: Report) -> None:
    assert measure(TOY, BOARD) == toy


def test_a_loop_of_known_length_is_counted_right(toy: Report) -> None:
    counts = Counts(load_board(BOARD), ROOT / f"build/{BOARD}/toy/bench.elf")
    assert abs(counts.mean("loop") - LOOP_INSTRUCTIONS) < 1


def test_counts_agree_with_a_trace_of_every_instruction(toy: Report) -> None:
    """QEMU can also log each instruction: an independent judge, too slow for more than this."""
    elf = ROOT / f"build/{BOARD}/toy/bench.elf"
    found = {symbol.name: symbol for symbol in symbols(elf)}
    usage = subprocess.run([QEMU, "-help"], capture_output=True, text=True, check=True).stdout
    old = "-singlestep" in usage  # until QEMU 8
    single = ["-singlestep"] if old else ["-accel", "tcg,one-insn-per-tb=on"]
    logged = 0
    for name in ("ws_set_state", "ws_word_select", "network_select"):
        first, size = found[name].address, found[name].size
        trace = [*single, "-d", "exec,nochain", "-dfilter", f"{first:#x}+{size:#x}"]
        done = subprocess.run(
            [*command(load_board(BOARD), elf, []), *trace], capture_output=True, check=True
        )
        logged += done.stderr.count(b"\nTrace ") + done.stderr.startswith(b"Trace ")
    calls = 64  # REPEATS of bench.c; resets more call the last two
    # The call itself and its two arguments are counted too, and are outside of the functions.
    assert 0 <= instructions(toy, "state change") - logged / calls <= 5


def test_counts_fit_each_other(toy: Report) -> None:
    layers = [row for row in toy.rows if row.flash is not None and row.macs is not None]
    inner = [row for row in layers if row.layer != "total"]
    assert len(inner) == 8
    for row in inner:
        assert row.instructions is not None and row.macs is not None
        assert row.instructions > 2 * row.macs, "plain C takes a load and a MAC at the least"
    # Tracing itself costs a few instructions a layer: `rest` is what it leaves.
    assert abs(instructions(toy, "rest")) < 20 * len(inner)
    step, hop = instructions(toy, "step"), instructions(toy, "front end")
    parts = 100 * hop + 50 * step  # the toy's stride is 2
    assert parts < instructions(toy, "total") < 1.05 * parts
    assert hop + step < instructions(toy, "worst hop") < 1.07 * (hop + step)
    assert instructions(toy, "state change") < 40


def test_image_is_accounted_for(toy: Report) -> None:
    elf = ROOT / f"build/{BOARD}/toy/image.elf"
    image = read_image(elf)
    total = rows(toy)["total"]
    assert (total.flash, total.ram) == (image.flash, image.ram)
    sections = {item.part: item for item in toy.sections}
    assert sum(s.code + s.constants + s.data for s in toy.sections) == image.flash
    assert sum(s.data + s.zero for s in toy.sections) == image.ram
    assert sections["engine"].zero == 0, "the engine has no RAM but the caller's struct"
    engine = rows(toy)["engine"]
    assert engine.ram is not None and total.ram is not None and total.stack is not None
    assert engine.ram < total.ram < engine.ram + 512
    assert 300 < total.stack < load_board(BOARD).stack_bytes // 2
    # weights, bias, multiplier, shift of mix1: 8 x 12 bytes, two rows of three arrays at most; and
    # its shape, 14 bytes
    constants = layer_constants(elf, ["mix1"])["mix1"]
    assert 12 * 8 + 12 * 9 + 14 <= constants <= 12 * 8 + 2 * 12 * 9 + 14


def test_sizes_by_object_sum_to_the_image(toy: Report, capsys: pytest.CaptureFixture[str]) -> None:
    toy_files = ["--word", "tests/toy/toy.toml", "--model", "tests/toy"]
    assert main(["bench", "size", *toy_files, "--board", BOARD]) == 0
    out = capsys.readouterr().out
    lines = re.findall(r"^ +(\S.*?)  +(?:[\d,]+ +)*?([\d,]+) +[\d,]+$", out, re.MULTILINE)
    flash = {name: int(size.replace(",", "")) for name, size in lines}
    sums = [sum(size for name, size in flash.items() if ("/" in name) == deep) for deep in (1, 0)]
    engine, total = rows(toy)["engine"], rows(toy)["total"]
    assert sums[0] == flash["engine and model"] == engine.flash
    assert sums[1] == 2 * flash["image, without stack"] and total.flash == sums[1] // 2
    assert f"computed: {engine.stack_computed} ({engine.stack_calls})" in out
    assert main(["bench", "size", "--board", "host"]) == 1
    assert "host: has no flash; take a Cortex-M board" in capsys.readouterr().err


def test_map_without_a_memory_map_is_refused() -> None:
    with pytest.raises(BenchError, match="build again"):
        read_map("Archive member included\n")


def test_every_emulated_core_is_counted() -> None:
    cores = {load_board(name).core for name in counting_boards()}
    assert cores == {"cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"}


def test_a_wrong_clock_is_seen(toy: Report) -> None:
    board = load_board(BOARD)
    wrong = Board.model_validate({**board.model_dump(), "clock_hz": 24_000_000})
    with pytest.raises(BenchError, match=r"2001 instructions is counted as 208\d; is clock_hz"):
        Counts(wrong, ROOT / f"build/{BOARD}/toy/bench.elf")


def report(*items: Row, compiler: str = "gcc 1") -> Report:
    return Report(compiler=compiler, emulator="qemu 1", rows=list(items))


def row(layer: str = "step", core: str = "cortex-m4", **costs: int) -> Row:
    return Row(model="m", core=core, layer=layer).model_copy(update=costs)


def found(old: Report, new: Report) -> list[tuple[str, bool]]:
    return [(d.text, d.regression) for d in compare(old, new, update="UPDATE")]


def test_growth_above_one_percent_is_a_regression() -> None:
    for cost in COSTS:

        def of(value: int, cost: str = cost) -> Report:
            return report(row().model_copy(update={cost: value}))

        name = f"m, cortex-m4, step: {cost} 1,000"
        assert found(of(1000), of(1000)) == []
        assert found(of(1000), of(1010)) == [(f"{name} -> 1,010, +1.00 %", False)]
        assert found(of(1000), of(1011)) == [(f"{name} -> 1,011, +1.10 %, WORSE", True)]
        assert found(of(1000), of(500)) == [(f"{name} -> 500, -50.00 %", False)]


def test_rows_at_the_edge() -> None:
    assert found(report(row("rest", instructions=-7)), report(row("rest", instructions=9))) == []
    text, worse = found(report(row(instructions=0)), report(row(instructions=1)))[0]
    assert worse and "from nothing" in text


def test_rows_gone_and_new_cores_need_a_word() -> None:
    old = report(row("a", instructions=1), row("b", instructions=2))
    gone = found(old, report(row("a", instructions=1)))
    assert gone == [
        ("m, cortex-m4, b: gone, was instructions 2; if that is meant, UPDATE", True),
    ]
    new = report(*old.rows, row("c", flash=3))
    assert found(old, new) == [("m, cortex-m4, c: new, flash 3", False)]
    other = report(row("a", "cortex-m3", instructions=1))
    assert found(old, other) == [("m, cortex-m3: not in the baseline; UPDATE", True)]
    macs = found(report(row(macs=1)), report(row(macs=2)))
    assert macs == [("m, cortex-m4, step: MACs 1 -> 2: another network", False)]


def test_another_compiler_is_named_only_where_something_changed() -> None:
    old, same = report(row(flash=1)), report(row(flash=1), compiler="gcc 2")
    assert found(old, same) == []
    changed = report(row(flash=2), compiler="gcc 2")
    assert ("the compiler is another: 'gcc 1' -> 'gcc 2'", False) in found(old, changed)


def test_a_baseline_keeps_what_was_not_measured(tmp_path: Path) -> None:
    m4, m33 = row(instructions=1), row(core="cortex-m33", instructions=2)
    both = merge(report(m33, m4), report(row(instructions=9)))
    assert both.rows == [row(instructions=9), m33], "M4 before M33"
    write_report(tmp_path / "x.json", both)
    assert read_report(tmp_path / "x.json", made_by="") == both


def test_diff_command_fails_and_reports_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = tmp_path / "baseline.json", tmp_path / "bench.json"
    arguments = ["--out", str(tmp_path), "--baseline", str(base)]
    assert main(["bench", "diff", *arguments]) == 1
    assert f"{out}: no such file; `make bench` makes it" in capsys.readouterr().err
    write_report(out, report(row(instructions=100)))
    assert main(["bench", "accept", *arguments, "--page", str(tmp_path / "none")]) == 0
    assert main(["bench", "diff", *arguments]) == 0
    assert "nothing changed" in capsys.readouterr().out
    write_report(out, report(row(instructions=102)))
    assert main(["bench", "diff", *arguments]) == 1
    error = capsys.readouterr().err
    assert "m, cortex-m4, step: instructions 100 -> 102, +2.00 %, WORSE" in error
    assert "1 worse against" in error and "`wakestate bench accept` accepts it" in error
    base.write_text('{"rows": 3}', encoding="utf-8")
    assert main(["bench", "diff", *arguments]) == 1
    assert "compiler: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "wording"),
    [
        (["--board", "host"], "host: QEMU cannot count its instructions; allowed: mps2-an385"),
        (["--board", "nowhere"], "no board 'nowhere'; there are:"),
        (["--word", "nothing"], "words/nothing.toml"),
    ],
)
def test_run_refuses_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], wording: str
) -> None:
    assert main(["bench", "run", *arguments, "--out", str(tmp_path)]) in (1, 2)
    assert wording in capsys.readouterr().err


def test_output_that_is_no_count_is_refused() -> None:
    with pytest.raises(BenchError, match="give 4 numbers"):
        parse("step,1,2\n")


def test_tables_show_every_row(toy: Report, tmp_path: Path) -> None:
    shown = table.text(toy)
    for item in toy.rows:
        assert item.instructions is None or f"{item.instructions:,}" in shown
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench toy -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    table.fill(page, toy)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "\nold\n" not in text
    assert f"{instructions(toy, 'total'):,}" in text
    table.fill(page, toy)
    assert page.read_text(encoding="utf-8") == text


def test_a_compiled_model_is_counted(tmp_path: Path) -> None:
    maker = Maker(1)
    x = maker.input([1, 12, 3, 8])
    y = maker.conv(x, 16, (3, 3), padding="SAME", activation="RELU")
    maker.output(maker.dense(y, 4))
    model = Model(maker.write(tmp_path / "counted.tflite"))
    report = measure(model, BOARD)
    assert measure(model, BOARD) == report
    found = rows(report)
    assert list(found) == ["conv0", "dense1", "rest", "engine", "total"]
    assert (found["conv0"].macs, found["dense1"].macs) == (12 * 3 * 16 * 72, 4 * 36 * 16)
    assert sum(instructions(report, name) for name in ("conv0", "dense1", "rest")) == instructions(
        report, "total"
    )
    engine, total = found["engine"], found["total"]
    assert engine.ram is not None and total.ram is not None and total.flash is not None
    # Input and output are in the image, besides the model's struct.
    assert engine.ram + 12 * 3 * 8 + 4 <= total.ram < engine.ram + 12 * 3 * 8 + 64
    assert 16 * 72 + 4 * 36 * 16 < total.flash < 16 * 72 + 4 * 36 * 16 + 6000
    assert "total, a run" in table.text(report)


def test_peers_are_models_and_streams(tmp_path: Path) -> None:
    for name, padding in (("a", "SAME"), ("b", "VALID")):
        maker = Maker(1)
        maker.output(maker.conv(maker.input([1, 9, 1, 4]), 4, (3, 1), padding=padding))
        maker.write(tmp_path / f"{name}.tflite")
    assert [model.name for model in peers(tmp_path)] == ["a", "b", "b_stream"]
