# SPDX-License-Identifier: Apache-2.0
"""Every source file names its license, and so does the C that is generated."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.executors import ROOT

LINE = "SPDX-License-Identifier: Apache-2.0"
KINDS = {".c", ".cpp", ".css", ".h", ".html", ".j2", ".js", ".mk", ".py", ".sh"}
NAMES = {"Makefile", "Containerfile", "board.toml", "pyproject.toml"}
#: Made when something is built, trained or installed.
MADE = {"build", "data", "downloads", "runs", "node_modules"}


def sources(folder: Path) -> list[Path]:
    """Of the checkout, without what is linked, hidden or made."""
    found = []
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.name.startswith((".", "__pycache__")):
            continue
        path = Path(entry.path)
        if entry.is_dir():
            if not (folder == ROOT and entry.name in MADE) and not entry.name.endswith("-info"):
                found += sources(path)
        elif path.suffix in KINDS or path.name in NAMES:
            found.append(path)
    return found


def test_every_source_file_names_its_license() -> None:
    found = sources(ROOT)
    assert len(found) > 500
    lines = {path: path.read_text(encoding="utf-8").splitlines()[:3] for path in found}
    bare = [str(path.relative_to(ROOT)) for path, top in lines.items() if LINE not in "".join(top)]
    assert not bare, f"first line '# {LINE}' (in C a comment of its own) is missing: {bare}"
