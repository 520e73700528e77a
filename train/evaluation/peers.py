# SPDX-License-Identifier: Apache-2.0
"""Other engines, run on the very same audio and counted by the same rules (extra `peers`).

They know nothing of the device's state. A phrase that an engine has no model for is measured
without it. Their models come with their packages; none is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.files import replaced
from wakestate.train.data.corpus import RATE
from wakestate.words import Word

PER_LOGIT = 100  # score steps of one unit of logit, where an engine gives a probability
Scores = NDArray[np.int16]


class Peer:
    """An engine as a listener; scores are kept on disk by content."""

    name: str
    package: str
    runtime = ""  # what runs its networks, where that is not the package itself
    shipped: int  # the lowest score at which the engine itself wakes
    highest: int  # a score that is never reached
    step_samples: int
    install = "pip install 'wakestate[peers]'"

    def __init__(self, word: Word, cache: Path, models: Sequence[Path]) -> None:
        """`models`: all that its scores come from, besides the package's version."""
        self.refractory_steps = -(-round(word.detector.refractory_s * RATE) // self.step_samples)
        made = b"".join(hashlib.sha256(model.read_bytes()).digest() for model in models)
        version = f"{metadata.version(self.package)} {made.hex()}"
        self._key, self._cache = version.encode(), cache / "peers"

    @classmethod
    def knows(cls, word: Word) -> bool:
        """Whether the package has a model of the word's phrase."""
        return _builtin(word) in {model.value for model in import_module(cls.package).Model}

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest input ends."""
        raise NotImplementedError

    def run(self, pcm: NDArray[np.int16]) -> Scores:
        """The score of every step of one recording, from a fresh start."""
        raise NotImplementedError

    def scores(self, pcm: NDArray[np.int16], state: int = 0) -> Scores:
        """As `run`, from the cache where it is there. `state` is ignored."""
        return self.scores_of([pcm])[0]

    def scores_of(self, pcms: Sequence[NDArray[np.int16]]) -> list[Scores]:
        """The scores of several recordings; one cache file for all."""
        digest = hashlib.sha256(self._key)
        for pcm in pcms:
            digest.update(len(pcm).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(pcm, np.int16).data)
        path = self._cache / f"{digest.hexdigest()[:32]}.npz"
        if path.is_file():
            with np.load(path) as stored:
                return list(np.split(stored["scores"], stored["ends"][:-1]))
        found = [self.run(pcm) for pcm in pcms]
        ends = np.cumsum([len(f) for f in found])
        with replaced(path) as partial:
            np.savez(partial, scores=np.concatenate(found), ends=ends)
        return found


class MicroWakeWord(Peer):
    """microWakeWord v2 (Kevin Ahrendt): an int8 streaming network on 40 noise-reduced,
    gain-controlled bands, as the package computes it.

    A score is the sum of the last `window` uint8 outputs, 256 * window times the mean
    probability that the engine itself compares with its cutoff.
    """

    name = "microWakeWord v2"
    package = "pymicro_wakeword"
    hop = 160

    def __init__(self, word: Word, cache: Path) -> None:
        module: Any = import_module(self.package)
        self._model = module.MicroWakeWord.from_builtin(module.Model(_builtin(word)))
        self._features = module.MicroWakeWordFeatures()
        self.window = int(self._model.sliding_window_size)
        self._per_probability = self.window / float(self._model.output_scale)
        self.step_samples = self.hop * int(self._model.stride)
        self.highest = 255 * self.window + 1
        # It wakes above its cutoff; the next whole sum is the first that does.
        self.shipped = int(np.floor(self._model.probability_cutoff * self._per_probability)) + 1
        super().__init__(word, cache, [Path(self._model.model_path.decode())])

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest window (30 ms, every 10 ms) ends."""
        return (step + 1) * self.step_samples + 2 * self.hop

    def run(self, pcm: NDArray[np.int16]) -> Scores:
        """A score every network step (30 ms)."""
        self._model.reset()
        self._features.reset()
        predict, stride = self._model.process_streaming_prob, self._model.stride
        means = [predict(x) for x in self._features.process_streaming(pcm.tobytes())]
        return np.rint(np.array(means[stride - 1 :: stride]) * self._per_probability).astype(
            np.int16
        )


class OpenWakeWord(Peer):
    """openWakeWord (David Scripka), the models of PyPI `pyopen-wakeword`: log mel bands, a speech
    embedding of 0.78 s every 80 ms, and a small network on the last 16 of them.

    The networks are the package's, run by LiteRT in long strips, which is 25 times as fast and
    gives what its streaming gives to within rounding. A score is the logit of the probability,
    times PER_LOGIT.
    """

    name = "openWakeWord"
    package = "pyopen_wakeword"
    runtime = "ai_edge_litert"
    shipped = 0  # a probability of 0.5
    highest = 20 * PER_LOGIT  # float32's last probability below 1 has 16.6
    step_samples = 1280  # a chunk
    strip = 512  # embeddings computed at once

    #: Samples of a chunk's mel windows, its mel frames, frames of an embedding, embeddings of
    #: context.
    mel_samples, mels, frames, context = 1760, 8, 76, 16
    #: Silence before the first sample, chunks: what the first score looks back on.
    before = -(-frames // mels) + context - 1

    def __init__(self, word: Word, cache: Path) -> None:
        folder = _folder(self.package) / "models"
        files = [
            folder / f"{name}.tflite"
            for name in ("melspectrogram", "embedding_model", _builtin(word))
        ]
        self._mel, self._embed, self._classifier = (_Network(file) for file in files)
        super().__init__(word, cache, files)

    def step_end(self, step: int) -> int:
        """Sample at which a chunk's last mel window ends."""
        return step * self.step_samples + self.mel_samples

    def run(self, pcm: NDArray[np.int16]) -> Scores:
        """A score every chunk (80 ms)."""
        silence = np.zeros(self.before * self.step_samples, np.float32)
        x = np.concatenate([silence, pcm.astype(np.float32)])
        if len(pcm) < self.mel_samples:
            return np.zeros(0, np.int16)
        chunks = np.lib.stride_tricks.sliding_window_view(x, self.mel_samples)
        chunks = chunks[:: self.step_samples]
        # One at a time: the model takes 80 dB below the loudest of its input as its floor.
        mels = np.concatenate([self._mel(chunk[None]) for chunk in chunks])
        bands = np.asarray(mels.reshape(len(chunks) * self.mels, -1) / 10 + 2, np.float32)
        steps = len(chunks) - -(-self.frames // self.mels) + 1
        embeddings = self._embeddings(bands, steps)
        windows = np.lib.stride_tricks.sliding_window_view(embeddings, self.context, axis=0)
        p = self._in_strips(self._classifier, windows.transpose(0, 2, 1)).ravel().astype(np.float64)
        p = np.clip(p[-(1 + (len(pcm) - self.mel_samples) // self.step_samples) :], 1e-8, 1 - 1e-8)
        return np.rint(np.log(p / (1 - p)) * PER_LOGIT).astype(np.int16)

    def _in_strips(self, network: _Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate(
            [network(x[i : i + self.strip]) for i in range(0, len(x), self.strip)]
        )

    def _embeddings(self, bands: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
        parts = []
        for first in range(0, steps, self.strip):
            count = min(self.strip, steps - first)
            at = first * self.mels
            strip = bands[at : at + (count - 1) * self.mels + self.frames]
            parts.append(self._embed(strip[None, :, :, None]).reshape(count, -1))
        return np.concatenate(parts)


class _Network:
    """A TFLite model with one input and one output, whose input may be of any length."""

    def __init__(self, file: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._model: Any = Interpreter(str(file), num_threads=1)
        self._input = self._model.get_input_details()[0]["index"]
        self._shape: tuple[int, ...] = ()

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if x.shape != self._shape:
            self._model.resize_tensor_input(self._input, x.shape)
            self._model.allocate_tensors()
            self._shape = x.shape
        self._model.set_tensor(self._input, np.ascontiguousarray(x, np.float32))
        self._model.invoke()
        return np.asarray(self._model.get_tensor(self._model.get_output_details()[0]["index"]))


class WakeForge(Peer):
    """OVOS WakeForge (TigreGotico): a GRU on WakeHuBERT's features of the last 1.5 s, every 80 ms;
    each window from a fresh start, as the plugin computes it by default.

    The networks are the package's, run by ONNX Runtime on several windows at once: the same bits
    as one after the other. Only its files are read: to be imported it needs a voice assistant. A
    score is the logit of the probability, times PER_LOGIT.
    """

    name = "WakeForge"
    package = "ovos_ww_plugin_wakeforge"
    runtime = "onnxruntime"
    install = f"{Peer.install}; pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0"
    shipped = 460  # a probability of 0.99
    highest = 20 * PER_LOGIT
    step_samples = 1280
    window = 24000  # samples
    strip = 8  # windows computed at once

    def __init__(self, word: Word, cache: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        files = [
            _folder(self.package) / "featurizers/wakehubert-tiny/wakehubert.onnx",
            _folder(self.package) / f"models/{_builtin(word)}.onnx",
        ]
        self._networks: list[Any] = [
            InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            for file in files
        ]
        super().__init__(word, cache, files)

    @classmethod
    def knows(cls, word: Word) -> bool:
        """Whether the package has a model of the word's phrase."""
        return (_folder(cls.package) / f"models/{_builtin(word)}.onnx").is_file()

    def step_end(self, step: int) -> int:
        """Sample at which a step's block ends."""
        return (step + 1) * self.step_samples

    def run(self, pcm: NDArray[np.int16]) -> Scores:
        """A score every block (80 ms)."""
        if len(pcm) < self.step_samples:
            return np.zeros(0, np.int16)
        silence = np.zeros(self.window - self.step_samples, np.int16)
        x = np.concatenate([silence, pcm])
        windows = np.lib.stride_tricks.sliding_window_view(x, self.window)[:: self.step_samples]
        logits = np.zeros(len(windows))
        silent = ~windows.any(axis=1)  # all equal
        logits[silent] = self._logits(np.zeros((1, self.window), np.int16))
        others = np.flatnonzero(~silent)
        for first in range(0, len(others), self.strip):
            strip = others[first : first + self.strip]
            logits[strip] = self._logits(windows[strip])
        limit = self.highest - 1
        return np.rint(np.clip(logits * PER_LOGIT, -limit, limit)).astype(np.int16)

    def _logits(self, windows: NDArray[np.int16]) -> NDArray[np.float32]:
        x = windows.astype(np.float32) / 32768
        for network in self._networks:
            (x,) = network.run(None, {network.get_inputs()[0].name: x})
        return np.asarray(x.ravel(), np.float32)


PEERS: tuple[type[MicroWakeWord | OpenWakeWord | WakeForge], ...] = (
    MicroWakeWord,
    OpenWakeWord,
    WakeForge,
)


def _builtin(word: Word) -> str:
    return word.phrase.lower().replace(" ", "_")


def _folder(package: str) -> Path:
    """Where a package lies; it is not imported."""
    found = util.find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


def find_peers(word: Word, cache: Path) -> tuple[list[Peer], str]:
    """The peers that know the word's phrase, and why others are not compared."""
    found: list[Peer] = []
    absent = []
    for peer in PEERS:
        if any(util.find_spec(name) is None for name in filter(None, (peer.package, peer.runtime))):
            absent.append(f"{peer.name} is not installed ({peer.install})")
        elif not peer.knows(word):
            absent.append(f"{peer.name} has no model for '{word.phrase}'")
        else:
            found.append(peer(word, cache))
    return found, "; ".join(absent)
