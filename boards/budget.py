# SPDX-License-Identifier: Apache-2.0
"""What an image takes of a board's flash and RAM, against the budget in its board.toml."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from wakestate.boards.elf import sections
from wakestate.boards.schema import Board, BoardError
from wakestate.tables import Printed
from wakestate.tables import text as text_of

_FLASH = (".text", ".ARM.exidx", ".data")
_RAM = (".data", ".bss", ".noinit", ".stack")


class Taken(NamedTuple):
    """Bytes; RAM with the stack and its guard."""

    flash: int
    ram: int


def taken(elf: Path) -> Taken:
    """Sums of the image's sections. BoardError."""
    sizes = sections(elf)
    return Taken(*(sum(sizes.get(name, 0) for name in names) for names in (_FLASH, _RAM)))


def within(board: Board, elf: Path) -> Printed:
    """A line about it; BoardError where it is too much."""
    if board.budget is None:
        raise BoardError(f"{board.name}: has no budget")
    flash, ram = taken(elf)
    text = (
        f"{board.name}: {elf.name}: flash {flash} of {board.budget.flash_bytes} bytes, "
        f"RAM with stack {ram} of {board.budget.ram_bytes}"
    )
    if flash > board.budget.flash_bytes or ram > board.budget.ram_bytes:
        raise BoardError(f"{text}: over the [budget] of boards/{board.name}/board.toml")
    data = {"board": board.name, "image": str(elf), "flash": flash, "ram": ram}
    return Printed(text, data | {f"budget_{k}": v for k, v in board.budget.model_dump().items()})


def host(program: Path) -> Printed:
    """Bytes of a program for this computer, as `size` counts them. BoardError."""
    done = subprocess.run(["size", program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BoardError(f"{program}: size: {done.stderr.strip()}")
    head, values = (line.split() for line in done.stdout.splitlines())
    counts = {name: int(value) for name, value in list(zip(head, values, strict=True))[:3]}
    return Printed(
        text_of([{"program, bytes": str(program), **counts}]), {"program": str(program), **counts}
    )
