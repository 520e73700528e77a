# SPDX-License-Identifier: Apache-2.0
"""`make new-board`: a folder like another's, under its own name, that builds at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from wakestate.boards.schema import FOLDER, BoardError, load_board


def new_board(name: str, like: str, folder: Path = FOLDER) -> Path:
    """Copy boards/LIKE to boards/NAME; returns its board.toml."""
    board = load_board(like, folder)
    if board.kind == "host":
        raise BoardError("LIKE=host: it is no board; take another")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise BoardError(f"NAME={name}: allowed: small letters, digits and '-', a letter first")
    target = folder / name
    if target.exists():
        raise BoardError(f"{target}: is there already")
    shutil.copytree(folder / like, target)
    path = target / "board.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace(f'name = "{like}"', f'name = "{name}"')
    text = text.replace(f'"boards/{like}/', f'"boards/{name}/')
    path.write_text(text, encoding="utf-8")
    load_board(name, folder)
    return path
