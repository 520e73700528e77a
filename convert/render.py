"""Jinja2, set up once for every generated file, the layout of C tables, our version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from wakestate import ROOT
from wakestate.words.files import make_folder, writing

TEMPLATES = ROOT / "templates"


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
    environment.filters["hex"] = lambda value: f"0x{value:08X}"
    return environment.get_template(template).render(**values)


def write_files(out: Path, texts: dict[str, str]) -> list[Path]:
    """Write files, named by their paths in a folder, to it; those whose text is the same are left
    untouched (make). FileError where they cannot be written; then none is."""
    make_folder(out)
    written = []
    with writing(out), tempfile.TemporaryDirectory(dir=out, prefix=".partial.") as name:
        for file, text in texts.items():
            (Path(name) / file).parent.mkdir(exist_ok=True)
            (Path(name) / file).write_text(text, encoding="utf-8", newline="\n")
        for file, text in texts.items():
            target = out / file
            target.parent.mkdir(exist_ok=True)
            if not target.is_file() or target.read_bytes() != text.encode():
                (Path(name) / file).replace(target)
            written.append(target)
    return written
