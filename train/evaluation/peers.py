"""Other engines, heard on the very same audio and counted by the same rules.

microWakeWord v2 (Kevin Ahrendt; PyPI `pymicro-wakeword`, extra `peers`) is an int8 streaming
network on 40 noise-reduced, gain-controlled bands. It knows nothing of the device's state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.train.data.corpus import RATE
from wakestate.words import Word
from wakestate.words.files import replaced

PACKAGE = "pymicro_wakeword"
HOP = 160


class MicroWakeWord:
    """The model bundled for a word, as a listener; scores are kept on disk by content.

    A score is the sum of the last `window` uint8 outputs, 256 * window times the mean
    probability that the engine itself compares with its cutoff.
    """

    name = "microWakeWord v2"

    def __init__(self, word: Word, cache: Path) -> None:
        module: Any = import_module(PACKAGE)
        self._model = module.MicroWakeWord.from_builtin(module.Model(_builtin(word)))
        self._features = module.MicroWakeWordFeatures()
        self.window = int(self._model.sliding_window_size)
        self._per_probability = self.window / float(self._model.output_scale)
        self.step_samples = HOP * int(self._model.stride)
        self.refractory_steps = -(-round(word.detector.refractory_s * RATE) // self.step_samples)
        self.highest = 255 * self.window + 1  # never reached
        # It wakes above its cutoff; the next whole sum is the first that does.
        self.shipped = int(np.floor(self._model.probability_cutoff * self._per_probability)) + 1
        model = Path(self._model.model_path.decode()).read_bytes()
        version = f"{metadata.version(PACKAGE)} {hashlib.sha256(model).hexdigest()}"
        self._key, self._cache = version.encode(), cache / "peers"

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest window (30 ms, every 10 ms) ends."""
        return (step + 1) * self.step_samples + 2 * HOP

    def scores(self, pcm: NDArray[np.int16], state: int = 0) -> NDArray[np.int16]:
        """The score of every network step (30 ms), from a fresh start. `state` is not heard."""
        return self.scores_of([pcm])[0]

    def scores_of(self, pcms: Sequence[NDArray[np.int16]]) -> list[NDArray[np.int16]]:
        """The scores of several recordings; one cache file for all."""
        digest = hashlib.sha256(self._key)
        for pcm in pcms:
            digest.update(len(pcm).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(pcm, np.int16).data)
        path = self._cache / f"{digest.hexdigest()[:32]}.npz"
        if path.is_file():
            with np.load(path) as kept:
                return list(np.split(kept["scores"], kept["ends"][:-1]))
        found = [self._run(pcm) for pcm in pcms]
        ends = np.cumsum([len(f) for f in found])
        with replaced(path) as partial:
            np.savez(partial, scores=np.concatenate(found), ends=ends)
        return found

    def _run(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        self._model.reset()
        self._features.reset()
        hear, stride = self._model.process_streaming_prob, self._model.stride
        means = [hear(x) for x in self._features.process_streaming(pcm.tobytes())]
        return np.rint(np.array(means[stride - 1 :: stride]) * self._per_probability).astype(
            np.int16
        )


def _builtin(word: Word) -> str:
    return word.phrase.lower().replace(" ", "_")


def find_peers(word: Word, cache: Path) -> tuple[list[MicroWakeWord], str]:
    """The peers that know the word's phrase, and if there are none, why."""
    if util.find_spec(PACKAGE) is None:
        return [], "microWakeWord is not installed (pip install 'wakestate[peers]')"
    module: Any = import_module(PACKAGE)
    if _builtin(word) not in {model.value for model in module.Model}:
        return [], f"microWakeWord has no model for '{word.phrase}'"
    return [MicroWakeWord(word, cache)], ""
