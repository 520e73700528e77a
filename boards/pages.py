# SPDX-License-Identifier: Apache-2.0
"""docs/boards.md, and for each real board a page with a picture of its wires."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wakestate import ROOT
from wakestate.boards.schema import Board, board_names, load_board
from wakestate.render import render
from wakestate.schema_page import reference

COMMAND = "wakestate board docs"
BASELINE = ROOT / "bench" / "baseline.json"
WORD = "alexa"
#: Cycles an instruction on average: flash wait states that the caches miss, loads, branches.
CYCLES_PER_INSTRUCTION = 1.5
INTRODUCTION = (
    "All that a `boards/NAME/board.toml` may hold, from the schema that checks it "
    "(`boards/schema.py`); `wakestate board docs` writes this page. "
    "[porting.md](../porting.md) takes you through a new one."
)

_ROW, _GAP, _TOP, _CHIP_X, _PART_X = 26, 18, 64, 460, 20


class Wire(NamedTuple):
    """One line of the picture."""

    y: int
    signal: str
    pin: str


@dataclass(frozen=True)
class Part:
    """A box of the picture, wired to the chip."""

    title: str
    on_board: bool
    y: int
    height: int
    wires: list[Wire]


@dataclass(frozen=True)
class Current:
    """The estimate, and what it is made of."""

    instructions: int  # a second of audio
    run_ma: float
    microphone_ma: float

    @property
    def total_ma(self) -> float:
        return self.run_ma + self.microphone_ma


def current(board: Board, baseline: Path = BASELINE) -> Current:
    """Instructions as counted in QEMU, by the data sheet's current for each MHz."""
    rows = json.loads(baseline.read_text(encoding="utf-8"))["rows"]
    engine = next(
        row["instructions"]
        for row in rows
        if (row["model"], row["core"], row["layer"]) == (WORD, board.core, "total")
    )
    assert board.power is not None and board.microphone is not None
    instructions = engine + board.power.filter_instructions
    mhz = instructions * CYCLES_PER_INSTRUCTION / 1e6
    return Current(
        instructions, mhz * board.power.run_ua_per_mhz / 1000, board.microphone.ua / 1000
    )


def _parts(board: Board) -> list[Part]:
    mic, led, uart, flash = board.microphone, board.led, board.uart, board.flash
    assert mic and led and uart and flash
    pins = {"CLK": mic.clock, "DATA": mic.data, "supply": mic.power}
    groups: list[tuple[str, bool, list[tuple[str, str]]]] = [
        (f"Microphone: {mic.part}", True, [(name, pin) for name, pin in pins.items() if pin]),
        ("LED, lit on a wake", True, [("LED", led.pin)]),
        (
            f"Serial port, {uart.baud} baud",
            "adapter" not in uart.where,
            [("its RX", uart.tx or ""), ("its TX", uart.rx or "")],
        ),
        (
            "Your device: its state, 3.3 V",
            False,
            [(f"bit {bit}", pin) for bit, pin in enumerate(board.state_pins)],
        ),
    ]
    parts, y = [], _TOP
    for title, on_board, wires in groups:
        height = _ROW * (len(wires) + 1)
        drawn = [
            Wire(y + _ROW * (i + 1) + 4, signal, _shown(board, pin))
            for i, (signal, pin) in enumerate(wires)
        ]
        parts.append(Part(title, on_board, y, height, drawn))
        y += height + _GAP
    return parts


def _shown(board: Board, pin: str) -> str:
    """The pin as the chip calls it, and as the board does."""
    return f"{pin} ({board.pin_names[pin]})" if pin in board.pin_names else pin


def picture(board: Board) -> str:
    """The SVG."""
    parts = _parts(board)
    height = parts[-1].y + parts[-1].height
    return render(
        "board.svg.j2", board=board, parts=parts, bottom=height, chip_x=_CHIP_X, part_x=_PART_X
    )


def pages() -> dict[str, str]:
    """All files of docs/ that are made of the boards' facts, by their path in docs/."""
    boards = [load_board(name) for name in board_names()]
    real = [board for board in boards if board.kind == "cortex-m" and not board.emulated]
    files = {"boards.md": render("boards.md.j2", boards=boards, real=real, command=COMMAND)}
    for board in real:
        files[f"boards/{board.name}.svg"] = picture(board)
        files[f"boards/{board.name}.md"] = render(
            "board_page.md.j2",
            board=board,
            current=current(board),
            state_pins=[_shown(board, pin) for pin in board.state_pins],
            cycles=CYCLES_PER_INSTRUCTION,
            command=COMMAND,
        )
    files["boards/reference.md"] = reference(Board, "board.toml, key by key", INTRODUCTION)
    return files
