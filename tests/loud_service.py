"""The service with a verifier that takes whatever is loud for a word: for tests.

python -m tests.loud_service [PORT] [STREAMS] [DELAY]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from verify.api import Settings
from verify.batching import Floats
from verify.cut import FRAMES
from verify.serving import load_keys, serve
from words import load_word

ROOT = Path(__file__).resolve().parent.parent


class Loud:
    """Accepts where the loudest ten columns are well above the floor; the word is what is loud."""

    frames, bands, threshold = FRAMES, 64, 0.0

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.batches: list[int] = []

    def score(self, features: Floats) -> tuple[Floats, Floats, Floats]:
        """float32[n, 195, 64] -> logit, start, end, float32[n] each."""
        time.sleep(self.delay_s)
        self.batches.append(len(features))
        level = features.mean(axis=2)
        loud = level > -60
        logit = np.sort(level, axis=1)[:, -10:].mean(axis=1) + 60
        start = np.where(loud.any(axis=1), loud.argmax(axis=1), 0)
        end = np.where(loud.any(axis=1), FRAMES - loud[:, ::-1].argmax(axis=1), 0)
        return logit.astype(np.float32), start.astype(np.float32), end.astype(np.float32)


if __name__ == "__main__":
    port, streams, delay = (*sys.argv[1:], *("0", "200", "0")[len(sys.argv) - 1 :])
    word = load_word(ROOT / "words/alexa.toml")
    settings = Settings(word, keys=load_keys(None), streams=int(streams))
    serve(Loud(float(delay)), settings, "127.0.0.1", int(port))
