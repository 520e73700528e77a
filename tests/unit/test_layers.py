# SPDX-License-Identifier: Apache-2.0
"""The import graph: no arrow from a lower folder to a higher one, so no circle between folders."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.executors import ROOT

#: From the lowest: a folder imports from itself and from those before it. Imports inside functions
#: count as well. `wakestate` is the modules next to the folders; its program is on top.
ORDER = (
    "wakestate",  # root, errors, files, text of errors, templates, tables
    "words",
    "wakestate/contract",
    "boards",
    "convert/graph",
    "convert/compile",
    "convert",
    "convert/library",
    "train/data",
    "train",  # what a killed call finds again
    "train/acoustics",
    "train/synthesis",
    "train/model",
    "train/learning",
    "train/evaluation",
    "train/report",
    "train/experiments",
    "train/newword",
    "verify/protocol",
    "verify/service",
    "verify/gateway",
    "verify/learning",
    "bench",
    "web",
    "wakestate/commands",
    "wakestate/__main__.py",
)
FUNCTION_MAX = 60  # lines
PACKAGES = sorted({place.split("/")[0] for place in ORDER})


def room(path: Path) -> str:
    """The place in ORDER of a module."""
    name = path.relative_to(ROOT).as_posix()
    return name if name in ORDER else name.rpartition("/")[0]


def module(dotted: str) -> Path | None:
    """The file of wakestate.x.y; None where it is no module."""
    parts = dotted.split(".")[1:]
    for base in (ROOT, ROOT / "wakestate"):
        for path in (
            base.joinpath(*parts, "__init__.py"),
            base.joinpath(*parts).with_suffix(".py"),
        ):
            if parts and path.is_file():
                return path
    return ROOT / "wakestate/__init__.py" if not parts else None


@cache
def tree(path: Path) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Each module and name of wakestate that a file imports, dotted, wherever in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.partition(".")[0] == "wakestate")


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        for folder, folders, files in os.walk(ROOT / package):
            here = Path(folder)
            folders[:] = [name for name in folders if not (here / name).is_symlink()]
            yield from (here / name for name in files if name.endswith(".py"))


@cache
def arrows() -> set[tuple[str, Path]]:
    """(importing file, imported file) of all modules."""
    found = set()
    for path in sources():
        for name in imported(path):
            target = module(name) or module(name.rpartition(".")[0])
            assert target is not None, f"{path}: {name}: no such module"
            found.add((path.relative_to(ROOT).as_posix(), target))
    return found


def test_no_folder_imports_from_a_higher_one() -> None:
    places = {room(path) for path in sources() if path.name != "__init__.py"}
    assert places <= set(ORDER), f"not in the order: {sorted(places - set(ORDER))}"
    graph = arrows()
    assert len(graph) > 500
    up = [
        f"{source} imports {target.relative_to(ROOT)}"
        for source, target in sorted(graph)
        if ORDER.index(room(ROOT / source)) < ORDER.index(room(target))
    ]
    assert not up, "\n".join(up)


def test_functions_are_short() -> None:
    """And few lines are hidden from the formatter."""
    long, skipped = [], 0
    for path in [*sources(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        skipped += len(re.findall("# fmt: (?:skip|off)", text))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                long += [f"{path}: {node.name}: {lines} lines"] if lines > FUNCTION_MAX else []
    assert not long, "\n".join(long)
    assert skipped < 20


def test_the_compiler_is_free_of_training_and_boards_of_the_compiler() -> None:
    apart = {"convert": ("train", "verify", "boards"), "boards": ("convert", "train", "verify")}
    for source, target in arrows():
        name = target.relative_to(ROOT).as_posix()
        assert not name.startswith(apart.get(source.split("/")[0], ())), f"{source}: {name}"


def test_the_integer_reference_judges_and_is_not_used() -> None:
    assert all(target.name != "reference.py" for _, target in arrows())


def test_the_container_copies_what_the_service_imports() -> None:
    """And nothing of training, boards, bench and gateway."""
    text = (ROOT / "verify/Containerfile").read_text()
    copied = set(re.findall(r"^COPY ([a-z/_.]+)", text, re.MULTILINE))
    allowed = tuple(f"{name}/" for name in copied) + tuple(copied)
    waiting = [ROOT / "verify/service/serving.py"]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        name = path.relative_to(ROOT).as_posix()
        assert name.startswith(allowed), f"{name}: not in verify/Containerfile"
        waiting += [target for source, target in arrows() if source == name]
    assert len(seen) > 30 and not {"train", "boards", "bench", "verify/gateway"} & copied
