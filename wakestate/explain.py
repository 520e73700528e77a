# SPDX-License-Identifier: Apache-2.0
"""Says what is wrong in a TOML file: file, key, what was given and what is allowed.

Shared by all data files that pydantic checks: words/*.toml and boards/*/board.toml.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError


def one_line(text: str) -> str:
    """`text` with everything escaped that is not printed as itself: newlines, control characters,
    marks that turn the direction of writing."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def explain(path: Path, model: type[BaseModel], error: ValidationError) -> str:
    """One line for each thing wrong with `path`, read as `model`."""
    lines = []
    items = error.errors()
    for item in items:
        if item["type"] == "too_short" and any(_below(item["loc"], o["loc"]) for o in items):
            continue  # only since what is wrong with its elements leaves none
        key = ".".join(str(part) for part in item["loc"] if part != "[key]") or "(top level)"
        if item["type"] == "extra_forbidden":
            allowed = ", ".join(_sibling_keys(model, item["loc"])) or "no such key"
            lines.append(f"{path}: {key}: unknown key; allowed: {allowed}")
        elif item["type"] == "missing":
            lines.append(f"{path}: {key}: missing; the key is required")
        elif item["type"] == "value_error":
            # Of several keys together, the message names them itself.
            where = f"{path}: {key}" if item["loc"] else f"{path}"
            lines.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{path}: {key}: given {item['input']!r}; allowed: {item['msg']}")
    return "\n".join(map(one_line, lines))


def _below(loc: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(other) > len(loc) and other[: len(loc)] == loc


def _sibling_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys allowed in the table that holds the one at `loc`."""
    here: Any = model
    for part in loc[:-1]:
        models = list(_models(here))
        holder = next((m for m in models if str(part) in m.model_fields), None)
        if holder is not None:
            here = holder.model_fields[str(part)].annotation
        # Otherwise an index into a list or a key of a dictionary: its elements' type is in `here`.
    return sorted({key for m in _models(here) for key in m.model_fields})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a value of this annotation is made of: Block of tuple[Block, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
