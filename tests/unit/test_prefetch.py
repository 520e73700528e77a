# SPDX-License-Identifier: Apache-2.0
"""Prefetched batches come in order, and errors in their thread are raised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wakestate.train.learning.prefetch import prefetched


def test_in_order_and_no_more_than_one_prefetched() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    for number in prefetched(make, 5):
        assert number == made[number] and len(made) <= number + 2
    assert made == [0, 1, 2, 3, 4]


def test_an_error_in_the_thread_is_raised() -> None:
    numbers: Iterator[int] = iter([1])
    coming = prefetched(lambda: next(numbers) // 1, 3)
    assert next(coming) == 1
    with pytest.raises(RuntimeError):  # a generator may not raise StopIteration
        next(coming)
