# SPDX-License-Identifier: Apache-2.0
"""Several files of one network, a variant each, as one program.

Variants share operators, shapes and weight bytes. What differs is the scale of each channel's
weights and its bias: a row of bias, multiplier and shift for each layer, which changing the
variant re-points. A device state is such a variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.program import ROW, Program, Step, Table
from wakestate.convert.graph.errors import ConvertError


def merge(paths: Sequence[Path], programs: Sequence[Program]) -> Program:
    """The first program, with the rows of all in its tables. ConvertError: other differences."""
    first = programs[0]
    for path, other in zip(paths[1:], programs[1:], strict=True):
        if len(other.steps) != len(first.steps):
            raise ConvertError(
                f"{path}: {len(other.steps)} steps, {paths[0].name} has {len(first.steps)}; "
                "variants must be one network"
            )
    for steps in zip(*(program.steps for program in programs), strict=True):
        for path, step in zip(paths[1:], steps[1:], strict=True):
            _check_same(path, steps[0], step, paths[0].name)
        tables = zip(*(step.tables for step in steps), strict=True)
        steps[0].tables = [_merged(table) for table in tables]
    return first


def _check_same(path: Path, one: Step, two: Step, first: str) -> None:
    """Everything but the rows; ConvertError names the step, the value and both files."""

    def differ(what: str, given: object, wanted: object) -> ConvertError:
        return ConvertError(
            f"{path}: {two.name}: {what} is {given}, in {first} {wanted}; variants share "
            "everything but the scales of weights and biases: convert them in one run"
        )

    for what in ("name", "kernel", "arguments"):
        if getattr(one, what) != getattr(two, what):
            raise differ(what, getattr(two, what), getattr(one, what))
    for name, value in one.fields.items():
        if value != two.fields[name]:
            raise differ(name, two.fields[name], value)
    for table, other_table in zip(one.tables, two.tables, strict=True):
        if table.part in ROW:
            continue
        differing = np.flatnonzero(table.values != other_table.values)
        if len(differing):
            at = int(differing[0])
            raise differ(f"{table.part} {at}", other_table.values[at], table.values[at])


def _merged(tables: Sequence[Table]) -> Table:
    """Each row once."""
    rows: list[NDArray[np.int64]] = []
    row_of = []
    for table in tables:
        same = [number for number, row in enumerate(rows) if np.array_equal(row, table.values)]
        row_of.append(same[0] if same else len(rows))
        if not same:
            rows.append(table.values)
    if len(rows) == 1:
        return tables[0]
    return replace(tables[0], values=np.stack(rows), row_of=tuple(row_of))
