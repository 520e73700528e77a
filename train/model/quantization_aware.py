# SPDX-License-Identifier: Apache-2.0
"""Layers that compute in float what int8 will: quantization-aware training.

Forward they round as convert/export.py does: weights symmetrically to 255 values for each output
channel, activations to 256 values of a range that holds 0; backward the rounding counts for nothing
(straight-through estimator). After Jacob et al., "Quantization and training of neural networks
for efficient integer-arithmetic-only inference" (CVPR 2018); the ranges are those of the batch at
hand, so nothing is kept besides the weights. keras.ops only.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from wakestate.train.model.time_conv import TimeConv

MIN_RANGE = 1e-3  # range of an activation that is always 0, as in convert/export.py


def _straight(x: Any, quantized: Any) -> Any:
    """`quantized` forward, x backward."""
    return x + ops.stop_gradient(quantized - x)


def fake_quantize_weights(kernel: Any, axes: tuple[int, ...]) -> Any:
    """A kernel as int8 holds it; `axes`: all but that of the output channels."""
    scale = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True) / 127, 1e-12)
    return _straight(kernel, ops.round(kernel / scale) * scale)


@keras.saving.register_keras_serializable("wakestate")
class FakeQuantize(layers.Layer):
    """Activations as int8 holds them. `low`, `high`: a range that is there in any case; with it
    only the first channel's own widens it, and the others saturate."""

    def __init__(self, low: float = 0.0, high: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "low": self.low, "high": self.high}

    def call(self, x: Any) -> Any:
        seen = x[..., :1] if self.high > self.low else x
        low = ops.stop_gradient(ops.minimum(ops.min(seen), self.low))
        high = ops.stop_gradient(ops.maximum(ops.max(seen), self.high))
        scale = ops.maximum(high - low, MIN_RANGE) / 255
        zero = ops.round(-low / scale)
        x = ops.clip(x, -zero * scale, (255 - zero) * scale)
        return _straight(x, ops.round(x / scale) * scale)


@keras.saving.register_keras_serializable("wakestate")
class FakeQuantizedConv2D(layers.Conv2D):
    """Conv2D with an int8 kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, fake_quantize_weights(kernel, (0, 1, 2)))


@keras.saving.register_keras_serializable("wakestate")
class FakeQuantizedTimeConv(TimeConv):
    """TimeConv with an int8 kernel."""

    def call(self, inputs: Any) -> Any:
        return self.over_time(inputs, fake_quantize_weights(self.kernel, (0, 1, 3)))
