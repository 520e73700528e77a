# SPDX-License-Identifier: Apache-2.0
"""The plain C of firmware/kernels and firmware/frontend: each header by itself, and copied."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.executors import CFLAGS, TOY
from tests.support.models.networks import golden_model
from tests.support.tflite_maker import written
from wakestate.convert.compile.emit import emit_model
from wakestate.convert.compile.sources import FIRMWARE
from wakestate.convert.emit import emit

HOST = [(compiler, core) for compiler in ("gcc", "clang") for core in ("plain", "dsp")]
CORES = [*HOST, ("arm-none-eabi-gcc", "dsp"), ("arm-none-eabi-gcc", "mve")]
CPUS = {"dsp": ["-mcpu=cortex-m4"], "mve": ["-mcpu=cortex-m55", "-mfloat-abi=hard"]}


@pytest.mark.parametrize("minimal", [False, True], ids=["defaults", "minimal"])
@pytest.mark.parametrize(("compiler", "core"), CORES)
def test_kernels_compile_whatever_is_asked_of_them(
    compiler: str, core: str, minimal: bool, tmp_path: Path
) -> None:
    """Without warnings, though nothing calls them; with defaults, and with all taken away."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = tmp_path / "all.c"
    asked = (FIRMWARE / "kernels/config.h").read_text().split("#ifndef WS_")[1:]
    names = [part.split()[0] for part in asked if not part.startswith("KERNELS_CONFIG_H")]
    assert len(names) > 8
    lines = [f"#define WS_{n} {'int16_t' if n.endswith('TYPE') else 0}" for n in names if minimal]
    lines += [f'#include "kernels/{name}.h"' for name in (core, "ops", "sequence")]
    source.write_text("\n".join(lines) + "\n")
    flags = CPUS[core] if compiler.startswith("arm") else []
    subprocess.run(
        [compiler, *CFLAGS, *flags, "-O2", f"-I{FIRMWARE}", "-c", str(source), "-o", "/dev/null"],
        check=True,
    )


def test_a_compiled_folder_needs_no_other(tmp_path: Path) -> None:
    """Its headers are copies of those here, byte for byte."""
    path, out = written(tmp_path, golden_model), tmp_path / "out"
    for kernels in ("plain", "dsp"):
        _, made = emit_model(path, "tiny", kernels, out)
        call = ["gcc", *CFLAGS, "-c", str(out / "tiny.c"), "-o", str(tmp_path / "tiny.o")]
        subprocess.run(call, check=True)
        copied = [p.relative_to(out) for p in made if p.parent != out]
        assert Path(f"kernels/{kernels}.h") in copied and Path("kernels/ops.h") in copied
        assert Path("kernels/sequence.h") not in copied
        for file in copied:
            assert (out / file).read_bytes() == (FIRMWARE / file).read_bytes()


def test_a_words_folder_needs_the_public_headers_only(tmp_path: Path) -> None:
    made = emit(TOY.word_path, TOY.folder, tmp_path)
    for path in made:
        if path.suffix == ".c":
            call = ["gcc", *CFLAGS, f"-I{FIRMWARE / 'include'}"]
            call += ["-c", str(path), "-o", str(tmp_path / "x.o")]
            subprocess.run(call, check=True)


LINES_MAX = 80  # of a function


def test_functions_are_short() -> None:
    """In C a function of ours begins and ends at the left margin."""
    long = []
    for path in sorted(FIRMWARE.rglob("*.[ch]")):
        for found in re.finditer(r"^[a-zA-Z_][^;{}#]*\) {\n.*?^}", path.read_text(), re.M | re.S):
            if found[0].count("\n") >= LINES_MAX:
                long.append(f"{path}: {found[0].splitlines()[0]}")
    assert not long
