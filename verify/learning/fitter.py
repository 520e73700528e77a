# SPDX-License-Identifier: Apache-2.0
"""How a network of the verifier is trained: what it draws, and how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wakestate.train.learning.loop import Training, cosine_decay, train_batches
from wakestate.verify.learning.examples import NEAREST, Examples
from wakestate.words import Word

OFF = {"aligned": 5.0, "misaligned": 50.0}  # columns by which a start may be off, either way


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how long."""

    kind: str = "cra"
    windows: str = "misaligned"
    seed: int = 1
    epochs: int = 30
    batches: int = 400
    batch: int = 128
    rate: float = 1e-3


def moved(rng: np.random.Generator, train_config: TrainConfig, count: int) -> NDArray[np.float64]:
    """By how many columns the starts of some examples are off."""
    maximum = OFF[train_config.windows]
    return rng.uniform(-maximum, maximum, count)


def draw(
    examples: Examples, hard: NDArray[np.intp] | None = None
) -> Callable[[np.random.Generator, int], NDArray[np.intp]]:
    """Draws that many examples: half of them words, a quarter `hard` ones (none given: what the
    detector took for words), a quarter any without the word."""
    words, others = np.flatnonzero(examples.is_word), np.flatnonzero(~examples.is_word)
    taken = np.flatnonzero(~examples.is_word & (examples.woke > NEAREST)) if hard is None else hard

    def pick(rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        shares = (
            (words, count // 2),
            (taken, count // 4),
            (others, count - count // 2 - count // 4),
        )
        return np.concatenate([rows[rng.integers(len(rows), size=n)] for rows, n in shares])

    return pick


class Fitter(Training):
    """A network on the wakes of the device. A subclass defines what it learns."""

    epochs_in_round = 1  # of the recipe

    def __init__(self, word: Word, run: Path, train_config: TrainConfig) -> None:
        self.word, self.train_config = word, train_config
        self._batches = self.epochs_in_round * train_config.batches
        rounds = max(1, train_config.epochs // self.epochs_in_round)
        model, loss = self.build()
        schedule = cosine_decay(train_config.rate, rounds * self._batches, alpha=0.02)
        model.compile(keras.optimizers.AdamW(schedule, clipnorm=1.0), loss=loss)
        super().__init__(run, rounds, model)

    def build(self) -> tuple[keras.Model, Any]:
        """The untrained network and its loss."""
        raise NotImplementedError

    def begin(self, examples: Examples) -> None:
        """Before each round; what it makes follows from the examples and the checkpoint alone."""
        raise NotImplementedError

    def batch(self, rng: np.random.Generator, examples: Examples) -> tuple[Any, Any]:
        """Inputs and targets of one batch."""
        raise NotImplementedError

    def export(self, train: Examples, validation: Examples) -> Path:
        """Write what was learned into the folder `run`/verifier."""
        raise NotImplementedError

    def train_on(self, examples: Examples) -> None:
        """All rounds that are left, each with a checkpoint."""
        self._examples = examples
        self.run_rounds()

    def learn(self, number: int, on_batch: Callable[[], None]) -> list[float]:
        """See Training."""
        self.begin(self._examples)
        rng = np.random.default_rng([self.train_config.seed, number])
        make = partial(self.batch, rng, self._examples)
        return train_batches(self.model, make, self._batches, f"round {number + 1}", on_batch)
