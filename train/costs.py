# SPDX-License-Identifier: Apache-2.0
"""What work costs, in seconds of one core (user and system time, measured: docs/training.md).

Estimates said before work begins, and the times that recipes promise, come from these.
"""

from __future__ import annotations

import os

CLIP_S = {"kokoro": 2.1, "piper": 0.4, "espeak": 0.03, "flite": 0.05}  # a synthesized clip
PACKAGE_S, SOME_S = 25.0, 3.0  # a package that is read, or some of it
VOICES_MB = 130  # to download for Kokoro's voices
LOADING_S = 20.0  # TensorFlow and what goes with it
SIZE_TIMES = {"small": 1.0, "medium": 3.1, "large": 7.2}  # by multiply-accumulates
HOURS = {"few": 0.6, "yes": 2.8, "benchmark": 28.0}  # of dev's sound without the word
HOUR_S, SHORT_HOUR_S = 1200.0, 400.0  # of such an hour, in all conditions of an evaluation
SCENE_S, BATCH_S = 1 / 45, 1 / 10  # a scene mixed; a batch that alexa's network learns from


def cores() -> int:
    """Of this machine; all work takes as many as there are."""
    return os.cpu_count() or 1


def synthesis_s(clips: int, by_kokoro: float, packages: int, few: bool) -> float:
    """Clips spoken, a share of them by Kokoro, and packages read."""
    each = by_kokoro * CLIP_S["kokoro"] + (1 - by_kokoro) * CLIP_S["espeak"]
    return clips * each + packages * (SOME_S if few else PACKAGE_S)


def training_s(scenes: float, batches: int, size: str = "small") -> float:
    """Scenes mixed, then batches learned from."""
    return scenes * SCENE_S + batches * BATCH_S * SIZE_TIMES[size]


def listening_s(hours: float, size: str, short: bool) -> float:
    """An evaluation of so many hours without the word."""
    return hours * (SHORT_HOUR_S if short else HOUR_S) * SIZE_TIMES[size]
