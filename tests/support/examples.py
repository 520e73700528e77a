# SPDX-License-Identifier: Apache-2.0
"""What can be typed: examples of --help, commands of the docs; and a place to type them."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support.executors import TOY
from tests.support.firmware_build import ROOT
from tests.support.wav import SPEECH, wav
from wakestate.__main__ import cli, main
from wakestate.commands import options
from wakestate.train.experiments import recipe

#: The pages that users read.
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *ROOT.glob("models/*/README.md")]
CI = ("run", "first-steps")


def names(text: str) -> list[str]:
    """Names of commands in a list with commas."""
    return [" ".join(name.split()) for name in text.split(",")]


#: Commands whose examples, and lines of the docs, tests/unit/test_examples.py runs; and
#: those which tests/qemu/test_examples.py does, since they build.
ALONE = names("""word list, word docs, word sensitivity, data plain, data recordings,
data sample, word confusables,
model generate, model generate-words, model compile, export, board list, board check,
board generate, board docs, board udev, board pdm, bench diff, bench accept, gateway fuzz""")
BUILT = names("""build, emulate, qemu, run, size, compile, board budget, board run, bench model,
bench size, bench stack""")


def commands(group: click.Group = cli, *above: str) -> Iterator[tuple[str, ...]]:
    """The names of each command, as ("board", "list")."""
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, *above, name)
        else:
            yield (*above, name)


def command(*names: str) -> click.Command:
    """The command of these names."""
    found: click.Command = cli
    for name in names:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def example(name: str) -> str:
    """What the help of a command shows, without a pipe behind it."""
    return (command(*name.split()).epilog or "").removeprefix("Example: ").partition(" | ")[0]


def typed_example(name: str, files: Mapping[str, str | Path], *more: str | Path) -> list[str]:
    """What a command's example has behind `wakestate`, then `more`; `files` replace words of it."""
    typed = [files.get(word, word) for word in shlex.split(example(name))[1:]]
    return [str(word) for word in (*typed, *more)]


def typed_line(line: str, files: Mapping[str, str | Path], *more: str | Path) -> list[str]:
    """As typed_example, of a line of the docs: what it has behind `wakestate`."""
    assert f"wakestate {line}" in docs(), line
    return [str(word) for word in (*(files.get(w, w) for w in shlex.split(line)), *more)]


def typed_by_tests() -> set[str]:
    """The command lines that tests type by the two functions above, behind three spaces the
    options they add."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if "typed_" not in (text := path.read_text(encoding="utf-8")):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                (line, *_), more = node.args, node.args[2:]
                words = [n.value for a in more for n in ast.walk(a) if isinstance(n, ast.Constant)]
                added = " ".join(word for word in map(str, words) if word.startswith("--"))
                line = line.value if isinstance(line, ast.Constant) else ""
                if node.func.id == "typed_example":
                    found.add(f"{example(str(line))}   {added}")
                elif node.func.id == "typed_line":
                    found.add(f"wakestate {line}   {added}")
    return found


#: Options that only name a place, which tests give to every command.
PLACES = {"word", "words", "model", "verifier", "data", "out", "library", "downloads", "store"}


def options_of(line: str) -> frozenset[str]:
    """The options of a command line, by their names in the program, without those of PLACES."""
    params = command(*name_of(line).split()).params
    known = {option: str(param.name) for param in params for option in param.opts}
    given = [word.partition("=")[0].strip("[]") for word in shlex.split(line)]
    return frozenset(known.get(w, w) for w in given if w.startswith("--")) - PLACES


def covered(line: str, run: Iterable[str]) -> bool:
    """Whether a line of `run` is of the same command and has all of its options."""
    name, given = name_of(line), options_of(line)
    return any(name_of(one) == name and given <= options_of(one) for one in run)


def name_of(line: str) -> str:
    """The command's name in a command line that begins with `wakestate`: "board list"."""
    words = line.split()[1:]
    group = isinstance(cli.commands.get(words[0]), click.Group)
    return " ".join(words[: 1 + group])


def parse(line: str) -> None:
    """Read a command line as the program does, and do nothing; click.UsageError."""
    words = shlex.split(line)
    found, depth = cli.commands[words[1]], 2
    if isinstance(found, click.Group):
        found, depth = found.commands[words[2]], 3
    found.make_context(words[depth - 1], words[depth:]).close()


#: Words, boards and recipes that the docs have a user make; and places to fill in.
OWN = ("jarvis", "mine", "okay_nabu", "FILE", "NAME", "WORD")


