# SPDX-License-Identifier: Apache-2.0
"""Training: rendered pools, hard negatives mined every round, checkpoints, resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
from wakestate.train.costs import cores, training_s
from wakestate.train.data.corpus import Corpus, DataError, find_manifest, load_corpus
from wakestate.train.learning.augment import draw
from wakestate.train.learning.distillation import identities, set_soft_targets
from wakestate.train.learning.learner import Batch, learner, use_all_devices
from wakestate.train.learning.loop import Training, cosine_decay
from wakestate.train.learning.pool import Pool, check_parts, clip_hops, render_pool
from wakestate.train.model.network import build_model, take_weights, window_loss
from wakestate.train.model.saved import load_model, save_model
from wakestate.words import Word

CALIBRATION = 600
RATES = (1, 4, 16)  # FA/h at which held-out clips are judged
MINED = 3  # a round scores every third negative again
SCENES = ("positives", "negatives", "validation_positives", "validation_negatives")  # of a Budget
SPANS = (1, 3, 6, 12)  # rounds whose mean weights are tried in the end


@dataclass(frozen=True)
class Budget:
    """How long and on how much to train."""

    positives: int = 40000
    negatives: int = 120000
    confusable: int = 0  # of the negatives, those mixed around a confusable phrase
    validation_positives: int = 2000
    validation_negatives: int = 8000
    rounds: int = 40
    quantization_aware: int = 0  # of the rounds, the last ones compute as int8 will
    batches: int = 500
    batch: int = 128
    rate: float = 2e-3
    seed: int = 1

    def times(self, share: float) -> Budget:
        """On more scenes, or on fewer; as long."""
        scenes = (*SCENES, "confusable")
        return replace(self, **{name: round(share * getattr(self, name)) for name in scenes})

    def pools(self, corpus: Corpus, word: Word) -> list[tuple[str, str, int, int]]:
        """(part, kind, clips, what is added to the seed) of every pool of scenes."""
        if self.confusable and not any(c.label == "near" for c in corpus.negatives(word)):
            raise DataError("--confusables: no recording with the label 'near'; `make data`")
        pools = [
            ("train", "positive", self.positives, 1),
            ("train", "negative", self.negatives - self.confusable, 2),
            ("validation", "positive", self.validation_positives, 3),
            ("validation", "negative", self.validation_negatives, 4),
            ("train", "near", self.confusable, 5),
        ]
        return [pool for pool in pools if pool[2]]


def trained(run: Path) -> tuple[keras.Model, Budget]:
    """The network of a finished run, and what it was trained on. DataError."""
    model, config = run / "model.keras", run / "config.json"
    if not model.is_file():
        raise DataError(f"{model}: not found; `wakestate train` makes it")
    return (
        load_model(model),
        Budget(**json.loads(config.read_text())["budget"]),
    )


def expected(word: Word, run: Path, budget: Budget) -> str:
    """What remains, in a line: scenes, disk, minutes."""
    scenes = sum(getattr(budget, name) for name in SCENES)
    seconds = training_s(scenes, budget.rounds * budget.batches) / cores()
    size = scenes * clip_hops(word) * word.frontend.bands / 1e9
    return (
        f"to do, less what {run} has: {scenes:,} scenes, {size:.1f} GB; {budget.rounds} rounds of "
        f"{budget.batches} batches; about {max(1, round(seconds / 60))} minutes on {cores()} cores"
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
    with a checkpoint; the same call resumes after a kill. SIGTERM and Ctrl-C stop after the batch
    in work; the last checkpoint stays.
    """
    config = settings(word, data, budget, also)
    if teachers:
        config["teachers_sha256"] = identities(teachers)
    if start:
        config["start_sha256"] = identities(start)
    keep_config(run / "config.json", config, "this run was started")
    final = run / "model.keras"
    if final.is_file():
        return final
    print(expected(word, run, budget), flush=True)
    corpus = load_corpus(data, "train", cache, word.data, also)
    shards, first = (pools, 1000) if pools else (run / "pool", budget.seed * 1000)
    pool = render_pools(corpus, word, shards, budget, first)
    return learn(word, run, budget, pool, teachers, start)


