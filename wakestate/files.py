# SPDX-License-Identifier: Apache-2.0
"""Files that come from outside, and files that are written: names, sizes, and all or nothing.

The only place where a file name inside another file is checked, and where a file is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from wakestate.errors import UserError
from wakestate.explain import one_line

NAME_MAX = 150  # bytes; file systems allow 255, and temporary names are longer
_FOREIGN = re.compile(r'[/\\:*?"<>|]')  # separators here and elsewhere, and what some refuse
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices elsewhere
_SHOWN = 200  # characters of what came from outside


class FileError(UserError):
    """A file cannot be read or written; the text is one line that names it, and what to do."""


def plain(text: object, limit: int = 10_000) -> str:
    """The text as one printable line: control characters and the like are escaped."""
    line = one_line(str(text))
    return line if len(line) <= limit else line[: limit - 2] + ".."


def shown(value: object) -> str:
    """A value from outside for a message: its repr as one line, cut where it is long."""
    return plain(repr(value), _SHOWN)


def plain_name(name: str) -> str:
    """`name`, if it is a plain file name: of one part, visible and valid everywhere. ValueError."""
    problem = ""
    if not name:
        problem = "is empty"
    elif not name.isprintable():
        problem = "has control characters"
    elif _FOREIGN.search(name):
        problem = "has separators"
    elif name.startswith(".") or name.endswith((".", " ")) or name != name.strip():
        problem = "begins with a dot, or ends with a dot or a blank"
    elif len(name.encode(errors="surrogateescape")) > NAME_MAX:
        problem = f"is longer than {NAME_MAX} bytes"
    elif _RESERVED.fullmatch(name):
        problem = "is reserved"
    if problem:
        raise ValueError(f"{shown(name)} {problem}; allowed: a plain file name")
    return name


def inside(folder: Path, name: str, limit: int) -> Path:
    """The file `name` of `folder`, which is in it and has up to `limit` bytes. FileError, which
    has "no such file" where it is missing."""
    path = folder / name
    try:
        plain_name(name)
        if not path.resolve(strict=True).is_relative_to(folder.resolve(strict=True)):
            raise FileError(f"{plain(path)}: leads out of its folder; put the file itself there")
    except FileNotFoundError:
        raise FileError(f"{plain(path)}: no such file") from None
    except (ValueError, RuntimeError, OSError) as error:  # RuntimeError: a loop of links
        raise FileError(f"{plain(folder)}: {plain(_why(error))}") from None
    if not path.is_file():
        raise FileError(f"{plain(path)}: is no file; put the file itself there")
    return sized(path, limit)


def sized(path: Path, limit: int) -> Path:
    """`path`, if it is a file of up to `limit` bytes. FileError."""
    with reading(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        size = path.stat().st_size
    if size > limit:
        raise FileError(f"{plain(path)}: {size} bytes; allowed: up to {limit}")
    return path


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """The system's error becomes a FileError that names `path`."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{plain(path)}: cannot be read: {_why(error)}") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """The system's error becomes a FileError that names `path`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "make room there" if full else "name another place"
        raise FileError(f"{plain(path)}: cannot be written: {_why(error)}; {hint}") from None


def make_folder(path: Path) -> Path:
    """The folder `path`, made with those above it where missing. FileError."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path next to `path`, with its suffix, to write to: in the end it takes the place of `path`;
    where that fails it is removed, and `path` stays as it was. The folder is made. FileError."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8 with line feeds, whole or not at all. FileError."""
    with replaced(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new folder to write to, which in the end becomes `path`, where nothing is yet; where that
    fails it is removed. FileError."""
    make_folder(path.parent)
    with (
        writing(path),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.partial.") as temporary,
    ):
        made = Path(temporary) / "new"
        made.mkdir()
        yield made
        made.rename(path)


def write_folder(
    out: Path, files: Mapping[str, bytes], marker: str, facts: Mapping[str, Any]
) -> None:
    """Write the folder `out`, whole or not at all, with `files` by their paths in it.

    `marker`, a JSON file in it, keeps their hashes beside `facts`. Over an earlier one only what it
    wrote is replaced; what else lies there stays. FileError where it is no such folder, or one of
    its files has changed.
    """
    out = out.resolve()
    earlier = _earlier(out, marker, files)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    text = json.dumps({**facts, "files": hashes}, indent=1, ensure_ascii=False) + "\n"
    make_folder(out.parent)
    with (
        writing(out),
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.partial.") as temporary,
    ):
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        for name, content in {**files, marker: text.encode()}.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        for path in _others(out, {*earlier, marker}):
            (new / path.relative_to(out)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, new / path.relative_to(out), follow_symlinks=False)
        try:
            if out.exists():
                out.rename(old)
            new.rename(out)
        except BaseException:
            if old.exists() and not out.exists():
                old.rename(out)
            raise


def _earlier(out: Path, marker: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """The files that an earlier call wrote to `out`, with their hashes. FileError."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    elsewhere = "hint: name a folder that is not there yet"
    if not (out / marker).is_file():
        what = f"holds {plain(min(p.name for p in out.iterdir()))}" if out.is_dir() else "is a file"
        raise FileError(f"{plain(out)}: {what}; {elsewhere}")
    found = read_json(out / marker)
    hashes = found.get("files") if isinstance(found, dict) else None
    if not isinstance(hashes, dict):
        raise FileError(f"{plain(out / marker)}: names no files; {elsewhere}")
    if Path.cwd().is_relative_to(out):
        raise FileError(f"{plain(out)}: is the current folder; hint: call from another")
    for name in {**hashes, **files}:
        path = out / name
        if os.path.lexists(path) and not (path.is_file() and sha256(path) == hashes.get(name)):
            raise FileError(f"{plain(path)}: was changed; hint: move it away, or {elsewhere[6:]}")
    return hashes


def _others(folder: Path, names: Collection[str]) -> list[Path]:
    """Files and links in a folder, at any depth, but those named."""
    found = [
        Path(top) / name for top, folders, files in os.walk(folder) for name in (*folders, *files)
    ]
    return [
        path
        for path in found
        if path.relative_to(folder).as_posix() not in names
        and (path.is_symlink() or not path.is_dir())
    ]


def read_json(path: Path, limit: int = 1 << 20) -> Any:
    """A JSON file of up to `limit` bytes, without NaN and infinities. FileError."""
    with reading(sized(path, limit)):
        data = path.read_bytes()
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{plain(path)}: is no JSON: {plain(error)}") from None


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
