# SPDX-License-Identifier: Apache-2.0
"""What a linked image takes, read from the linker's map and symbols."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wakestate.bench.rows import BenchError
from wakestate.boards.elf import sections, symbols

Part = Literal["engine", "library", "board"]
Kind = Literal["code", "constants", "data", "zero"]
PARTS: tuple[Part, ...] = ("engine", "library", "board")
KINDS: tuple[Kind, ...] = ("code", "constants", "data", "zero")

#: The linker script's sections. The stack is painted and counted apart.
_FLASH, _DATA, _ZERO, _STACK = (".text", ".ARM.exidx"), ".data", ".bss", ".stack"
#: One input section; a long name has a line of its own, joined before.
_INPUT = re.compile(r"^ (\.[\w.$-]+|COMMON|\*fill\*) +0x([0-9a-f]+) +0x([0-9a-f]+)(?: (\S.*))?$")


@dataclass(frozen=True)
class Image:
    """Bytes of an image; `parts` says whose they are."""

    flash: int
    ram: int  # without stack
    parts: dict[Part, dict[Kind, int]]


def read_image(elf: Path) -> Image:
    """Totals from the image, the parts from its map file."""
    totals = sections(elf)
    flash = sum(totals.get(name, 0) for name in _FLASH) + totals[_DATA]
    ram = totals[_DATA] + totals[_ZERO]
    map_path = elf.with_name(elf.name + ".map")
    parts = read_map(map_path.read_text(encoding="utf-8"))
    known = sum(sum(kinds.values()) for kinds in parts.values())
    # Bytes between objects: alignment. Of nobody's wish, so the board part carries them.
    padding = flash + totals[_ZERO] - known
    if padding < 0 or padding > known // 20 + 256:
        raise BenchError(f"{map_path}: its sections make {known} bytes, the image has others")
    parts["board"]["constants"] += padding
    return Image(flash, ram, parts)


def read_map(text: str) -> dict[Part, dict[Kind, int]]:
    """Bytes by part and kind of what the linker kept, without padding."""
    parts: dict[Part, dict[Kind, int]] = {part: dict.fromkeys(KINDS, 0) for part in PARTS}
    for origin, kinds in read_objects(text).items():
        for kind, size in kinds.items():
            parts[part_of(origin)][kind] += size
    return parts


def read_objects(text: str) -> dict[str, dict[Kind, int]]:
    """The same by object file, or archive(member), in the order of the map."""
    objects: dict[str, dict[Kind, int]] = {}
    _, separator, map_text = text.partition("Linker script and memory map")
    if not separator:
        raise BenchError("the linker's map has no memory map; build again")
    map_text = re.sub(r"^( \.\S+)\n +0x", r"\1 0x", map_text, flags=re.MULTILINE)
    for line in map_text.splitlines():
        found = _INPUT.match(line)
        if found is None or found[4] is None:
            continue
        kind = _kind(found[1])
        if kind is not None:
            own = objects.setdefault(found[4], dict.fromkeys(KINDS, 0))
            own[kind] += int(found[3], 16)
    return objects


def layer_constants(elf: Path, layers: Sequence[str]) -> dict[str, int]:
    """Bytes of what is named after each layer: weights and tables, and code where it is apart."""
    sizes = dict.fromkeys(layers, 0)
    for symbol in symbols(elf):
        name = symbol.name.removeprefix("run_")
        owners = [layer for layer in layers if name == layer or name.startswith(f"{layer}_")]
        if owners and symbol.constant:
            sizes[max(owners, key=len)] += symbol.size
    return sizes


def part_of(origin: str) -> Part:
    """Whose an object file is."""
    if origin.endswith(")"):  # archive(member)
        return "library"
    engine = re.search(r"/obj/(generated/|firmware/engine/)", origin)
    return "engine" if engine else "board"


def _kind(section: str) -> Kind | None:
    prefixes: dict[str, Kind] = {
        ".text": "code",
        ".vectors": "code",
        ".rodata": "constants",
        ".ARM.exidx": "constants",
        ".data": "data",
        ".bss": "zero",
        "COMMON": "zero",
    }
    for prefix, kind in prefixes.items():
        if section == prefix or section.startswith(f"{prefix}."):
            return kind
    return None
