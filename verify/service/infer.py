# SPDX-License-Identifier: Apache-2.0
"""A trained network of the verifier in NumPy: the service needs no training framework.

A folder holds verifier.json (kind, shapes, thresholds) and verifier.npz (weights by layer; the
norms are folded into the convolutions). verify/learning/networks.py says what the layers are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.files import FileError, plain, read_json
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.service.stored import STRIDES, Shape, check_weights, checked, read_arrays

Floats = NDArray[np.float32]
FACTS, WEIGHTS = "verifier.json", "verifier.npz"
SCALE = np.float32(1 / 32)  # of the front end's int8 steps


class Network:
    """`facts`: of verifier.json; `frames`, `bands`: of its input."""

    def __init__(self, facts: dict[str, Any], weights: dict[str, Floats]) -> None:
        """FileError where they do not fit each other."""
        self.facts = facts
        shape = checked(Shape, facts)
        check_weights(shape, weights)
        self.kind, self.frames, self.bands = shape.kind, shape.frames, shape.bands
        self._first, self._seen = shape.first_column, shape.seen
        self._preroll, self._unit = shape.preroll_frames, shape.frames_per_unit
        self._w = weights

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Of a folder that training wrote. GatewayError, naming the file."""
        try:
            return cls(read_json(folder / FACTS), read_arrays(folder / WEIGHTS))
        except FileError as error:
            raise GatewayError(
                f"{plain(folder)}: no verifier can be read from it: {error}; `wakestate verifier "
                f"train` writes {FACTS} and {WEIGHTS}"
            ) from None

    def score(self, features: Floats) -> tuple[Floats, Floats, Floats]:
        """float32[n, frames, bands], in int8 steps of the front end -> logit[n], start[n], end[n].

        Start and end of the word are in frames from the first.
        """
        if features.shape[1:] != (self.frames, self.bands):
            raise ValueError(
                f"features are {features.shape}; allowed: (n, {self.frames}, {self.bands})"
            )
        w = self._w
        seen = slice(self._first, self._first + self._seen)
        x = (features[:, seen] * SCALE).astype(np.float32)[..., None]
        for i, strides in enumerate(STRIDES):
            x = _relu(_convolve(x, w[f"conv{i}.kernel"], strides) + w[f"conv{i}.bias"])
        x = x.reshape(*x.shape[:2], -1)
        x = _relu(x @ w["column.kernel"] + w["column.bias"])
        if self.kind == "cra":
            x = self._attended(self._recurrent(x))
        x = _relu(x.reshape(len(x), -1) @ w["last.kernel"] + w["last.bias"])
        out = x @ w["outputs.kernel"] + w["outputs.bias"]
        place = self._preroll + self._unit * out[:, 1:]
        return out[:, 0], place[:, 0], place[:, 1]

    def _recurrent(self, x: Floats) -> Floats:
        """Gated recurrent units (Cho et al. 2014, the reset gate after the product)."""
        w = self._w
        inputs = x @ w["gru.kernel"] + w["gru.bias"][0]
        state = np.zeros((len(x), w["gru.recurrent"].shape[0]), np.float32)
        states = np.empty((*x.shape[:2], state.shape[1]), np.float32)
        for t in range(x.shape[1]):
            own = state @ w["gru.recurrent"] + w["gru.bias"][1]
            update, reset, new = np.split(inputs[:, t], 3, axis=1)
            own_update, own_reset, own_new = np.split(own, 3, axis=1)
            keep = _sigmoid(update + own_update)
            candidate = np.tanh(new + _sigmoid(reset + own_reset) * own_new)
            state = keep * state + (1 - keep) * candidate
            states[:, t] = state
        return states

    def _attended(self, states: Floats) -> Floats:
        """The mean of the states by their attention."""
        w = self._w
        marks = np.tanh(states @ w["attend.kernel"] + w["attend.bias"])
        marks = (marks @ w["attention.kernel"] + w["attention.bias"])[..., 0]
        share = np.exp(marks - marks.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        return np.einsum("nt,ntc->nc", share, states)


def _convolve(x: Floats, kernel: Floats, strides: tuple[int, int]) -> Floats:
    """x [n, time, bands, in], kernel [h, w, in, out], no padding."""
    height, width = kernel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1]]  # n, time, bands, in, h, w
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
    return columns @ kernel.reshape(-1, kernel.shape[3])


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)
