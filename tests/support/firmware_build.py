# SPDX-License-Identifier: Apache-2.0
"""Builds of the firmware for tests, by firmware/build.mk as everybody's."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wakestate.boards import building
from wakestate.boards.generate import generate
from wakestate.boards.run import capture, check_qemu, command
from wakestate.boards.schema import Board, BoardError, board_names, load_board
from wakestate.convert.compile.sources import ENGINE

ROOT = Path(__file__).resolve().parents[2]

ALL = [load_board(name) for name in board_names()]
#: Boards that are there in QEMU; and real ones, which a newer QEMU may have.
EMULATED = [board.name for board in ALL if board.emulated]
REAL = [board.name for board in ALL if board.kind == "cortex-m" and not board.emulated]

#: What a program in QEMU is made with: start-up, files, main.
SEMIHOSTED = (
    "platform/cortex-m/startup",
    "platform/semihosting/semihosting",
    "platform/semihosting/main",
)

#: What to generate, or the folder of ready C.
SOURCES = {
    "scripted": ["GENERATED=tests/scripted"],
    "toy": ["WORDFILE=tests/toy/toy.toml", "MODEL=tests/toy"],
}


@dataclass(frozen=True)
class Build:
    """One word built for one board."""

    board: Board
    folder: Path

    def program(self, name: str) -> Path:
        """Of "emulator", "vectors" or "engine-test"; on a board also "device"."""
        if self.board.kind == "host":
            return self.folder / ("wake-emulator" if name == "emulator" else name)
        return self.folder / ("wakestate.elf" if name == "emulator" else f"{name}.elf")

    def run(
        self, name: str, *arguments: str | Path, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        texts = [str(argument) for argument in arguments]
        return capture(self.board, self.program(name), texts, stdin=stdin)


def skip_without_qemu(name: str) -> None:
    """Skip the test where the QEMU here has no such machine."""
    try:
        check_qemu(load_board(name))
    except BoardError as error:
        pytest.skip(str(error))


def host_device(folder: Path, driver: str = "device_driver") -> Path:
    """The device program on the host, with tests/native/DRIVER.c, scripted and sanitized."""
    generate("mps2-an386", folder)
    names = ["programs/device/device.c"]
    names += ENGINE
    names += [f"programs/common/{name}.c" for name in ("text", "words")]
    names += [f"uplink/{name}.c" for name in ("frame", "uplink")]
    sources = [f"firmware/{name}" for name in names]
    sources += [f"tests/scripted/ws_{name}.c" for name in ("words", "scripted", "frontend")]
    call = ["gcc", "-std=c11", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    call += [
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-D_POSIX_C_SOURCE=200809L",
    ]
    call += [
        f"-I{folder}",
        "-Itests/scripted",
        "-Ifirmware/include",
        "-Ifirmware",
        "-Iboards",
        *sources,
    ]
    call += [f"tests/native/{driver}.c", "-o", str(folder / driver)]
    subprocess.run(call, cwd=ROOT, check=True)
    return folder / driver


def build(
    word: str,
    board: str,
    *,
    sanitize: bool = False,
    cflags: str = "",
    generated: Path | None = None,
    program: str = "",
) -> Build:
    """Build all programs, or one; with `cflags`, or from other `generated` C, in a folder of their
    own."""
    name = word.replace(" ", "_")
    folder = Path("build") / (board + ("-sanitize" if sanitize else "")) / name
    variables = [f"BOARD={board}", f"WORD={word}", *SOURCES.get(word, [])]
    if sanitize:
        variables.append("SANITIZE=1")
    if cflags:
        folder = Path("build/variants") / board / f"{word}{cflags.replace(' ', '')}"
        variables += [f"EXTRA_CFLAGS={cflags}", f"OUT={folder}"]
    if generated:
        folder = generated / board
        variables += [f"GENERATED={generated}", f"OUT={folder}"]
    made = Build(load_board(board), ROOT / folder)
    if program:
        variables.append(str(folder / made.program(program).name))
    done = building.build("firmware/build.mk", *variables, root=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def run_device(made: Build, audio: Path, commands: bytes = b"") -> list[dict[str, Any]]:
    """The events of the device image; commands are sent once it is ready."""
    elf = made.program("device")
    call = command(made.board, elf, [str(audio)], icount=5, serial=True)
    # Unbuffered: communicate() would not see what readline() has buffered.
    with subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        rest, _ = process.communicate(commands, timeout=300)
        assert process.returncode == 0
    return [json.loads(line) for line in (first + rest).splitlines()]