def settings(word: Word, data: Path, budget: Budget, also: Sequence[Path]) -> dict[str, Any]:
    """Of a run: what its config.json has at the least."""
    manifests = b"".join(find_manifest(folder).read_bytes() for folder in (data, *also))
    return {
        "word": word.model_dump(mode="json"),
        "budget": asdict(budget),
        "manifest_sha256": sha256(manifests).hexdigest(),
    }


def render_pools(
    corpus: Corpus, word: Word, folder: Path, budget: Budget, first: int
) -> dict[tuple[str, str], Pool]:
    """All pools of scenes of a budget by part and kind, rendered into `folder` with seeds behind
    `first`."""
    check_parts(corpus, word)
    return {
        (part, kind): render_pool(corpus, word, folder, kind, part, clips, first + seed)
        for part, kind, clips, seed in budget.pools(corpus, word)
    }


def learn(
    word: Word,
    run: Path,
    budget: Budget,
    pool: dict[tuple[str, str], Pool],
    teachers: Sequence[Path] = (),
    start: Sequence[Path] = (),
) -> Path:
    """Train on rendered pools, by part and kind; see `fit`."""
    keras.utils.set_random_seed(budget.seed)
    use_all_devices(budget.batch)
    final = run / "model.keras"
    positive, negative = pool["train", "positive"], pool["train", "negative"]
    if ("train", "near") in pool:
        negative = joined([negative, pool.pop(("train", "near"))])
    if teachers:
        for part, learned in (("positive", positive), ("negative", negative)):
            set_soft_targets(word, learned, teachers, run / f"soft_targets-{part}.npy")
    validation = (pool["validation", "positive"], pool["validation", "negative"])
    trainer = Trainer(word, run, budget, distill=bool(teachers), start=start)
    trainer.train_on(positive, negative, validation)
    save_calibration(word, run / "calibration.npy", (positive, negative), budget.seed)
    trainer.finish(final, validation)
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


