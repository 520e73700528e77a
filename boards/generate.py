"""Board facts become files: linker script, make variables, the table in docs/boards.md."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import jinja2

from boards.schema import FOLDER, board_names, load_board

PROJECT = Path(__file__).parent.parent
TEMPLATES = PROJECT / "templates"


def _version() -> str:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def _render(template: str, **facts: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hex"] = lambda value: f"0x{value:08X}"
    return environment.get_template(template).render(**facts)


def generate(name: str, out: Path, folder: Path = FOLDER) -> list[Path]:
    """Write what the build needs to know of one board; returns the files."""
    board = load_board(name, folder)
    facts = {
        "board": board,
        "version": _version(),
        "sha256": hashlib.sha256((folder / name / "board.toml").read_bytes()).hexdigest(),
        "command": f"python -m boards generate {name}",
    }
    texts = {"board.mk": _render("board.mk.j2", **facts)}
    if board.kind == "cortex-m":
        texts["linker.ld"] = _render("linker.ld.j2", **facts)
    out.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (out / file).write_text(text, encoding="utf-8")
    return [out / file for file in texts]


def table() -> str:
    """docs/boards.md."""
    boards = [load_board(name) for name in board_names()]
    return _render("boards.md.j2", boards=boards, command="python -m boards docs")
