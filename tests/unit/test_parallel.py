# SPDX-License-Identifier: Apache-2.0
"""Work in processes: its order, and how it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wakestate.train.data.corpus import DataError
from wakestate.train.parallel import in_parallel

LONG_S = 600.0  # longer than the test may take


def _square(number: int) -> int:
    time.sleep(0.01 * (number % 3))  # so that they end in another order
    return number * number


def _ends(how: str) -> None:
    if how == "error":
        raise ValueError("the first error")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "Ctrl-C":  # a terminal sends it to all of them
        time.sleep(0.5)  # Python drops an exception that a signal raises while it forks
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(LONG_S)


def test_results_are_in_order() -> None:
    jobs = list(range(20))
    assert in_parallel(_square, jobs, "squares", "numbers") == [n * n for n in jobs]
    assert in_parallel(_square, jobs[:3], "squares", "", [0.5, 1.0, 2.0]) == [0, 1, 4]
    assert in_parallel(_square, [], "squares", "numbers") == []


def _killed_at_first(folder: Path, number: int) -> int:
    try:
        (folder / str(number)).touch(exist_ok=False)
    except FileExistsError:
        return number * number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def test_what_a_killed_process_was_at_is_done_again(tmp_path: Path) -> None:
    """Ten times; each result is stored once."""
    jobs, stored = list(range(10)), dict[int, int]()

    def keep(job: int, result: int) -> None:
        assert job not in stored
        stored[job] = result

    found = in_parallel(_killed_at_first, jobs, "work", "jobs", shared=tmp_path, keep=keep)
    assert found == [] and stored == {n: n * n for n in jobs}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt: the processes of pytest-xdist ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("error", ValueError, "the first error"),
        ("killed", DataError, "work: processes were killed 5 times in a row"),
        ("Ctrl-C", KeyboardInterrupt, None),
    ],
)
def test_the_first_that_fails_ends_the_others(
    how: str, error: type[BaseException], text: str | None
) -> None:
    with pytest.raises(error, match=text):
        in_parallel(_ends, [how, *["sleep"] * (os.cpu_count() or 1)], "work", "jobs")
    end = time.monotonic() + LONG_S / 2  # join() may return early: the pool's thread waits as well
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.01)
    assert not multiprocessing.active_children()
