# SPDX-License-Identifier: Apache-2.0
"""The Keras model: what the state does, and the loss. JAX: test_learner.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import TOY
from tests.support.small_data import (
    Samples,
    beep,
)
from wakestate.words import Word


def inputs(word: Word, count: int, hops: int) -> list[Samples]:
    from wakestate.contract.metadata import metadata_vectors

    rng = np.random.default_rng(8)
    features = rng.normal(0, 1.5, (count, hops, 1, word.frontend.bands)).astype(np.float32)
    meta = metadata_vectors(word)
    return [features, meta[np.arange(count) % len(meta)]]


def toy_model() -> Any:
    import keras

    from wakestate.train.model.network import build_model

    trained = keras.saving.load_model(TOY.folder / "toy.keras", compile=False)
    model = build_model(TOY.word)
    model.set_weights(trained.get_weights())
    return model


def test_metadata_vectors_report_every_state(tmp_path: Path) -> None:
    from wakestate.contract.metadata import metadata_vectors, metadata_width

    word = beep(tmp_path, 10)
    vectors = metadata_vectors(word)
    assert vectors.shape == (8, metadata_width(word)) == (8, 6)
    assert vectors[0].tolist() == [1, 0, 0, 0, 1, 0]  # idle, low
    assert vectors[3].tolist() == [0, 1, 0, 0, 0, 1]  # music, high
    assert len(np.unique(vectors, axis=0)) == 8


def test_conditional_scale_depends_on_the_state_and_stays_positive() -> None:
    from wakestate.contract.metadata import MIN_SCALE
    from wakestate.train.model.network import ConditionalScale

    layer = ConditionalScale()
    layer.build([(None, None, 1, 2), (None, 2)])
    layer.set_weights(
        [
            np.array([1.0, 1.0]),
            np.array([0.5, 0.0]),  # gamma, beta
            np.array([[1.0, -3.0], [0.0, 0.25]]),
            np.array([[0.0, 0.0], [0.0, 2.0]]),
        ]
    )
    x = np.full((2, 3, 1, 2), 10.0, np.float32)
    y = np.asarray(layer([x, np.eye(2, dtype=np.float32)]))
    assert np.allclose(y[0], [2.0 * 10 + 0.5, MIN_SCALE * 10], atol=1e-5)
    assert np.allclose(y[1], [1.0 * 10 + 0.5, 1.25 * 10 + 2.0], atol=1e-5)


def test_every_norm_and_the_head_know_the_state() -> None:
    """With the other ways shut, each conditional norm alone still changes the output."""
    model = toy_model()
    features, _ = inputs(TOY.word, 4, 40)
    names = [n for n in (layer.name for layer in model.layers) if n.endswith("_cond")]
    assert names == ["first_cond", "mix0_cond", "mix1_cond"]
    ways = {name: model.get_layer(name).get_weights() for name in [*names, "meta_join"]}

    def spread() -> float:
        states = [np.tile(np.eye(2, dtype=np.float32)[i], (4, 1)) for i in (0, 1)]
        one, other = (model.predict_on_batch([features, meta]) for meta in states)
        return float(np.abs(one - other).max())

    def shut(name: str) -> None:
        """gamma and beta as they are, no change by state."""
        retained = 0 if name == "meta_join" else 2
        weights = ways[name]
        model.get_layer(name).set_weights(
            [*weights[:retained], *(0 * w for w in weights[retained:])]
        )

    for name in ways:
        shut(name)
    assert spread() == 0.0
    for name, weights in ways.items():
        model.get_layer(name).set_weights(weights)
        assert spread() > 1e-3, name
        shut(name)


def test_window_loss_by_hand() -> None:
    from wakestate.train.model.network import ENDPOINT_WEIGHT, window_loss

    def softplus(z: float) -> float:
        return float(np.log1p(np.exp(z)))

    labels = np.array(
        [[1, 0, -1, -1], [0, 0, 0, 0], [1, 1, -1, -1], [-1, -1, -1, -1], [0, -1, 1, 0]], np.float32
    )
    z = np.array(
        [[2, -1, 50, 9], [1, -2, 0, 3], [4, 4, 0, 0], [9, 9, 9, 9], [-3, 7, 8, 2]], np.float32
    )
    quiet = [softplus(v) for v in (1, -2, 0, 3)]
    expected = [
        softplus(-2) + softplus(-1),  # 50 and 9 do not matter
        0.5 * np.mean(quiet) + 0.5 * softplus(3),
        softplus(-4),  # two equal best steps count as one
        0.0,
        softplus(-8) + 0.5 * (softplus(-3) + softplus(2)) / 2 + 0.5 * softplus(2),
    ]

    def loss(labels: Samples, z: Samples, off: float = np.nan, wrong: float = 0.0) -> Samples:
        """Start and end are given `wrong` units off `off`."""
        where = np.full((*labels.shape, 2), off, np.float32)
        outputs = np.concatenate([z[..., None], where + wrong], axis=2)[:, :, None]
        return np.asarray(window_loss(np.concatenate([labels[..., None], where], axis=2), outputs))

    found = loss(labels, z)
    assert found.shape == (5,)
    assert np.allclose(found, expected, atol=1e-5)
    # Of several wanted steps the best counts: the other may be as low as it likes.
    low, lower = (
        float(loss(labels[2:3], np.array([[6.0, w, 0, 0]], np.float32))[0]) for w in (-5.0, -50.0)
    )
    assert low == pytest.approx(lower, abs=1e-4)
    assert low == pytest.approx(softplus(-6 + np.log(2)), abs=1e-4)
    # Where the word is known, telling it wrong costs as much as it is wrong.
    assert np.allclose(loss(labels, z, off=3.0), expected, atol=1e-5)
    assert np.allclose(loss(labels, z, off=3.0, wrong=-2.0) - expected, 2 * ENDPOINT_WEIGHT)


def test_soft_targets_count_near_firing() -> None:
    from wakestate.train.model.network import DISTILLATION_WEIGHT, window_loss

    targets = np.full((5, 2, 4), np.nan, np.float32)
    targets[:, :, 0] = -1.0  # no label matters
    targets[:, :, 3] = [[4, -12], [-12, -12], [2, 2], [6, -12], [12, -12]]
    z = np.array([[7, -30], [-30, -10], [2, 2], [-6, -12], [20, -12]], np.float32)
    outputs = np.stack([z, 0 * z, 0 * z], axis=2)[:, :, None]
    found = np.asarray(window_loss(targets, outputs))
    np.testing.assert_allclose(
        found, [DISTILLATION_WEIGHT * 3 / 2, 0, 0, DISTILLATION_WEIGHT * 12 / 2, 0], atol=1e-2
    )
    assert np.allclose(window_loss(targets[:, :, :3], outputs), 0)


@pytest.mark.parametrize("conditioning", ["both", "norm", "join", "none"])
def test_a_baseline_does_not_know_the_state(conditioning: str) -> None:
    """Trained or not: where the metadata does not go in, it changes nothing."""
    import keras

    from wakestate.train.model.network import build_model, window_loss

    keras.utils.set_random_seed(1)
    shape = TOY.word.model.model_copy(update={"conditioning": conditioning})
    word = TOY.word.model_copy(update={"model": shape})
    model = build_model(word)
    assert [w.shape for w in model.weights] == [w.shape for w in toy_model().weights]
    x = inputs(word, 6, 60)
    optimizer = keras.optimizers.AdamW(1e-2, clipnorm=1.0)
    model.compile(optimizer, loss=window_loss, run_eagerly=True)  # for three batches
    steps = model(x).shape[1]
    targets = np.random.default_rng(1).integers(0, 2, (6, steps, 3)).astype(np.float32)
    for _ in range(3):
        model.train_on_batch(x, targets)
    one, other = (
        np.asarray(model([x[0], np.tile(np.eye(2, dtype=np.float32)[i], (6, 1))])) for i in (0, 1)
    )
    assert np.array_equal(one, other) == (conditioning == "none")
    conditional = np.any(model.get_layer("first_cond").dgamma)
    assert bool(conditional) == (conditioning in ("both", "norm"))
    joined = np.any(model.get_layer("meta_join").kernel)
    assert bool(joined) == (conditioning in ("both", "join"))


def test_a_stream_equals_its_windows() -> None:
    """Time is never padded: each output is that of its own window."""
    word, model = TOY.word, toy_model()
    hops, stride, steps = word.model.receptive_hops, word.model.stride, 12
    features, meta = inputs(word, 2, hops + (steps - 1) * stride)
    stream = model.predict_on_batch([features, meta])
    assert stream.shape == (2, steps, 1, 3)
    for i in range(steps):
        window = features[:, i * stride : i * stride + hops]
        single = model.predict_on_batch([window, meta])
        assert single.shape == (2, 1, 1, 3)
        assert np.allclose(single[:, 0], stream[:, i], atol=1e-5)
