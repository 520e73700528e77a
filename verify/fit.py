"""Training of the second look, on the wakes of the first: python -m verify train."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

from train.augment import augment
from train.data import DataError, load_corpus
from train.fit import Trainer, trained
from train.pool import render_pool
from verify.cut import FRAMES
from verify.cuts import Wakes, cut, find_wakes
from verify.infer import FACTS, SCALE, STRIDES, WEIGHTS
from verify.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame
from words import Word

MISSED = 0.005  # share of held-out words that the shipped threshold rejects
PLACE_WEIGHT = 0.1
OFF = {"aligned": 5.0, "misaligned": 50.0}  # columns by which a start may be off, either way


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how long."""

    kind: str = "cra"
    cuts: str = "aligned"
    seed: int = 1
    epochs: int = 8
    batches: int = 400
    batch: int = 128
    rate: float = 1e-3


@keras.saving.register_keras_serializable("wakestate")
def verify_loss(targets: Any, outputs: Any) -> Any:
    """float[batch]: cross entropy; for words the mean absolute error of the place beside it."""
    label, place = targets[:, 0], targets[:, 1:]
    known = ops.logical_not(ops.isnan(place))
    wanted = (ops.where(known, place, 0.0) - PREROLL_FRAMES) / PER_UNIT
    off = ops.abs(ops.where(known, outputs[:, 1:] - wanted, 0.0))
    z = outputs[:, 0]
    return ops.softplus(z) - label * z + PLACE_WEIGHT * ops.mean(off, axis=1)


def train(word: Word, data: Path, also: list[Path], cache: Path, first_run: Path, run: Path,
          recipe: Recipe) -> Path:  # fmt: skip
    """Train in the folder `run` on the pool of `first_run`; returns the folder of the verifier.

    Each epoch ends with a checkpoint; the same call goes on after a kill. DataError.
    """
    config = {"recipe": asdict(recipe), "word": word.model_dump(mode="json")}
    kept = run / "config.json"
    if kept.is_file() and json.loads(kept.read_text()) != config:
        raise DataError(f"{kept}: this run was started with other settings; name another --run")
    run.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(config, indent=1) + "\n")
    keras.utils.set_random_seed(recipe.seed)
    model, budget = trained(first_run)
    corpus = load_corpus(data, "train", cache, word.data, also)
    first = Trainer(word, run / "unused", budget)
    first.model = model
    scenes, seed = first_run / "pool", 1000 * budget.seed
    pools = {
        f"{part} {kind}": render_pool(corpus, word, scenes, kind, part, clips, seed + more)
        for part, kind, clips, more in budget.pools(corpus, word)
    }
    wakes = {name: find_wakes(word, first, pool, name) for name, pool in pools.items()}
    fitter = _Fitter(word, run, recipe)
    train_set, held = (
        [(pools[n], wakes[n]) for n in pools if n.startswith(part)] for part in ("train", "held")
    )
    fitter.run_epochs(train_set)
    return fitter.export(held)


