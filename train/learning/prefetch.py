# SPDX-License-Identifier: Apache-2.0
"""Batches made in a thread while the network learns from the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(make: Callable[[], T], count: int) -> Iterator[T]:
    """What `make` returns, called `count` times, in order and one call at a time."""
    with ThreadPoolExecutor(1, "batches") as thread:
        coming = thread.submit(make)
        for left in reversed(range(count)):
            ready = coming.result()
            if left:
                coming = thread.submit(make)
            yield ready
