# SPDX-License-Identifier: Apache-2.0
"""Runs a program built for a board: the host's natively, the others' in QEMU.

Arguments, stdin, stdout, stderr and exit status pass through as if the program were native.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wakestate.boards.schema import Board, BoardError

#: The emulator; the variable names another, such as a newer one.
QEMU = os.environ.get("WAKESTATE_QEMU", "qemu-system-arm")


def command(
    board: Board,
    program: Path | None,
    arguments: Sequence[str],
    *,
    icount: int | None = None,
    serial: bool = False,
    gdb: str | None = None,
) -> list[str]:
    """The command line that runs `program`, built for `board`.

    With `serial`, the board's serial port is on stdin and stdout. With `gdb`, a QEMU socket as
    "tcp::3333", the board waits for a debugger there; without `program` its memory is empty. With
    `icount`, each instruction takes 2^icount ns of the board's time, whatever it does and
    however busy this computer is: its timers then count instructions; sleep takes no time here.
    """
    if board.kind == "host":
        return [str(program), *arguments]
    check_qemu(board)
    assert board.qemu is not None
    if any("\n" in argument for argument in arguments):
        raise BoardError("an argument holds a newline, which parts arguments in QEMU; rename it")
    # One semihosting argument, parted by newlines: QEMU would join several by spaces; without any
    # it would give the kernel's name. Its option parser takes a comma as the end, and two as one.
    arg = "\n".join(arguments).replace(",", ",,")
    return [
        QEMU,
        *("-machine", board.qemu.machine),
        *("-display", "none"),
        *("-monitor", "none"),
        *(("-serial", "null") * board.qemu.serial if serial else ()),
        *("-serial", "stdio" if serial else "none"),
        *(() if gdb is None else ("-S", "-gdb", gdb)),
        *(() if icount is None else ("-icount", f"shift={icount},sleep=off")),
        *("-semihosting-config", f"enable=on,target=native,arg={arg}"),
        *(() if program is None else ("-kernel", str(program))),
    ]


def check_qemu(board: Board) -> None:
    """The board has a QEMU machine, and the QEMU here has it; else BoardError."""
    if board.qemu is None:
        raise BoardError(f"{board.name}: nothing emulates it: its board.toml has no [qemu]")
    if shutil.which(QEMU) is None:
        raise BoardError(f"{QEMU} is not installed; apt-get install {QEMU}")
    if board.qemu.machine not in _machines():
        raise BoardError(
            f"{board.name}: {QEMU} here has no machine '{board.qemu.machine}'; QEMU "
            f"{board.qemu.version} does: set WAKESTATE_QEMU to one"
        )


@functools.cache
def _machines() -> frozenset[str]:
    done = subprocess.run([QEMU, "-machine", "help"], capture_output=True, text=True, check=False)
    return frozenset(line.split()[0] for line in done.stdout.splitlines() if line.strip())


def run(board: Board, program: Path, arguments: Sequence[str]) -> int:
    """Run it, the terminal being ours; returns the exit status."""
    if not program.exists():
        raise BoardError(f"{program}: not built; `wakestate build --board {board.name}` does")
    return subprocess.run(command(board, program, arguments), check=False).returncode


def capture(
    board: Board,
    program: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float = 600.0,
    icount: int | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run it and keep what it prints."""
    return subprocess.run(
        command(board, program, arguments, icount=icount),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout_s,
    )
