# SPDX-License-Identifier: Apache-2.0
"""A cluster of Dask or Ray as a concurrent.futures executor (docs/scale.md).

A task is a parcel: a function of a module, what all jobs share, and some jobs. Workers are refused
by name where they have another version of the project.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import socket
import threading
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import wakestate
from wakestate.errors import UserError
from wakestate.files import plain
from wakestate.train.address import EXECUTOR, PROCESSES, executor
from wakestate.train.parcels import unpack, unpack_kept
from wakestate.train.store import StoreError

_WAIT_S = 30  # for a scheduler, and for its first worker
#: What results depend on, of the project's folders.
_SOURCES = ("contract", "convert", "firmware", "templates", "train", "verify", "words")
_USUAL = ("train", "synth", "peers")  # extras of a worker
_SUFFIXES = {".py", ".j2", ".c", ".h", ".toml", ".txt"}
_one_at_a_time = threading.Lock()  # a worker of several threads runs one of our tasks at a time


class WorkerError(UserError):
    """A worker cannot do the work; the text names it, and what to do."""


@cache
def version() -> str:
    """Of the project: its number, and a hash of its sources."""
    package = Path(
        wakestate.__file__
    ).parent  # of a checkout, with links to its folders, or a wheel
    paths = [path for name in _SOURCES for path in (package / name).rglob("*")]
    paths += package.glob("*.py")
    own = ("words", "recipes")  # a user's .toml files; a task has the contents of its word
    sources = [
        path
        for path in paths
        if path.suffix in _SUFFIXES and not (path.suffix == ".toml" and path.parent.name in own)
    ]
    hashes = sorted(sha256(f"{p.name}\n".encode() + p.read_bytes()).digest() for p in sources)
    return f"{wakestate.__version__} of sources {sha256(b''.join(hashes)).hexdigest()[:12]}"


@cache
def _reuse_memory() -> None:
    """Have this process keep what arrays free, for the next ones.

    Dask sets MALLOC_TRIM_THRESHOLD_ so that all goes back to the system at once; with arrays of
    megabytes, a thousand a minute, the system then takes up to half of the core.
    """
    with suppress(OSError, AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
        mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD, as high as it goes


def run(parcel: bytes, wanted: str) -> list[Any]:
    """The results of a task, on a worker."""
    os.environ[EXECUTOR] = PROCESSES  # what is in parallel inside stays there
    _reuse_memory()
    if version() != wanted:
        raise WorkerError(
            f"worker {_name()}: has wakestate {version()}, and this is {wanted}; install the same"
        )
    with _one_at_a_time:
        try:
            work, shared, jobs = unpack(parcel)
            arguments = () if shared is None else (unpack_kept(shared),)
            return [work(*arguments, job) for job in jobs]
        except ModuleNotFoundError as error:
            lacks = (error.name or str(error)).partition(".")[0]
            extras = ",".join(dict.fromkeys([*_USUAL, *_extras(lacks)]))
            raise WorkerError(
                f"worker {_name()}: {lacks}: not installed there; pip install 'wakestate[{extras}]'"
            ) from None
        except StoreError as error:
            raise WorkerError(f"worker {_name()}: {error}") from None


def _extras(module: str) -> list[str]:
    """One that brings a module, where none of the usual ones does."""
    found = set()
    for text in metadata.requires("wakestate") or ():
        package, _, marker = text.partition(";")
        name = re.split(r"[^\w.-]", package, maxsplit=1)[0].lower().replace("-", "_")
        extra = re.search(r"extra == ['\"](\w+)", marker)
        if extra and (name == module or name.startswith(f"{module}_")):  # piper: piper-tts
            found.add(extra[1])
    return [] if found & {*_USUAL} else sorted(found - {"dev"})[:1]


def _name() -> str:
    """Of the worker this is: its machine, and what its engine calls it."""
    try:
        from distributed import get_worker

        called = str(get_worker().address)
    except (ImportError, ValueError):
        called = f"process {os.getpid()}"
    return f"{socket.gethostname()} ({called})"


class Engine:
    """Where tasks go."""

    executor: Executor
    lost: tuple[type[BaseException], ...]  # what a task ends with whose worker was killed

    def submit(self, parcel: bytes) -> Future[list[Any]]:
        """Begin a task."""
        return self.executor.submit(run, parcel, version())

    def reason(self, error: BaseException) -> BaseException:
        """The error as it was on the worker."""
        if isinstance(error, ModuleNotFoundError) or "deserializ" in str(error)[:200]:
            return WorkerError(
                f"a worker or the scheduler cannot load wakestate: {plain(error, 200)}; install "
                "the same version on each"
            )
        return error


class Dask(Engine):
    """A scheduler of Dask, dask://HOST:PORT."""

    def __init__(self, address: str) -> None:
        import distributed

        logging.getLogger("distributed").setLevel(logging.ERROR)
        given = f"--executor dask://{plain(address)}"
        try:
            self._client = distributed.Client(
                f"tcp://{address}", timeout=_WAIT_S, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError):
            raise WorkerError(f"{given}: no scheduler answers; start one: dask scheduler") from None
        try:
            self._client.wait_for_workers(1, timeout=_WAIT_S)
        except TimeoutError:
            raise WorkerError(
                f"{given}: has no worker; start one: dask worker tcp://{plain(address)} "
                "--nworkers auto --nthreads 1"
            ) from None
        self.executor = self._client.get_executor(pure=False)
        self.lost = (distributed.KilledWorker, CancelledError)


class Ray(Engine):
    """A head node of Ray by its client's port, ray://HOST:PORT."""

    def __init__(self, address: str) -> None:
        import ray

        try:
            ray.init(f"ray://{address}", log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, TimeoutError):
            raise WorkerError(
                f"--executor ray://{plain(address)}: no head node answers; start one: ray start "
                "--head --ray-client-server-port=10001"
            ) from None
        self._run = ray.remote(run)
        self.lost = (ray.exceptions.WorkerCrashedError,)

    def submit(self, parcel: bytes) -> Future[list[Any]]:
        """See Engine."""
        future: Future[list[Any]] = self._run.remote(parcel, version()).future()
        return future

    def reason(self, error: BaseException) -> BaseException:
        """See Engine."""
        return super().reason(getattr(error, "cause", None) or error)


def engine() -> Engine | None:
    """That of $WAKESTATE_EXECUTOR; None: processes of this machine. WorkerError."""
    try:
        address = executor()
    except ValueError as error:
        raise WorkerError(f"${EXECUTOR}: {plain(error)}") from None
    return None if address == PROCESSES else _engine(address)


@cache
def _engine(address: str) -> Engine:
    kind, _, place = address.partition("://")
    try:
        return {"dask": Dask, "ray": Ray}[kind](place)
    except ModuleNotFoundError as error:
        name = (error.name or kind).partition(".")[0]
        raise WorkerError(f"{name}: not installed; pip install 'wakestate[{kind}]'") from None
