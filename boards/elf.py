# SPDX-License-Identifier: Apache-2.0
"""What a linked program holds: its sections, symbols and what is loaded where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from wakestate.boards.schema import BoardError


class Segment(NamedTuple):
    """Bytes of a program and the address that they are loaded to."""

    address: int
    data: bytes


class Symbol(NamedTuple):
    """A function or an object. `constant`: it is in read-only memory."""

    name: str
    address: int
    size: int  # bytes
    constant: bool


def sections(path: Path) -> dict[str, int]:
    """Bytes of each section, by its name. BoardError."""
    with _opened(path) as elf:
        return {section.name: section["sh_size"] for section in elf.iter_sections()}


def segments(path: Path) -> list[Segment]:
    """What is in the board's flash. BoardError."""
    with _opened(path) as elf:
        return [
            Segment(part["p_paddr"], part.data())
            for part in elf.iter_segments("PT_LOAD")
            if part["p_filesz"] > 0
        ]


def symbols(path: Path) -> list[Symbol]:
    """Functions and objects; static ones may share a name. BoardError."""
    found = []
    with _opened(path) as elf:
        for table in elf.iter_sections():
            if not isinstance(table, SymbolTableSection):
                continue
            for symbol in table.iter_symbols():
                kind, index = symbol["st_info"]["type"], symbol["st_shndx"]
                if kind not in ("STT_FUNC", "STT_OBJECT") or not isinstance(index, int):
                    continue  # a mark, a file's name, or undefined
                # Bit 0 of a function says that it is Thumb code.
                address = symbol["st_value"] & (~1 if kind == "STT_FUNC" else ~0)
                constant = not elf.get_section(index)["sh_flags"] & SH_FLAGS.SHF_WRITE
                found.append(Symbol(symbol.name, address, symbol["st_size"], constant))
    return found


@contextmanager
def _opened(path: Path) -> Iterator[ELFFile]:
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if (elf.elfclass, elf.little_endian) != (32, True):
                raise BoardError(f"{path}: not a 32-bit little-endian ELF file")
            yield elf
    except ELFError:
        raise BoardError(f"{path}: not a 32-bit little-endian ELF file") from None
    except OSError as error:
        raise BoardError(f"{path}: cannot be read: {error.strerror}") from None
