# SPDX-License-Identifier: Apache-2.0
"""The one training loop: rounds that end with a checkpoint, and resume after a kill.

RUN/round-NNN.keras is the network with its optimizer after a round, RUN/state.json names the last
of them, RUN/curve.csv has a row for each. A kill loses the round in work and nothing else; the
weights at the end are the same.
"""

from __future__ import annotations

import csv
import json
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from wakestate.files import replaced
from wakestate.train.artifacts import write_json
from wakestate.train.learning.prefetch import prefetched
from wakestate.train.model.saved import load_model, save_model


def cosine_decay(rate: float, batches: int, *, warmup: int = 0, alpha: float = 0.0) -> Any:
    """The learning rate of each batch: up to `rate` in `warmup` batches, then along a half cosine
    down to `alpha` of it."""
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, batches, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        0.0, batches, alpha=alpha, warmup_target=rate, warmup_steps=warmup
    )


def train_batches(
    model: keras.Model,
    make: Callable[[], tuple[Any, Any]],
    count: int,
    what: str,
    on_batch: Callable[[], None] = lambda: None,
) -> list[float]:
    """Train on `count` batches, inputs and targets, each made while the one before is learned;
    their losses. `what` is the progress bar's label; `on_batch` is called after each, and may
    raise."""
    losses = []
    for x, y in tqdm(prefetched(make, count), what, count, unit="batch"):
        losses.append(float(np.asarray(model.train_on_batch(x, y))))
        on_batch()
    return losses


class Training:
    """A training in the folder `run`. A subclass defines what a round trains on."""

    def __init__(self, run: Path, rounds: int, model: keras.Model) -> None:
        """`model`: as it begins; where `run` has a checkpoint, that is continued."""
        self.run, self.rounds = run, rounds
        self.round = 0  # rounds that are done
        state = run / "state.json"
        if state.is_file():
            stored = json.loads(state.read_text())
            model, self.round = (
                load_model(run / stored["checkpoint"], compile=True),
                stored["round"],
            )
            print(f"resume after round {self.round}")
        self.use(model)

    def use(self, model: keras.Model) -> None:
        """Continue with this network."""
        self.model = model

    def learn(self, number: int, on_batch: Callable[[], None]) -> list[float]:
        """Train in round `number`, from 0; the losses of its batches. What it draws follows from
        the number and the checkpoint alone; `on_batch` is called now and then, and may raise."""
        raise NotImplementedError

    def measured(self) -> dict[str, float]:
        """More columns of the curve, after each round."""
        return {}

    def averaged(self) -> range:
        """Rounds whose checkpoints are kept, besides the last one."""
        return range(0)

    def run_rounds(self) -> None:
        """All rounds that are left. SIGTERM and Ctrl-C end the program behind the batch in work."""
        with _StopFlag() as stop:
            first, start = self.round, time.monotonic()
            for number in range(self.round, self.rounds):
                began = time.monotonic()
                losses = self.learn(number, partial(stop.raise_if_stopped, number))
                row: dict[str, float] = {
                    "round": number + 1,
                    "loss": round(float(np.mean(losses)), 5),
                }
                row |= {"seconds": round(time.monotonic() - began, 1)}
                row |= self.measured()
                self._write_curve(row)
                self.checkpoint(number + 1)
                self.round = number + 1
                share = (self.rounds - self.round) / (self.round - first)
                minutes = share * (time.monotonic() - start) / 60
                shown = ", ".join(f"{key} {value}" for key, value in row.items())
                print(f"{shown}; {minutes:.0f} minutes left of {self.rounds} rounds", flush=True)
                stop.raise_if_stopped(number + 1)

    def checkpoint(self, number: int) -> None:
        """Keep the network as it is after `number` rounds; remove those not needed any more."""
        path = self.checkpoint_path(number)
        save_model(self.model, path)
        write_json(self.run / "state.json", {"round": number, "checkpoint": path.name})
        needed = {self.checkpoint_path(n) for n in (*self.averaged(), number)}
        for old in set(self.run.glob("round-*.keras")) - needed:
            old.unlink()

    def checkpoint_path(self, number: int) -> Path:
        """The file of a round, from 1."""
        return self.run / f"round-{number:03d}.keras"

    def _write_curve(self, row: dict[str, float]) -> None:
        """One more row; a row of the same round, written before a kill, makes way."""
        curve = self.run / "curve.csv"
        rows: list[dict[str, Any]] = []
        if curve.is_file() and row["round"] > 1:
            with curve.open(newline="") as file:
                rows = [r for r in csv.DictReader(file) if int(r["round"]) < row["round"]]
        with replaced(curve) as made, made.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerows([*rows, row])


class _StopFlag:
    """Raised by SIGTERM or Ctrl-C, so that a batch is finished first."""

    def __enter__(self) -> _StopFlag:
        self._raised = False
        self._before = {n: signal.signal(n, self._raise) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _raise(self, *_: Any) -> None:
        self._raised = True

    def raise_if_stopped(self, rounds: int) -> None:
        """End the program if the flag is up, with `rounds` whole rounds in the checkpoint."""
        if self._raised:
            print(f"stopped; the same command continues after round {rounds}", file=sys.stderr)
            raise SystemExit(130)
