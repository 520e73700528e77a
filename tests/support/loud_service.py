# SPDX-License-Identifier: Apache-2.0
"""The service with a verifier that takes whatever is loud for a word: for tests.

python -m tests.support.loud_service --help lists what may be set.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from wakestate.verify.protocol.api import Settings
from wakestate.verify.protocol.window import FRAMES
from wakestate.verify.service import app as service
from wakestate.verify.service import connections, serving
from wakestate.verify.service.batching import Floats, States
from wakestate.words import load_word

ROOT = Path(__file__).resolve().parents[2]


class Loud:
    """Accepts where the loudest ten columns are well above the floor; the word is what is loud. A
    state's index is added to the score."""

    frames, bands, threshold = FRAMES, 64, 0.0

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s

    def score(self, features: Floats, states: States) -> tuple[Floats, Floats, Floats]:
        """float32[n, 195, 64] -> logit, start, end, float32[n] each."""
        time.sleep(self.delay_s)
        level = features.mean(axis=2)
        loud = level > -60
        logit = np.sort(level, axis=1)[:, -10:].mean(axis=1) + 60 + states
        start = np.where(loud.any(axis=1), loud.argmax(axis=1), 0)
        end = np.where(loud.any(axis=1), FRAMES - loud[:, ::-1].argmax(axis=1), 0)
        return logit.astype(np.float32), start.astype(np.float32), end.astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="of the network, s")
    parser.add_argument("--head", type=float, default=connections.HEAD_S)
    parser.add_argument("--connections", type=int, default=serving.CONNECTIONS_MAX)
    parser.add_argument("--end", type=float, default=service.END_S)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--patience", type=float, default=30.0)
    args = parser.parse_args()
    connections.HEAD_S, serving.CONNECTIONS_MAX = args.head, args.connections
    service.END_S = args.end
    settings = Settings(
        load_word(ROOT / "words/alexa.toml"),
        keys=serving.load_keys(None),
        streams=args.streams,
        seconds=args.seconds,
        patience_s=args.patience,
    )
    serving.serve(Loud(args.delay), settings, "127.0.0.1", args.port, access_log=True)
