# SPDX-License-Identifier: Apache-2.0
"""What tables are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from wakestate.tables import pipe
from wakestate.train.evaluation.document import MissRate, Row
from wakestate.words import state_fields

Cell = tuple[str, str]  # what is said, and in small what qualifies it
USUAL = "0.5"  # FA/h of what shows one rate


@dataclass(frozen=True)
class Table:
    """A title, what its columns mean, a heading and cells."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def markdown(self) -> str:
        """As Markdown; what is small is in the same cell."""
        cells = [[f"{text} {small}".strip() for text, small in row] for row in self.rows]
        return f"**{self.title}**\n\n{pipe(self.head, cells)}"

    def data(self) -> dict[str, Any]:
        """For JSON: title, note and rows of [value, what qualifies it] by heading."""
        rows = [dict(zip(self.head, map(list, row), strict=True)) for row in self.rows]
        return {"title": self.title, "note": self.note, "rows": rows}


def percent(share: float) -> str:
    """0.0732 -> "7.3"."""
    return f"{100 * share:.1f}"


def frr(at: MissRate) -> Cell:
    """A miss rate in percent, and its interval."""
    return percent(at.frr), f"[{percent(at.frr_low)}, {percent(at.frr_high)}]"


def label(name: str) -> str:
    """A condition's name, its states short: "player=music,volume=high" reads "music high"."""

    def values(state: re.Match[str]) -> str:
        return " ".join(state_fields(state[0]).values())

    return re.sub(r"(?<!,) SER", ", SER", re.sub(r"\w+=\w+(,\w+=\w+)*", values, name))


def row_name(row: Row) -> Cell:
    """The label of a row's condition."""
    return label(row.condition.name), ""
