"""Training of the second look, on the wakes of the first: python -m verify train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from train.augment import augment
from train.data import load_corpus
from train.kept import keep_config, save_arrays, write_json
from verify.cut import FRAMES
from verify.cuts import NEAREST, SHIPPED, Amounts, Cuts, mine, seen
from verify.fitter import Fitter, Recipe, draw, moved
from verify.infer import FACTS, SCALE, STRIDES, WEIGHTS
from verify.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame
from words import Word

MISSED = 0.005  # share of held-out words that the shipped threshold rejects
PLACE_WEIGHT = 0.1
HMM = "dnn-hmm"


@keras.saving.register_keras_serializable("wakestate")
def verify_loss(targets: Any, outputs: Any) -> Any:
    """float[batch]: cross entropy; for words the mean absolute error of the place beside it."""
    label, place = targets[:, 0], targets[:, 1:]
    known = ops.logical_not(ops.isnan(place))
    wanted = (ops.where(known, place, 0.0) - PREROLL_FRAMES) / PER_UNIT
    off = ops.abs(ops.where(known, outputs[:, 1:] - wanted, 0.0))
    z = outputs[:, 0]
    return ops.softplus(z) - label * z + PLACE_WEIGHT * ops.mean(off, axis=1)


def train(
    word: Word, data: Path, also: Sequence[Path], cache: Path, library: Path, cuts: Path, run: Path,
    recipe: Recipe, amounts: Amounts,
) -> Path:  # fmt: skip
    """Train in the folder `run` on wakes of the compiled device `library`, which `cuts` keeps for
    several runs; returns the folder of what was trained.

    Each epoch ends with a checkpoint; the same call goes on after a kill. DataError.
    """
    corpus = load_corpus(data, "train", cache, word.data, also)
    mined = mine(corpus, word, library, cuts, 1, amounts)
    config = {"recipe": asdict(recipe), "word": word.model_dump(mode="json"),
              "cuts": json.loads((cuts / "config.json").read_text())}  # fmt: skip
    keep_config(run / "config.json", config, "this run was started")
    keras.utils.set_random_seed(recipe.seed)
    fitter: Fitter
    if recipe.kind == HMM:
        from verify.hmm import HmmFitter

        fitter = HmmFitter(word, run, recipe)
    else:
        fitter = VerifierFitter(word, run, recipe)
    fitter.run_epochs(mined["train"])
    return fitter.export(mined["train"], mined["held"])


class VerifierFitter(Fitter):
    """Trains a network of verify/networks.py."""

    def build(self) -> tuple[keras.Model, Any]:
        return build(self.recipe.kind, self.word.frontend.bands), verify_loss

    def begin(self, cuts: Cuts) -> None:
        self._pick = draw(cuts)

    def batch(self, rng: np.random.Generator, cuts: Cuts) -> tuple[Any, Any]:
        pick = self._pick(rng, self.recipe.batch)
        features, targets = seen(cuts, pick, moved(rng, self.recipe, len(pick)))
        x = features.astype(np.float32) * SCALE
        return augment(rng, x[:, :, None, :], self.word.frontend)[:, :, 0, :], targets

    def export(self, train: Cuts, held: Cuts) -> Path:
        """Write `run`/verifier, its threshold set on held-out wakes."""
        off = moved(np.random.default_rng([self.recipe.seed, 8]), self.recipe, len(held))
        logit = np.concatenate([
            np.asarray(self.model.predict_on_batch(
                seen(held, rows, off[rows])[0].astype(np.float32) * SCALE))[:, 0]
            for rows in np.array_split(np.arange(len(held)), -(-len(held) // 500))
        ])  # fmt: skip
        # Words as the shipped device sends them; of other things it sends too few to judge by.
        word = logit[held.is_word & (held.woke == SHIPPED)]
        other = logit[~held.is_word & (held.woke > NEAREST)]
        threshold = float(np.quantile(word, MISSED))
        passed = float(np.mean(other >= threshold))
        out = self.run / "verifier"
        out.mkdir(exist_ok=True)
        kind, bands = self.recipe.kind, self.word.frontend.bands
        facts = {
            "word": self.word.name, "kind": kind, "frames": FRAMES, "bands": bands,
            "first": first_frame(KINDS[kind]), "seen": KINDS[kind],
            "preroll_frames": PREROLL_FRAMES, "frames_per_unit": PER_UNIT,
            "threshold": round(threshold, 4),
            "held_out": {"words": len(word), "missed": MISSED, "others": len(other),
                         "others_passed": round(passed, 4)},
            "recipe": asdict(self.recipe),
        }  # fmt: skip
        save_arrays(out / WEIGHTS, folded(self.model))
        write_json(out / FACTS, facts)
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
