# SPDX-License-Identifier: Apache-2.0
"""What help and docs show can be done: each command line runs to its end here, in the test of what
it does or in continuous integration."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import (
    ALONE,
    BUILT,
    PAGES,
    Place,
    blocks,
    command,
    commands,
    continuous_integration,
    covered,
    docs,
    example,
    goals,
    lines_of,
    make_place,
    name_of,
    own_names_exist,
    parse,
    spans,
    typed_by_tests,
)
from tests.support.firmware_build import ROOT
from wakestate.__main__ import main

#: Other programs of the docs, by how the line begins, and why they are not run.
OTHERS = {
    "git clone|git show": "of where the project is, and its history",
    "sudo udevadm": "changes this computer",
    "docker": "builds a container",
    "curl": "needs a service that runs; tests/service/test_service.py",
    "openssl": "makes a key",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = tmp_path_factory.mktemp("examples")
    for name in ("build/bench.json", "bench/baseline.json"):
        (made / name).parent.mkdir()
        shutil.copy(ROOT / "bench/baseline.json", made / name)
    shutil.copytree(ROOT / "models", made / "copies")  # word sensitivity --set writes
    return make_place(made, tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("line", lines_of(ALONE))
def test_a_command_runs(line: str, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    name, before = name_of(line), set(place.folder.rglob("*"))
    if name == "data sample" and not shutil.which("flite"):
        pytest.skip("flite is not installed")
    more = ["--frames=5000"] if name == "gateway fuzz" else []
    if name == "data sample":
        more = ["--out=said"]  # and not into a folder that other lines read
    if name == "word sensitivity":
        more = [f"--model=copies/{re.findall('--word (.*?)(?: |$)', line)[0]}"]
    status = place.run(line, *more, toy=name != "word sensitivity")
    out, err = capfd.readouterr()
    assert status == 0, err
    silent = name in ("board check", "data plain")
    assert out or silent or set(place.folder.rglob("*")) > before


@pytest.mark.parametrize("line", [line for line in docs() if line.endswith("--help")])
def test_help_is_shown(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out.startswith("Usage: wakestate ")


def test_every_command_line_is_run() -> None:
    """Of the commands' help and of the docs, with small data, networks and amounts: here, in
    tests/qemu/test_examples.py, in the test of what the command does, or by continuous
    integration. A line of a command of which another one is run that has all of its options,
    apart from those that only name places, is not run as well: it is read as the program does."""
    known = {" ".join(each) for each in commands()}
    run = {*lines_of(ALONE), *lines_of(BUILT), *typed_by_tests()}
    run |= {line for line in docs() if line.endswith("--help")}
    run |= {example(name) for name in continuous_integration()}
    lines = [*map(example, known), *docs()]
    assert [line for line in lines if not covered(line, run)] == []
    own = {line.partition("   ")[0] for line in run}.intersection(lines)
    print(f"{len(own)} of {len(lines)} lines are run, the others by one with the same options")


@pytest.mark.parametrize("why", sorted(OTHERS.values()))
def test_what_is_tested_elsewhere_has_its_tests(why: str) -> None:
    _, _, path = why.partition("; ")
    assert not path or (ROOT / path).is_file()


def typed(line: str) -> Iterator[list[str]]:
    """The commands of a line of the docs, without what stands before and behind them."""
    for part in re.split(" {3}| +#", line)[0].split(" && "):
        words = shlex.split(part)
        while words and re.fullmatch(r"[A-Z_]+=\S+", words[0]):
            del words[0]
        yield words


#: Lines of other programs than `wakestate`, each once.
FOREIGN = {
    line: path
    for path in PAGES
    for line in [*blocks(path), *(each for each in spans(path) if re.match("make [a-z]", each))]
    if re.match(rf"([A-Z_]+=\S+ )?(make|\S*python3?|{'|'.join(OTHERS)})( |$)", line)
}


@pytest.mark.parametrize("line", FOREIGN)
def test_what_else_the_docs_type(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goals and variables of make, options behind ARGS, and modules and files of Python."""
    own_names_exist(monkeypatch)
    for words in typed(line):
        if words[0] == "make" and "-f" not in words:
            check_make(words[1:])
        elif "-m" in words:
            module = importlib.util.find_spec(words[words.index("-m") + 1])
            assert module and module.origin, line
            files = [word for word in words if word.startswith("tests/")]
            assert all((ROOT / name).is_file() for name in files)
            if not module.name.startswith("pytest"):
                options = [word for word in words if word.startswith("--")]
                text = Path(module.origin).read_text(encoding="utf-8")
                assert all(f'"{option}"' in text for option in options)


def check_make(words: list[str]) -> None:
    """A goal with variables, of which each is known, and what it hands to commands."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = {name for line in re.findall("^#\\? (.*)", text, re.MULTILINE) for name in NAME(line)}
    given = dict(word.split("=", 1) for word in words if "=" in word)
    assert given.keys() <= known, given
    (goal,) = (word for word in words if "=" not in word)
    for name in goals()[goal]:
        params = {option for one in command(*name.split()).params for option in one.opts}
        line = [name]
        for key, value in given.items():
            if f"--{key.lower()}" in params and value:
                line += [f"--{key.lower()}", shlex.quote(value.split()[0])]
        filled = [shlex.quote(given[key]) for key in ("TFLITE", "PHRASE", "NAME") if key in given]
        filled = filled or ["x"] * (name == "compile")
        like = ["--like", given["LIKE"]] if "LIKE" in given else []
        if goal != "fuzz" and (given or goal != "new-board"):  # these have options of their own
            parse(" ".join(["wakestate", *line, given.get("ARGS", ""), *like, *filled]))


NAME = re.compile(r"\b([A-Z]+)=").findall
