"""How a network of the second look is trained in epochs, and what a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.files import replaced, write_whole
from wakestate.train.learning.prefetch import ahead
from wakestate.verify.learning.examples import NEAREST, Cuts
from wakestate.words import Word

OFF = {"aligned": 5.0, "misaligned": 50.0}  # columns by which a start may be off, either way


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how long."""

    kind: str = "cra"
    cuts: str = "misaligned"
    seed: int = 1
    epochs: int = 30
    batches: int = 400
    batch: int = 128
    rate: float = 1e-3


def moved(rng: np.random.Generator, recipe: Recipe, count: int) -> NDArray[np.float64]:
    """By how many columns the starts of some cuts are off."""
    most = OFF[recipe.cuts]
    return rng.uniform(-most, most, count)


def draw(
    cuts: Cuts, hard: NDArray[np.intp] | None = None
) -> Callable[[np.random.Generator, int], NDArray[np.intp]]:
    """Draws so many cuts: half of them words, a quarter `hard` ones (none given: what the first
    look took for words), a quarter any without the word."""
    words, others = np.flatnonzero(cuts.is_word), np.flatnonzero(~cuts.is_word)
    taken = np.flatnonzero(~cuts.is_word & (cuts.woke > NEAREST)) if hard is None else hard

    def pick(rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        shares = (
            (words, count // 2),
            (taken, count // 4),
            (others, count - count // 2 - count // 4),
        )
        return np.concatenate([rows[rng.integers(len(rows), size=n)] for rows, n in shares])

    return pick


class Fitter:
    """A network, its optimizer, and the epochs that are done. A subclass says what it learns."""

    rounds = 1  # epochs of the recipe in one of this fitter

    def __init__(self, word: Word, run: Path, recipe: Recipe) -> None:
        self.word, self.run, self.recipe = word, run, recipe
        self.epochs = max(1, recipe.epochs // self.rounds)
        self.model, loss = self.build()
        schedule = keras.optimizers.schedules.CosineDecay(
            recipe.rate, self.epochs * self.rounds * recipe.batches, alpha=0.02
        )
        self.model.compile(keras.optimizers.AdamW(schedule, clipnorm=1.0), loss=loss)
        self._batches = self.rounds * recipe.batches
        self._state = run / "checkpoint.keras"
        self._curve = run / "curve.csv"
        if self._state.is_file():
            self.model = keras.saving.load_model(self._state)
            print(f"resume after epoch {self.epoch}")

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return int(self.model.optimizer.iterations) // self._batches

    def build(self) -> tuple[keras.Model, Any]:
        """The untrained network and its loss."""
        raise NotImplementedError

    def begin(self, cuts: Cuts) -> None:
        """Before each epoch; what it makes follows from the cuts and the checkpoint alone."""
        raise NotImplementedError

    def batch(self, rng: np.random.Generator, cuts: Cuts) -> tuple[Any, Any]:
        """Inputs and targets of one batch."""
        raise NotImplementedError

    def export(self, train: Cuts, held: Cuts) -> Path:
        """Write what was learned into the folder `run`/verifier."""
        raise NotImplementedError

    def run_epochs(self, cuts: Cuts) -> None:
        """All epochs that are left, each with a checkpoint."""
        while (epoch := self.epoch) < self.epochs:
            self.begin(cuts)
            rng = np.random.default_rng([self.recipe.seed, epoch])
            losses = []
            for x, y in tqdm(
                ahead(partial(self.batch, rng, cuts), self._batches),
                f"epoch {epoch + 1}",
                self._batches,
                unit="batch",
            ):
                losses.append(float(np.asarray(self.model.train_on_batch(x, y))))
            self.checkpoint(epoch + 1)
            self._write_curve(epoch + 1, float(np.mean(losses)))

    def checkpoint(self, epoch: int) -> None:
        """Written whole or not at all."""
        with replaced(self._state) as made:
            self.model.save(made)

    def _write_curve(self, epoch: int, loss: float) -> None:
        """One more line; a kill may have taken that of an epoch before."""
        lines = self._curve.read_text().splitlines() if self._curve.is_file() else ["epoch,loss"]
        write_whole(self._curve, "\n".join([*lines, f"{epoch},{loss:.5f}"]) + "\n")
        print(f"epoch {epoch}: loss {loss:.4f}")
