# SPDX-License-Identifier: Apache-2.0
"""Work on all cores: the one place that starts processes.

They are forked, so that they inherit what is in memory: recordings, a model, a device. The
executor is concurrent.futures': it reports a process that was killed, and others take its place.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from wakestate.train.data.corpus import DataError

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    what: str,
    unit: str,
    hours: Sequence[float] | None = None,
) -> list[Result]:
    """The result of `work` on each job, in order, under a progress bar with the time left.

    `work`: a function of a module. `hours` of sound of each job: the bar counts them, not jobs.
    The first error, Ctrl-C or SIGTERM as an exception ends the other processes. DataError where
    one was killed.
    """
    if not jobs:
        return []
    sizes = hours or [1.0] * len(jobs)
    count = "{n:.2f}/{total:.2f} h" if hours else "{n:.0f}/{total:.0f} " + unit
    shape = "{desc}: {percentage:3.0f}%|{bar}| " + count + " [{elapsed}, {remaining} left]"
    fork = multiprocessing.get_context("fork")
    workers = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, fork, _leave_signals) as pool:
        try:
            futures = [pool.submit(work, job) for job in jobs]
            size = dict(zip(futures, sizes, strict=True))
            with tqdm(total=sum(sizes), desc=what, bar_format=shape, smoothing=0.05) as bar:
                for done in as_completed(futures):
                    done.result()
                    bar.update(size[done])
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise DataError(
                f"{what}: a process was killed, perhaps as memory ran out; the same command resumes"
            ) from None
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def end_with_parent() -> None:
    """On Linux: when the process that started this one is killed, this one is as well."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _leave_signals() -> None:
    """Ctrl-C is for the process that started this one; SIGTERM ends it at once."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
