# SPDX-License-Identifier: Apache-2.0
"""What a killed call finds again: its settings, and its work in shards.

All is written whole or not at all.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from wakestate.files import replaced, write_atomically
from wakestate.train.data.corpus import RATE, DataError
from wakestate.train.parallel import in_parallel

Arrays = dict[str, NDArray[Any]]
Make = Callable[[np.random.Generator], Arrays]
T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """`content` as JSON; the folder is made where it is missing. FileError."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def keep_config(path: Path, config: dict[str, Any], what: str) -> None:
    """Write a folder's settings; DataError where it has others. `what`: "this run was started"."""
    if path.is_file():
        stored = json.loads(path.read_text())
        other = list(_differing({key: stored.get(key) for key in config}, config))
        if other:
            raise DataError(
                f"{path}: {what} with another {' and '.join(other[:3])}; name another "
                "folder, or remove this one"
            )
    write_json(path, config)


def _differing(stored: Any, given: Any, name: str = "") -> Iterator[str]:
    """The keys that differ, "budget.batch (16, given 18)", of JSON as stored and as given."""
    given = json.loads(json.dumps(given))  # tuples are lists there
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted(stored.keys() | given.keys()):
            inner = f"{name}.{key}" if name else key
            yield from _differing(stored.get(key), given.get(key), inner)
    elif stored != given:
        both = [json.dumps(value) for value in (stored, given)]
        short = max(map(len, both)) <= 40
        yield f"{name} ({both[0]}, given {both[1]})" if short else name


def save_arrays(path: Path, arrays: Arrays) -> None:
    """An .npz file. FileError."""
    content: dict[str, Any] = arrays
    with replaced(path) as partial:
        np.savez(partial, **content)


def write_wav(path: Path, pcm: NDArray[np.int16]) -> None:
    """int16[samples] at RATE as a WAV file. FileError."""
    made = io.BytesIO()  # soundfile itself does not report a full disk as such
    soundfile.write(made, pcm, RATE, format="WAV", subtype="PCM_16")
    write_atomically(path, made.getvalue())


def recalled_in_parallel(
    work: Callable[..., T],
    jobs: Sequence[Any],
    paths: Sequence[Path],
    what: str,
    unit: str,
    hours: Sequence[float] | None = None,
    *,
    shared: Any,
    here: bool = False,
) -> list[T]:
    """As in_parallel. Each result is kept in the job's file, and what a killed call left there is
    not made again."""
    found = {n: made[0] for n, path in enumerate(paths) if (made := _recalled(path))}
    missing = [n for n in range(len(jobs)) if n not in found]

    def keep(job: tuple[int, Any], made: T) -> None:
        with replaced(paths[job[0]]) as partial, partial.open("wb") as file:
            pickle.dump(made, file)
        found[job[0]] = made

    in_parallel(
        _numbered,
        [(n, jobs[n]) for n in missing],
        what,
        unit,
        [hours[n] for n in missing] if hours else None,
        shared=(work, shared),
        keep=keep,
        here=here,
        stored=not here,  # what this machine alone can give
    )
    return [found[n] for n in range(len(jobs))]


def _numbered(given: tuple[Callable[..., T], Any], job: tuple[int, Any]) -> T:
    work, shared = given
    return work(shared, job[1])


def _recalled(path: Path) -> tuple[Any] | None:
    """What a file has; None where it is missing, or damaged."""
    try:
        with path.open("rb") as file:
            return (pickle.load(file),)
    except (OSError, EOFError, pickle.UnpicklingError):
        return None


def joined(parts: Sequence[T]) -> T:
    """Dataclasses of arrays as one, an array after the other."""
    kind = type(parts[0])
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _shard(make: Make, seed: tuple[int, int, int]) -> Arrays:
    return make(np.random.default_rng(seed))


def make_shards(
    folder: Path, part: str, kind: str, count: int, seed: int, begin: Callable[[], Make], what: str
) -> list[Path]:
    """The paths of `count` shards of one kind; those that are missing are made, on all cores.

    `begin` is called where any is missing, and gives what makes one from a random generator that
    depends on the seed, the shard's number and the kind alone; it can be pickled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{part}-{kind}-{i:03d}.npz" for i in range(count)]
    jobs = [(seed, i, len(kind)) for i, path in enumerate(paths) if not path.is_file()]
    if jobs:
        for stale in folder.glob(f".{part}-{kind}-*.partial.npz"):  # of a killed call
            stale.unlink(missing_ok=True)
        in_parallel(
            _shard,
            jobs,
            f"{what} {part} {kind}",
            "shards",
            shared=begin(),
            keep=lambda seed, arrays: save_arrays(paths[seed[1]], arrays),
            stored=True,
        )
    return paths