class _Fitter:
    """A network, its optimizer, and what a checkpoint keeps."""

    def __init__(self, word: Word, run: Path, recipe: Recipe) -> None:
        self.word, self.run, self.recipe = word, run, recipe
        self.model = build(recipe.kind, word.frontend.bands)
        schedule = keras.optimizers.schedules.CosineDecay(
            recipe.rate, recipe.epochs * recipe.batches, alpha=0.02
        )
        self.model.compile(keras.optimizers.AdamW(schedule, clipnorm=1.0), loss=verify_loss)
        self.epoch = 0
        self._state = run / "checkpoint.keras"
        self._curve = run / "curve.csv"
        if self._state.is_file() and self._curve.is_file():
            self.model = keras.saving.load_model(self._state)
            with self._curve.open(newline="") as file:
                self.epoch = len(list(csv.DictReader(file)))
            print(f"resume after epoch {self.epoch}")

    def run_epochs(self, sets: list[tuple[Any, Wakes]]) -> None:
        """Half of each batch words, half what was taken for them."""
        words = [s for s in sets if len(s[1]) and s[1].is_word.any()]
        others = [s for s in sets if len(s[1]) and not s[1].is_word.any()]
        if not words or not others:
            raise DataError("the first network woke on no word, or on nothing else; train it")
        recipe = self.recipe
        for epoch in range(self.epoch, recipe.epochs):
            rng = np.random.default_rng([recipe.seed, epoch])
            losses = []
            for _ in tqdm(range(recipe.batches), desc=f"epoch {epoch + 1}", unit="batch"):
                x, y = self._draw(rng, words, recipe.batch // 2)
                more, targets = self._draw(rng, others, recipe.batch - recipe.batch // 2)
                x, y = np.concatenate([x, more]), np.concatenate([y, targets])
                x = augment(rng, x[:, :, None, :], self.word.frontend)[:, :, 0, :]
                losses.append(float(np.asarray(self.model.train_on_batch(x, y))))
            partial = self.run / "partial.keras"
            self.model.save(partial)
            partial.replace(self._state)
            self._write_curve(epoch + 1, float(np.mean(losses)))

    def _draw(self, rng: np.random.Generator, sets: list[tuple[Any, Wakes]], count: int) -> Any:
        sizes = np.array([len(wakes) for _, wakes in sets])
        share = rng.multinomial(count, sizes / sizes.sum())
        parts = []
        for (pool, wakes), n in zip(sets, share, strict=True):
            pick = rng.integers(len(wakes), size=n)
            most = OFF[self.recipe.cuts]
            features, targets = cut(pool, wakes, pick, rng.uniform(-most, most, n))
            parts.append((features.astype(np.float32) * SCALE, targets))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _write_curve(self, epoch: int, loss: float) -> None:
        lines = self._curve.read_text().splitlines()[:epoch] if epoch > 1 else ["epoch,loss"]
        partial = self._curve.with_suffix(".partial")
        partial.write_text("\n".join([*lines, f"{epoch},{loss:.5f}"]) + "\n")
        partial.replace(self._curve)
        print(f"epoch {epoch}: loss {loss:.4f}")

    def export(self, held: list[tuple[Any, Wakes]]) -> Path:
        """Write `run`/verifier, its threshold set on held-out wakes."""
        scores: dict[bool, list[NDArray[np.float32]]] = {True: [], False: []}
        for pool, wakes in held:
            for pick in np.array_split(np.arange(len(wakes)), max(1, len(wakes) // 500)):
                if len(pick):
                    features, targets = cut(pool, wakes, pick, np.zeros(len(pick)))
                    logit = self.model.predict_on_batch(features.astype(np.float32) * SCALE)[:, 0]
                    for label in (True, False):
                        scores[label].append(np.asarray(logit)[(targets[:, 0] == 1) == label])
        word, other = (np.concatenate(scores[label]) for label in (True, False))
        threshold = float(np.quantile(word, MISSED))
        passed = float(np.mean(other >= threshold))
        out = self.run / "verifier"
        out.mkdir(exist_ok=True)
        kind, bands = self.recipe.kind, self.word.frontend.bands
        seen = KINDS[kind]
        facts = {
            "word": self.word.name, "kind": kind, "frames": FRAMES, "bands": bands,
            "first": first_frame(seen), "seen": seen, "preroll_frames": PREROLL_FRAMES,
            "frames_per_unit": PER_UNIT, "threshold": round(threshold, 4),
            "held_out": {"words": len(word), "missed": MISSED, "others": len(other),
                         "others_passed": round(passed, 4)},
            "recipe": asdict(self.recipe),
        }  # fmt: skip
        with (out / "weights.partial").open("wb") as file:
            weights: dict[str, Any] = folded(self.model)
            np.savez(file, **weights)
        (out / "weights.partial").replace(out / WEIGHTS)
        (out / "facts.partial").write_text(json.dumps(facts, indent=1) + "\n")
        (out / "facts.partial").replace(out / FACTS)
        print(
            f"held out: of {len(word)} words {MISSED:.1%} are rejected, of {len(other)} wakes on "
            f"what is none {passed:.1%} pass"
        )
        return out


def folded(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Weights as verify/infer.py names them, each norm folded into the convolution before it."""
    out: dict[str, NDArray[np.float32]] = {}
    for i in range(len(STRIDES)):
        (kernel,) = model.get_layer(f"conv{i}").get_weights()
        norm = model.get_layer(f"norm{i}")
        gamma, beta, mean, variance = norm.get_weights()
        gain = gamma / np.sqrt(variance + norm.epsilon)
        out[f"conv{i}.kernel"] = kernel * gain
        out[f"conv{i}.bias"] = beta - mean * gain
    names = {layer.name for layer in model.layers}
    for name in ("column", "attend", "attention", "last", "outputs"):
        if name in names:
            out[f"{name}.kernel"], out[f"{name}.bias"] = model.get_layer(name).get_weights()
    if "gru" in names:
        kernel, recurrent, bias = model.get_layer("gru").get_weights()
        out |= {"gru.kernel": kernel, "gru.recurrent": recurrent, "gru.bias": bias}
    return {name: np.asarray(value, np.float32) for name, value in out.items()}
