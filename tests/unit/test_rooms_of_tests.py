# SPDX-License-Identifier: Apache-2.0
"""The rooms of the tests: each test file is in one, and no file imports it."""

from __future__ import annotations

import ast

from tests.support.firmware_build import ROOT
from tests.support.rooms import ROOMS

TESTS = ROOT / "tests"
FILES = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("*.py"))]


def test_every_test_file_is_in_a_room() -> None:
    found = [path for path in FILES if path.name.startswith("test_")]
    assert found and [path for path in found if path.parent.as_posix() not in ROOMS] == []


def test_no_file_imports_a_test_file() -> None:
    imports = []
    for path in FILES:
        for node in ast.walk(ast.parse((TESTS / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(name.name for name in node.names)]
                parts = {part for name in names if name for part in name.split(".")}
                if "tests" in parts or getattr(node, "level", 0):
                    imports += [
                        f"{path}:{node.lineno}" for part in parts if part.startswith("test_")
                    ]
    assert imports == []
