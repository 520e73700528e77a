# SPDX-License-Identifier: Apache-2.0
"""The store: a folder at a URL of fsspec, which several machines reach.

Files are there under the hash of what is in them (train/parcels.py), and in results/ what work
gave, under the hash of what made it: the work, what it was given, and the project's sources.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wakestate.errors import UserError
from wakestate.files import plain


class StoreError(UserError):
    """The store cannot be used; the text names it, and what to do."""


@contextmanager
def opened(url: str, name: str) -> Iterator[tuple[Any, str]]:
    """The file system of a store and its folder there; errors name the store and `name`."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise StoreError("fsspec: not installed; pip install 'wakestate[dask]'") from None
    try:
        system, root = fsspec.url_to_fs(url)
        yield system, root.rstrip("/")
    except (OSError, ImportError, ValueError) as error:
        reason = plain(error or type(error).__name__)
        raise StoreError(f"--store {plain(url)}: {plain(name)}: {reason}") from None


def write(system: Any, path: str, put: Callable[[str], object]) -> None:
    """What `put` writes as another file is at `path` behind this: whole, or not at all."""
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    part = f"{path}.{os.getpid()}"
    put(part)
    system.mv(part, path)


class Results:
    """Results of the same work on one thing, a file for each job. Who may write there can have
    code run here, as with any pickled file."""

    def __init__(self, url: str, of: str) -> None:
        """`of`: the hash of the work, and of what all its jobs share."""
        self._url, self._folder = url, f"results/{of}"
        with opened(url, self._folder) as (system, root):
            folder = f"{root}/{self._folder}"
            found = system.ls(folder, detail=False) if system.exists(folder) else []
        self._there = {str(path).rpartition("/")[2] for path in found}

    def get(self, job: str) -> tuple[Any] | None:
        """The result of a job by its hash; None where it is not there, or damaged."""
        if job not in self._there:
            return None
        with opened(self._url, job) as (system, root):
            content = system.cat_file(f"{root}/{self._folder}/{job}")
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        return (pickle.loads(content[32:]),)

    def put(self, job: str, result: Any) -> None:
        """Store a result."""
        content = pickle.dumps(result)
        whole = hashlib.sha256(content).digest() + content
        with opened(self._url, job) as (system, root):
            path = f"{root}/{self._folder}/{job}"
            write(system, path, lambda part: system.pipe_file(part, whole))
