"""Jinja2, set up once for every generated file, and the layout of C tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def rows(values: Iterable[int], per_row: int = 16) -> str:
    """Numbers as indented rows of a C initializer, right-aligned."""
    texts = [str(v) for v in values]
    width = max((len(t) for t in texts), default=0)
    lines = [texts[i : i + per_row] for i in range(0, len(texts), per_row)]
    return "\n".join("    " + ", ".join(t.rjust(width) for t in line) + "," for line in lines)


def render(template: str, **values: Any) -> str:
    """The text of templates/`template`; a value that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rows"] = rows
    return environment.get_template(template).render(**values)
