# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for the network go through it together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
States = NDArray[np.integer]


class Verifier(Protocol):
    """What decides in the verifier, and what it takes.

    `frames`, `bands`: of its input. `threshold`: the least score that is accepted.
    """

    @property
    def frames(self) -> int: ...

    @property
    def bands(self) -> int: ...

    @property
    def threshold(self) -> float: ...

    def score(self, features: Floats, states: States) -> tuple[Floats, Floats, Floats]:
        """float32[n, frames, bands], in int8 steps of the front end, and the device's states as
        indices, int[n] -> score[n], start[n], end[n].

        Start and end of the word are in frames from the first. Called by one thread at a time.
        """
        ...


@dataclass(frozen=True)
class VerifierResult:
    """What is said of one utterance: `start` and `end` in frames."""

    score: float
    start: float
    end: float


class Batcher:
    """While the network runs, requests wait; then all go through it together, at most
    `max_batch` at a time. So one that comes alone does not wait.

    How many may gather is for the caller to bound. `on_batch` gets the size of each batch.
    """

    def __init__(
        self,
        verifier: Verifier,
        max_batch: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._verifier, self._max_batch, self._on_batch = verifier, max_batch, on_batch
        self._waiting: asyncio.Queue[tuple[Floats, int, asyncio.Future[VerifierResult]]] = (
            asyncio.Queue()
        )
        self._thread = ThreadPoolExecutor(1, "network")
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Call it when nothing waits any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown()

    async def verify(self, features: Floats, state: int) -> VerifierResult:
        """float32[frames, bands] and the device's state -> what is said. Raises what the verifier
        raised."""
        answer: asyncio.Future[VerifierResult] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((features, state, answer))
        return await answer

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            self._on_batch(len(batch))
            try:
                stacked = np.stack([features for features, _, _ in batch])
                states = np.array([state for _, state, _ in batch])
                loop = asyncio.get_running_loop()
                results = await loop.run_in_executor(self._thread, self._results, stacked, states)
            except Exception as error:  # the network's; each request of the batch reports it
                for *_, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (*_, answer), result in zip(batch, results, strict=True):
                if not answer.done():  # its client may have disconnected
                    answer.set_result(result)

    def _results(self, stacked: Floats, states: States) -> list[VerifierResult]:
        outputs = self._verifier.score(stacked, states)
        if not all(np.isfinite(output).all() for output in outputs):
            raise FloatingPointError("the verifier gave a score that is no number")
        return [VerifierResult(*map(float, values)) for values in zip(*outputs, strict=True)]
