# SPDX-License-Identifier: Apache-2.0
"""Engine and detector: unit tests in C on host and boards, and what the device code must not do."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.executors import TOY, expected_of
from tests.support.firmware_build import ALL, REAL, ROOT, build, skip_without_qemu
from wakestate.bench.stack import POINTED
from wakestate.boards.schema import BoardError
from wakestate.boards.vectors import Vectors, differences, run_vectors

#: Boards with room for the unit tests, which keep recordings in memory.
ROOMY = [board.name for board in ALL if board.emulated and board.chip is None]
WORDS = ["scripted", "toy"]


@pytest.mark.parametrize("word", WORDS)
def test_engine_under_sanitizers(word: str) -> None:
    done = build(word, "host", sanitize=True).run("engine-test")
    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.parametrize("board", ROOMY)
@pytest.mark.parametrize("word", WORDS)
def test_engine_on_boards(word: str, board: str) -> None:
    done = build(word, board).run("engine-test")
    assert (done.returncode, done.stderr.decode()) == (0, "")


def _vectors(window: int, bands: int, hops: int) -> Vectors:
    random = np.random.default_rng(7)
    vectors = Vectors()
    vectors.frontend(random.integers(-32768, 32768, (4, window)).astype(np.int16))
    for state in (0, 1):
        vectors.network(state, random.integers(-128, 128, (hops, bands)).astype(np.int8))
    vectors.stream(1, (random.normal(0, 3000, 16000)).astype(np.int16))
    return vectors


@pytest.mark.parametrize("board", [board.name for board in ALL if board.qemu])
def test_vectors_are_equal_on_host_and_boards(board: str) -> None:
    skip_without_qemu(board)
    host, other = build("toy", "host", sanitize=True), build("toy", board)
    vectors = _vectors(400, 8, 19)
    expected = run_vectors(host.board, host.program("vectors"), vectors)
    given = run_vectors(other.board, other.program("vectors"), vectors)
    assert differences(expected, given, records=vectors.records) == []
    assert set(expected[0]) == {"features", "features_q8"}
    assert {"returned"} < set(expected[1])
    assert expected[0]["features"].size == 4 * 8
    assert expected[3]["stream_outputs"].size == 3 * ((1 + (16000 - 400) // 160) // 2)


def test_the_engine_equals_the_references() -> None:
    """Outputs, scores, starts and ends, of which some are clipped at each side, most not."""
    host = build("toy", "host", sanitize=True)
    rng = np.random.default_rng(9)
    loudness = 10 ** np.repeat(rng.uniform(0, 3.5, 80), 2000)
    pcm = (loudness * rng.normal(0, 3, loudness.size)).astype(np.int16)
    vectors = Vectors()
    for state in (0, 1):
        vectors.stream(state, pcm)
    expected = [expected_of(TOY, state, pcm) for state in (0, 1)]
    given = run_vectors(host.board, host.program("vectors"), vectors)
    assert differences(expected, given, records=vectors.records) == []
    start = np.concatenate([found["stream_start"] for found in expected])
    end = np.concatenate([found["stream_end"] for found in expected])
    now = np.tile(400 + 320 * np.arange(len(end) // 2), 2)
    cases = [end == now, end < now, start == end - 1, start < end - 1]
    assert all(case.sum() > 20 for case in cases), [int(case.sum()) for case in cases]


def test_a_difference_names_stage_index_and_values() -> None:
    one = [{"conv": np.array([1, 2, 3], np.int8)}]
    two = [{"conv": np.array([1, 9, 3], np.int8)}]
    assert differences(one, two, records=["network (state 0)"]) == [
        "record 0, network (state 0): stage conv, index 1: expected 2, given 9"
    ]
    assert differences(one, one) == []
    assert differences(one, [{}]) == ["record 0: stage conv: not given"]


def test_vectors_that_are_cut_off_are_refused() -> None:
    host = build("toy", "host", sanitize=True)
    vectors = Vectors()
    vectors.network(5, np.zeros((4, 8), np.int8))
    with pytest.raises(BoardError, match="record 0: unknown kind or state"):
        run_vectors(host.board, host.program("vectors"), vectors)


@functools.cache
def _disassembly(word: str, board: str, program: str = "emulator") -> str:
    elf = build(word, board).program(program)
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(elf)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@functools.cache
def _calls(word: str, board: str, program: str = "emulator") -> dict[str, set[str]]:
    """Which function calls which: every branch to a function's start."""
    calls: dict[str, set[str]] = {}
    here = ""
    for line in _disassembly(word, board, program).splitlines():
        if start := re.match(r"[0-9a-f]+ <([^>]+)>:", line):
            here = start[1]
            calls[here] = set()
        elif (branch := re.search(r"\tb[a-z.]*\t[0-9a-f]+ <([^>+]+)>", line)) and (
            branch[1] != here or "\tbl\t" in line
        ):
            calls[here].add(branch[1])
    return calls


PROGRAMS = [("mps2-an385", "emulator"), *((board, "device") for board in REAL)]


@pytest.mark.parametrize(("board", "program"), PROGRAMS)
def test_device_code_does_not_recurse(board: str, program: str) -> None:
    calls = _calls("toy", board, program)
    assert "ws_detector_push" in calls["ws_push"] | calls.get("hop", set())
    for name in ("ws_push", "hop", "ws_word_advance", "advance", "ws_word_reset"):
        if name in calls:  # they call by the pointers of a model
            calls[name] |= set(POINTED)
    done: set[str] = set()

    def visit(function: str, path: tuple[str, ...]) -> None:
        assert function not in path, " -> ".join([*path, function])
        if function not in done:
            for called in calls.get(function, ()):
                visit(called, (*path, function))
            done.add(function)

    for function in calls:
        visit(function, ())


@pytest.mark.parametrize(("board", "program"), PROGRAMS)
def test_device_code_has_no_heap_and_no_float(board: str, program: str) -> None:
    names = set(_calls("toy", board, program))
    forbidden = re.compile(r"_?(malloc|calloc|realloc|free|sbrk)(_r)?|__aeabi_[df]\w+|.*printf.*")
    assert [name for name in names if forbidden.fullmatch(name)] == []
    # On the M4F floats would be instructions, not calls; only the startup may touch the FPU.
    code = _disassembly("toy", "mps2-an386" if program == "emulator" else board, program)
    assert re.search(r"\tv(add|mul|div|cvt|mla|fma)\.", code) is None


def test_public_header_stands_alone(tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(
        '#include "wakestate/wakestate.h"\nint main(void) { return sizeof(ws_engine) == 0; }\n'
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    includes = [f"-I{ROOT / 'firmware/include'}"]
    subprocess.run(["gcc", *flags, *includes, str(source)], check=True)


def test_stack_stays_far_from_its_limit(tmp_path: Path) -> None:
    made = build("toy", "mps2-an386")
    (tmp_path / "x.raw").write_bytes(bytes(32000))
    done = made.run("emulator", "--board-stack", "--scores", "-", stdin=bytes(32000))
    used = re.fullmatch(rb"board: stack used, bytes: (\d+)\n", done.stderr)
    assert used is not None, done.stderr
    assert 200 < int(used[1]) < made.board.stack_bytes // 2
