# SPDX-License-Identifier: Apache-2.0
"""What work costs, in seconds of one core (user and system time, measured: docs/training.md).

Estimates said before work begins, and the times that recipes promise, come from these.
"""

from __future__ import annotations

import os

CLIP_S = {"kokoro": 2.1, "piper": 0.4, "espeak": 0.03, "flite": 0.05}  # a synthesized clip
# By what is taken of packages: hours of recorded sound for train and dev together, and of dev
# alone what has no word in it; and to write an hour.
RECORDED_HOURS = {"yes": 19.0, "some": 9.5, "few": 0.25, "no": 0.0}
DEV_HOURS = {"yes": 3.2, "some": 2.7, "few": 0.05, "no": 0.0, "benchmark": 28.0}
RECORDED_HOUR_S = 35.0
VOICES_MB = 130  # to download for Kokoro's voices
LOADING_S = 20.0  # TensorFlow and what goes with it
SIZE_TIMES = {"small": 1.0, "medium": 3.1, "large": 7.2}  # by multiply-accumulates
STREAM_HOUR_S = {True: 13.5, False: 28.0}  # of a stream in an evaluation, short or not
NETWORK_SHARE = 0.2  # of that, by the small network
SCENE_S, BATCH_S = 1 / 45, 1 / 10  # a scene mixed; a batch that alexa's network learns from


def cores() -> int:
    """That this process may use; all work takes as many as there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def synthesis_s(clips: int, by_kokoro: float, recorded: str) -> float:
    """Clips spoken, a share of them by Kokoro, and recorded sound of packages."""
    each = by_kokoro * CLIP_S["kokoro"] + (1 - by_kokoro) * CLIP_S["espeak"]
    return clips * each + RECORDED_HOURS[recorded] * RECORDED_HOUR_S


def training_s(scenes: float, batches: int, size: str = "small") -> float:
    """Scenes mixed, then batches learned from."""
    return scenes * SCENE_S + batches * BATCH_S * SIZE_TIMES[size]


def listening_s(hours: float, size: str, short: bool) -> float:
    """An evaluation of that many hours without the word.

    Streams, h: short, up to 3 h in all 14 sounds; else 1.5 h in about 20, up to 9 h in the 8 of the
    states, all of it with the device silent (train/evaluation/trials.py).
    """
    sample, part = min(hours, 1.5), min(hours, 9.0)
    streams = 14 * min(hours, 3.0) if short else 12 * sample + 7 * part + hours
    return streams * STREAM_HOUR_S[short] * (1 + NETWORK_SHARE * (SIZE_TIMES[size] - 1))
