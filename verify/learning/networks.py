# SPDX-License-Identifier: Apache-2.0
"""The networks of the verifier (Keras 3, keras.ops only).

After "Building a robust word-level wakeword verification network" (Kumar et al., Interspeech
2020): a CNN that sees 76, 100 or 195 feature columns, and CRA, which convolves with small strided
kernels, runs a recurrent layer over what is left of time, and attends to its steps. A CNN knows the
word by its place; CRA at any place, so it forgives a start that is off.

Both: float [batch, FRAMES, bands], int8 steps of the front end / 32 -> [batch, 3]: the log odds of
the word, and where it starts and ends, in PER_UNIT columns from column PREROLL_FRAMES.
"""

from __future__ import annotations

import keras
from keras import layers

from wakestate.verify.protocol.window import FRAMES

PREROLL_FRAMES = 50  # columns before the word's start, as the device reported it
PER_UNIT = 10  # columns
KINDS = {"cnn76": 76, "cnn100": 100, "cnn195": FRAMES, "cra": FRAMES}


def first_frame(frames: int) -> int:
    """Where a network that sees fewer columns begins: the word stays in it."""
    return 0 if frames == FRAMES else PREROLL_FRAMES - (frames - 60) // 2


def build(kind: str, bands: int) -> keras.Model:
    """An untrained network; ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"kind '{kind}'; allowed: {', '.join(KINDS)}")
    features = keras.Input((FRAMES, bands), name="features")
    first, frames = first_frame(KINDS[kind]), KINDS[kind]
    x = layers.Cropping1D((first, FRAMES - first - frames), name="crop")(features)
    x = layers.Reshape((frames, bands, 1), name="image")(x)
    for i, (channels, strides) in enumerate([(16, (2, 2)), (32, (2, 2)), (32, (1, 2))]):
        x = layers.Conv2D(channels, 3, strides=strides, use_bias=False, name=f"conv{i}")(x)
        x = layers.BatchNormalization(momentum=0.98, name=f"norm{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]), name="columns")(x)
    x = layers.Dense(96, activation="relu", name="column")(x)
    if kind == "cra":
        x = layers.GRU(96, return_sequences=True, name="gru")(x)
        weights = layers.Dense(1, name="attention")(
            layers.Dense(32, activation="tanh", name="attend")(x)
        )
        x = layers.Dot(1, name="attended")([layers.Softmax(1, name="share")(weights), x])
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(64, activation="relu", name="last")(x)
    return keras.Model(features, layers.Dense(3, name="outputs")(x), name=kind)
