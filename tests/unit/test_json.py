# SPDX-License-Identifier: Apache-2.0
"""`--json`: each command that prints a table has it, and then prints nothing but JSON on stdout."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support.executors import ROOT
from wakestate.__main__ import cli, main
from wakestate.commands.options import subprocess_stdout, table
from wakestate.tables import Printed

TABLES = """size, compile, bundle check, evaluate, word list, word confusables, word lengths, word
sensitivity, data synthesize, data benchmark, model compare, model variants, model endpoints,
model experiment, board list, board budget, bench run, bench diff, bench host, bench model,
bench size, bench stack, verifier measure, verifier compare, verifier experiment, gateway fuzz,
service bench"""


def names(text: str) -> set[str]:
    return {" ".join(name.split()) for name in text.split(",")}


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


def test_each_command_with_a_table_has_it() -> None:
    found = dict(commands(cli))
    with_json = {name for name, one in found.items() if any("--json" in p.opts for p in one.params)}
    assert with_json == names(TABLES)


def test_no_command_prints_a_table_by_itself() -> None:
    """But `report`, which evaluates first where it must, as evaluate does."""
    for path in sorted((ROOT / "wakestate/commands").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for line in re.findall(r"from wakestate\.tables import (.*)", text):
            assert line == "Printed", f"{path.name}: {line}"
        printing = re.findall(r"print\([^\n]*\.markdown\(", text)
        assert len(printing) == (path.name == "evaluate.py"), f"{path.name}: {printing}"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    assert main([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_of_words_and_boards(capsys: pytest.CaptureFixture[str]) -> None:
    words = {row["name"]: row for row in printed(capsys, "word", "list")}
    assert words["alexa"]["phrase"] == "alexa" and words["alexa"]["model"] is True
    boards = printed(capsys, "board", "list")
    assert {"name": "mps2-an386", "kind": "cortex-m", "core": "cortex-m4"} in boards


def test_of_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    baseline = ROOT / "bench/baseline.json"
    given = ["bench", "diff", "--baseline", str(baseline), "--out", str(tmp_path)]
    counted = tmp_path / "bench.json"
    counted.write_text(baseline.read_text())
    assert printed(capsys, *given) == []
    content = json.loads(baseline.read_text())
    content["rows"][0]["flash"] *= 2
    counted.write_text(json.dumps(content))
    (row,) = printed(capsys, *given, status=1)
    assert row["regression"] is True and "flash" in row["text"]


def test_of_damaged_frames(capsys: pytest.CaptureFixture[str]) -> None:
    counts = printed(capsys, "gateway", "fuzz", "--frames", "200", "--codec", "python")
    assert counts["sent"] == 200 and counts["wrong"] == 0 < counts["accepted"]


def test_all_else_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @table
    def noisy() -> Printed:
        print("aside")
        assert (subprocess_stdout() == 2) == (sys.stdout is sys.stderr)
        return Printed("text", {"path": Path("x"), "word": "ä"}, 1)

    for arguments, out, err in (
        ([], "aside\ntext\n", ""),
        (["--json"], '{"path": "x", "word": "\\u00e4"}\n', "aside\n"),
    ):
        assert noisy.main(arguments, standalone_mode=False) == 1
        assert capsys.readouterr() == (out, err)
