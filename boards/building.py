# SPDX-License-Identifier: Apache-2.0
"""Builds by make, one at a time: two makes in one build folder would write over each other.

The makefiles and sources are in the project, wherever that is; build/ is made in the current
folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from wakestate import ROOT
from wakestate.boards.schema import Board, BoardError

#: Of all builds that share folders.
LOCK = Path("build/.lock")
_HOST = {"gcc": "gcc libc6-dev"}
_ARM = {"arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi"}


def check_tools(board: Board) -> None:
    """make and the board's compiler are there; else BoardError names Debian's packages."""
    for name, packages in ({"make": "make"} | (_HOST if board.kind == "host" else _ARM)).items():
        if shutil.which(name) is None:
            raise BoardError(f"{name} is not installed; apt-get install {packages}")


def command(makefile: str, *arguments: str, root: Path = Path()) -> list[str]:
    """What runs make quietly in `root`; `makefile` is firmware/build.mk or firmware/compile.mk."""
    path = makefile if root.resolve() == ROOT else str(ROOT / makefile)
    return [
        "make",
        "--no-print-directory",
        "-s",
        "-f",
        path,
        f"PYTHON={sys.executable}",
        *arguments,
    ]


def environment() -> dict[str, str]:
    """Ours, without what a make that we are run by gives its own makes."""
    return {name: value for name, value in os.environ.items() if name not in _MAKES}


_MAKES = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")


@contextlib.contextmanager
def locked(lock: Path = LOCK) -> Iterator[None]:
    """Waits while another build with the same lock runs."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(
    makefile: str, *arguments: str, root: Path = Path(), lock: Path = LOCK
) -> subprocess.CompletedProcess[str]:
    """Run make in `root`; what it prints is in the result."""
    with locked(root / lock):
        return subprocess.run(
            command(makefile, *arguments, root=root),
            cwd=root,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )


def build_verbosely(
    makefile: str, *arguments: str, then: Callable[[], None] = lambda: None
) -> None:
    """Run make here, what it prints on stderr, and `then`, before another build may change what it
    made. BoardError where make fails."""
    with locked():
        done = subprocess.run(
            command(makefile, *arguments),
            env=environment(),
            stdout=sys.stderr.fileno(),
            check=False,
        )
        if done.returncode:
            raise BoardError(f"{Path(makefile).name}: make failed; see its output above")
        then()
