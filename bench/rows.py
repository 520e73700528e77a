# SPDX-License-Identifier: Apache-2.0
"""Rows of what was counted, their file, and what got worse between two files.

A row is one thing of one model on one core:

    a layer's name   one network step's share: instructions, MACs, bytes of its constants
    rest             what of a step is in no layer: taking the hop in, sliding the first window
    step             the whole network step, counted without any tracing
    front end        one hop
    worst hop        the engine's dearest hop: front end and network step
    state change     ws_set_state
    engine           flash of firmware/engine and the generated C, and bytes of an engine; worst
                     stack of its deepest call, computed
    total            the engine for a second of audio; the least image's flash and RAM; worst stack
                     from reset on, painted and computed

of a compiled model (convert/compile) there are its layers, rest, and

    engine           flash of the generated C, and the size of the model's struct; worst stack
    total            a run; the least image's flash and RAM, input and output in it; worst stack
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wakestate.errors import UserError
from wakestate.explain import explain
from wakestate.files import write_atomically

#: What of a row may not grow; in bytes but the first.
COSTS = ("instructions", "flash", "ram", "stack", "stack_computed")
#: Not compared: a small difference of large numbers, and `step` holds it.
REST = "rest"
#: Growth above this share is a regression.
TOLERANCE = 0.01

Key = tuple[str, str, str]


class BenchError(UserError):
    """Something cannot be counted or compared; the message has a hint."""

    several_lines = True


class Row(BaseModel):
    """One thing that costs. None: does not apply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    core: str
    layer: str
    instructions: int | None = None
    macs: int | None = None
    flash: int | None = None
    ram: int | None = None
    stack: int | None = None  # painted before a run, read after it
    stack_computed: int | None = None  # of every run there can be; no interrupt in it
    stack_calls: str | None = None  # which calls make it, and what each holds then

    @property
    def key(self) -> Key:
        return self.model, self.core, self.layer


class Sections(BaseModel):
    """Bytes of the least image by who brings them and by what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    core: str
    part: str  # engine, library, board
    code: int
    constants: int
    data: int  # in RAM, its first values in flash
    zero: int  # in RAM


class Report(BaseModel):
    """build/bench.json and bench/baseline.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    compiler: str
    emulator: str
    rows: list[Row]
    sections: list[Sections] = []

    @property
    def measured(self) -> list[tuple[str, str]]:
        """(model, core), in order."""
        return list(dict.fromkeys((row.model, row.core) for row in self.rows))


def read_report(path: Path, *, made_by: str) -> Report:
    """Read a report; `made_by` is the command that makes the file, for the message."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{path}: no such file; `{made_by}` makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: not valid JSON: {error}; `{made_by}` makes it again") from None
    try:
        return Report.model_validate(raw)
    except ValidationError as error:
        raise BenchError(explain(path, Report, error)) from None


def write_report(path: Path, report: Report) -> None:
    """One row a line, so that a version control diff shows which changed."""
    dump = report.model_dump(exclude_none=True)
    parts = []
    for key, value in dump.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(item) for item in value)
            parts.append(f' "{key}": [\n{lines}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(value)}')
    write_atomically(path, "{\n" + ",\n".join(parts) + "\n}\n")


def merge(old: Report | None, new: Report) -> Report:
    """`old` with all that `new` measured in its place; other models and cores stay."""
    if old is None:
        return new
    measured = set(new.measured)
    rows = [row for row in old.rows if (row.model, row.core) not in measured] + new.rows
    sections = [item for item in old.sections if (item.model, item.core) not in measured]
    sections += new.sections
    return Report(
        compiler=new.compiler,
        emulator=new.emulator,
        rows=sorted(rows, key=_order),  # stable: layers stay in their order
        sections=sorted(sections, key=_order),
    )


def _order(item: Row | Sections) -> tuple[str, int, str]:
    """By model, then by core: M3, M4, ... M33."""
    return item.model, len(item.core), item.core


class Difference(BaseModel):
    """One change between baseline and measurement."""

    text: str
    regression: bool


def compare(
    baseline: Report, given: Report, *, tolerance: float = TOLERANCE, update: str
) -> list[Difference]:
    """All that changed in what `given` measured; `update` is the command that accepts it."""
    found = []
    old_rows = {row.key: row for row in baseline.rows}
    new_rows = {row.key: row for row in given.rows}
    for model, core in given.measured:
        if (model, core) not in baseline.measured:
            found.append(_difference(f"{model}, {core}: not in the baseline; {update}", True))
            continue
        for row in (row for row in given.rows if (row.model, row.core) == (model, core)):
            if row.key not in old_rows:
                found.append(_difference(f"{_name(row)}: new, {_costs(row)}", False))
            else:
                found += _changes(old_rows[row.key], row, tolerance)
        for key, row in old_rows.items():
            if key[:2] == (model, core) and key not in new_rows:
                text = f"{_name(row)}: gone, was {_costs(row)}; if that is meant, {update}"
                found.append(_difference(text, True))
    for what in ("compiler", "emulator"):
        was, now = getattr(baseline, what), getattr(given, what)
        if found and was != now:
            found.append(_difference(f"the {what} is another: '{was}' -> '{now}'", False))
    return found


def _changes(old: Row, new: Row, tolerance: float) -> Iterable[Difference]:
    if old.macs != new.macs:
        yield _difference(f"{_name(new)}: MACs {old.macs} -> {new.macs}: another network", False)
    for cost in COSTS:
        was, now = getattr(old, cost), getattr(new, cost)
        if was == now or new.layer == REST:
            continue
        if was is None or now is None:
            yield _difference(f"{_name(new)}: {cost} {was} -> {now}", now is None)
            continue
        worse = now > was + tolerance * abs(was)
        percent = f"{100 * (now - was) / abs(was):+.2f} %" if was else "from nothing"
        word = ", WORSE" if worse else ""
        yield _difference(f"{_name(new)}: {cost} {was:,} -> {now:,}, {percent}{word}", worse)


def _difference(text: str, regression: bool) -> Difference:
    return Difference(text=text, regression=regression)


def _name(row: Row) -> str:
    return f"{row.model}, {row.core}, {row.layer}"


def _costs(row: Row) -> str:
    costs = ((cost, getattr(row, cost)) for cost in COSTS)
    return ", ".join(f"{cost} {value:,}" for cost, value in costs if value is not None)
