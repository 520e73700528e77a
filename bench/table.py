# SPDX-License-Identifier: Apache-2.0
"""Tables of what was counted, for a terminal and for docs/performance.md."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path

from wakestate import tables
from wakestate.bench.image import PARTS, Kind, part_of, read_image, read_objects
from wakestate.bench.measure import CALLS, counting_boards, floor, macs_per_instruction
from wakestate.bench.rows import BenchError, Report, Row
from wakestate.bench.stack import POINTED, Stack
from wakestate.boards.schema import Board, load_board
from wakestate.files import write_atomically

#: What a row's name does not say.
_NOTES = {
    "front end": "front end, per hop",
    "step": "network, per step",
    "total": "total, per second of audio",
}

#: What the rows of the kernel set dsp-wide are named with.
WIDE = "_wide"

PEERS = Path(__file__).parent / "peers.toml"

Cells = dict[str, str | int | None]


def text(report: Report) -> str:
    """For a terminal: one table a model and core, then whose the bytes are."""
    blocks = []
    for model, core in report.measured:
        board = _board(core)
        blocks.append(f"{model} on {_title(board)}, {board.name} in QEMU; {_floor_note(board)}")
        blocks.append(_indented(_rows(report, model, core, board)))
        blocks.append(_deepest(report, model, core))
        blocks.append(_indented(_sections(report, model, core)))
        blocks.append("")
    return "\n".join(blocks)


def printed(report: Report) -> tables.Printed:
    """The same; as JSON its rows and sections."""
    return tables.Printed(text(report), report.model_dump(exclude_none=True))


def sizes(elf: Path, word: str, board: Board) -> tables.Printed:
    """For a terminal: the bytes of a word's least image, by object, and its stack."""
    stack = Stack(elf, board.prefix, POINTED)
    calls = max((stack.worst(call) for call in CALLS), key=lambda worst: worst.bytes)
    rows = size_rows(elf, word, board)
    lines = (
        _indented(rows),
        "  The application's RAM is an engine and a hop of PCM: firmware/test/image.c",
        f"  stack of the deepest call, computed: {calls.bytes:,} ({calls})",
        f"  {elf}",
    )
    head = next(iter(rows[0]))
    data = {
        "board": board.name,
        "image": str(elf),
        "stack": calls.bytes,
        "bytes": [
            {"part" if key == head else key: value for key, value in row.items()} for row in rows
        ],
    }
    return tables.Printed("\n".join(lines), data)


def size_rows(elf: Path, word: str, board: Board) -> list[Cells]:
    """Bytes by object, then of the engine's parts, then of the image."""
    image = read_image(elf)
    objects = read_objects(elf.with_name(elf.name + ".map").read_text(encoding="utf-8"))
    rows: list[tuple[str, dict[Kind, int]]] = []
    for origin, kinds in objects.items():
        if part_of(origin) == "engine" and any(kinds.values()):
            rows.append((f"  {origin.partition('/obj/')[2].removesuffix('.o')}", kinds))
    titles = {
        "engine": "engine and model",
        "library": "C library",
        "board": "start-up, application",
    }
    rows += [(titles[part], image.parts[part]) for part in PARTS]
    head = f"{word} on {_title(board)}, bytes"
    cells: list[Cells] = [
        {
            head: name,
            **{str(kind): count for kind, count in kinds.items()},
            "flash": kinds["code"] + kinds["constants"] + kinds["data"],
            "RAM": kinds["data"] + kinds["zero"],
        }
        for name, kinds in rows
    ]
    return [*cells, {head: "image, without stack", "flash": image.flash, "RAM": image.ram}]


