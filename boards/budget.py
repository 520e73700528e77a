"""What an image takes of a board's flash and RAM, against the budget in its board.toml."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wakestate.boards.elf import sections
from wakestate.boards.schema import Board, BoardError

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


def within(board: Board, elf: Path) -> str:
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
    return text
