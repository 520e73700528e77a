# SPDX-License-Identifier: Apache-2.0
"""How well a wake's start and end of the word are placed, and how long words are by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wakestate.train.data.corpus import RATE, Corpus
from wakestate.train.evaluation.device import Device, wakes
from wakestate.train.evaluation.document import Endpoints
from wakestate.train.evaluation.metrics import Listener, Scores
from wakestate.words import Word

#: Start and end of the word as the network reports it at every step, samples from the start of the
#: recording.
Ends = tuple[NDArray[np.int64], NDArray[np.int64]]


def endpoint_errors(
    listener: Listener,
    scores: Sequence[Scores],
    ends: Sequence[Ends],
    threshold: int,
    spans: Sequence[tuple[int, int]],
) -> Endpoints | None:
    """Predicted minus true start and end, ms, at the first wake from each word's start to 1 s
    after its end: bias (mean) and standard error (standard deviation). None without two wakes.
    """
    errors = []
    for own, (starts, stops), (start, end) in zip(scores, ends, spans, strict=True):
        for step in wakes(own, threshold, listener.refractory_steps):
            if start <= listener.step_end(step) <= end + RATE:
                errors.append((int(starts[step]) - start, int(stops[step]) - end))
                break
    if len(errors) < 2:
        return None
    ms = np.array(errors) * 1000 / RATE
    (start_bias, end_bias), (start_error, end_error) = ms.mean(axis=0), ms.std(axis=0, ddof=1)
    return Endpoints(
        wakes=len(ms),
        start_bias_ms=float(start_bias),
        end_bias_ms=float(end_bias),
        start_standard_error_ms=float(start_error),
        end_standard_error_ms=float(end_error),
    )


def lengths(device: Device, word: Word, corpus: Corpus) -> NDArray[np.float64]:
    """How long the idle device reports the word to be, s, in every recording that wakes it, the
    shortest first: the longest of the steps at which the score is over the threshold.

    People's recordings, if there are any: voices that are made may be faster than any person.
    `shortest_s` is not applied, so this may be asked before and after it is set.
    """
    clips = corpus.positives(word)
    found = []
    for clip in [c for c in clips if c.kind != "tts"] or clips:
        quiet = np.zeros(RATE, np.int16)
        steps = device.steps(np.concatenate([quiet, corpus.audio(clip), quiet]), 0)
        over = steps.sums >= device.threshold(0)
        if over.any():
            found.append((steps.end - steps.start)[over].max() / RATE)
    return np.sort(found)