def markdown(report: Report, model: str) -> str:
    """For docs/: the totals of every core side by side, then each core's layers."""
    cores = [core for name, core in report.measured if name == model]
    if not cores:
        raise BenchError(
            f"{model}: not measured; `wakestate bench run --word {model}` and `bench accept` do"
        )
    blocks = [tables.markdown(_totals(report, model, cores))]
    what = "network step" if (model, cores[0], "step") in {r.key for r in report.rows} else "run"
    blocks.append(f"Instructions (times the floor) of each layer in a {what}:")
    blocks.append(tables.markdown(_by_layer(report, model, cores)))
    for core in (core for core in cores if core == "cortex-m4"):
        blocks.append("Whose the bytes are, on the Cortex-M4F:")
        blocks.append(tables.markdown(_sections(report, model, core)))
    peers = _peers(report, model, cores)
    if peers:
        blocks.append("Other engines, counted the same way:")
        blocks.append(tables.markdown(peers))
    return "\n\n".join(blocks)


def prices(report: Report) -> str:
    """For docs/: what weights as int16 cost and save, of every model counted with them."""
    totals = {row.key: row for row in report.rows if row.layer == "total"}
    head = ("", "flash", "wide", "", "instructions", "wide", "")
    cells = []
    for (model, core, layer), wide in totals.items():
        row = totals.get((model.removesuffix(WIDE), core, layer))
        if not model.endswith(WIDE) or row is None:
            continue
        numbers = []
        for cost in ("flash", "instructions"):
            was, now = getattr(row, cost), getattr(wide, cost)
            numbers += [_number(was), _number(now), f"{100 * (now - was) / was:+.0f} %"]
        cells.append((f"{row.model}, {_title(_board(core))}", *numbers))
    return tables.pipe(head, cells, left=1)


def fill(path: Path, report: Report) -> None:
    """Put the tables between the marks <!-- bench MODEL --> and <!-- end --> of a page.

    <!-- bench-prices --> stands for `prices`.
    """
    page = path.read_text(encoding="utf-8")

    def table(found: re.Match[str]) -> str:
        return f"<!-- bench {found[1]} -->\n\n{markdown(report, found[1])}\n\n<!-- end -->"

    pattern = r"<!-- bench (\w+) -->\n.*?<!-- end -->"
    page = re.sub(pattern, table, page, flags=re.DOTALL)
    pattern = r"<!-- bench-prices -->\n.*?<!-- end -->"
    text = f"<!-- bench-prices -->\n\n{prices(report)}\n\n<!-- end -->"
    write_atomically(path, re.sub(pattern, lambda _: text, page, flags=re.DOTALL))


def _board(core: str) -> Board:
    boards = [load_board(name) for name in counting_boards()]
    found = [board for board in boards if board.core == core]
    if not found:
        known = ", ".join(sorted({board.core for board in boards}))
        raise BenchError(f"{core}: no board with this core; there are: {known}")
    return found[0]


def _title(board: Board) -> str:
    """As people call the core; the M55 is bought with FPU and Helium."""
    title = "Cortex-M55" if board.core == "cortex-m55" else board.core_title
    return title if board.dsp else f"{title} without DSP"


def _floor_note(board: Board) -> str:
    return f"the floor is MACs / {macs_per_instruction(board)}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _per_second(report: Report, row: Row) -> bool:
    """It is of a second of audio: the total of a word's engine."""
    return row.layer == "total" and (row.model, row.core, "step") in {r.key for r in report.rows}


def _times(row: Row, board: Board) -> str:
    if not row.macs or row.instructions is None:
        return ""
    return f"{row.instructions / floor(row.macs, board):.1f}"


def _rows(report: Report, model: str, core: str, board: Board) -> list[Cells]:
    cells: list[Cells] = []
    for row in report.rows:
        if (row.model, row.core) != (model, core):
            continue
        per_mac = f"{row.instructions / row.macs:.2f}" if row.macs and row.instructions else ""
        second = _per_second(report, row)
        name = _NOTES.get(row.layer, row.layer)
        if row.layer == "total" and not second:
            name = "total, a run"
        cells.append(
            {
                "": name,
                "instructions": row.instructions,
                "MACs": row.macs,
                "per MAC": "" if second else per_mac,
                "x floor": "" if second else _times(row, board),
                "flash": row.flash,
                "RAM": row.ram,
                "stack": row.stack,
                "computed": row.stack_computed,
            }
        )
    return cells


