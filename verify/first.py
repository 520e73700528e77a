"""What the first look heard in the sound of a wake: its int8 network, run again beside the second.

The device tells only that it woke. How sure it became until the word's end decides as much as what
a larger network finds, and both together more than either (docs/experiments/verification.md). The
features are the device's, so the integer reference gives the very logits that the device had.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.emit import load_network
from convert.errors import ConvertError
from convert.manifest import check_manifest
from convert.reference import whole
from verify.gateway import GatewayError
from verify.infer import Network
from words import Word

Floats = NDArray[np.float32]


class FirstLook:
    """The int8 network of a model folder; `identity`: a hash of its files."""

    def __init__(self, word: Word, folder: Path) -> None:
        """GatewayError, naming the file."""
        try:
            manifest = check_manifest(folder, word)
            self._network = load_network(word, folder)
        except ConvertError as error:
            raise GatewayError(str(error)) from None
        self.identity = sha256(" ".join(sorted(manifest.files.values())).encode()).hexdigest()
        self.thresholds = [manifest.thresholds[state] for state in word.states]
        self._scale = manifest.logit.scale
        self._smoothing = word.detector.smoothing_steps

    def sureness(self, features: NDArray[Any], states: NDArray[np.integer]) -> Floats:
        """[n, frames, bands] in int8 steps, and the states' indices -> the highest smoothed logit
        above the threshold of the state, float32[n]; windows that begin before the cut are left
        out."""
        out = np.empty(len(features), np.float32)
        for state in np.unique(states):
            rows = np.flatnonzero(states == state)
            columns = features[rows].astype(np.int8)
            steps = whole(self._network, int(state), columns)[self._network.layers[-1].name]
            logits = np.pad(np.cumsum(steps[:, :, 0], axis=1, dtype=np.int64), ((0, 0), (1, 0)))
            sums = logits[:, self._smoothing :] - logits[:, : -self._smoothing]
            out[rows] = sums.max(axis=1) - self.thresholds[state]
        return out * np.float32(self._scale / self._smoothing)


@dataclass(frozen=True)
class SecondLook:
    """What decides: the network's logit and `weight` times how sure the first look was, together
    over the threshold of the device's state."""

    network: Network
    first: FirstLook
    weight: float
    thresholds: Floats
    threshold = 0.0

    @property
    def frames(self) -> int:
        return self.network.frames

    @property
    def bands(self) -> int:
        return self.network.bands

    @classmethod
    def load(cls, folder: Path, word: Word, model: Path) -> SecondLook:
        """Of a folder that training wrote, beside the first network's. GatewayError."""
        network, first = Network.load(folder), FirstLook(word, model)
        facts = network.facts
        try:
            beside = facts["beside"]
            weight, identity = float(beside["weight"]), beside["model"]
            first.thresholds = [int(beside["thresholds"][state]) for state in word.states]
            thresholds = [float(facts["thresholds"][state]) for state in word.states]
        except (KeyError, TypeError, ValueError) as error:
            raise GatewayError(
                f"{folder}: {error} is missing in it; `make verify-train` writes it anew"
            ) from None
        if identity != first.identity:
            raise GatewayError(
                f"{folder}: trained beside another network than that in {model}; give its folder, "
                "or train anew with `make verify-train`"
            )
        return cls(network, first, weight, np.array(thresholds, np.float32))

    def score(self, features: Floats, states: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
        """float32[n, frames, bands], in int8 steps of the front end, and the device's states as
        indices -> score[n], start[n], end[n]. Start and end are in frames from the first."""
        logit, start, end = self.network.score(features)
        score = logit + np.float32(self.weight) * self.first.sureness(features, states)
        return score - self.thresholds[states], start, end
