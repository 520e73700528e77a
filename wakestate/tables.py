# SPDX-License-Identifier: Apache-2.0
"""Tables for a terminal and in Markdown: one place lays them out.

Rows are mappings of a column's heading to its value, the columns in the order of the first row.
None is shown as an empty cell, an int with thousands ("1,234"), anything else as `str` gives it:
round a float before, or give text. The same rows are what `--json` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import DataRow, TableFormat, tabulate

Row = Mapping[str, object]


@dataclass(frozen=True)
class Printed:
    """What a command prints: `text` for people, or `data`, plain values, as JSON."""

    text: str
    data: Any
    status: int = 0


def text(rows: Sequence[Row], left: int = 1) -> str:
    """For a terminal: a line of headings, then a line for each row; empty without rows.

    `left`: how many columns, from the first, hold text and are aligned left; the others hold
    numbers and are aligned right.
    """
    head, cells = _cells(rows)
    align = ["left" if i < left else "right" for i in range(len(head))]
    shown = tabulate(  # the headings as a row: tabulate pads them else
        [head, *cells],
        tablefmt="plain",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=align,
    )
    return "\n".join(line.rstrip() for line in shown.splitlines())


def markdown(rows: Sequence[Row], left: int = 1) -> str:
    """The same as Markdown; `pipe` lays it out."""
    return pipe(*_cells(rows), left=left)


def pipe(head: Sequence[str], cells: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Headings, which need not differ, and cells as Markdown.

    Not padded, so that a changed cell changes one line. A vertical bar in a cell becomes a slash.
    `left`: as of `text`; None: all columns.
    """
    left = len(head) if left is None else left
    rule = "|" + "---|" * left + "---:|" * (len(head) - left)
    row = DataRow("|", "|", "|")
    style = TableFormat(None, lambda *_: rule, None, None, row, row, 1, None)
    return tabulate(
        [[cell.replace("|", "/") for cell in line] for line in cells],
        head,
        style,
        stralign=None,
        disable_numparse=True,
        preserve_whitespace=True,
    )


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    head = list(dict.fromkeys(name for row in rows for name in row))
    return head, [[_cell(row.get(name)) for name in head] for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
