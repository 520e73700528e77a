# SPDX-License-Identifier: Apache-2.0
"""Work on all cores, or on a cluster: the one place that starts processes.

Those of this machine are forked, so that they inherit what is in memory: recordings, a model, a
device. Workers of a cluster get the same as a parcel (train/parcels.py). The executor is
concurrent.futures': what a killed process was at is done again by another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from wakestate.processes import end_with_parent
from wakestate.train import costs
from wakestate.train.address import STORE
from wakestate.train.data.corpus import DataError
from wakestate.train.executors import Engine, engine, version
from wakestate.train.parcels import digest, pack
from wakestate.train.parcels import keep as keep_parcel
from wakestate.train.store import Results

Job = TypeVar("Job")
Result = TypeVar("Result")
Submit = Callable[[list[Any]], "Future[list[Any]]"]

PARCELS = Path("build/cache/parcels")
_BREAKS = 5  # kills in a row, with no result between them, that end the work


def in_parallel(
    work: Callable[..., Result],
    jobs: Sequence[Job],
    what: str,
    unit: str,
    hours: Sequence[float] | None = None,
    *,
    shared: Any = None,
    keep: Callable[[Job, Result], None] | None = None,
    at_once: int = 1,
    here: bool = False,
    limit: int | None = None,
    stored: bool = False,
) -> list[Result]:
    """The result of `work` on each job, in order, under a progress bar with the time left.

    `work`: a function of a module; where something is `shared`, that comes before the job. `hours`
    of sound of each job: the bar counts them, not jobs. `keep` gets each job and its result as soon
    as it is there, in this process; the list is empty then. `at_once`: jobs of a task. `here`: in
    processes of this machine, whatever executor is chosen. `limit`: processes at a time, here.
    `stored`: with $WAKESTATE_STORE results are kept there as well, by what made them, and those
    that are there are not made again.
    The first error, Ctrl-C or SIGTERM as an exception ends the other processes. DataError where
    they are killed again and again.
    """
    if not jobs:
        return []
    sizes = hours or [1.0] * len(jobs)
    count = "{n:.2f}/{total:.2f} h" if hours else "{n:.0f}/{total:.0f} " + unit
    shape = "{desc}: {percentage:3.0f}%|{bar}| " + count + " [{elapsed}, {remaining} left]"
    results: dict[int, Any] = {}
    store = _store(work, shared) if stored else None
    names = [digest(job) for job in jobs] if store else []
    with tqdm(total=sum(sizes), desc=what, bar_format=shape, smoothing=0.05) as bar:

        def take(n: int, result: Any) -> None:
            if keep:
                keep(jobs[n], result)
            results[n] = None if keep else result
            bar.update(sizes[n])

        for n, name in enumerate(names):
            if store and (found := store.get(name)):
                take(n, found[0])
        given = None if here else engine(), work, shared, jobs, at_once, limit or len(jobs), what
        with closing(_made(results, *given)) as made:
            for n, result in made:
                if store:
                    store.put(names[n], result)
                take(n, result)
    return [] if keep else [results[n] for n in range(len(jobs))]


def _made(
    results: dict[int, Any],
    cluster: Engine | None,
    work: Callable[..., Any],
    shared: Any,
    jobs: Sequence[Any],
    at_once: int,
    limit: int,
    what: str,
) -> Generator[tuple[int, Any], None, None]:
    """Each job's number and result, until all are in `results`, into which the caller puts them."""
    lost = cluster.lost if cluster else (BrokenProcessPool,)
    breaks = 0
    while len(results) < len(jobs):
        left = [n for n in range(len(jobs)) if n not in results]
        tasks = [left[n : n + at_once] for n in range(0, len(left), at_once)]
        try:
            with _submitting(cluster, work, shared, min(len(tasks), limit)) as submit:
                futures = {submit([jobs[n] for n in task]): task for task in tasks}
                for done in as_completed(list(futures)):
                    yield from zip(futures.pop(done), done.result(), strict=True)
                    breaks = 0
        except lost:
            breaks += 1
            if breaks == _BREAKS:
                raise DataError(
                    f"{what}: processes were killed {_BREAKS} times in a row, perhaps as "
                    "memory ran out; the same command resumes"
                ) from None


def _store(work: Callable[..., Any], shared: Any) -> Results | None:
    url = os.environ.get(STORE)
    return Results(url, digest((version(), work, shared))) if url else None


@contextmanager
def _submitting(
    cluster: Engine | None, work: Callable[..., Any], shared: Any, limit: int
) -> Iterator[Submit]:
    """What begins a task of some jobs; an error ends all of them."""
    if cluster is None:
        with _processes(work, shared, limit) as submit:
            yield submit
        return
    path = None if shared is None else keep_parcel(pack(shared), PARCELS)
    begun: list[Future[list[Any]]] = []

    def submit_there(jobs: list[Any]) -> Future[list[Any]]:
        begun.append(cluster.submit(pack((work, path, jobs))))
        return begun[-1]

    try:
        yield submit_there
    except BaseException as error:
        for future in begun:
            future.cancel()
        reason = cluster.reason(error)
        if reason is error:
            raise
        raise reason from None


@contextmanager
def _processes(work: Callable[..., Any], shared: Any, limit: int) -> Iterator[Submit]:
    fork = multiprocessing.get_context("fork")
    workers = min(limit, costs.cores())
    given = () if shared is None else (shared,)
    with ProcessPoolExecutor(workers, fork, _begin, (work, given)) as pool:
        try:
            yield lambda jobs: pool.submit(_run, jobs)
        except BrokenProcessPool:
            raise
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_work: Callable[..., Any]  # of this process
_given: tuple[Any, ...]  # before the job


def _begin(work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """In a new process. Ctrl-C is for the one that started it; SIGTERM ends it at once."""
    global _work, _given
    _work, _given = work, given
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(jobs: list[Any]) -> list[Any]:
    return [_work(*_given, job) for job in jobs]
