# SPDX-License-Identifier: Apache-2.0
"""Board facts become files: linker script, C headers, vectors, make variables."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from wakestate import ROOT, __version__
from wakestate.boards import svd
from wakestate.boards.schema import FOLDER, Board, BoardError, load_board
from wakestate.files import write_atomically
from wakestate.render import render

_INCLUDE = re.compile(r'^#include "([\w./-]+)"', re.MULTILINE)


def generate(name: str, out: Path, folder: Path = FOLDER) -> list[Path]:
    """Write what the build needs to know of one board; returns the files."""
    board = load_board(name, folder)
    facts = {
        "board": board,
        "version": __version__,
        "sha256": hashlib.sha256((folder / name / "board.toml").read_bytes()).hexdigest(),
        "command": f"wakestate board generate {name}",
    }
    texts = {"board.mk": render("board.mk.j2", **facts)}
    if board.kind == "cortex-m":
        texts["linker.ld"] = render("linker.ld.j2", **facts)
        texts["board_facts.h"] = _facts_header(board, facts)
    if board.chip is not None:
        chip = svd.load_chip(board.chip.svd)
        given = board.interrupts.priority_bits if board.interrupts else 0
        if chip.priority_bits not in (0, given):
            raise BoardError(
                f"{name}: interrupts.priority_bits: given {given}; "
                f"allowed: {chip.priority_bits}, as {board.chip.svd} says"
            )
        sources = [text for _, text in driver_texts(board)]
        named = svd.named(chip, board, [*sources, texts["board_facts.h"]])
        texts["board_registers.h"] = render("board_registers.h.j2", named=named, **facts)
        handlers = ["ws_unexpected_interrupt"] * (max(chip.interrupts.values()) + 1)
        for handler, number in named.interrupts.items():
            handlers[number] = f"ws_on_{handler}"
        texts["board_vectors.c"] = render("board_vectors.c.j2", handlers=handlers, **facts)
    for file, text in texts.items():
        write_atomically(out / file, text)
    return [out / file for file in texts]


def _facts_header(board: Board, facts: dict[str, Any]) -> str:
    def place(pin: str) -> str:
        return f"{svd.port(pin)}_BASE, {svd.pin_number(pin)}u"

    def define(name: str, pin: str | None) -> str:
        if pin is None:
            return ""
        return (
            f"#define BOARD_{name}_PORT {svd.port(pin)}_BASE\n"
            f"#define BOARD_{name}_PIN {svd.pin_number(pin)}u\n"
        )

    def priority(level: int) -> str:
        bits = board.interrupts.priority_bits if board.interrupts else 8
        return f"0x{level << 8 - bits:02X}u"

    return render("board_facts.h.j2", pin=define, place=place, priority=priority, **facts)


def driver_texts(board: Board) -> list[tuple[Path, str]]:
    """The board's sources and their headers, in the order found; not what all boards share."""
    found: dict[Path, str] = {}
    waiting = [ROOT / source for source in board.sources]
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        if not path.is_file():
            raise BoardError(f"{board.name}: sources: {path}: no such file")
        found[path] = path.read_text(encoding="utf-8")
        included = [(path.parent / name).resolve() for name in _INCLUDE.findall(found[path])]
        waiting += [p for p in included if p.is_file() and p.parent.parent == FOLDER]
    return list(found.items())
