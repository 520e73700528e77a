# SPDX-License-Identifier: Apache-2.0
"""Several words in one program: events, costs, states, C++ and threads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.executors import ROOT
from tests.support.firmware_build import build, run_device
from tests.support.wav import pcm
from wakestate import __version__
from wakestate.__main__ import main
from wakestate.bench.image import read_image
from wakestate.bench.measure import Counts
from wakestate.boards.building import build as make
from wakestate.boards.schema import load_board
from wakestate.convert.emit import ENGINE_SCHEMA

TOGETHER = "alexa computer"
SAMPLE = ROOT / "models/alexa/sample.wav"
ENGINE = [f"firmware/engine/{name}.c" for name in ("engine", "word", "detector")]
INCLUDES = ["-Ifirmware/include", "-Ifirmware"]


@pytest.mark.parametrize("board", ["host", "mps2-an386"])
def test_each_word_reports_what_its_own_image_reports(board: str) -> None:
    sound = SAMPLE.read_bytes()[44 : 44 + 2 * 48000]
    options = ["--scores", "--state", "player=music", "-"]
    lines = build(TOGETHER, board).run("emulator", *options, stdin=sound).stdout.splitlines()
    assert len(lines) > 100
    for word in TOGETHER.split():
        own = build(word, board).run("emulator", *options, stdin=sound).stdout.splitlines()
        named = f'"word":"{word}",'.encode()
        assert [line.replace(named, b"") for line in lines if named in line] == own


def test_a_second_word_costs_its_network_alone() -> None:
    """Instructions of two words: one front end and both networks, within 2 %."""
    board = load_board("mps2-an386")
    counts = {}
    for word in (TOGETHER, *TOGETHER.split()):
        folder = Path("build") / board.name / word.replace(" ", "_")
        done = make(
            "firmware/build.mk",
            str(folder / "bench.elf"),
            f"BOARD={board.name}",
            f"WORD={word}",
            root=ROOT,
        )
        assert done.returncode == 0, done.stderr
        counts[word] = Counts(board, ROOT / folder / "bench.elf")
    each = [counts[word].mean("engine") for word in TOGETHER.split()]
    expected = sum(each) - counts["alexa"].mean("front end")
    assert abs(counts[TOGETHER].mean("engine") / expected - 1) < 0.02


def test_words_share_front_end_and_kernels() -> None:
    """At least 12 KB of flash less than images of their own; three fit 256 KB and 32 KB of RAM."""
    board = load_board("mps2-an386")
    images = {}
    for words in ("alexa", "computer", TOGETHER, f"{TOGETHER} hey_samuel"):
        elf = Path("build") / board.name / words.replace(" ", "_") / "image.elf"
        done = make(
            "firmware/build.mk", str(elf), f"BOARD={board.name}", f"WORD={words}", root=ROOT
        )
        assert done.returncode == 0, done.stderr
        images[words] = read_image(ROOT / elf)
    apart = images["alexa"].flash + images["computer"].flash
    assert images[TOGETHER].flash <= apart - 12 * 1024
    three = images[f"{TOGETHER} hey_samuel"]
    assert three.flash <= 256 * 1024 and three.ram + board.stack_bytes <= 32 * 1024


def test_words_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "words/computer.toml").read_text(encoding="utf-8")
    for old, new, table in (
        ("low_hz = 60.0", "low_hz = 70.0", "[frontend]"),
        ('"music"', '"radio"', "[metadata]"),
    ):
        assert old in text
        other = tmp_path / "computer.toml"
        other.write_text(text.replace(old, new), encoding="utf-8")
        words = ["--word", "words/alexa.toml", "--word", str(other)]
        assert main(["model", "generate-words", *words, "--out", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert str(other) in error and table in error and error.count("\n") == 1
    twice = ["--word", "words/alexa.toml"] * 2
    assert main(["model", "generate-words", *twice, "--out", str(tmp_path / "out")]) == 1
    assert "allowed once" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Program:
    """Sources, includes and objects of a program with both words, on this computer."""

    def __init__(self, folder: Path) -> None:
        build(TOGETHER, "host", program="emulator")
        self.folder, self.made = folder, dict[str, list[str]]()
        folders = [f"build/generated/{word}/plain" for word in TOGETHER.split()]
        pairs = zip(folders, TOGETHER.split(), strict=True)
        self.sources = [f"{folder}/ws_{name}.c" for folder, name in pairs]
        self.sources += [f"{folders[0]}/ws_frontend.c", *ENGINE]
        self.includes = [*INCLUDES, *(f"-I{folder}" for folder in folders)]

    def objects(self, compiler: str, options: str) -> list[str]:
        """The C, compiled as C11; once for each way."""
        way = f"{compiler} {options}"
        if way not in self.made:
            self.made[way] = []
            for source in self.sources:
                made = str(self.folder / f"{len(self.made)}-{Path(source).stem}.o")
                call = [compiler, "-std=c11", *options.split(), *self.includes, "-c", source]
                subprocess.run([*call, "-o", made], cwd=ROOT, check=True)
                self.made[way].append(made)
        return self.made[way]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3 -flto"])
def test_a_cxx_program_with_two_words(
    compiler: str, level: str, two: Program, tmp_path: Path
) -> None:
    """C++17 with threads, without exceptions and run-time types, free of warnings. With -flto the
    C takes part in it, else it is gcc's."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    options = level.split()
    if "-flto" in options and compiler == "clang++":
        if shutil.which("ld.lld") is None:
            pytest.skip("clang's -flto needs a linker that knows it: lld is not installed")
        options.append("-fuse-ld=lld")
    own = {"g++": "gcc", "clang++": "clang"}[compiler]
    objects = two.objects(own, level) if "-flto" in options else two.objects("gcc", "-O1")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wold-style-cast", "-Werror"]
    call = [compiler, "-std=c++17", *options, "-fno-exceptions", "-fno-rtti", *warnings]
    call += ["-pthread", *two.includes, "tests/native/two_words.cpp", *objects]
    program = tmp_path / "two"
    subprocess.run([*call, "-o", str(program)], cwd=ROOT, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_headers_versions_are_those_of_the_project() -> None:
    text = (ROOT / "firmware/include/wakestate/version.h").read_text(encoding="utf-8")
    values = dict(re.findall(r"#define (WS_\w+) (\S+)", text))
    assert values["WS_VERSION"] == f'"{__version__}"'
    parts = [values[f"WS_VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH")]
    assert ".".join(parts) == __version__
    assert int(values["WS_SCHEMA"]) == ENGINE_SCHEMA


def test_an_engine_that_is_not_aligned_is_asserted(tmp_path: Path) -> None:
    """WS_ASSERT is called, and holds in an engine that is used as it should be."""
    call = ["gcc", "-std=c11", *INCLUDES, "-Itests/scripted", "-DWS_ASSERT(c)=failed_if(!(c))"]
    call += ["tests/native/asserts.c"]
    call += [f"tests/scripted/ws_{name}.c" for name in ("scripted", "frontend")]
    subprocess.run([*call, "-o", str(tmp_path / "x")], cwd=ROOT, check=True)
    assert subprocess.run([tmp_path / "x"], capture_output=True, check=True).stdout == b"0 1\n"


def test_engines_in_threads_do_not_know_of_each_other(tmp_path: Path) -> None:
    """16 at once under the thread sanitizer; each as one alone."""
    sources = ["tests/native/threads.c", *ENGINE]
    sources += [f"tests/scripted/ws_{name}.c" for name in ("words", "scripted", "frontend")]
    call = ["gcc", "-std=c11", "-g", "-O1", "-fsanitize=thread", "-pthread", *INCLUDES]
    call += ["-Itests/scripted", *sources, "-o", str(tmp_path / "threads")]
    subprocess.run(call, cwd=ROOT, check=True)
    sound = pcm((1.0, 0), (1.0, 0x70), (1.0, 0x10))
    done = subprocess.run([str(tmp_path / "threads")], input=sound, capture_output=True, check=True)
    hashes = done.stdout.split()
    assert len(hashes) == 16 and len(set(hashes)) == 1


def test_a_device_with_two_words_handles_commands() -> None:
    """`words`, `word`, `sensitivity`, `near`, `mute`: the image in QEMU, with its serial port."""
    made = build(TOGETHER, "mps2-an386")
    commands = b"words\nword computer off\nsensitivity -30\nnear 200\nword nobody on\nmute\n"
    commands += b"sensitivity 7 computer player=music\nsensitivity 7 player=none\n"
    ready, *lines = run_device(made, SAMPLE, commands)
    assert ready["word"] == "alexa, computer"
    words = [line for line in lines if line["type"] == "word"]
    assert [(x["word"], x["on"], x["sensitivity"], x["near"]) for x in words] == [
        ("alexa", True, [0] * 8, 0),
        ("computer", True, [0] * 8, 0),
        ("alexa", True, [0] * 8, 0),
        ("computer", False, [0] * 8, 0),
        ("alexa", True, [-30] * 8, 0),
        ("computer", False, [-30] * 8, 0),
        ("alexa", True, [-30] * 8, 200),
        ("computer", False, [-30] * 8, 200),
        ("alexa", True, [-30] * 8, 200),
        ("computer", False, [*[-30] * 2, 7, 7, *[-30] * 4], 200),
    ]
    errors = [line["text"] for line in lines if line["type"] == "error"]
    assert len(errors) == 2 and "word needs one of alexa, computer" in errors[0]
    assert errors[1].startswith("unknown state 'player=none'; allowed: player=idle|music")
    assert not [line for line in lines if line["type"] in ("wake", "near")]  # muted
