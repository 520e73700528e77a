# SPDX-License-Identifier: Apache-2.0
"""The metadata-conditioned CNN (Keras 3, keras.ops only: TensorFlow or JAX backend).

Follows the idea of "Metadata-aware end-to-end keyword spotting" (Interspeech 2020): an embedding
of the device's metadata (a) modulates the convolutions by conditional batch norm,
y = (gamma + dgamma(e)) (x - mu) / sigma + beta + dbeta(e), and (b) passes a dense layer and is
joined to the flattened convolution features before the last dense layers. The scale is kept
positive, so that after folding a state only rescales the channels of one shared set of weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from wakestate.contract.metadata import MIN_SCALE, endpoint_range, metadata_width
from wakestate.files import plain
from wakestate.train.data.manifest import DataError
from wakestate.train.model.quantization_aware import (
    FakeQuantize,
    FakeQuantizedConv2D,
    FakeQuantizedTimeConv,
)
from wakestate.train.model.saved import load_model
from wakestate.train.model.time_conv import TimeConv
from wakestate.words import Word

ENDPOINT_WEIGHT = 0.1  # of the endpoints in the loss
DISTILLATION_WEIGHT = 0.5  # of what teachers say
SOFT_TARGET_LIMIT = 12.0  # logits beyond are all the same to a student


@keras.saving.register_keras_serializable("wakestate")
class ConditionalScale(layers.Layer):
    """(x, e) -> max(gamma + dgamma(e), MIN_SCALE) * x + beta + dbeta(e).

    x: float[batch, time, 1, channels]; e: float[batch, embedding]. With `conditional` False the
    d's stay zero: a baseline that does not know the state.
    """

    def __init__(self, conditional: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conditional = conditional

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "conditional": self.conditional}

    def build(self, shapes: Any) -> None:
        channels, embedding = shapes[0][-1], shapes[1][-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        small = keras.initializers.RandomNormal(stddev=0.01, seed=1)
        kind: Any = {
            "shape": (embedding, channels),
            "trainable": self.conditional,
            "initializer": small if self.conditional else "zeros",
        }
        self.dgamma = self.add_weight(name="dgamma", **kind)
        self.dbeta = self.add_weight(name="dbeta", **kind)

    def call(self, inputs: Any) -> Any:
        x, e = inputs
        scale = ops.maximum(self.gamma + ops.matmul(e, self.dgamma), MIN_SCALE)
        shift = self.beta + ops.matmul(e, self.dbeta)
        return x * scale[:, None, None, :] + shift[:, None, None, :]


def build_model(
    word: Word, hops: int | None = None, quantization_aware: bool = False
) -> keras.Model:
    """The network: (features [batch, hops, 1, bands], metadata [batch, width]) -> outputs.

    With `hops` None any length of at least the receptive field is taken; the output is
    [batch, steps, 1, 3], time never padded. For each network step channel 0 is the logit, 1 the
    START and 2 the END: how long before the end of the step's newest window the word started and
    ended, in units of ENDPOINT_HOPS hops. START is 0 .. receptive_hops / ENDPOINT_HOPS, END about
    -2 (not yet over) .. 8; neither means anything where no word is: a regression from the shared
    trunk (Jose et al., Interspeech 2020). `quantization_aware`: weights used as int8 will.
    """
    m = word.model
    conv = FakeQuantizedConv2D if quantization_aware else layers.Conv2D
    over_time = FakeQuantizedTimeConv if quantization_aware else TimeConv

    def quantized(x: Any, name: str, low: float = 0.0, high: float = 0.0) -> Any:
        return FakeQuantize(low, high, name=f"{name}_quantized")(x) if quantization_aware else x

    features = keras.Input((hops, 1, word.frontend.bands), name="features")
    metadata = keras.Input((metadata_width(word),), name="metadata")
    e = layers.Dense(m.embedding, name="embedding")(metadata)

    def norm(x: Any, name: str) -> Any:
        x = layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, name=f"{name}_norm"
        )(x)
        scale = ConditionalScale(m.conditioning in ("both", "norm"), name=f"{name}_cond")
        return quantized(layers.ReLU(name=f"{name}_relu")(scale([x, e])), name)

    x = conv(
        m.first_channels, (m.first_kernel, 1), strides=(m.stride, 1), use_bias=False, name="first"
    )(features)
    x = norm(x, "first")
    for i, block in enumerate(m.blocks):
        x = over_time(
            (block.kernel, 1), dilation_rate=(block.dilation, 1), use_bias=False, name=f"time{i}"
        )(x)
        x = quantized(x, f"time{i}")
        x = conv(block.channels, 1, use_bias=False, name=f"mix{i}")(x)
        x = norm(x, f"mix{i}")
    # Conv2D over the last head_steps columns is the flatten and dense layer of every window.
    x = quantized(conv(m.dense, (m.head_steps, 1), activation="relu", name="flat")(x), "flat")
    joined = layers.Dense(m.metadata_dense, activation="relu", name="meta")(e)
    joins = m.conditioning in ("both", "join")
    joined = layers.Dense(
        m.dense,
        use_bias=False,
        name="meta_join",
        trainable=joins,
        kernel_initializer="glorot_uniform" if joins else "zeros",
    )(joined)
    # W [x; m] + b = Wx x + (Wm m + b): the concatenation written as its two halves.
    x = conv(m.dense, 1, name="last")(x)
    x = layers.ReLU(name="last_relu")(
        layers.Add(name="join")([x, layers.Reshape((1, 1, m.dense), name="meta_cast")(joined)])
    )
    outputs = conv(3, 1, name="logit")(quantized(x, "last"))
    outputs = quantized(outputs, "logit", *endpoint_range(word))
    return keras.Model([features, metadata], outputs, name=word.name)


def load_network(word: Word, path: Path) -> keras.Model:
    """The network that `path` holds, taking windows of the receptive field; DataError where it is
    not that of the word file."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; `wakestate train` writes it")
    model = build_model(word, word.model.receptive_hops)
    try:
        model.set_weights(load_model(path).get_weights())
    except ValueError as error:
        raise DataError(
            f"{plain(path)}: does not hold the network of words/{word.name}.toml, or not its "
            f"outputs logit, start and end; train it again: {plain(error, 300)}"
        ) from None
    return model


