# SPDX-License-Identifier: Apache-2.0
"""The detector's scores in the sound of a wake: its int8 network, run again next to the verifier's.

The device reports only that it woke. How sure its network becomes of the word decides as much as
what a larger one finds, and both together more than either (docs/experiments/verification.md). The
device steps every few hops; here all of these steps' phases are scored, which shows more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert import operating_points
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.hostlib import HostNetwork
from wakestate.convert.manifest import check_manifest, state_file
from wakestate.files import FileError, plain
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.sensitivity import Sensitivity
from wakestate.verify.service.infer import FACTS, Network
from wakestate.verify.service.stored import Decision, checked
from wakestate.words import Word

Floats = NDArray[np.float32]


class DetectorReplay:
    """The int8 network of a model folder; `identity`: a hash of its files.

    `thresholds`: one for each state, above which it is sure; default: those of the folder.
    """

    def __init__(self, word: Word, folder: Path, thresholds: Sequence[int] | None = None) -> None:
        """GatewayError, naming the file."""
        try:
            manifest = check_manifest(folder, word)
            files_of = [folder / state_file(word, state) for state in word.states]
            self._networks = [HostNetwork(file, word.model.receptive_hops) for file in files_of]
        except ConvertError as error:
            raise GatewayError(str(error)) from None
        self.identity = operating_points.identity(manifest)
        self.states = word.states
        self.thresholds = thresholds or [manifest.thresholds[state] for state in word.states]
        self._scale = manifest.logit.scale
        self._model, self._smoothing = word.model, word.detector.smoothing_steps

    def confidence(self, features: NDArray[Any], states: NDArray[np.integer]) -> Floats:
        """[n, frames, bands] in int8 steps, and the states' indices -> the highest smoothed logit
        above the state's threshold, the mean over the phases, float32[n]. Windows that are not
        in the window are left out."""
        out = np.empty(len(features), np.float32)
        for state in np.unique(states):
            rows = np.flatnonzero(states == state)
            best = self._best(features[rows].astype(np.int8), int(state))
            out[rows] = best.mean(axis=0) - self.thresholds[state]
        return out * np.float32(self._scale / self._smoothing)

    def _best(self, columns: NDArray[np.int8], state: int) -> NDArray[np.int64]:
        """The highest score of each phase, int64[phases, n], as the device counts it: the sum of
        the newest logits."""
        model, (count, frames) = self._model, columns.shape[:2]
        phases = range(model.stride)
        moved = np.concatenate([np.roll(columns, -phase, axis=1) for phase in phases])
        logits = self._networks[state].outputs(moved)[:, :, 0]
        total = np.pad(np.cumsum(logits, axis=1, dtype=np.int64), ((0, 0), (1, 0)))
        scores = total[:, self._smoothing :] - total[:, : -self._smoothing]
        scores = scores.reshape(len(phases), count, -1)
        for phase in phases:  # without the windows that came round
            steps = (frames - phase - model.receptive_hops) // model.stride + 1
            scores[phase, :, steps - self._smoothing + 1 :] = np.iinfo(np.int16).min
        return np.asarray(scores.max(axis=2))


def read_verifier(folder: Path, word: Word, model: Path) -> tuple[Network, Decision]:
    """What training wrote into a folder, checked against the word and the detector's folder.
    GatewayError, naming the file."""
    network = Network.load(folder)
    try:
        found = checked(Decision, network.facts)
        for name in ("shipped", "wakes", "thresholds"):
            for state in word.states:
                if state not in getattr(found, name):
                    raise FileError(f"{name}: '{state}' is missing")
    except FileError as error:
        raise GatewayError(f"{plain(folder / FACTS)}: {error}; {_retrain(model)}") from None
    try:
        detector = operating_points.identity(check_manifest(model, word))
    except ConvertError as error:
        raise GatewayError(str(error)) from None
    if found.detector != detector:
        raise GatewayError(
            f"{folder}: trained with another network than {model}; {_retrain(model)}, "
            f"`verifier recalibrate --model {model}` fits it"
        )
    return network, found


def _retrain(model: Path) -> str:
    return f"`wakestate verifier train --model {model}` trains it again"


@dataclass(frozen=True)
class TrainedVerifier:
    """What decides: the network's logit and `weight` times how sure the detector was, together
    over the threshold of the device's state. `wakes`: from which score on the device asks, by
    state.
    """

    network: Network
    detector: DetectorReplay
    weight: float
    thresholds: Floats
    wakes: tuple[int, ...]
    threshold = 0.0

    @property
    def frames(self) -> int:
        return self.network.frames

    @property
    def bands(self) -> int:
        return self.network.bands

    @classmethod
    def load(cls, folder: Path, word: Word, model: Path) -> TrainedVerifier:
        """Of a folder that training wrote, and the detector's. GatewayError."""
        network, found = read_verifier(folder, word, model)
        detector = DetectorReplay(word, model, [found.shipped[state] for state in word.states])
        thresholds = np.array([found.thresholds[state] for state in word.states], np.float32)
        wakes = tuple(found.wakes[state] for state in word.states)
        trained = cls(network, detector, found.weight, thresholds, wakes)
        if not trained._finite():
            raise GatewayError(
                f"{plain(folder)}: its scores are no finite numbers; {_retrain(model)}"
            )
        return trained

    def _finite(self) -> bool:
        """Whether silence, the loudest sound and noise have scores."""
        noise = np.random.default_rng(1).integers(-128, 128, (self.frames, self.bands))
        levels = [np.full(noise.shape, level) for level in (-128, 127)]
        sounds = np.array([*levels, noise], np.float32)
        with np.errstate(all="ignore"):
            return all(np.isfinite(x).all() for x in self.score(sounds, np.zeros(3, np.intp)))

    def score(self, features: Floats, states: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
        """float32[n, frames, bands], in int8 steps of the front end, and the device's states as
        indices -> score[n], start[n], end[n]. Start and end are in frames from the first."""
        logit, start, end = self.network.score(features)
        score = logit + np.float32(self.weight) * self.detector.confidence(features, states)
        return score - self.thresholds[states], start, end


def sensitivity(word: Word, model: Path, verifier: Path) -> Sensitivity:
    """What makes a device, built of the folder `model`, the lowered detector of which that in the
    folder `verifier` is the second. GatewayError."""
    trained = TrainedVerifier.load(verifier, word, model)
    try:
        shipped = check_manifest(model, word).thresholds
    except ConvertError as error:
        raise GatewayError(str(error)) from None
    wakes = zip(word.states, trained.wakes, strict=True)
    return Sensitivity(word.name, {state: shipped[state] - wake for state, wake in wakes})
