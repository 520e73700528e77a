# SPDX-License-Identifier: Apache-2.0
"""The compiled device pipeline (front end, streaming int8 network, smoothing) as Python sees it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import RATE
from wakestate.convert.frontend import frontend_hash
from wakestate.errors import UserError
from wakestate.words import Word


class DeviceError(UserError):
    """The compiled library does not fit the word file."""


OURS = "Wakestate"  # the device's name among other engines
BARRED = np.iinfo(np.int16).min  # below every threshold


@dataclass(frozen=True)
class Steps:
    """What every network step computes, from a fresh start; one place a step."""

    sums: NDArray[np.int16]  # of smoothed logits
    scores: NDArray[np.int16]  # the same, BARRED where the word is too short to wake
    start: NDArray[np.int64]  # where the word starts and ends, in samples, if one is there:
    end: NDArray[np.int64]  # 0 <= start < end <= Device.step_end


def library_hash(library: Path) -> str:
    """sha256 of the compiled library; DeviceError where it is missing."""
    if not library.is_file():
        raise DeviceError(f"{library}: not found; build it with `wakestate build --board host`")
    return sha256(library.read_bytes()).hexdigest()


class Device:
    """build/host/<word>/libwakestate.so: what the emulator and the board run."""

    def __init__(self, library: Path, word: Word) -> None:
        library_hash(library)
        self._made_of = library, word
        try:
            self._lib = ctypes.CDLL(str(library.resolve()))
        except OSError as error:
            raise DeviceError(f"{library}: cannot be loaded: {error}; rebuild it") from None
        if not hasattr(self._lib, "ws_capi_lfbe_hash"):
            raise DeviceError(f"{library}: built by an older version; rebuild it")
        self._lib.ws_capi_steps.restype = ctypes.c_size_t
        self._lib.ws_capi_steps.argtypes = [
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
        ]
        self._lib.ws_capi_state.restype = ctypes.c_char_p
        self.states = word.states
        f, m = word.frontend, word.model
        refractory = round(word.detector.refractory_s * f.sample_rate)
        shortest = round(word.detector.shortest_s * f.sample_rate)
        names: list[str] = []
        while (name := self._lib.ws_capi_state(len(names))) is not None:
            names.append(name.decode())
        if tuple(names) != self.states:
            raise DeviceError(f"{library}: built for other states ({names}); rebuild it")
        facts = {
            "window_samples": f.window_samples,
            "hop_samples": f.hop_samples,
            "bands": f.bands,
            "stride": m.stride,
            "states": len(self.states),
            "smoothing_steps": word.detector.smoothing_steps,
            "receptive hops": m.receptive_hops,
            "refractory samples": refractory,
            "samples of the shortest word": shortest,
        }
        sizes = (ctypes.c_int32 * len(facts))()
        self._lib.ws_capi_sizes(sizes, ctypes.c_size_t(len(facts)))
        for (fact, wanted), built in zip(facts.items(), sizes, strict=True):
            if built != wanted:
                raise DeviceError(
                    f"{library}: built for {fact} {built}, the word file has {wanted}; rebuild it"
                )
        self._lib.ws_capi_lfbe_hash.restype = ctypes.c_uint32
        built_hash = self._lib.ws_capi_lfbe_hash()
        if built_hash != int(frontend_hash(f)[:8], 16):
            raise DeviceError(f"{library}: built for another [frontend]; rebuild it")
        self.step_samples = f.hop_samples * m.stride
        # Steps are aligned so that a window of receptive_hops ends on one.
        first = m.receptive_hops % m.stride or m.stride
        self._first_end = (first - 1) * f.hop_samples + f.window_samples
        # A wake at step i bars the steps before i + refractory_steps.
        self.refractory_steps = max(1, -(-refractory // self.step_samples))

    def __reduce__(self) -> tuple[type[Device], tuple[Path, Word]]:
        return Device, self._made_of

    def scores(self, pcm: NDArray[np.int16], state: int) -> NDArray[np.int16]:
        """The score of every network step, from a fresh start; see Steps."""
        return self.steps(pcm, state).scores

    def steps(self, pcm: NDArray[np.int16], state: int) -> Steps:
        """Score, start and end of every network step, from a fresh start."""
        pcm = np.ascontiguousarray(pcm, np.int16)
        maximum = len(pcm) // self.step_samples + 2
        sums, long_enough = np.empty(maximum, np.int16), np.empty(maximum, np.bool_)
        start, end = np.empty(maximum, np.int64), np.empty(maximum, np.int64)
        steps = self._lib.ws_capi_steps(
            pcm.ctypes.data,
            len(pcm),
            state,
            sums.ctypes.data,
            start.ctypes.data,
            end.ctypes.data,
            long_enough.ctypes.data,
            maximum,
        )
        scores = np.where(long_enough, sums, np.int16(BARRED))
        return Steps(sums[:steps], scores[:steps], start[:steps], end[:steps])

    def threshold(self, state: int) -> int:
        """The threshold compiled in for a state."""
        return int(self._lib.ws_capi_threshold(state))

    def step_end(self, step: int) -> int:
        """Sample at which a step's newest window ends."""
        return self._first_end + step * self.step_samples

    def detections(self, scores: NDArray[np.int16], threshold: int) -> list[int]:
        """Steps at which the detector wakes: at or over the threshold, outside refractory time."""
        return wakes(scores, threshold, self.refractory_steps)


def wakes(scores: NDArray[np.int16], threshold: int, refractory_steps: int) -> list[int]:
    """Steps at or over the threshold, a wake at i barring those before i + refractory_steps."""
    over = np.flatnonzero(scores >= threshold)
    found: list[int] = []
    allowed = 0
    while len(over):
        at = int(np.searchsorted(over, allowed))
        if at == len(over):
            break
        found.append(int(over[at]))
        allowed = found[-1] + refractory_steps
    return found


def fingerprint(device: Device) -> str:
    """Tells networks apart, whatever their thresholds: of the scores of 4 s of noise."""
    noise = np.random.default_rng(0).normal(0, 1500, 4 * RATE).astype(np.float32)
    pcm = np.rint(noise).astype(np.int16)
    digest = sha256()
    for state in range(len(device.states)):
        digest.update(device.scores(pcm, state).tobytes())
    return digest.hexdigest()[:16]
