"""Board facts become files: linker script, make variables, the table in docs/boards.md."""

from __future__ import annotations

import hashlib
from pathlib import Path

from boards.schema import FOLDER, board_names, load_board
from convert.render import render, version


def generate(name: str, out: Path, folder: Path = FOLDER) -> list[Path]:
    """Write what the build needs to know of one board; returns the files."""
    board = load_board(name, folder)
    facts = {
        "board": board,
        "version": version(),
        "sha256": hashlib.sha256((folder / name / "board.toml").read_bytes()).hexdigest(),
        "command": f"python -m boards generate {name}",
    }
    texts = {"board.mk": render("board.mk.j2", **facts)}
    if board.kind == "cortex-m":
        texts["linker.ld"] = render("linker.ld.j2", **facts)
    out.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (out / file).write_text(text, encoding="utf-8")
    return [out / file for file in texts]


def table() -> str:
    """docs/boards.md."""
    boards = [load_board(name) for name in board_names()]
    return render("boards.md.j2", boards=boards, command="python -m boards docs")
