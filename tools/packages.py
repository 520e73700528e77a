# SPDX-License-Identifier: Apache-2.0
"""Sets up the Python environment as far as a goal needs it: python tools/packages.py VENV [EXTRA].

Says first what it installs, and how much that is. A call that is interrupted leaves VENV/.busy:
then the Makefile takes no part as done, and the next call checks every file that is there.
"""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path("pyproject.toml")
LOCKED = Path("requirements-dev.txt")  # what `dev` installs, by hash; its head says how it is made
PEERS = Path("requirements-peers.txt")  # what `peers` installs without its dependencies
LOCKED_FOR = (3, 11)  # the Python of continuous integration; others install by the ranges
# Each in an environment of its own (Python 3.11, x86-64): MB to download, MB on disk.
SIZES = {
    "": (30, 120),
    "audio": (35, 130),
    "bundle": (35, 140),
    "dask": (40, 140),
    "flash": (50, 190),
    "peers": (90, 330),
    "ray": (120, 360),
    "serve": (35, 130),
    "site": (30, 120),
    "synth": (140, 400),
    "voices": (250, 600),
    "train": (430, 1900),
    "dev": (900, 3100),
}
# Prints what is not as its package wrote it; an interrupted pip leaves a package without RECORD.
CHECK_FILES = """
import importlib.metadata, json, pathlib, pip
damaged = []
for package in importlib.metadata.distributions():
    files = package.files
    lost = files is None or any(
        file.hash and not pathlib.Path(file.locate()).is_file() for file in files)
    if lost:
        damaged.append(package.metadata["Name"] or str(package))
print(json.dumps(damaged))
"""


def names(extra: str) -> str:
    """What pyproject.toml asks for, for the base and an extra."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted, extras = list(project["dependencies"]), [extra] if extra else []
    while extras:
        for requirement in project["optional-dependencies"][extras.pop()]:
            nested = re.fullmatch(r"wakestate\[([\w,]+)\]", requirement)
            if nested:
                extras += nested[1].split(",")
            else:
                wanted.append(requirement)
    return " ".join(sorted({re.split(r"[<>=]", requirement)[0] for requirement in wanted}))


def damage(venv: Path, check_files: bool) -> str:
    """Why an environment cannot be continued; empty when it can. `check_files`: look at every
    file."""
    code = CHECK_FILES if check_files else "import pip; print([])"
    try:
        done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True)
    except OSError:
        return "its Python is gone"
    if done.returncode:
        return "its Python has no pip: half made, or of another version of Python"
    damaged = json.loads(done.stdout)
    return f"an interrupted set-up left {', '.join(damaged)} half installed" if damaged else ""


def prepare(venv: Path, busy: Path) -> None:
    """An environment in which pip works."""
    problem = damage(venv, busy.exists()) if venv.is_dir() else "new"
    if problem:
        print(f"setup: making {venv}" + ("" if problem == "new" else f" again: {problem}"))
        shutil.rmtree(venv, ignore_errors=True)
        venv.mkdir(parents=True)
        busy.touch()
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    elif busy.exists():  # whole, but which part was in work is not known: pip looks at each again
        for stamp in SIZES:
            (venv / f".{stamp or 'base'}").unlink(missing_ok=True)
    busy.touch()


def install(venv: Path, extra: str) -> int:
    """Make the environment and install into it; the exit status of pip."""
    busy = venv / ".busy"
    prepare(venv, busy)
    download, disk = SIZES[extra]
    print(f"setup: installing into {venv}, with what they need: {names(extra)}")
    print(
        f"setup: at most {download} MB to download, {disk} MB on disk; minutes on a slow line",
        flush=True,
    )
    pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    calls = [[*pip, "-e", f".[{extra}]" if extra else "."]]
    if extra == "dev" and sys.version_info[:2] == LOCKED_FOR:
        calls.insert(0, [*pip, "--require-hashes", "-r", str(LOCKED)])
    if extra in ("peers", "dev"):
        calls.append([*pip, "--require-hashes", "--no-deps", "-r", str(PEERS)])
    try:
        for call in calls:
            done = subprocess.run(call)
            if done.returncode:
                break
    except KeyboardInterrupt:
        return 130
    if done.returncode:
        print("setup: pip failed, see above; is PyPI reached from here?", file=sys.stderr)
    else:
        (venv / f".{extra or 'base'}").touch()
    if not done.returncode or not damage(
        venv, check_files=True
    ):  # pip takes back what it cannot end
        busy.unlink()
    return done.returncode


if __name__ == "__main__":
    with PROJECT.open() as lock:  # one at a time, also under make -j
        fcntl.flock(lock, fcntl.LOCK_EX)
        extra = sys.argv[2] if len(sys.argv) > 2 else ""
        sys.exit(install(Path(sys.argv[1]), "" if extra == "base" else extra))
