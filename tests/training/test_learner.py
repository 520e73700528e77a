# SPDX-License-Identifier: Apache-2.0
"""Learning on JAX, in one compiled loop, against learning batch by batch on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.backends import QUICK
from tests.support.executors import TOY

# Learns 5 batches from random scenes; keeps losses, weights and what the network then computes.
LEARNING = """
import sys
from functools import partial
from pathlib import Path
import keras
import numpy as np
import wakestate.train.learning.learner
from wakestate.contract.metadata import metadata_vectors
from wakestate.train.learning.augment import draw
from wakestate.train.learning.learner import FEATURE_SCALE, Batch, JaxLearner, learner
from wakestate.train.model.network import build_model, window_loss
from wakestate.train.learning.pool import STEPS, Pool, clip_hops
from wakestate.words import load_word

word = load_word(Path(sys.argv[1]))
# The last of each is not full.
wakestate.train.learning.learner.BATCHES, wakestate.train.learning.learner.CLIPS = 2, 8
rng = np.random.default_rng(1)

def pool(clips, label):
    words = np.tile([[9000, 16000]], (clips, 1)) if label else np.full((clips, 2), -1)
    labels = np.where(rng.random((clips, STEPS)) < 0.1, label, 0)
    return Pool(rng.integers(-128, 128, (clips, clip_hops(word), word.frontend.bands), np.int8),
                labels.astype(np.int8), rng.integers(len(word.states), size=clips, dtype=np.uint8),
                words.astype(np.int32), rng.normal(0, 4, (clips, STEPS)).astype(np.float16))

def batch():
    return Batch(rng.integers(20, size=4), rng.integers(30, size=8),
                 draw(rng, 12, clip_hops(word), word.frontend))

positive, negative = pool(20, 1), pool(30, 0)
keras.utils.set_random_seed(1)
model = build_model(word)
if Path(sys.argv[2]).is_file():
    with np.load(sys.argv[2]) as given:
        model.set_weights([given[f"first{i}"] for i in range(len(model.weights))])
first = model.get_weights()
features = negative.features[:6, :, None].astype(np.float32) * FEATURE_SCALE
states = metadata_vectors(word)[negative.states[:6]]
logits = np.asarray(model.predict_on_batch([features, states]))
optimizer = keras.optimizers.AdamW(1e-2, clipnorm=1.0)
model.compile(optimizer, loss=window_loss)
optimizer.build(model.trainable_variables)
trained = learner(word, model, distill=True)
calls = []
losses = trained.learn(batch, 5, positive, negative, "learn", lambda: calls.append(0))
assert len(calls) == (3 if isinstance(trained, JaxLearner) else 5)
assert int(np.asarray(optimizer.iterations)) == 5
outputs = trained.outputs(negative, np.arange(1, 30, 2))
np.savez(sys.argv[3], backend=keras.backend.backend(), logits=logits, losses=losses,
         outputs=outputs,
         **{f"first{i}": w for i, w in enumerate(first)},
         **{f"last{i}": w for i, w in enumerate(model.get_weights())})

# One layer, on one device and on all: those of JAX are two.
def learned(devices):
    keras.utils.set_random_seed(3)
    ends = [keras.Input((clip_hops(word), 1, word.frontend.bands)), keras.Input((len(states[0]),))]
    shape = dict(kernel_size=(word.model.receptive_hops, 1), strides=(word.model.stride, 1))
    model = keras.Model(ends, keras.layers.Conv2D(3, **shape)(ends[0]))
    model.compile(keras.optimizers.SGD(0.1), loss=window_loss)
    model.optimizer.build(model.trainable_variables)
    pools = [pool(20, 1), pool(30, 0)]
    make = lambda: Batch(rng.integers(20, size=4), rng.integers(30, size=8),
                         draw(rng, 12, clip_hops(word), word.frontend))
    before = model.get_weights()[0]
    learner(word, model).learn(make, 1, *pools, "learn", lambda: None)
    assert len(pools[0].on_jax[0].devices()) == len(model.weights[0].value.devices()) == devices
    assert np.abs(model.get_weights()[0] - before).max() > 1e-3
    return model.get_weights()[0]

if isinstance(trained, JaxLearner):
    rng = np.random.default_rng(2)
    one = learned(1)
    wakestate.train.learning.learner.use_all_devices(5)  # of which no device has half
    assert keras.distribution.distribution() is None
    wakestate.train.learning.learner.use_all_devices(12)
    rng = np.random.default_rng(2)
    two = learned(2)
    assert np.allclose(one, two, rtol=0, atol=1e-6), np.abs(one - two).max()
"""

TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def test_jax_learns_the_same(tmp_path: Path) -> None:
    paths = {backend: tmp_path / f"{backend}.npz" for backend in ("tensorflow", "jax")}
    for backend, path in paths.items():
        subprocess.run(
            [sys.executable, "-c", LEARNING, TOY.word_path, paths["tensorflow"], path],
            check=True,
            env=os.environ | QUICK | TWO_DEVICES | {"KERAS_BACKEND": backend},
        )
    one, other = (dict(np.load(path)) for path in paths.values())
    assert (str(one.pop("backend")), str(other.pop("backend"))) == ("tensorflow", "jax")
    assert len(one["losses"]) == 5 and one["losses"][-1] != one["losses"][0]
    assert np.ptp(one["logits"]) > 0.01
    assert np.allclose(one["logits"], other["logits"], rtol=0, atol=1e-4)
    assert one["outputs"].shape == (15, 48, 3) and np.ptp(one["outputs"]) > 0.1
    assert any(
        not np.array_equal(one[k], one[k.replace("last", "first")])
        for k in one
        if k.startswith("last")
    )
    assert one["losses"][0] == pytest.approx(other["losses"][0], abs=1e-4)
    for name, value in one.items():
        assert np.allclose(value, other[name], rtol=1e-3, atol=1e-3), name
