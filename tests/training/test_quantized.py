# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training computes what int8 will."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from tests.support.executors import TOY
from tests.support.make_toy import SEED, random_windows
from wakestate.contract.metadata import metadata_vectors
from wakestate.convert.manifest import read_manifest
from wakestate.convert.reference import logits, read_network
from wakestate.train.model.network import build_model, take_weights
from wakestate.train.model.quantization_aware import FakeQuantize, fake_quantize_weights


def test_weights_have_255_values_for_each_output_channel() -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 1, 40, 5)).astype(np.float32)
    kernel[..., 2] = 0.0
    found = np.asarray(fake_quantize_weights(kernel, (0, 1, 2)))
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    steps = found / np.maximum(scale, 1e-12)
    assert np.allclose(steps, np.rint(steps), atol=1e-3) and np.abs(steps).max() <= 127.001
    assert np.abs(found - kernel).max() <= scale.max() / 2 + 1e-6
    assert not found[..., 2].any()


def test_activations_have_256_values_of_a_range_with_0() -> None:
    x = np.linspace(0.5, 4.0, 1001).astype(np.float32)
    found = np.asarray(FakeQuantize()(x))
    assert len(np.unique(found)) <= 256 and found.max() == pytest.approx(4.0)
    assert np.abs(found - x).max() <= 4 / 255 / 2 + 1e-6
    assert not np.asarray(FakeQuantize()(np.zeros(5, np.float32))).any()


def test_only_the_first_channel_widens_a_range_that_is_given() -> None:
    x = np.array([[0.5, 99.0], [20.0, -99.0]], np.float32)
    found = np.asarray(FakeQuantize(-2.0, 16.0)(x))
    assert found[:, 0] == pytest.approx(x[:, 0], abs=22 / 255)
    assert found[:, 1] == pytest.approx([20.0, -2.0], abs=22 / 255)


def test_rounding_counts_for_nothing_backward() -> None:
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken by TensorFlow here")
    x = tf.Variable(np.array([0.3, 1.7, 4.0], np.float32))
    with tf.GradientTape() as tape:
        y = ops.sum(FakeQuantize()(x) * np.array([1.0, 2.0, 3.0], np.float32))
    assert np.asarray(tape.gradient(y, x)) == pytest.approx([1.0, 2.0, 3.0])


def test_the_network_errs_as_much_as_int8_does() -> None:
    """Logits of the toy in its states, on the windows that fixed its int8 ranges. Bit for bit they
    are not int8's: ranges that differ in the last digits round other values up."""
    word = TOY.word
    trained = keras.saving.load_model(TOY.folder / "toy.keras", compile=False)
    network, logit = read_network(word, TOY.folder), read_manifest(TOY.folder).logit
    x, states = random_windows(word, 256, SEED), range(len(word.states))
    metadata = np.repeat(metadata_vectors(word), len(x), axis=0)
    given = [np.concatenate([x] * len(states))[:, :, None, :].astype(np.float32) / 32, metadata]
    int8 = np.concatenate([logits(network, state, x) for state in states]).astype(float)
    int8 = (int8 - logit.zero_point) * logit.scale
    hops = word.model.receptive_hops
    plain, quantized = (
        np.asarray(
            take_weights(build_model(word, hops, quantized), trained).predict_on_batch(given)
        )
        for quantized in (False, True)
    )
    off = [float(np.std(way - plain[:, 0, 0, 0])) for way in (quantized[:, 0, 0, 0], int8)]
    assert 0.7 < off[0] / off[1] < 1.4, off
