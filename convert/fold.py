# SPDX-License-Identifier: Apache-2.0
"""Folds the conditional batch norm of one device state into plain convolutions.

For a state with embedding e, with g = max(gamma + e dgamma, MIN_SCALE) / sqrt(var + eps):

    cond(norm(W x)) = g (W x - mean) + beta + e dbeta = (g W) x + (beta + e dbeta - g mean)

g is positive, so a state only rescales output channels; int8 weights with a scale for each
channel stay the same bytes in all states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from wakestate.contract.metadata import MIN_SCALE
from wakestate.words import Word

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Folded:
    """One plain layer in one state; `gain` is what its kernel's channels were scaled by."""

    kernel: Array
    bias: Array | None
    gain: Array


def layer_names(word: Word) -> list[str]:
    """The plain layers in order."""
    middle = [f"{part}{i}" for i in range(len(word.model.blocks)) for part in ("time", "mix")]
    return ["first", *middle, "flat", "last", "logit"]


def plain_model(word: Word, hops: int) -> keras.Model:
    """The folded network without metadata: convolutions, bias and ReLU, batch 1 to the converter.

    Every layer is an output, named as in `layer_names`, so that ranges can be measured.
    """
    m = word.model
    features = x = keras.Input((hops, 1, word.frontend.bands), name="features")
    outputs = {}
    for name in layer_names(word):
        layer: Any
        if name == "first":
            layer = layers.Conv2D(
                m.first_channels,
                (m.first_kernel, 1),
                strides=(m.stride, 1),
                activation="relu",
                name=name,
            )
        elif name.startswith("time"):
            block = m.blocks[int(name[4:])]
            layer = layers.DepthwiseConv2D(
                (block.kernel, 1), dilation_rate=(block.dilation, 1), use_bias=False, name=name
            )
        elif name.startswith("mix"):
            layer = layers.Conv2D(m.blocks[int(name[3:])].channels, 1, activation="relu", name=name)
        elif name == "flat":
            layer = layers.Conv2D(m.dense, (m.head_steps, 1), activation="relu", name=name)
        elif name == "last":
            layer = layers.Conv2D(m.dense, 1, activation="relu", name=name)
        else:
            layer = layers.Conv2D(3, 1, name=name)
        outputs[name] = x = layer(x)
    return keras.Model(features, outputs)


def fold(model: keras.Model, word: Word, metadata: NDArray[np.float32]) -> dict[str, Folded]:
    """Every plain layer's kernel and bias for one metadata vector; float64."""

    def value(layer: str, *path: str) -> Array:
        found = model.get_layer(layer)
        for part in path:
            found = getattr(found, part)
        return np.asarray(found, np.float64)

    e = metadata.astype(np.float64) @ value("embedding", "kernel") + value("embedding", "bias")

    def normed(name: str) -> Folded:
        norm, cond = f"{name}_norm", f"{name}_cond"
        sigma = np.sqrt(value(norm, "moving_variance") + model.get_layer(norm).epsilon)
        scale = value(cond, "gamma") + e @ value(cond, "dgamma")
        gain = np.maximum(scale, MIN_SCALE) / sigma
        bias = value(cond, "beta") + e @ value(cond, "dbeta")
        return Folded(value(name, "kernel") * gain, bias - gain * value(norm, "moving_mean"), gain)

    folded: dict[str, Folded] = {}
    for name in layer_names(word):
        if name == "first" or name.startswith("mix"):
            folded[name] = normed(name)
        else:
            kernel = value(name, "kernel")
            bias = None if name.startswith("time") else value(name, "bias")
            channels = kernel.shape[-2] if name.startswith("time") else kernel.shape[-1]
            folded[name] = Folded(kernel, bias, np.ones(channels))
    # W [x; m] + b: the metadata's half of the joined dense layer is a bias of `last`.
    meta = np.maximum(e @ value("meta", "kernel") + value("meta", "bias"), 0.0)
    last = folded["last"]
    assert last.bias is not None
    folded["last"] = Folded(last.kernel, last.bias + meta @ value("meta_join", "kernel"), last.gain)
    return folded


def set_folded(plain: keras.Model, folded: dict[str, Folded]) -> None:
    """Give the plain model the weights of one state."""
    for name, layer in folded.items():
        given = [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        plain.get_layer(name).set_weights([np.asarray(w, np.float32) for w in given])
