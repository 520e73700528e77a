# SPDX-License-Identifier: Apache-2.0
"""What the verifier gets of an utterance: 195 feature columns around the word.

They begin half a second before the word's start, as the device gave it, and hold the word and what
follows. Where the sound begins later or ends earlier, columns of silence take its place. The
features are the device's own: its front end's C, compiled here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.verify.protocol.frames import PREROLL
from wakestate.words.schema import FrontEnd

FRAMES = 195  # columns; at the default hop and window 1.965 s
SILENCE = -128  # the front end's floor


def needed(frontend: FrontEnd, start: int, frames: int = FRAMES) -> int:
    """Samples of an utterance that fill the window; `start`: the word's first sample."""
    f = frontend
    return max(start - PREROLL + (frames - 1) * f.hop_samples + f.window_samples, 0)


class FeatureWindow:
    """Takes an utterance from its first sample on, in pieces; gives the features around the word.

    `start`: the word's first sample. Columns are computed as the sound comes, so that at its end
    little is left to do; sound outside the window is dropped.
    """

    def __init__(self, extractor: Extractor, start: int, frames: int = FRAMES) -> None:
        self._extractor = extractor
        self._hop = extractor.frontend.hop_samples
        self._first = start - PREROLL  # of column 0; before the utterance where negative
        self._done = max(0, -(self._first // self._hop))  # columns: those before it are silence
        self._pass_over = self._first + self._done * self._hop  # samples
        self._rest = np.empty(0, np.int16)
        self._features = np.full((frames, extractor.frontend.bands), SILENCE, np.int8)

    @property
    def full(self) -> bool:
        """More sound would change nothing."""
        return self._done >= len(self._features)

    def feed(self, pcm: NDArray[np.int16]) -> None:
        """Take int16[samples], the next ones of the utterance."""
        if self._pass_over:
            passed = min(self._pass_over, len(pcm))
            self._pass_over -= passed
            pcm = pcm[passed:]
        if self.full or len(pcm) == 0:
            return
        pcm = np.concatenate([self._rest, pcm])
        columns = min(self._extractor.hops(len(pcm)), len(self._features) - self._done)
        self._features[self._done : self._done + columns] = self._extractor.features(pcm)[:columns]
        self._done += columns
        self._rest = pcm[columns * self._hop :]

    def features(self) -> NDArray[np.float32]:
        """float32[frames, bands], in int8 steps, -128 .. 127."""
        return self._features.astype(np.float32)

    def sample(self, frame: float) -> int:
        """Where in the utterance a column begins; may be between two. Not before its start."""
        return max(0, round(self._first + frame * self._hop))
