# SPDX-License-Identifier: Apache-2.0
"""WS_CHECKED: what is out of range where C would continue in silence is seen.
That nothing is, on real input, is seen in the sanitized builds, which are checked ones: SANITIZE=1,
tests/support/executors.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.executors import ROOT, TOY
from wakestate.convert.compile.sources import FIRMWARE
from wakestate.convert.emit import generate
from wakestate.render import write_files

KERNEL = ROOT / "tests/native/checked_kernel.c"
SOUND = {"BIAS": "0", "MULTIPLIER": "1 << 30", "SHIFT": "1", "A": "5", "EXPONENT": "3"}
FAULTS = {
    "nothing": ({}, ""),
    "accumulator": ({"BIAS": "INT32_MAX - 9"}, "check.h"),
    "negative multiplier": ({"MULTIPLIER": "-5"}, "multiplier >= 0"),
    "shift to the right": ({"SHIFT": "32"}, "shift < 32"),
    "product": ({"A": "INT32_MIN"}, "ws_high_mul"),
    "division": ({"EXPONENT": "32"}, "exponent < 32"),
}

FRONT = ROOT / "tests/native/checked_frontend.c"
USUAL = {"RE": "1 << 20", "SCALE": "3", "SUM": "77"}
BEYOND = {
    "nothing": ({}, ""),
    "power": ({"SCALE": "30"}, "scale"),
    "difference": ({"SUM": "INT32_MIN"}, "sum"),
}


def run(folder: Path, source: Path, macros: dict[str, str], flags: list[str]) -> tuple[int, str]:
    """The status of a program, and what it prints."""
    program = folder / "program"
    defined = [f"-D{name}=({value})" for name, value in macros.items()]
    call = ["gcc", "-std=c11", "-w", "-O1", *defined, *flags, f"-I{folder}", f"-I{FIRMWARE}"]
    call.append(f"-I{FIRMWARE / 'include'}")
    subprocess.run([*call, str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def judge(folder: Path, source: Path, macros: dict[str, str], found: str) -> None:
    """Refused where it is checked, if it is a fault; taken where it is not checked."""
    status, printed = run(folder, source, macros, ["-DWS_CHECKED"])
    assert (status == 0) == (not found), printed
    assert found in printed and ("Assertion" in printed) == bool(found)
    assert run(folder, source, macros, []) == (0, "")
    own = "-DWS_ASSERT(condition)=do { if (!(condition)) __builtin_exit(9); } while (0)"
    assert run(folder, source, macros, ["-DWS_CHECKED", own])[0] == (9 if found else 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_out_of_range_is_seen(fault: str, tmp_path: Path) -> None:
    macros, found = FAULTS[fault]
    judge(tmp_path, KERNEL, {**SOUND, **macros}, found)


def test_a_words_network_is_checked_too(tmp_path: Path) -> None:
    """Its headers come first, and have WS_ASSERT as well."""
    write_files(tmp_path, generate(TOY.word, TOY.word_path, TOY.folder))
    call = ["gcc", "-c", f"-I{FIRMWARE}", f"-I{FIRMWARE / 'include'}", str(tmp_path / "ws_toy.c")]
    for flags, checked in (["-DWS_CHECKED"], True), ([], False):
        subprocess.run([*call, *flags, "-o", str(tmp_path / "toy.o")], check=True)
        names = subprocess.run(
            ["nm", str(tmp_path / "toy.o")], capture_output=True, text=True, check=True
        ).stdout
        assert ("__assert_fail" in names) == checked


@pytest.mark.parametrize("fault", BEYOND)
def test_the_front_end_out_of_range_is_seen(fault: str, tmp_path: Path) -> None:
    macros, found = BEYOND[fault]
    write_files(tmp_path, generate(TOY.word, TOY.word_path, TOY.folder))
    judge(tmp_path, FRONT, {**USUAL, **macros}, found)
