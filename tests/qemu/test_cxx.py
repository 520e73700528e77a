# SPDX-License-Identifier: Apache-2.0
"""C++ programs include the headers and link the C: engine, uplink, and a compiled model."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT
from tests.support.models.networks import golden_model
from tests.support.tflite_maker import written
from wakestate.convert.compile.emit import compile_model
from wakestate.render import write_files

STANDARDS = ("c++11 -O0", "c++14 -O1", "c++17 -O2", "c++20 -O3")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast", "-Werror"]
ENGINE = "tests/golden/plain"
SOURCES = [f"firmware/engine/{name}.c" for name in ("engine", "word", "detector")]
SOURCES += [f"firmware/uplink/{name}.c" for name in ("frame", "uplink")]
SOURCES += [f"{ENGINE}/{name}.c" for name in ("ws_words", "ws_toy", "ws_frontend")]

PROGRAM = "tests/native/included.cpp"


def includes(folder: Path) -> list[str]:
    return ["-Ifirmware/include", "-Ifirmware", f"-I{ENGINE}", f"-I{folder}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C as objects, compiled as C11, and the program."""
    folder = tmp_path_factory.mktemp("cxx")
    write_files(folder, compile_model(written(folder, golden_model), "tiny", "plain").files)
    for source in [*SOURCES, str(folder / "tiny.c")]:
        call = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", *includes(folder)]
        call += ["-c", source, "-o", str(folder / f"{Path(source).stem}.o")]
        subprocess.run(call, cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", ["arm-none-eabi-g++", "g++", "clang++"])
def test_a_cxx_program_includes_and_links(compiler: str, standard: str, folder: Path) -> None:
    """The cross compiler, which is always there, compiles; those of this computer also run it."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    call = [
        compiler,
        *f"-std={standard}".split(),
        *WARNINGS,
        *includes(folder),
        PROGRAM,
    ]
    if compiler.startswith("arm"):
        subprocess.run([*call, "-fsyntax-only"], cwd=ROOT, check=True)
        return
    program = folder / f"{compiler}-{standard}".replace(" ", "")
    objects = [str(path) for path in sorted(folder.glob("*.o"))]
    subprocess.run([*call, *objects, "-o", str(program)], cwd=ROOT, check=True)
    assert subprocess.run([str(program)], check=False).returncode == 0
