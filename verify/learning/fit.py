# SPDX-License-Identifier: Apache-2.0
"""Training of the verifier, on the wakes of the detector: wakestate verifier train."""

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

from wakestate.train.artifacts import keep_config, save_arrays, write_json
from wakestate.train.data.corpus import load_corpus
from wakestate.train.learning.augment import augment
from wakestate.verify.learning.examples import Amounts, Examples, mine, seen
from wakestate.verify.learning.fitter import Fitter, TrainConfig, draw, moved
from wakestate.verify.learning.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame
from wakestate.verify.learning.thresholds import AT_ONCE, decision_facts, load_detector
from wakestate.verify.protocol.window import FRAMES
from wakestate.verify.service.detector import DetectorReplay
from wakestate.verify.service.infer import FACTS, SCALE, WEIGHTS
from wakestate.verify.service.stored import STRIDES
from wakestate.words import Word

TRIED_SHARE, HARD_SHARE = (
    3,
    8,
)  # a round tries a third of what is no word, and keeps an eighth of that as hard
PLACE_WEIGHT = 0.1
HMM = "dnn-hmm"


@keras.saving.register_keras_serializable("wakestate")
def verify_loss(targets: Any, outputs: Any) -> Any:
    """float[batch]: cross entropy; for words plus the mean absolute error of the place."""
    label, place = targets[:, 0], targets[:, 1:]
    known = ops.logical_not(ops.isnan(place))
    wanted = (ops.where(known, place, 0.0) - PREROLL_FRAMES) / PER_UNIT
    off = ops.abs(ops.where(known, outputs[:, 1:] - wanted, 0.0))
    z = outputs[:, 0]
    return ops.softplus(z) - label * z + PLACE_WEIGHT * ops.mean(off, axis=1)


def train(
    word: Word,
    data: Path,
    also: Sequence[Path],
    cache: Path,
    library: Path,
    model: Path,
    examples: Path,
    run: Path,
    train_config: TrainConfig,
    amounts: Amounts,
) -> Path:
    """Train in the folder `run` on wakes of the compiled device `library`, of the detector in
    the folder `model`, which `examples` keeps for several runs; returns the folder of what was
    trained.

    Each round ends with a checkpoint; the same call resumes after a kill. DataError.
    """
    detector, lows = load_detector(word, model, library)
    corpus = load_corpus(data, "train", cache, word.data, also)
    mined = mine(corpus, word, library, examples, 1, amounts)
    config = {
        "train_config": asdict(train_config),
        "word": word.model_dump(mode="json"),
        "examples": json.loads((examples / "config.json").read_text()),
    }
    keep_config(run / "config.json", config, "this run was started")
    keras.utils.set_random_seed(train_config.seed)
    fitter: Fitter
    if train_config.kind == HMM:
        from wakestate.verify.learning.hmm import HmmFitter

        fitter = HmmFitter(word, run, train_config)
    else:
        fitter = VerifierFitter(word, run, train_config, detector, lows)
    fitter.train_on(mined["train"])
    return fitter.export(mined["train"], mined["validation"])


class VerifierFitter(Fitter):
    """Trains a network of networks.py; `detector`, `lows`: of thresholds.load_detector."""

    def __init__(
        self,
        word: Word,
        run: Path,
        train_config: TrainConfig,
        detector: DetectorReplay,
        lows: Sequence[float],
    ) -> None:
        super().__init__(word, run, train_config)
        self.detector, self.lows = detector, lows

    def build(self) -> tuple[keras.Model, Any]:
        return build(self.train_config.kind, self.word.frontend.bands), verify_loss

    def begin(self, examples: Examples) -> None:
        """From the second round on the hard ones are those that it takes for words itself."""
        hard = None
        if self.round:
            rng = np.random.default_rng([self.train_config.seed, self.round, 6])
            others = np.flatnonzero(~examples.is_word)
            tried = rng.permutation(others)[: -(-len(others) // TRIED_SHARE)]
            logit = self.logits(examples, tried, moved(rng, self.train_config, len(tried)))
            hard = tried[np.argsort(-logit, kind="stable")[: -(-len(tried) // HARD_SHARE)]]
        self._pick = draw(examples, hard)

    def logits(
        self, examples: Examples, pick: NDArray[np.intp], off: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Of some examples whose starts are off by that many columns, float32[n]."""
        parts = np.array_split(np.arange(len(pick)), -(-len(pick) // AT_ONCE))
        return np.concatenate(
            [self.predict(seen(examples, pick[rows], off[rows])[0]) for rows in parts]
        )

    def predict(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        """int8[n, FRAMES, bands] -> logits, float32[n]."""
        return np.asarray(self.model.predict_on_batch(features.astype(np.float32) * SCALE))[:, 0]

    def batch(self, rng: np.random.Generator, examples: Examples) -> tuple[Any, Any]:
        pick = self._pick(rng, self.train_config.batch)
        features, targets = seen(examples, pick, moved(rng, self.train_config, len(pick)))
        x = features.astype(np.float32) * SCALE
        return augment(rng, x, self.word.frontend), targets

    def export(self, train: Examples, validation: Examples) -> Path:
        """Write `run`/verifier; what decides is set on held-out examples (thresholds.py)."""
        out = self.run / "verifier"
        out.mkdir(exist_ok=True)
        kind = self.train_config.kind
        facts = {
            "word": self.word.name,
            "kind": kind,
            "frames": FRAMES,
            "bands": self.word.frontend.bands,
            "first_column": first_frame(KINDS[kind]),
            "seen": KINDS[kind],
            "preroll_frames": PREROLL_FRAMES,
            "frames_per_unit": PER_UNIT,
            **decision_facts(validation, self.predict, self.detector, self.lows),
            "train_config": asdict(self.train_config),
        }
        save_arrays(out / WEIGHTS, folded(self.model))
        write_json(out / FACTS, facts)
        return out


def folded(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Weights as service/infer.py names them, each norm folded into the convolution before it."""
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
