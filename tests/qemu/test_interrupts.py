# SPDX-License-Identifier: Apache-2.0
"""Priorities of interrupts come from board.toml, and the serial port interrupts the microphone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT, skip_without_qemu
from wakestate.boards.generate import generate
from wakestate.boards.run import command
from wakestate.boards.schema import BoardError, load_board

BOARD = "stm32f4-discovery"


def program(folder: Path, edit: tuple[str, str], patience: int) -> Path:
    """tests/native/preempted.c for the board, with a line of its generated facts edited."""
    board = load_board(BOARD)
    generate(BOARD, folder)
    facts = folder / "board_facts.h"
    text = facts.read_text(encoding="utf-8")
    assert edit[0] in text
    facts.write_text(text.replace(*edit), encoding="utf-8")
    sources = ["boards/chips/stm32f4.c", "tests/native/preempted.c"]
    sources += [f"firmware/platform/cortex-m/{name}.c" for name in ("startup", "restart")]
    call = ["arm-none-eabi-gcc", "-std=c11", "-O2", *board.cflags, *board.ldflags]
    call += [f"-DPATIENCE={patience}u", f"-I{folder}", "-Itests/scripted", *sources]
    call += ["-Ifirmware/include", "-Ifirmware"]
    call += [str(folder / "board_vectors.c"), "-T", str(folder / "linker.ld")]
    subprocess.run([*call, "-o", str(folder / "x.elf")], cwd=ROOT, check=True)
    return folder / "x.elf"


@pytest.mark.parametrize(
    ("level", "answer", "patience"), [("0x20u", "! came", 2**32 - 1), ("0x10u", "none", 10**7)]
)
def test_a_byte_comes_in_while_the_microphone_filters(
    level: str, answer: str, patience: int, tmp_path: Path
) -> None:
    """The board's priorities; and the same for both, where the byte has to wait."""
    skip_without_qemu(BOARD)
    line = "#define BOARD_MIC_PRIORITY "
    elf = program(tmp_path, (f"{line}0x20u", f"{line}{level}"), patience)
    call = command(load_board(BOARD), elf, [], serial=True)
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"in the handler\n"
        process.stdin.write(b"!")
        process.stdin.flush()
        printed = process.stdout.readline().decode().strip()
        process.kill()
    assert printed == answer


@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ("uart = 1 ", "uart = 2 ", "interrupts: uart: given 2; allowed: less than microphone, 2"),
        ("microphone = 2", "microphone = 16", "microphone: given 16; allowed: 0 to 15"),
        ("priority_bits = 4", "priority_bits = 9", "interrupts.priority_bits: given 9"),
        ("[interrupts]", "[interrupt]", "interrupt: unknown key"),
    ],
)
def test_priorities_are_checked(old: str, new: str, wording: str, tmp_path: Path) -> None:
    text = (ROOT / f"boards/{BOARD}/board.toml").read_text(encoding="utf-8")
    (tmp_path / BOARD).mkdir()
    assert old in text
    (tmp_path / BOARD / "board.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BoardError, match=re.escape(wording)):
        load_board(BOARD, tmp_path)


def test_the_number_of_bits_is_held_against_the_vendors_file(tmp_path: Path) -> None:
    name = "arduino-nano-33-ble-sense"
    text = (ROOT / f"boards/{name}/board.toml").read_text(encoding="utf-8")
    (tmp_path / name).mkdir()
    (tmp_path / name / "board.toml").write_text(
        text.replace("priority_bits = 3", "priority_bits = 4"), encoding="utf-8"
    )
    with pytest.raises(BoardError, match=r"given 4; allowed: 3, as nrf52840\.svd says"):
        generate(name, tmp_path / "out", tmp_path)
