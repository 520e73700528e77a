# SPDX-License-Identifier: Apache-2.0
"""Python objects for other machines: pickled, the files that they name by what is in them.

Where an object holds the path of a file, or an array that is mapped from one, the parcel has the
file's SHA-256. Who opens it takes the file at the same path where it is the same, else it fetches
it from the store, an fsspec URL, once. Folders and files that are not there are paths alone.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.errors import UserError
from wakestate.files import plain, replaced, write_atomically
from wakestate.train.address import STORE


class ParcelError(UserError):
    """A file that a parcel names cannot be had; the text names it, and what to do."""


@dataclass(frozen=True)
class Files:
    """Some files of a folder. Who opens the parcel gets a folder that has them."""

    folder: Path
    names: tuple[str, ...]


def pack(value: Any) -> bytes:
    """A parcel; the files that it names are in the store behind this, where there is one."""
    out = io.BytesIO()
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(value)
    return out.getvalue()


def unpack(parcel: bytes) -> Any:
    """What was packed. ParcelError."""
    return _Unpickler(io.BytesIO(parcel)).load()


def keep(parcel: bytes, folder: Path) -> Path:
    """A file of `folder` with the parcel, named by its hash: it goes into others as a path."""
    path = folder.absolute() / f"{sha256(parcel).hexdigest()[:32]}.parcel"
    if not path.is_file():
        write_atomically(path, parcel)
    return path


@lru_cache(maxsize=2)
def unpack_kept(path: Path) -> Any:
    """What was kept in a file; once in a process."""
    return unpack(path.read_bytes())


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Files):
            return "files", _sent(value)
        if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap) and value.filename:
            path = Path(str(value.filename)).absolute()
            shape = value.dtype.str, value.shape, value.offset
            return "array", _sent(Files(path.parent, (path.name,))), shape
        if isinstance(value, Path):
            path = value.absolute()
            if path.is_file():
                return "file", _sent(Files(path.parent, (path.name,)))
            return "path", str(path)
        return None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        kind, what, *more = pid
        if kind == "path":
            return Path(what)
        folder, hashes, store = what
        place = _received(Path(folder), hashes, store)
        if kind == "files":
            return place
        path = place / next(iter(hashes))
        if kind == "file":
            return path
        ((dtype, shape, offset),) = more
        return np.memmap(path, np.dtype(dtype), "r", offset, shape)


def _sent(files: Files) -> tuple[str, dict[str, str], str]:
    """Folder, hashes and store; what the store lacks is put there."""
    folder, store = files.folder.absolute(), os.environ.get(STORE, "")
    hashes = {name: _hash(folder / name) for name in files.names}
    for name, digest in hashes.items() if store else ():
        _upload(folder / name, digest, store)
    return str(folder), hashes, store


def _received(folder: Path, hashes: dict[str, str], store: str) -> Path:
    """A folder of this machine that has these files."""
    if all((folder / n).is_file() and _hash(folder / n) == h for n, h in hashes.items()):
        return folder
    if not store:
        first = next(n for n, h in hashes.items() if not _is(folder / n, h))
        problem = "is another file" if (folder / first).is_file() else "no such file"
        raise ParcelError(
            f"{plain(folder / first)}: {problem} there; hint: mount the folder on every worker, "
            "or give --store URL"
        )
    of = sha256(repr(sorted(hashes.items())).encode()).hexdigest()[:32]
    local = _local() / of
    for name, digest in hashes.items():
        if not _is(local / name, digest):
            _download(local / name, digest, store)
    return local


def _local() -> Path:
    """Where fetched files are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wakestate/files"


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and _hash(path) == digest


def _hash(path: Path) -> str:
    stat = path.stat()
    return _hash_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _hash_of(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def _store(url: str, path: Path) -> Iterator[Any]:
    """The store's file system; its errors name the store and the file."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ParcelError("fsspec: not installed; pip install 'wakestate[dask]'") from None
    try:
        yield fsspec
    except (OSError, ImportError, ValueError) as error:
        reason = plain(error or type(error).__name__)
        raise ParcelError(f"--store {plain(url)}: {plain(path.name)}: {reason}") from None


@lru_cache(maxsize=4096)
def _upload(path: Path, digest: str, url: str) -> None:
    with _store(url, path) as fsspec:
        system, root = fsspec.url_to_fs(url)
        target = f"{root.rstrip('/')}/{digest}"
        if not system.exists(target):
            system.makedirs(root, exist_ok=True)
            part = f"{target}.{os.getpid()}"
            system.put_file(str(path), part)
            system.mv(part, target)  # so that none is half there


def _download(path: Path, digest: str, url: str) -> None:
    with _store(url, path) as fsspec, replaced(path) as partial:
        system, root = fsspec.url_to_fs(url)
        with system.open(f"{root.rstrip('/')}/{digest}") as there, partial.open("wb") as here:
            shutil.copyfileobj(there, here, 1 << 20)
        if _hash(partial) != digest:
            raise ParcelError(f"--store {plain(url)}: {digest}: damaged; remove it there")
