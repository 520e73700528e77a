"""Training: rendered pools, hard negatives mined every round, checkpoints, resumable."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wakestate.files import replaced
from wakestate.train.artifacts import joined, keep_config, write_json
from wakestate.train.data.corpus import Corpus, DataError, find_manifest, load_corpus
from wakestate.train.learning.augment import draw
from wakestate.train.learning.distillation import identities, taught
from wakestate.train.learning.learner import Drawn, learner
from wakestate.train.learning.pool import Pool, check_parts, clip_hops, render_pool
from wakestate.train.model.network import build_model, take_weights, window_loss
from wakestate.words import Word

CALIBRATION = 600
RATES = (1, 4, 16)  # FA/h at which held-out clips are judged
MINED = 3  # a round scores every third negative anew
SCENES = ("positives", "negatives", "held_positives", "held_negatives")  # of a Budget
SPANS = (1, 3, 6, 12)  # rounds whose mean weights are tried in the end


@dataclass(frozen=True)
class Budget:
    """How long and on how much to train."""

    positives: int = 40000
    negatives: int = 120000
    near: int = 0  # of the negatives, those mixed around a near miss
    held_positives: int = 2000
    held_negatives: int = 8000
    rounds: int = 40
    rounded: int = 0  # of the rounds, the last ones compute as int8 will
    batches: int = 500
    batch: int = 128
    rate: float = 2e-3
    seed: int = 1

    def times(self, share: float) -> Budget:
        """On more scenes, or on fewer; as long."""
        scenes = (*SCENES, "near")
        return replace(self, **{name: round(share * getattr(self, name)) for name in scenes})

    def pools(self, corpus: Corpus, word: Word) -> list[tuple[str, str, int, int]]:
        """(part, kind, clips, what is added to the seed) of every pool of scenes."""
        if self.near and not any(c.label == "near" for c in corpus.negatives(word)):
            raise DataError("--near-misses: no recording with the label 'near'; `make data`")
        pools = [
            ("train", "positive", self.positives, 1),
            ("train", "negative", self.negatives - self.near, 2),
            ("held", "positive", self.held_positives, 3),
            ("held", "negative", self.held_negatives, 4),
            ("train", "near", self.near, 5),
        ]
        return [pool for pool in pools if pool[2]]


def trained(run: Path) -> tuple[keras.Model, Budget]:
    """The network of a finished run, and what it was trained on. DataError."""
    model, config = run / "model.keras", run / "config.json"
    if not model.is_file():
        raise DataError(f"{model}: not found; `wakestate train` makes it")
    return (
        keras.saving.load_model(model, compile=False),
        Budget(**json.loads(config.read_text())["budget"]),
    )


SCENES_S, BATCHES_S = 45, 10  # scenes mixed and batches learned from in a second, by a core


def expected(word: Word, run: Path, budget: Budget) -> str:
    """What is ahead, in a line: scenes, disk, minutes."""
    scenes = sum(getattr(budget, name) for name in SCENES)
    cores = os.cpu_count() or 1
    seconds = (scenes / SCENES_S + budget.rounds * budget.batches / BATCHES_S) / cores
    size = scenes * clip_hops(word) * word.frontend.bands / 1e9
    return (
        f"ahead, less what {run} has: {scenes:,} scenes, {size:.1f} GB; {budget.rounds} rounds of "
        f"{budget.batches} batches; about {max(1, round(seconds / 60))} minutes on {cores} cores"
    )


def fit(
    word: Word,
    data: Path,
    run: Path,
    cache: Path,
    budget: Budget,
    pools: Path | None = None,
    also: Sequence[Path] = (),
    teachers: Sequence[Path] = (),
    start: Sequence[Path] = (),
) -> Path:
    """Train `word` in the folder `run`; returns the path of the trained .keras file.

    `also`: more data folders, whose train split is taken as well.
    `teachers`: .keras files of other runs, whose mean it learns from as well.
    `start`: .keras files of networks of the same shape, whose mean weights it begins with; in no
    rounds it stays at that.
    `pools`: a folder of scenes, rendered with seed 1, that several runs share. Every round ends
    with a checkpoint; the same call goes on after a kill. SIGTERM and Ctrl-C stop after the batch
    in work; the last checkpoint stays.
    """
    config = {
        "word": word.model_dump(mode="json"),
        "budget": asdict(budget),
        "manifest_sha256": sha256(
            b"".join(find_manifest(folder).read_bytes() for folder in (data, *also))
        ).hexdigest(),
    }
    if teachers:
        config["teachers_sha256"] = identities(teachers)
    if start:
        config["start_sha256"] = identities(start)
    keep_config(run / "config.json", config, "this run was started")
    final = run / "model.keras"
    if final.is_file():
        return final
    print(expected(word, run, budget), flush=True)
    keras.utils.set_random_seed(budget.seed)
    corpus = load_corpus(data, "train", cache, word.data, also)
    check_parts(corpus, word)
    shards, first = (pools, 1000) if pools else (run / "pool", budget.seed * 1000)
    pool = {
        (part, kind): render_pool(corpus, word, shards, kind, part, clips, first + seed)
        for part, kind, clips, seed in budget.pools(corpus, word)
    }
    positive, negative = pool["train", "positive"], pool["train", "negative"]
    if ("train", "near") in pool:
        negative = joined([negative, pool.pop(("train", "near"))])
    if teachers:
        for part, learned in (("positive", positive), ("negative", negative)):
            taught(word, learned, teachers, run / f"soft-{part}.npy")
    held = (pool["held", "positive"], pool["held", "negative"])
    trainer = Trainer(word, run, budget, taught=bool(teachers), start=start)
    trainer.run_rounds(positive, negative, held)
    save_calibration(word, run / "calibration.npy", (positive, negative), budget.seed)
    trainer.finish(final, held)
    return final


def save_calibration(word: Word, path: Path, pools: tuple[Pool, Pool], seed: int) -> None:
    """Windows that fix the int8 ranges: int8[CALIBRATION, receptive_hops, bands]."""
    rng = np.random.default_rng([seed, 9])
    hops = word.model.receptive_hops
    windows = []
    for i in range(CALIBRATION):
        features = pools[i % 2].features
        first = int(rng.integers(features.shape[1] - hops + 1))
        windows.append(features[rng.integers(len(features)), first : first + hops])
    with replaced(path) as made:
        np.save(made, np.stack(windows))


class Trainer:
    """Optimizer, weights and their average, and the state that a checkpoint keeps."""

    def __init__(
        self,
        word: Word,
        run: Path,
        budget: Budget,
        taught: bool = False,
        start: Sequence[Path] = (),
    ) -> None:
        self.word, self.run, self.budget, self.taught = word, run, budget, taught
        model = self._compiled(rounded=budget.rounded >= budget.rounds)
        self.use(started(model, start) if start else model)
        self.begun = bool(start)  # knows something before the first round
        self.round = 0
        self._resume()

    def use(self, model: keras.Model) -> None:
        """Go on with this network."""
        self.model, self.learner = model, learner(self.word, model, self.taught)

    def _compiled(self, rounded: bool) -> keras.Model:
        model = build_model(self.word, rounded=rounded)
        total = max(1, self.budget.rounds * self.budget.batches)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, total, warmup_target=self.budget.rate, warmup_steps=total // 20, alpha=0.01
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3, clipnorm=1.0)
        model.compile(optimizer, loss=window_loss)
        optimizer.build(model.trainable_variables)
        return model

    def _round(self) -> None:
        """Go on with the same weights and optimizer, computing as int8 will."""
        before = self.model
        self.use(take_weights(self._compiled(rounded=True), before))
        kept = {variable.name: variable for variable in before.optimizer.variables}
        for variable in self.model.optimizer.variables:
            variable.assign(kept[variable.name])

    def _resume(self) -> None:
        state = self.run / "state.json"
        if state.is_file():
            kept = json.loads(state.read_text())
            self.use(keras.saving.load_model(self.run / kept["checkpoint"]))
            self.round = kept["round"]
            print(f"resume after round {self.round}")

    def scores(self, pool: Pool, clips: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Logits of every clip, or of the given ones, float32[n, steps]."""
        every = np.arange(len(pool)) if clips is None else clips
        return self.learner.outputs(pool, every)[:, :, 0]

    def run_rounds(self, positive: Pool, negative: Pool, held: tuple[Pool, Pool]) -> None:
        """All rounds that are left; each mines, trains, judges and checkpoints."""
        with _StopFlag() as stop:
            for number in range(self.round, self.budget.rounds):
                rng = np.random.default_rng([self.budget.seed, number])
                if number == self.budget.rounds - self.budget.rounded:
                    self._round()
                began = time.monotonic()
                hard = self._mine(number, negative)
                losses = self.learner.learn(
                    partial(self.draw, rng, positive, negative, hard),
                    self.budget.batches,
                    positive,
                    negative,
                    f"round {number + 1}",
                    partial(stop.obey, number),
                )
                self._judge(number + 1, float(np.mean(losses)), held, time.monotonic() - began)
                stop.obey(number + 1)

    def _mine(self, number: int, negative: Pool) -> NDArray[np.intp]:
        """The twentieth of the negatives that came nearest to firing when last scored."""
        if number == 0 and not self.begun:
            return np.arange(len(negative))
        path = self.run / "mined.npy"
        worst = np.full(len(negative), -np.inf, np.float32)
        anew = np.arange(number % MINED, len(negative), MINED)
        if path.is_file():
            worst = np.load(path)
        else:
            anew = np.arange(len(negative))
        worst[anew] = self.scores(negative, anew).max(axis=1)
        with replaced(path) as made:
            np.save(made, worst)
        return np.argsort(-worst)[: max(1, len(negative) // 20)]

    def draw(
        self, rng: np.random.Generator, positive: Pool, negative: Pool, hard: NDArray[np.intp]
    ) -> Drawn:
        """A batch, a third of it words and a third `hard` negatives."""
        b = self.budget.batch
        ours = rng.integers(len(positive), size=b // 3)
        theirs = [
            hard[rng.integers(len(hard), size=b // 3)],
            rng.integers(len(negative), size=b - 2 * (b // 3)),
        ]
        hops = positive.features.shape[1]
        return Drawn(ours, np.concatenate(theirs), draw(rng, b, hops, self.word.frontend))

    def _judge(self, number: int, loss: float, held: tuple[Pool, Pool], seconds: float) -> None:
        """Score the held-out clips, write the curve and the checkpoint."""
        row = {"round": number, "loss": round(loss, 5), "seconds": round(seconds, 1)}
        row |= self._rates(held)
        print(row)
        self._write_curve(row)
        checkpoint = _checkpoint(self.run, number)
        with replaced(checkpoint) as made:
            self.model.save(made)
        write_json(self.run / "state.json", {"round": number, "checkpoint": checkpoint.name})
        kept = {_checkpoint(self.run, n) for n in (*self._averaged(), number)}
        for path in set(self.run.glob("round-*.keras")) - kept:
            path.unlink()

    def _averaged(self) -> range:
        """The rounds whose weights are kept for the end."""
        rounds = self.budget.rounds
        return range(max(1, rounds - max(SPANS) + 1), rounds + 1)

    def _write_curve(self, row: dict[str, float]) -> None:
        """One more row; a row of the same round, judged before a kill, makes way."""
        curve = self.run / "curve.csv"
        rows: list[dict[str, Any]] = []
        if curve.is_file() and row["round"] > 1:
            with curve.open(newline="") as file:
                rows = [r for r in csv.DictReader(file) if int(r["round"]) < row["round"]]
        with replaced(curve) as made, made.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerows([*rows, row])

    def _rates(self, held: tuple[Pool, Pool]) -> dict[str, float]:
        """Share of held-out words that score below what fires so often on held-out clips."""
        wake = np.where(held[0].labels == 1, self.scores(held[0]), -np.inf).max(axis=1)
        other = np.sort(self.scores(held[1]).max(axis=1))[::-1]
        f = self.word.frontend
        hop_hours = f.hop_samples / f.sample_rate / 3600
        hours = len(held[1]) * held[1].features.shape[1] * hop_hours
        return {
            f"frr_at_{rate}_fa_h": round(float(np.mean(wake <= other[int(rate * hours)])), 4)
            for rate in RATES
        }

    def finish(self, final: Path, held: tuple[Pool, Pool]) -> None:
        """Take the mean of the last rounds' weights, over the span that misses fewest held-out
        words; write result.json and the model."""
        begun, model = self.model, build_model(self.word)
        self.use(model)
        paths = [_checkpoint(self.run, n) for n in self._averaged()]
        networks = (keras.saving.load_model(p, compile=False) for p in paths) if paths else [begun]
        weights = [take_weights(model, network).get_weights() for network in networks]
        tried = []
        for span in (s for s in SPANS if s <= len(weights)):
            mean = _mean(weights[-span:])
            self.model.set_weights(mean)
            rates = self._rates(held)
            rounds = min(span, self.budget.rounds)
            tried.append((float(np.mean(list(rates.values()))), rounds, mean, rates))
            print(f"mean of the last {rounds} rounds: {rates}")
        _, rounds, mean, rates = min(tried, key=lambda t: t[0])
        self.model.set_weights(mean)
        write_json(self.run / "result.json", {"averaged_rounds": rounds, **rates})
        with replaced(final) as made:
            self.model.save(made)


def started(model: keras.Model, paths: Sequence[Path]) -> keras.Model:
    """`model` with the mean weights of files; DataError names the one that does not fit.

    Networks that went on from the same one are near enough for their mean to hear better than
    each of them (Wortsman et al., Model soups, ICML 2022); others are not.
    """
    weights = []
    for path in paths:
        try:
            take_weights(model, keras.saving.load_model(path, compile=False))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{path}: not of the same shape as the word file's [model]: {reason}"
            ) from None
        weights.append(model.get_weights())
    model.set_weights(_mean(weights))
    return model


def _mean(weights: list[list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Of several networks' weights, array by array."""
    return [np.mean(ws, axis=0) for ws in zip(*weights, strict=True)]


def _checkpoint(run: Path, number: int) -> Path:
    return run / f"round-{number:03d}.keras"


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

    def obey(self, rounds: int) -> None:
        """End the program if the flag is up, with `rounds` whole rounds in the checkpoint."""
        if self._raised:
            print(f"stopped; the same command goes on after round {rounds}", file=sys.stderr)
            raise SystemExit(130)