def own_names_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as `parse` asks for them; and results to compare."""
    for kind in (options._WordType, options._BoardType):
        fail = kind.fail

        def unless(one: Any, message: str, *more: Any, fail: Any = fail) -> None:
            if not any(re.search(rf"\b{name}\b", message) for name in OWN):
                fail(one, message, *more)

        monkeypatch.setattr(kind, "fail", unless)
    monkeypatch.setattr(options._NamedFile, "fail", lambda *_: None)
    alexa = options.WordFile("alexa", ROOT / "words/alexa.toml", "alexa.wakestate")
    monkeypatch.setattr(options, "bundled", lambda _: alexa)
    find, load = recipe.find, recipe.load
    monkeypatch.setattr(recipe, "find", lambda name: None if name == "jarvis.toml" else find(name))
    monkeypatch.setattr(recipe, "load", lambda path, of: load(path, of) if path else {})


def blocks(path: Path) -> list[str]:
    """Lines of the code blocks of a page, continued ones as one."""
    text = re.sub(r" \\\n +", " ", path.read_text(encoding="utf-8"))
    return re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)


def spans(path: Path) -> list[str]:
    """What a page has in code blocks, line by line, and in `...`."""
    return blocks(path) + re.findall(r"`([^`]+)`", path.read_text(encoding="utf-8"))


def written(path: Path) -> list[str]:
    """Command lines of `wakestate` of a page."""
    lines = [re.search(r"(?:^|[ /])wakestate( [a-z].*)", span) for span in spans(path)]
    found = ["wakestate" + re.split(r" [|#>&] |   ", line[1])[0].rstrip() for line in lines if line]
    return [line for line in found if re.match(r"wakestate [a-z-]+( |$)", line)]


def docs() -> dict[str, Path]:
    """Command lines of the pages that are not in a command's help, and a page of each."""
    shown = {example(" ".join(each)) for each in commands()}
    return {line: path for path in PAGES for line in written(path) if line not in shown}


def goals() -> dict[str, set[str]]:
    """The commands that each goal of the Makefile runs."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, value in re.findall(r"^define (\w+)\n((?:.*\n)+?)endef", text, re.MULTILINE):
        text = text.replace(f"\t$({name})\n", re.sub("^(?=.)", "\t", value, flags=re.MULTILINE))
    for name, value in re.findall(r"^([A-Z]+) = (\$\(WAKESTATE\) .*)$", text, re.MULTILINE):
        text = text.replace(f"$({name})", value)
    found = {}
    for goal, lines in re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", text, re.MULTILINE):
        called = re.findall(r"\$\(WAKESTATE\) ([a-z$].*)", lines)
        typed = [line.replace("$@", goal).replace("$(if $(PHRASE),", "") for line in called]
        found[goal] = {name_of(f"wakestate {line}") for line in typed}
    return found


def continuous_integration() -> set[str]:
    """The commands that .ci runs, most of them as a new user's first steps."""
    text = "".join((ROOT / ".ci" / name).read_text(encoding="utf-8") for name in CI)
    made = re.findall(r"^(?:step )?make ([a-z-]+)", text, re.MULTILINE)
    typed = re.findall(r"^step \S*bin/wakestate (.*)$", text, re.MULTILINE)
    of_goals = goals()
    found = {name_of(f"wakestate {line}") for line in typed}
    return found.union(*(of_goals.get(goal, ()) for goal in made))


@dataclass(frozen=True)
class Place:
    """A folder to type commands in: the files that stand for those they name, and a small word."""

    folder: Path
    files: dict[str, Path]
    word: tuple[str, ...] = ("--word", str(TOY.word_path), "--model", str(TOY.folder))

    def run(self, line: str, *more: str, toy: bool = True) -> int:
        """Type a command line that begins with `wakestate`, and `more` options; its status.

        `toy`: of the small word, where the line has one word or none.
        """
        name, typed = name_of(line), shlex.split(line)[1:]
        params = command(*name.split()).params
        known = {option for param in params for option in param.opts}
        if toy and "--word" in known and typed.count("--word") < 2:
            for option in ("--word", "--model"):
                if option in typed:
                    at = typed.index(option)
                    del typed[at : at + 2]
            typed += self.word if "--model" in known else self.word[:2]
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return main([*(str(self.files.get(word, word)) for word in typed), *more])
        finally:
            os.chdir(before)


def make_place(folder: Path, files: Path) -> Place:
    """Type in `folder`; what examples name is written into `files`."""
    found = {name: files / name for name in ("kitchen.wav", "x.wav", "kws.tflite", "mine")}
    for name in ("kitchen.wav", "x.wav", "mine/1.wav"):
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_bytes(wav(SPEECH))
    shutil.copy(TOY.folder / "toy_idle.tflite", found["kws.tflite"])
    found["player=music,volume=high"] = Path("player=music")  # a state that the small word has
    return Place(folder, found)


#: Lines of the docs of such commands that are run, but not as they are.
NOT_RUN = {
    r"…|FOLDER": "has a place to fill in",
    r"\.\./shared|data/benchmark": "needs recordings that are not in the project",
    r"runs/": "needs a training before it",
}


def lines_of(of: list[str]) -> list[str]:
    """Examples and lines of the docs of these commands."""
    shown = [line for line in docs() if name_of(line) in of]
    return [*map(example, of), *(one for one in shown if not re.search("|".join(NOT_RUN), one))]
