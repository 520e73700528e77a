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
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.files import plain, replaced, write_atomically
from wakestate.train import store
from wakestate.train.address import STORE
from wakestate.train.store import StoreError


class ParcelError(StoreError):
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
            return "files", self.files(value)
        if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap) and value.filename:
            path = Path(str(value.filename)).absolute()
            shape = value.dtype.str, value.shape, value.offset
            return "array", self.files(Files(path.parent, (path.name,))), shape
        if isinstance(value, Path):
            path = value.absolute()
            if path.is_file():
                return "file", self.files(Files(path.parent, (path.name,)))
            return "path", self.folder(path)
        return None

    def files(self, files: Files) -> Any:
        return _sent(files)

    def folder(self, path: Path) -> str:
        return str(path)


def digest(value: Any) -> str:
    """A hash of a Python object, the same on each machine: of files what is in them, of folders the
    name, of sets the members in order, and nothing of what a cached_property found."""
    out = io.BytesIO()
    pickler = _Digester(out, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True  # equal texts are equal, be they one object or two
    pickler.dump(value)
    return sha256(out.getvalue()).hexdigest()[:32]


class _Digester(_Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return "set", sorted(map(digest, value))
        return super().persistent_id(value)

    def files(self, files: Files) -> Any:
        return sorted(_hash(files.folder / name) for name in files.names)

    def folder(self, path: Path) -> str:
        return path.name

    def reducer_override(self, value: Any) -> Any:
        names = {n for of in type(value).__mro__ for n, v in vars(of).items() if _is_cached(v)}
        if not names:
            return NotImplemented
        made, arguments, state, *_ = value.__reduce_ex__(4)
        return made, arguments, {key: v for key, v in state.items() if key not in names}


def _is_cached(attribute: Any) -> bool:
    return isinstance(attribute, cached_property)


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        kind, what, *more = pid
        if kind == "path":
            return Path(what)
        folder, hashes, url = what
        place = _received(Path(folder), hashes, url)
        if kind == "files":
            return place
        path = place / next(iter(hashes))
        if kind == "file":
            return path
        ((dtype, shape, offset),) = more
        return np.memmap(path, np.dtype(dtype), "r", offset, shape)


def _sent(files: Files) -> tuple[str, dict[str, str], str]:
    """Folder, hashes and store; what the store lacks is put there."""
    folder, url = files.folder.absolute(), os.environ.get(STORE, "")
    hashes = {name: _hash(folder / name) for name in files.names}
    for name, of in hashes.items() if url else ():
        _upload(folder / name, of, url)
    return str(folder), hashes, url


def _received(folder: Path, hashes: dict[str, str], url: str) -> Path:
    """A folder of this machine that has these files."""
    if all((folder / n).is_file() and _hash(folder / n) == h for n, h in hashes.items()):
        return folder
    if not url:
        first = next(n for n, h in hashes.items() if not _is(folder / n, h))
        problem = "is another file" if (folder / first).is_file() else "no such file"
        raise ParcelError(
            f"{plain(folder / first)}: {problem} there; hint: mount the folder on every worker, "
            "or give --store URL"
        )
    of = sha256(repr(sorted(hashes.items())).encode()).hexdigest()[:32]
    local = _local() / of
    for name, hashed in hashes.items():
        if not _is(local / name, hashed):
            _download(local / name, hashed, url)
    return local


def _local() -> Path:
    """Where fetched files are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wakestate/files"


def _is(path: Path, hashed: str) -> bool:
    return path.is_file() and _hash(path) == hashed


def _hash(path: Path) -> str:
    stat = path.stat()
    return _hash_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _hash_of(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=4096)
def _upload(path: Path, hashed: str, url: str) -> None:
    with store.opened(url, path.name) as (system, root):
        target = f"{root}/{hashed}"
        if not system.exists(target):
            store.write(system, target, lambda part: system.put_file(str(path), part))


def _download(path: Path, hashed: str, url: str) -> None:
    with store.opened(url, path.name) as (system, root), replaced(path) as partial:
        with system.open(f"{root}/{hashed}") as there, partial.open("wb") as here:
            shutil.copyfileobj(there, here, 1 << 20)
        if _hash(partial) != hashed:
            raise StoreError(f"--store {plain(url)}: {hashed}: damaged; remove it there")
