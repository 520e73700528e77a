# SPDX-License-Identifier: Apache-2.0
"""The float Keras network on whole recordings, as a listener: what int8 and streaming cost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.train.evaluation.device import BARRED, Device
from wakestate.words import Word

FLOAT = "float, whole window"
#: Score steps of one unit of logit; the sum of smoothed logits then fits int16.
PER_LOGIT = 100
#: Network steps computed at once in long streams.
BLOCK = 4096


class FloatBaseline:
    """model.keras over all hops at once; features before rounding to int8.

    Steps, smoothing, refractory time and the shortest word are the device's. A score is the sum of
    the smoothed float logits, times PER_LOGIT and rounded.
    """

    name = FLOAT

    def __init__(self, word: Word, device: Device, keras_file: Path) -> None:
        # A process on each core already; TensorFlow reads these when it is loaded.
        for kind in ("INTRAOP", "INTEROP"):
            os.environ.setdefault(f"TF_NUM_{kind}_THREADS", "1")

        import wakestate.train.model.network  # noqa: F401  # the layers that files of models name
        from wakestate.contract.metadata import ENDPOINT_HOPS, metadata_vectors
        from wakestate.train.learning.learner import FEATURE_SCALE
        from wakestate.train.model.saved import load_model

        self.word, self._device = word, device
        self._model: Any = load_model(keras_file)
        self._scale = FEATURE_SCALE / 256
        self._metadata = metadata_vectors(word)
        self._unit = ENDPOINT_HOPS * word.frontend.hop_samples / word.frontend.sample_rate  # s
        self._extract = Extractor(word.frontend)
        self.refractory_steps = device.refractory_steps
        self.highest = 32767

    def step_end(self, step: int) -> int:
        """As on the device."""
        return self._device.step_end(step)

    def scores(self, pcm: NDArray[np.int16], state: int) -> NDArray[np.int16]:
        """The score of every step the device makes; its warm-up steps get the least there is."""
        m, smoothing = self.word.model, self.word.detector.smoothing_steps
        features = np.clip(self._extract.features_q8(pcm), -128 * 256, 127 * 256)
        hops = len(features)
        # The device steps at every stride; a window of receptive_hops ends on a step.
        steps = (hops - (m.receptive_hops % m.stride or m.stride)) // m.stride + 1
        whole = (hops - m.receptive_hops) // m.stride + 1
        out = np.full(max(steps, 0), -32767, np.int16)
        if whole < smoothing:
            return out
        logits = np.concatenate(
            [
                self._outputs(features, first, min(BLOCK, whole - first), state)
                for first in range(0, whole, BLOCK)
            ]
        )
        sums = np.lib.stride_tricks.sliding_window_view(logits, smoothing, axis=0).sum(axis=2)
        out[len(out) - len(sums) :] = np.clip(np.rint(sums[:, 0] * PER_LOGIT), -32766, 32766)
        shortest = self.word.detector.shortest_s
        if shortest:
            lengths = (sums[:, 1] - sums[:, 2]) * self._unit / smoothing
            out[len(out) - len(sums) :][lengths < shortest] = BARRED
        return out

    def _outputs(
        self, features: NDArray[np.int32], first: int, steps: int, state: int
    ) -> NDArray[np.float64]:
        m = self.word.model
        at = first * m.stride
        part = features[at : at + (steps - 1) * m.stride + m.receptive_hops]
        x = part.astype(np.float32)[None, :, None, :] * self._scale
        found = self._model([x, self._metadata[state : state + 1]], training=False)
        return np.asarray(found, np.float64)[0, :, 0]  # logit, start and end