def _deepest(report: Report, model: str, core: str) -> str:
    """What makes the computed stack of the engine's deepest call."""
    rows = {row.key: row for row in report.rows}
    calls = rows[model, core, "engine"].stack_calls
    return f"  deepest call, bytes of stack: {calls}" if calls else ""


def _sections(report: Report, model: str, core: str) -> list[Cells]:
    return [
        {
            "bytes of the image": item.part,
            "code": item.code,
            "constants": item.constants,
            "data": item.data,
            "zero": item.zero,
        }
        for item in report.sections
        if (item.model, item.core) == (model, core)
    ]


def _totals(report: Report, model: str, cores: Sequence[str]) -> list[Cells]:
    rows = {row.key: row for row in report.rows}
    word = (model, cores[0], "step") in rows
    unit = "per second of audio" if word else "a run"
    struct = "ws_engine" if word else f"struct {model}"
    wanted = [
        ("front end, per hop, instructions", "front end", "instructions"),
        ("network, per step, instructions", "step", "instructions"),
        ("worst hop, instructions", "worst hop", "instructions"),
        ("state change, instructions", "state change", "instructions"),
        (f"**total, {unit}, instructions**", "total", "instructions"),
        ("flash, engine and model", "engine", "flash"),
        ("flash, image", "total", "flash"),
        (f"RAM, `sizeof({struct})`", "engine", "ram"),
        ("RAM, image without stack", "total", "ram"),
        ("stack of the deepest call, computed", "engine", "stack_computed"),
        ("stack from reset on, computed", "total", "stack_computed"),
        ("stack from reset on, painted", "total", "stack"),
    ]
    cells: list[Cells] = []
    for title, layer, cost in wanted:
        if (model, cores[0], layer) not in rows:
            continue
        values = {_title(_board(c)): getattr(rows[model, c, layer], cost) for c in cores}
        if any(value is not None for value in values.values()):
            cells.append({"": title, **values})
    return cells


def _by_layer(report: Report, model: str, cores: Sequence[str]) -> list[Cells]:
    rows = {row.key: row for row in report.rows}
    names = [row.layer for row in report.rows if (row.model, row.core) == (model, cores[0])]
    names = names[: names.index("step" if "step" in names else "engine") + ("step" in names)]
    flash = "cortex-m4" if "cortex-m4" in cores else cores[0]
    cells: list[Cells] = []
    for name in names:
        first = rows[model, flash, name]
        line: Cells = {"": name, "MACs": first.macs}
        line[f"flash, {_title(_board(flash))}"] = first.flash
        for core in cores:
            board, row = _board(core), rows.get((model, core, name))
            times = _times(row, board) if row else ""
            count = _number(row.instructions) if row else ""
            head = f"{_title(board)}, /{macs_per_instruction(board)}"
            line[head] = count + (f" ({times})" if times else "")
        cells.append(line)
    return cells


def _peers(report: Report, model: str, cores: Sequence[str]) -> list[Cells]:
    rows = {row.key: row for row in report.rows}
    peers = tomllib.loads(PEERS.read_text(encoding="utf-8"))["peer"]
    peers = [peer for peer in peers if (model, cores[0], peer["layer"]) in rows]
    word = (model, cores[0], "step") in rows
    peers = [peer for peer in peers if peer.get("model", model if word else None) == model]
    shown = [core for core in cores if any(core in peer for peer in peers)]
    cells: list[Cells] = []
    for peer in peers:
        line: Cells = {"": peer["what"]}
        for core in shown:
            title = _title(_board(core))
            line[f"theirs, {title}"] = peer.get(core)
            line[f"ours, {title}"] = getattr(rows[model, core, peer["layer"]], peer["cost"])
        cells.append(line)
    return cells


def _indented(rows: list[Cells]) -> str:
    return textwrap.indent(tables.text(rows), "  ")
