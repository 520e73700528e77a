# SPDX-License-Identifier: Apache-2.0
"""Two ways to find where the word starts and ends: wakestate model endpoints.

Jose et al., "Accurate detection of wake word start and end using a CNN" (Interspeech 2020):
regression of both from the shared trunk, or detectors that are trained to fire at a fixed time
after the start and after the end, whose highest step in reach of the wake reports the place. Both
continue from the same trained network with the same data and budget, and are measured in float.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.contract.metadata import ENDPOINT_HOPS, metadata_vectors
from wakestate.convert.hostlib import Extractor
from wakestate.tables import Printed, pipe
from wakestate.train.data.corpus import RATE, load_corpus
from wakestate.train.evaluation.trials import Sound, Trials, conditions
from wakestate.train.learning.fit import Trainer, trained
from wakestate.train.learning.learner import FEATURE_SCALE
from wakestate.train.learning.loop import cosine_decay
from wakestate.train.learning.pool import render_pool
from wakestate.train.model.network import window_loss
from wakestate.train.model.saved import load_model, save_model
from wakestate.words import Word

AT = (15.0, 2.0)  # units of ENDPOINT_HOPS after the start, the end, at which a detector fires
REACH = 20  # network steps around the wake in which a detector's highest step is looked for
BATCHES, LEARNING_RATE = 3000, 5e-4


@keras.saving.register_keras_serializable("wakestate")
def aligned_loss(targets: Any, outputs: Any) -> Any:
    """As window_loss, float[batch]; channels 1 and 2 are the logits of the aligned detectors.

    A step within 15 ms of the time to fire is a 1, those up to 60 ms away count for nothing, all
    others are 0; the few 1s weigh as much as 20.
    """
    label, off, z = targets[:, :, :1], targets[:, :, 1:], outputs[:, :, 0, 1:]
    known = ops.logical_not(ops.isnan(off))
    far = ops.abs(ops.where(known, off, 1e3) - ops.convert_to_tensor(AT, z.dtype))
    hit = ops.cast(far < 0.25, z.dtype)
    barred = ops.cast(far >= 1.0, z.dtype) * ops.cast(
        ops.logical_or(known, ops.equal(label, 0.0)), z.dtype
    )
    loss = 20 * hit * ops.softplus(-z) + barred * ops.softplus(z)
    unknown = ops.full_like(off, float("nan"))
    return window_loss(ops.concatenate([label, unknown], axis=2), outputs) + ops.mean(
        loss, axis=(1, 2)
    )


def continue_training(
    word: Word, data: Path, also: Sequence[Path], run: Path, cache: Path, method: str
) -> Path:
    """BATCHES more on the pool of `run`, by one of the methods; returns the .keras file."""
    final = run / f"ends-{method}.keras"
    if final.is_file():
        return final
    model, budget = trained(run)
    keras.utils.set_random_seed(1)
    corpus = load_corpus(data, "train", cache, word.data, also)
    positive, negative = (
        render_pool(corpus, word, run / "pool", kind, part, clips, budget.seed * 1000 + seed)
        for part, kind, clips, seed in budget.pools(corpus, word)[:2]
    )
    trainer = Trainer(word, run / "unused", budget)
    schedule = cosine_decay(LEARNING_RATE, BATCHES)
    loss = aligned_loss if method == "aligned" else window_loss
    model.compile(keras.optimizers.AdamW(schedule, clipnorm=1.0), loss=loss)
    model.optimizer.build(model.trainable_variables)
    trainer.use(model)
    rng = np.random.default_rng([1, 8])
    make = partial(trainer.draw, rng, positive, negative, np.arange(len(negative)))
    trainer.learner.learn(make, BATCHES, positive, negative, method, lambda: None)
    save_model(trainer.model, final)
    return final


@dataclass(frozen=True)
class Outputs:
    """The network's outputs on one recording, float[steps, 3]; samples where each step ends."""

    outputs: NDArray[np.float64]
    ends: NDArray[np.int64]
    start: int
    end: int

    def wake(self, smoothing: int) -> int | None:
        """First step from the word's start to 1 s after its end whose smoothed logit is over 0."""
        mean = np.convolve(self.outputs[:, 0], np.ones(smoothing) / smoothing, "full")
        mean = mean[: len(self.outputs)]
        inside = (self.ends >= self.start) & (self.ends <= self.end + RATE)
        over = np.flatnonzero(inside & (mean > 0) & (np.arange(len(mean)) >= smoothing - 1))
        return int(over[0]) if len(over) else None


