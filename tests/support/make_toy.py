# SPDX-License-Identifier: Apache-2.0
"""Makes the committed toy model: python -m tests.support.make_toy (needs TensorFlow).

Random weights from a seed, batch norm statistics from random features, thresholds that random
features reach now and then. The golden tree then follows: see tests/unit/test_convert.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from wakestate.contract.metadata import metadata_vectors
from wakestate.convert.export import export, set_thresholds
from wakestate.convert.reference import logits, read_network
from wakestate.train.model.network import build_model, load_network
from wakestate.words import Word, load_word

TOY = Path(__file__).resolve().parents[1] / "toy"
SEED = 20


def random_windows(word: Word, count: int, seed: int) -> NDArray[np.int8]:
    """Windows that look a little like LFBE: a level that wanders, bands around it."""
    rng = np.random.default_rng(seed)
    hops, bands = word.model.receptive_hops, word.frontend.bands
    level = rng.normal(-20, 30, (count, 1, 1)) + rng.normal(0, 12, (count, hops, 1)).cumsum(axis=1)
    windows = level + rng.normal(0, 25, (count, hops, bands))
    return np.clip(np.rint(windows), -128, 127).astype(np.int8)


def random_model(
    word: Word, seed: int, windows: NDArray[np.int8], momentum: float = 0.98, calls: int = 300
) -> keras.Model:
    """A network with random weights, conditions and matching batch norm statistics, to which
    `momentum` brings them in so many calls."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = build_model(word)
    for layer in model.layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if weight.name == "gamma":
                weight.assign(rng.uniform(0.5, 1.5, shape))
            elif weight.name in ("beta", "dgamma", "dbeta", "bias"):
                weight.assign(rng.normal(0, 0.3, shape))
    vectors = metadata_vectors(word)
    features = windows[:, :, None, :].astype(np.float32) / 32
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    for _ in range(calls):  # the start is forgotten
        model([features, vectors[rng.integers(len(vectors), size=len(windows))]], training=True)
    return model


def main() -> None:
    """Write tests/toy."""
    word = load_word(TOY / "toy.toml")
    windows = random_windows(word, 256, SEED)
    model = random_model(word, SEED, windows)
    # The outputs of random weights hardly move: spread them over their int8 range. Then starts
    # are before ends as often as not, and some beyond what an event clips them to.
    kernel, bias = model.get_layer("logit").get_weights()
    model.get_layer("logit").set_weights([kernel * 4, np.add(bias, (0, 5, -2))])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.keras"
        model.save(path)
        export(word, load_network(word, path), path, windows, TOY)
    network = read_network(word, TOY)
    thresholds = {}
    for number, state in enumerate(word.states):
        q = logits(network, number, windows).astype(int)
        thresholds[state] = word.detector.smoothing_steps * int(np.quantile(q, 0.8))
    set_thresholds(TOY, word, thresholds)


if __name__ == "__main__":
    main()