class Trainer(Training):
    """The network, and what its rounds train on."""

    def __init__(
        self,
        word: Word,
        run: Path,
        budget: Budget,
        distill: bool = False,
        start: Sequence[Path] = (),
    ) -> None:
        self.word, self.budget, self.distill = word, budget, distill
        self.begun = bool(start)  # knows something before the first round
        model = self._compiled(quantization_aware=budget.quantization_aware >= budget.rounds)
        super().__init__(run, budget.rounds, started(model, start) if start else model)

    def use(self, model: keras.Model) -> None:
        """Continue with this network."""
        super().use(model)
        self.learner = learner(self.word, model, self.distill)

    def _compiled(self, quantization_aware: bool) -> keras.Model:
        model = build_model(self.word, quantization_aware=quantization_aware)
        total = max(1, self.budget.rounds * self.budget.batches)
        schedule = cosine_decay(self.budget.rate, total, warmup=total // 20, alpha=0.01)
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3, clipnorm=1.0)
        model.compile(optimizer, loss=window_loss)
        optimizer.build(model.trainable_variables)
        return model

    def _start_quantization_aware(self) -> None:
        """Continue with the same weights and optimizer, computing as int8 will."""
        before = self.model
        self.use(take_weights(self._compiled(quantization_aware=True), before))
        saved = {variable.name: variable for variable in before.optimizer.variables}
        for variable in self.model.optimizer.variables:
            variable.assign(saved[variable.name])

    def scores(self, pool: Pool, clips: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Logits of every clip, or of the given ones, float32[n, steps]."""
        every = np.arange(len(pool)) if clips is None else clips
        return self.learner.outputs(pool, every)[:, :, 0]

    def train_on(self, positive: Pool, negative: Pool, validation: tuple[Pool, Pool]) -> None:
        """All rounds that are left; each mines, trains, judges and checkpoints."""
        self._positive, self._negative, self._validation = positive, negative, validation
        self.run_rounds()

    def learn(self, number: int, on_batch: Callable[[], None]) -> list[float]:
        """See Training."""
        rng = np.random.default_rng([self.budget.seed, number])
        if number == self.budget.rounds - self.budget.quantization_aware:
            self._start_quantization_aware()
        hard = self._mine(number, self._negative)
        return self.learner.learn(
            partial(self.draw, rng, self._positive, self._negative, hard),
            self.budget.batches,
            self._positive,
            self._negative,
            f"round {number + 1}",
            on_batch,
        )

    def measured(self) -> dict[str, float]:
        """Misses of held-out words."""
        return self._rates(self._validation)

    def averaged(self) -> range:
        """The rounds whose weights are kept for the end."""
        rounds = self.budget.rounds
        return range(max(1, rounds - max(SPANS) + 1), rounds + 1)

    def _mine(self, number: int, negative: Pool) -> NDArray[np.intp]:
        """The twentieth of the negatives that came nearest to firing when last scored."""
        if number == 0 and not self.begun:
            return np.arange(len(negative))
        path = self.run / "mined.npy"
        worst = np.full(len(negative), -np.inf, np.float32)
        rescored = np.arange(number % MINED, len(negative), MINED)
        if path.is_file():
            worst = np.load(path)
        else:
            rescored = np.arange(len(negative))
        worst[rescored] = self.scores(negative, rescored).max(axis=1)
        with replaced(path) as made:
            np.save(made, worst)
        return np.argsort(-worst)[: max(1, len(negative) // 20)]

    def draw(
        self, rng: np.random.Generator, positive: Pool, negative: Pool, hard: NDArray[np.intp]
    ) -> Batch:
        """A batch, a third of it words and a third `hard` negatives."""
        b = self.budget.batch
        positives = rng.integers(len(positive), size=b // 3)
        negatives = [
            hard[rng.integers(len(hard), size=b // 3)],
            rng.integers(len(negative), size=b - 2 * (b // 3)),
        ]
        hops = positive.features.shape[1]
        return Batch(positives, np.concatenate(negatives), draw(rng, b, hops, self.word.frontend))

    def _rates(self, validation: tuple[Pool, Pool]) -> dict[str, float]:
        """Share of held-out words that score below what fires so often on held-out clips."""
        wake = np.where(validation[0].labels == 1, self.scores(validation[0]), -np.inf).max(axis=1)
        other = np.sort(self.scores(validation[1]).max(axis=1))[::-1]
        f = self.word.frontend
        hop_hours = f.hop_samples / f.sample_rate / 3600
        hours = len(validation[1]) * validation[1].features.shape[1] * hop_hours
        return {
            f"frr_at_{rate}_fa_h": round(float(np.mean(wake <= other[int(rate * hours)])), 4)
            for rate in RATES
        }

    def finish(self, final: Path, validation: tuple[Pool, Pool]) -> None:
        """Take the mean of the last rounds' weights, over the span that misses fewest held-out
        words; write result.json and the model."""
        begun, model = self.model, build_model(self.word)
        self.use(model)
        paths = [self.checkpoint_path(n) for n in self.averaged()]
        networks = (load_model(p) for p in paths) if paths else [begun]
        weights = [take_weights(model, network).get_weights() for network in networks]
        tried = []
        for span in (s for s in SPANS if s <= len(weights)):
            mean = _mean(weights[-span:])
            self.model.set_weights(mean)
            rates = self._rates(validation)
            rounds = min(span, self.budget.rounds)
            tried.append((float(np.mean(list(rates.values()))), rounds, mean, rates))
            print(f"mean of the last {rounds} rounds: {rates}")
        _, rounds, mean, rates = min(tried, key=lambda t: t[0])
        self.model.set_weights(mean)
        write_json(self.run / "result.json", {"averaged_rounds": rounds, **rates})
        save_model(self.model, final)


def started(model: keras.Model, paths: Sequence[Path]) -> keras.Model:
    """`model` with the mean weights of files; DataError names the one that does not fit.

    Networks trained further from the same one are close enough for their mean to detect better than
    each of them (Wortsman et al., Model soups, ICML 2022); others are not.
    """
    weights = []
    for path in paths:
        try:
            take_weights(model, load_model(path))
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