def take_weights(model: keras.Model, of: keras.Model) -> keras.Model:
    """`model` with the weights of another one, layer by layer: rounded and plain networks have the
    same layers with weights, in another order."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(of.get_layer(layer.name).get_weights())
    return model


@keras.saving.register_keras_serializable("wakestate")
def window_loss(targets: Any, outputs: Any) -> Any:
    """Endpoint-tolerant loss per clip, float[batch].

    targets [batch, steps, 3 or 4]: label, start, end, teachers' logit. Label: 1 where the word has
    just ended, 0 where nothing may fire, -1 where it does not matter. Of the 1s the best step
    counts (a smooth maximum); of the 0s the mean and, as one firing is enough for a false accept,
    the worst. Start and end count where they are no NaN: the mean absolute error. So does the logit
    of teachers, the more the nearer they or the network are to firing.
    """
    z, labels = outputs[:, :, 0, 0], targets[:, :, 0]
    far = ops.full_like(z, -1e4)
    wanted, barred = ops.equal(labels, 1.0), ops.equal(labels, 0.0)
    count = ops.maximum(ops.sum(ops.cast(wanted, z.dtype), axis=1), 1.0)
    best = ops.logsumexp(ops.where(wanted, z, far), axis=1) - ops.log(count)
    hit = ops.where(ops.any(wanted, axis=1), ops.softplus(-best), ops.zeros_like(best))
    quiet = ops.where(barred, ops.softplus(z), ops.zeros_like(z))
    mean = ops.sum(quiet, axis=1) / ops.maximum(ops.sum(ops.cast(barred, z.dtype), axis=1), 1.0)
    where, known = targets[:, :, 1:3], ops.logical_not(ops.isnan(targets[:, :, 1:3]))
    off = ops.abs(ops.where(known, outputs[:, :, 0, 1:] - ops.where(known, where, 0.0), 0.0))
    known_count = ops.maximum(ops.sum(ops.cast(known, z.dtype), axis=(1, 2)), 1.0)
    ends = ops.sum(off, axis=(1, 2)) / known_count
    loss = hit + 0.5 * mean + 0.5 * ops.max(quiet, axis=1) + ENDPOINT_WEIGHT * ends
    if targets.shape[-1] == 3:
        return loss
    soft_targets, z = targets[:, :, 3], ops.clip(z, -SOFT_TARGET_LIMIT, SOFT_TARGET_LIMIT)
    counts = ops.stop_gradient(ops.sigmoid(ops.maximum(z, soft_targets)))
    distillation = ops.sum(counts * ops.abs(z - soft_targets), axis=1) / (
        ops.sum(counts, axis=1) + 1.0
    )
    return loss + DISTILLATION_WEIGHT * distillation
