# SPDX-License-Identifier: Apache-2.0
"""The program `wakestate`: its help, lines that can be typed, its statuses."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.support.examples import PAGES, command, commands, own_names_exist, parse, written
from tests.support.executors import ROOT
from wakestate.__main__ import cli, main
from wakestate.commands.options import other_process


@pytest.mark.parametrize("names", list(commands()), ids=" ".join)
def test_each_command_has_an_example_that_can_be_typed(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = command(*names).epilog or ""
    example = text.removeprefix("Example: ")
    assert example.startswith(f"wakestate {' '.join(names)}") and text != example
    assert (command(*names).help or "").partition("\n")[0].endswith(".")
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"\S+=(\S+\.json)", example):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    parse(example.partition(" | ")[0])


def test_an_option_means_the_same_in_every_command() -> None:
    """Of one type, with one placeholder, and, where that is given, with one default."""
    seen: dict[str, set[tuple[str, str | None]]] = {}
    for names in commands():
        for one in command(*names).params:
            for name in one.opts:
                kind = type(one.type).__name__
                seen.setdefault(name, set()).add((kind, one.metavar))
    for name in ("--word", "--model", "--data", "--also", "--board", "--out", "--seed", "--split"):
        assert len(seen[name]) == 1, f"{name}: {seen[name]}"
    for name in ("--model", "--data", "--also", "--out"):
        assert seen[name] == {("Path", "FOLDER")}
    assert seen["--word"] == {("_WordType", "NAME|FILE")} and "--words" not in seen


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_the_docs_can_be_typed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own_names_exist(monkeypatch)
    for line in written(path):
        words = shlex.split(re.sub(r" \[.*?\]", "", line))  # what may stand there
        assert words[1] in cli.commands, line
        bare = len(words) <= 2 + isinstance(cli.commands[words[1]], click.Group)
        if not bare and "--help" not in words:  # else only named, not typed
            parse(shlex.join(words))


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 80
    assert not any(re.search(r"[^\]]\.\.\.$", line) for line in lines), "cut off"
    for name in cli.commands:
        assert any(name in line.split() for line in lines if line.startswith("  "))
    assert len((ROOT / "Makefile").read_text().splitlines()) < 150


def test_the_version_names_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    header = (ROOT / "firmware/include/wakestate/version.h").read_text()
    assert main(["--version"]) == 0
    schema = re.findall(r"#define WS_SCHEMA (\d+)", header)
    assert capsys.readouterr().out.split()[-1:] == schema


@pytest.mark.parametrize(
    ("arguments", "status", "wording"),
    [
        (["emulate", "--nothing"], 2, "'--nothing'; see wakestate emulate --help"),
        (["nothing"], 2, "'nothing'"),
        (["emulate", "--word", "nothing"], 2, "words/nothing.toml: no such word file"),
        (["build", "--board", "nothing"], 2, "no board 'nothing'; there are: "),
        (["qemu", "--board", "host"], 2, "--board host is this computer"),
        (["model", "compile", "none.tflite", "--out", "x"], 1, "none.tflite: no such file"),
        (["emulate", "--model", "none"], 1, "none/model.json: no such file; `wakestate train"),
    ],
)
def test_what_a_user_can_correct_is_one_line(
    arguments: list[str], status: int, wording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and wording in err


def test_nothing_is_trained_that_could_not_be_measured(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (sounds / "manifest.csv").read_text().splitlines(keepends=True)
    made = tmp_path / "data"
    made.mkdir()
    remaining = [row for row in rows if ",dev," not in row]
    assert 1 < len(remaining) < len(rows)
    (made / "manifest.csv").write_text("".join(remaining))
    for row in remaining[1:]:
        name = row.split(",")[0]
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).symlink_to(sounds / name)
    out = tmp_path / "run"
    assert main(["train", "--data", str(made), "--out", str(out)]) == 1
    printed = capsys.readouterr().err
    assert "no row has split 'dev'; there are: train; --split held-out measures on" in printed
    assert not out.exists()


def test_a_phrase_that_no_voice_can_speak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    word = tmp_path / "xiao.toml"
    word.write_text('name = "xiao"\nphrase = "小爱同学"\n[data]\npositive = ["xiao"]\n')
    assert main(["data", "synthesize", "--word", str(word), "--data", str(tmp_path / "d")]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "English voices cannot say" in printed


def test_a_missing_compiler_names_its_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name == "make" or None)
    assert main(["build"]) == 1
    assert capsys.readouterr().err == "gcc is not installed; apt-get install gcc libc6-dev\n"


def test_an_interrupt_has_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wakestate.boards.schema.board_names", interrupt)
    assert main(["board", "list"]) == 130


def test_a_process_of_its_own_trains_with_the_callers_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And converts with TensorFlow, which has the converter."""
    seen = []
    done = subprocess.CompletedProcess[bytes]([], 0)
    monkeypatch.setattr(
        subprocess, "run", lambda call, env, **_: (seen.append(env["KERAS_BACKEND"]), done)[1]
    )
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    other_process("train")
    other_process("model", "convert", tensorflow=True)
    assert seen == ["jax", "tensorflow"]


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        ([], "em", ["emulate"]),
        (["train", "--word"], "alexa_", ["alexa_250k"]),
        (["emulate", "--word"], "hey", ["hey_samuel"]),
        (["build", "--board"], "mps3", ["mps3-an547"]),
        (["train", "--recipe"], "meta", ["metadata"]),
        (["model"], "vari", ["variants"]),
    ],
)
def test_a_shell_completes(words: list[str], incomplete: str, found: list[str]) -> None:
    shell = ShellComplete(cli, {}, "wakestate", "_WAKESTATE_COMPLETE")
    assert [item.value for item in shell.get_completions(words, incomplete)] == found
