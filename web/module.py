# SPDX-License-Identifier: Apache-2.0
"""Compiles the generated C and the engine to WebAssembly: freestanding, it imports nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wakestate.convert.compile.sources import ENGINE, FIRMWARE
from wakestate.errors import UserError

_TOOLS = {"clang": "clang", "wasm-ld": "lld"}  # and their packages
# Bulk memory is in every browser of 2021 and later; memcpy and its like become instructions of it.
FLAGS = [
    *("--target=wasm32", "-std=c11", "-O3", "-flto", "-nostdlib", "-mbulk-memory", "-msign-ext"),
    *("-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"),
    *("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--fatal-warnings"),
    *("-Wl,--stack-first", "-Wl,-z,stack-size=16384"),
]


def check_tools() -> None:
    """clang and its linker are there; UserError names Debian's packages."""
    for name, package in _TOOLS.items():
        if shutil.which(name) is None:
            raise UserError(
                f"{name}: not installed; `sh tools/setup.sh web`, or apt-get install {package}"
            )


def build_module(words: Sequence[str], folders: Sequence[Path], lists: Path, out: Path) -> None:
    """Write `out`, a .wasm that detects all words at the same time.

    `folders`: the plain C of each word, in their order; `lists`: the folder of ws_words.c.
    UserError where the compiler refuses it.
    """
    sources = [FIRMWARE / "platform/wasm/module.c"]
    sources += [FIRMWARE / name for name in ENGINE]
    sources += [folder / f"ws_{word}.c" for word, folder in zip(words, folders, strict=True)]
    sources += [folders[0] / "ws_frontend.c", lists / "ws_words.c"]
    shared = ["-DWS_SHARED_KERNELS"] if len(words) > 1 else []
    compile_to(out, sources, [lists, *folders], shared)


def compile_to(
    out: Path, sources: Sequence[Path], includes: Sequence[Path], flags: Sequence[str] = ()
) -> None:
    """Compile and link C to a .wasm, with the firmware's headers. UserError."""
    check_tools()
    own = [FIRMWARE / "include", FIRMWARE]
    call = ["clang", *FLAGS, *flags, f"-isystem{FIRMWARE / 'platform/wasm'}"]
    call += [f"-I{folder}" for folder in (*includes, *own)]
    call += [*map(str, sources), "-o", str(out)]
    out.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        first = next(iter(done.stderr.strip().splitlines()), "it prints nothing")
        raise UserError(f"clang: WebAssembly was not built: {first}")
