# SPDX-License-Identifier: Apache-2.0
"""Each extra of pyproject.toml is enough for what the Makefile installs it for.

Two ways: what every goal's commands import, followed through the sources, is within what the
goal's extras ask for; and environments of their own, in which the packages of one extra are links
to those here, run commands. (.ci/run has one goal after the other install them, from nothing.)
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections import Counter
from functools import cache
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path
from time import sleep

import click
import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.examples import typed_example
from tests.support.executors import ROOT, TOY
from wakestate.__main__ import cli
from wakestate.train.data.corpus import RATE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"wakestate", "tests", "tools"}
COMMANDS = "wakestate.commands"
#: Imported only where it is: on a GPU, after `wakestate data voices`.
OPTIONAL = {"jax", "piper", "kokoro_onnx", "onnxruntime", "pymicro_wakeword"}


@cache
def installed() -> dict[str, Distribution]:
    return {canonicalize_name(d.metadata["Name"]): d for d in distributions()}


@cache
def closure(*extras: str) -> frozenset[str]:
    """Names of all packages that the base and these extras bring, as far as they are here."""
    seen: set[tuple[str, str]] = set()
    optional = PROJECT["optional-dependencies"]
    todo = [Requirement(text) for text in PROJECT["dependencies"]]
    todo += [Requirement(text) for extra in extras for text in optional[extra]]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name == PROJECT["name"]:
                todo += [Requirement(text) for text in optional.get(extra, ())]
            elif name in installed():
                asked = [Requirement(text) for text in installed()[name].requires or ()]
                todo += [r for r in asked if not r.marker or r.marker.evaluate({"extra": extra})]
    return frozenset(name for name, _ in seen)


@cache
def source(module: str) -> ast.Module | None:
    base = ROOT / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return ast.parse(path.read_text())
    return None


def imports(nodes: list[ast.stmt], lazy: bool = True) -> set[str]:
    """Modules that statements, and those in them, import; not those whose absence is caught.

    `lazy`: inside functions also those that are not ours.
    """
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Try) and any(
            h.type and re.search("ImportError|ModuleNotFoundError", ast.unparse(h.type))
            for h in node.handlers
        ):
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
        else:
            inner = imports(
                [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)], lazy
            )
            if isinstance(node, ast.FunctionDef) and not lazy:
                inner = {name for name in inner if name.partition(".")[0] in OURS}
            found |= inner
    return found


def reached(module: str, name: str) -> set[str]:
    """Modules that a function of wakestate/commands imports, or those there that it calls."""
    found: set[str] = set()
    done, waiting = set(), [(module, name)]
    while waiting:
        place = waiting.pop()
        tree = source(place[0])
        assert tree is not None, place
        defined = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        if place in done or place[1] not in defined:
            continue
        done.add(place)
        node = defined[place[1]]
        found |= imports(node.body)
        waiting += [(place[0], n.id) for n in ast.walk(node) if isinstance(n, ast.Name)]
        for other in ast.walk(tree):
            if isinstance(other, ast.ImportFrom) and (other.module or "").startswith(COMMANDS):
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                waiting += [(str(other.module), n.name) for n in other.names if n.name in names]
                parts = [n for n in ast.walk(node) if isinstance(n, ast.Attribute)]
                waiting += [
                    (f"{COMMANDS}.{n.value.id}", n.attr)
                    for n in parts
                    if other.module == COMMANDS
                    and isinstance(n.value, ast.Name)
                    and n.value.id in {each.name for each in other.names}
                ]
    return {name for name in found if not name.startswith(COMMANDS)}


def needed(*names: str) -> set[str]:
    """Third-party names that a command imports: what the functions of wakestate/commands do that it
    calls, and of other modules all but what they import in functions and is not ours."""
    command: click.Command = cli
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    function = inspect.unwrap(command.callback)  # type: ignore[arg-type]
    todo = reached(function.__module__, function.__name__) | {"click"}
    done: set[str] = set()
    outside: set[str] = set()
    while todo:
        module = todo.pop()
        top = module.partition(".")[0]
        if module in done or top in sys.stdlib_module_names or module.startswith(COMMANDS):
            continue
        done.add(module)
        if top not in OURS:
            outside.add(top)
            continue
        tree = source(module)
        if tree is not None:
            todo |= imports(tree.body, lazy=False)
            parent = module.rpartition(".")[0]
            todo |= {parent} if parent else set()
    return outside - OPTIONAL


def goals() -> list[str]:
    text = (ROOT / "Makefile").read_text()
    every = re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)
    return [g for g in every if g not in ("help", "clean", "clean-all", "setup", "lint", "test")]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What make would do for each goal where nothing is installed yet."""
    folder = tmp_path_factory.mktemp("goals")
    (folder / "manifest.csv").touch()
    names = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    found = {}
    for goal in goals():
        board = "b-l475e-iot01a" if goal in ("build", "size") else "mps2-an386"
        given = [
            f"VENV={folder}",
            f"DATA={folder}",
            f"BOARD={board}",
            "AUDIO=x.flac",
            "TFLITE=x.tflite",
            "NAME=x",
            "LIKE=y",
        ]
        # What make runs although it is only asked (lines with +) prints what it would do.
        command = ["make", "-n", goal, "MAKE=true", "PYTHON=echo python", *given]
        done = subprocess.run(command, cwd=ROOT, env=names, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found[goal] = done.stdout
    return found


def test_no_goal_needs_more_than_it_installs(planned: dict[str, str]) -> None:
    of = packages_distributions()
    seen = Counter[str]()
    for goal, text in planned.items():
        extras = tuple(sorted(set(re.findall(r"packages\.py \S+ (?!base)(\w+)", text))))
        there = closure(*extras)
        for words in set(re.findall(r"python -m wakestate ([a-z-]+)(?: ([a-z-]+))?", text)):
            command = words if isinstance(cli.commands[words[0]], click.Group) else words[:1]
            for name in needed(*command):
                brought = {canonicalize_name(n) for n in of.get(name, [name])}
                assert brought & there, (
                    f"make {goal}: {command} imports {name}, which "
                    f"{extras or 'the base'} does not bring"
                )
            seen.update(extras or ("base",))
    assert seen.keys() >= {"base", "flash", "site", "synth", "train", "peers"}


def link(into: Path, files: dict[str, set[str]], real: Path, only: set[str], at: str = "") -> None:
    """Link below `into` what packages `only` have in `real`; folders that others share are made."""
    owners: dict[str, set[str]] = {}
    for name, paths in files.items():
        for path in paths:
            if path.startswith(at):
                owners.setdefault(path[len(at) :].partition("/")[0], set()).add(name)
    for part, who in owners.items():
        if who <= only:
            (into / part).symlink_to(real / part)
        elif who & only and (real / part).is_dir():
            (into / part).mkdir()
            link(into / part, files, real / part, only, f"{at}{part}/")


@pytest.fixture
def bare(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with one extra's packages alone; "" is the base."""
    extra: str = request.param
    names = closure(*([extra] if extra else []))
    lost = [n for n in names if n not in installed() and n == "av"]
    if lost:
        pytest.skip(f"{lost[0]} is not installed")
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    files = {
        name: {str(f) for f in d.files or () if not str(f).startswith("..")}
        for name, d in installed().items()
    }
    real = Path(installed()["numpy"].locate_file(""))
    link(next(folder.glob("lib/python*/site-packages")), files, real, set(names))
    return folder / "bin/python"


def run(python: Path, *arguments: str | Path, status: int = 0, cwd: Path = ROOT) -> str:
    """What it prints; on stderr, where it ends with another status than 0."""
    done = subprocess.run(
        [python, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr[-2000:]
    return done.stderr if status else done.stdout


@pytest.mark.parametrize("bare", [""], indirect=True)
def test_the_base_compiles_models_and_starts_all_commands(bare: Path, tmp_path: Path) -> None:
    run(
        bare,
        "-m",
        "wakestate",
        "model",
        "generate",
        "--word",
        TOY.word_path,
        "--model",
        TOY.folder,
        "--out",
        tmp_path / "c",
    )
    assert (tmp_path / "c/ws_toy.c").is_file()
    run(bare, "-m", "wakestate", "board", "generate", "mps2-an386", "--out", tmp_path / "board")
    every = "from wakestate.__main__ import cli, main; [main([n, '--help']) for n in cli.commands]"
    assert run(bare, "-c", every).count("Usage: wakestate ") == len(cli.commands)
    for command, extra in ((["word", "confusables"], "synth"), (["service", "serve"], "serve")):
        printed = run(bare, "-m", "wakestate", *command, status=1)
        assert printed.endswith(f": not installed; pip install 'wakestate[{extra}]'\n"), printed
        assert printed.count("\n") == 1
    done = subprocess.run([bare, "-c", "import soundfile"], capture_output=True, check=False)
    assert done.returncode  # it is bare


@pytest.mark.parametrize("bare", [""], indirect=True)
def test_the_wheel_works_without_the_checkout(bare: Path, tmp_path: Path) -> None:
    """Its emulator processes the sample from an empty folder; nothing but `wakestate` is
    installed."""
    backend = installed().get("setuptools")
    if backend is None or int(backend.version.partition(".")[0]) < 77:
        pytest.skip("setuptools 77 is not installed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no checkout of git")
    for name in listed.stdout.split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).exists():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "project" / name, follow_symlinks=False)
    run(
        Path(sys.executable),
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ".",
        cwd=tmp_path / "project",
    )
    packages = next(bare.parent.parent.glob("lib/python*/site-packages"))
    zipfile.ZipFile(next(tmp_path.glob("wakestate-*.whl"))).extractall(packages)
    (tmp_path / "empty").mkdir()
    printed = run(bare, "-m", "wakestate", "emulate", cwd=tmp_path / "empty")
    events = [json.loads(line) for line in printed.splitlines()]
    assert [event["t"] for event in events] == [1.835, 7.775, 14.495]
    run(bare, "-m", "wakestate", "export", "--out", "library", cwd=tmp_path / "empty")
    assert (tmp_path / "empty/library/LICENSE").is_file()
    for name in ("train", "convert", "boards"):
        printed = run(bare, "-c", f"import {name}", status=1, cwd=tmp_path / "empty")
        assert "ModuleNotFoundError" in printed


@pytest.mark.parametrize("bare", ["audio"], indirect=True)
def test_audio_decodes(bare: Path, tmp_path: Path) -> None:
    """And resamples: `wakestate emulate` gives a program, here one that counts, a WAV of 16 kHz."""
    soundfile.write(tmp_path / "x.flac", np.zeros((3 * RATE, 2)), 3 * RATE)
    count = tmp_path / "count"
    count.write_text('#!/bin/sh\nfor file; do :; done\nwc -c <"$file"\n')
    count.chmod(0o755)
    printed = run(bare, "-m", "wakestate", "emulate", "--program", count, "--", tmp_path / "x.flac")
    assert int(printed) == 44 + 2 * RATE


@pytest.mark.parametrize("bare", ["flash"], indirect=True)
def test_flash_knows_the_registers(bare: Path, tmp_path: Path) -> None:
    run(bare, "-m", "wakestate", "board", "generate", "b-l475e-iot01a", "--out", tmp_path / "board")
    assert list((tmp_path / "board").glob("*.h"))


@pytest.mark.parametrize("bare", ["synth"], indirect=True)
def test_synth_makes_data(bare: Path, tmp_path: Path) -> None:
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    word = tmp_path / "jarvis.toml"
    word.write_text('name = "jarvis"\nphrase = "hey jarvis"\n[data]\npositive = ["hey jarvis"]\n')
    printed = run(
        bare,
        "-m",
        "wakestate",
        "data",
        "synthesize",
        "--word",
        word,
        "--data",
        tmp_path / "data",
        "--positives",
        "3",
        "--engines",
        "flite",
        "--recorded",
        "no",
        "--downloads",
        tmp_path,
    )
    assert "to do: 6 clips by flite; 0 packages of recorded sound, 0 MB" in printed
    assert len(list((tmp_path / "data").glob("*/tts/*.opus"))) == 6


@pytest.mark.parametrize("bare", ["serve"], indirect=True)
def test_serve_answers(bare: Path, tmp_path: Path) -> None:
    models = ["--model", "models/alexa", "--verifier", "models/alexa/verifier"]
    (tmp_path / "port").touch()
    keys = tmp_path / "keys"
    keys.write_text("of-somebody-who-may-ask-it\n")
    run(
        bare,
        "-m",
        "wakestate",
        "gateway",
        "run",
        "--two-stage",
        "--word",
        "alexa",
        *models,
        "--from",
        tmp_path / "port",
        "--out",
        tmp_path / "out",
    )
    with subprocess.Popen(
        [
            bare,
            "-m",
            "wakestate",
            *typed_example(
                "service serve", {"8080": "18497"}, *("--host", "127.0.0.1", "--keys", keys)
            ),
            *models,
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as service:
        answer = None
        try:
            while service.poll() is None and answer is None:
                sleep(0.1)
                try:
                    with urllib.request.urlopen("http://127.0.0.1:18497/health", timeout=5) as got:
                        answer = json.load(got)
                except OSError:
                    continue
        finally:
            service.terminate()
    assert answer and service.returncode == 0