def places(
    result: Outputs, wake: int, way: str, unit: float, smoothing: int
) -> tuple[float, float]:
    """Start and end of the word, samples, as one way reports it at the wake."""
    if way == "newest":
        at = result.outputs[wake, 1:] * unit
        return tuple(result.ends[wake] - at)
    if way == "mean":
        steps = slice(wake - smoothing + 1, wake + 1)
        found = result.ends[steps, None] - result.outputs[steps, 1:] * unit
        return tuple(found.mean(axis=0))
    first = max(0, wake - REACH)
    around = result.outputs[first : wake + REACH + 1, 1:]
    ends = result.ends[first : wake + REACH + 1]
    best = around.argmax(axis=0)
    return tuple(ends[best] - np.array(AT) * unit)


def run_network(
    word: Word, trials: Trials, sound: Sound, state: int, model: Any
) -> Iterator[Outputs]:
    """Every recording in one condition."""
    extract, f, m = Extractor(word.frontend), word.frontend, word.model
    metadata = metadata_vectors(word)[state : state + 1]
    for _, pcm, start, end in trials.recordings(sound):
        x = np.clip(extract.features_q8(pcm), -128 * 256, 127 * 256).astype(np.float32)
        out = np.asarray(model([x[None, :, None, :] * (FEATURE_SCALE / 256), metadata]), np.float64)
        steps = np.arange(out.shape[1])
        ends = (m.receptive_hops - 1 + steps * m.stride) * f.hop_samples + f.window_samples
        yield Outputs(out[0, :, 0, :], ends, start, end)


def measure(word: Word, data: Path, split: str, cache: Path, models: dict[str, Path]) -> Printed:
    """Start and end errors of every way in every condition, Markdown; ms, standard deviation and
    bias, over the recordings that woke."""
    trials = Trials(word, load_corpus(data, split, cache, word.data), seed=1, draws=1)
    unit = ENDPOINT_HOPS * word.frontend.hop_samples
    smoothing = word.detector.smoothing_steps
    ways = [("regression", "newest"), ("regression", "mean"), ("aligned", "aligned")]
    rows, found = [], []
    loaded = {name: load_model(path) for name, path in models.items()}
    todo = [
        c
        for c in conditions(word, {"low": (10.0,), "high": (0.0,)})
        if c.part in ("sound", "state")
    ]
    for c in tqdm(todo, desc="measure", unit="condition"):
        state = word.states.index(c.state)
        result = {
            name: list(run_network(word, trials, c.sound, state, m)) for name, m in loaded.items()
        }
        for method, way in ways:
            errors = []
            for one in result[method]:
                wake = one.wake(smoothing)
                if wake is not None:
                    start, end = places(one, wake, way, unit, smoothing)
                    errors.append((start - one.start, end - one.end))
            name = method if way == method else f"{method}, {way} step"
            if len(errors) < 2:  # it woke on no more
                rows.append([c.name, name, "–", "–", str(len(errors))])
                found.append(
                    {"condition": c.name, "method": method, "way": way, "words": len(errors)}
                )
                continue
            ms = np.array(errors) * 1000 / RATE
            cells = [f"{ms[:, i].std(ddof=1):.0f} bias {ms[:, i].mean():+.0f}" for i in (0, 1)]
            rows.append([c.name, name, *cells, str(len(ms))])
            (start, end), (wide_start, wide_end) = ms.mean(axis=0), ms.std(axis=0, ddof=1)
            found.append(
                {
                    "condition": c.name,
                    "method": method,
                    "way": way,
                    "words": len(ms),
                    "start_bias_ms": float(start),
                    "end_bias_ms": float(end),
                    "start_standard_error_ms": float(wide_start),
                    "end_standard_error_ms": float(wide_end),
                }
            )
    return Printed(pipe(["condition", "way", "start, ms", "end, ms", "words"], rows), found)
