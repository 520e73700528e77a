# SPDX-License-Identifier: Apache-2.0
"""The vendor's register description (CMSIS-SVD), as the pyocd package ships it.

`load_chip` reads one; `header` emits, as C, just what a board's sources name. Nothing of the
SVD files goes into the project: the header is made when a board is built.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from wakestate.boards.schema import Board, BoardError

#: PERIPHERAL_REGISTER or PERIPHERAL_REGISTER_FIELD; BOARD_UART(REGISTER) of the board's own.
_NAMED = re.compile(r"\b[A-Z][A-Z0-9]*[A-Za-z0-9]*_[A-Za-z0-9_]*[A-Z0-9]\b")
_CHOSEN = re.compile(r"\bBOARD_UART\(([A-Z]\w*)\)")
#: The handler of an interrupt.
_INTERRUPT = re.compile(r"\bws_on_(\w+)\b")


@dataclass(frozen=True)
class Register:
    """Address, value after reset, and (lowest bit, width) of its fields."""

    address: int
    reset: int
    fields: dict[str, tuple[int, int]]


@dataclass
class Chip:
    """Peripheral_register names, base addresses, and interrupts by name."""

    svd: str
    registers: dict[str, Register] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    interrupts: dict[str, int] = field(default_factory=dict)
    priority_bits: int = 0  # of an interrupt; 0: the file does not say

    @functools.cached_property
    def names(self) -> dict[int, str]:
        """A name for each address; of overlaid peripherals the first."""
        names: dict[int, str] = {}
        for name, register in self.registers.items():
            names.setdefault(register.address, name)
        return names


def _archive() -> Path:
    found = importlib.util.find_spec("pyocd")
    if found is None or found.origin is None:
        raise BoardError(
            "pyocd, which brings the vendors' register files, is not installed; "
            "pip install 'wakestate[flash]'"
        )
    return Path(found.origin).parent / "debug" / "svd" / "svd_data.zip"


@functools.cache
def load_chip(svd: str) -> Chip:
    """Read NAME.svd."""
    with zipfile.ZipFile(_archive()) as archive:
        if svd not in archive.namelist():
            similar = difflib.get_close_matches(svd, archive.namelist(), 5, 0.3)
            raise BoardError(
                f"chip.svd: given '{svd}'; pyocd has the like of: {', '.join(similar)}"
            )
        root = ElementTree.fromstring(archive.read(svd))
    chip = Chip(svd, priority_bits=_number(root.findtext("cpu/nvicPrioBits", "0")))
    peripherals = {_text(p, "name"): p for p in root.iter("peripheral")}
    for name, peripheral in peripherals.items():
        base = _number(_text(peripheral, "baseAddress"))
        chip.bases[name] = base
        like = peripherals[peripheral.get("derivedFrom") or name]
        registers = peripheral.find("registers")
        if registers is None:
            registers = like.find("registers")
        if registers is not None:
            for register, found in _registers(registers, base):
                chip.registers.setdefault(f"{name}_{register}", found)
        for interrupt in peripheral.iter("interrupt"):
            chip.interrupts[_text(interrupt, "name")] = _number(_text(interrupt, "value"))
    return chip


def _registers(
    parent: ElementTree.Element, base: int, prefix: str = ""
) -> Iterator[tuple[str, Register]]:
    """The registers of a peripheral or cluster; members of clusters and arrays by _name, _index."""
    for item in parent:
        if item.tag not in ("register", "cluster"):
            continue
        count = _number(item.findtext("dim", "1"))
        step = _number(item.findtext("dimIncrement", "0"))
        name = _text(item, "name").replace("[%s]", "%s")
        for index in range(count):
            one = name.replace("%s", f"_{index}") if count > 1 else name.replace("%s", "")
            address = base + _number(_text(item, "addressOffset")) + index * step
            if item.tag == "cluster":
                yield from _registers(item, address, f"{prefix}{one}_")
            else:
                reset = _number(item.findtext("resetValue", "0"))
                yield prefix + one, Register(address, reset, dict(_fields(item)))


def _fields(register: ElementTree.Element) -> Iterator[tuple[str, tuple[int, int]]]:
    for item in register.iter("field"):
        if (lsb := item.findtext("lsb")) is not None:
            low = _number(lsb)
            width = _number(item.findtext("msb", lsb)) - low + 1
        elif (bits := item.findtext("bitRange")) is not None:
            high, low = map(int, bits.strip("[]").split(":"))
            width = high - low + 1
        else:
            low = _number(_text(item, "bitOffset"))
            width = _number(item.findtext("bitWidth", "1"))
        yield _text(item, "name"), (low, width)


def _text(item: ElementTree.Element, tag: str) -> str:
    text = item.findtext(tag)
    if text is None:
        raise BoardError(f"SVD: a {item.tag} has no {tag}")
    return text.strip()


def _number(text: str) -> int:
    return int(text.strip(), 0) if not re.fullmatch(r"0\d+", text.strip()) else int(text, 16)


@dataclass(frozen=True)
class Named:
    """What of a chip some C sources name: macros with their values, and interrupt handlers."""

    registers: dict[str, int]
    fields: dict[str, tuple[int, int]]
    interrupts: dict[str, int]


def named(chip: Chip, board: Board, sources: Iterable[str]) -> Named:
    """Look all names of `sources` (C texts) up; one that is no register of the chip is an error."""
    registers: dict[str, int] = {}
    fields: dict[str, tuple[int, int]] = {}
    interrupts: dict[str, int] = {}
    uart = board.uart.peripheral if board.uart else ""
    for text in sources:
        code = re.sub(r"/\*.*?\*/|//[^\n]*|\"(\\.|[^\"])*\"", " ", text, flags=re.DOTALL)
        names = set(_NAMED.findall(code))
        names |= {f"{uart}_{name}" for name in _CHOSEN.findall(code)}
        for name in sorted(names):
            if name.split("_")[0] not in chip.bases:
                continue  # a macro of ours
            if name.removesuffix("_BASE") in chip.bases:
                registers[name] = chip.bases[name.removesuffix("_BASE")]
            elif name in chip.registers:
                registers[name] = chip.registers[name].address
            else:
                fields[name] = _field(chip, name)
        for name in sorted(set(_INTERRUPT.findall(code))):
            if name not in chip.interrupts:
                similar = difflib.get_close_matches(name, chip.interrupts, 3, 0.3)
                raise BoardError(
                    f"{board.name}: ws_on_{name}: {chip.svd} has no such interrupt; "
                    f"near: {', '.join(similar)}"
                )
            interrupts[name] = chip.interrupts[name]
    return Named(registers, fields, interrupts)


def _field(chip: Chip, name: str) -> tuple[int, int]:
    parts = name.split("_")
    for split in range(len(parts) - 1, 1, -1):
        register = chip.registers.get("_".join(parts[:split]))
        if register is not None and (found := register.fields.get("_".join(parts[split:]))):
            return found
    known = [n for n in chip.registers if n.split("_")[0] == parts[0]]
    similar = difflib.get_close_matches(name, known, 3, 0.3)
    raise BoardError(f"{name}: no register or field of {chip.svd}; near: {', '.join(similar)}")


def port(pin: str) -> str:
    """The peripheral of a pin: PE9 -> GPIOE, P1.03 -> P1."""
    return pin.split(".")[0] if "." in pin else f"GPIO{pin[1]}"


def pin_number(pin: str) -> int:
    """PE9 -> 9, P1.03 -> 3."""
    return int(pin.split(".")[1] if "." in pin else pin[2:])
