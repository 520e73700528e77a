# SPDX-License-Identifier: Apache-2.0
"""Where in a recording the wake word is said: above the background, in timings, or by hand."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import RATE, hertz, mel

HOP, WINDOW, BINS = 160, 400, 512
BANDS = 32
GAP = 22  # hops: a word has pauses as long as the stop in "alexa", /k/ before /s/
RUN = 5  # hops: what is shorter is a click
SHARE = 0.22  # of the highest mean excess that still is the word
PHRASE = "<phrase>"  # the name of the word in timings that were made here
QUIET_DB = -5.0  # of a band: digital silence
HISS = slice(22, BANDS)  # bands above 3.6 kHz, where fricatives are
HISS_DB = 3.0  # their mean excess over that of the others, in a fricative
CLOSURE = 25  # hops of silence before it that the word continues over
LONGEST_HISS = 30  # hops


def locate_word(
    pcm: NDArray[np.int16], timing: tuple[float, float, bool] | None = None
) -> tuple[int, int]:
    """Start and end sample of the word: the timing if given, trimmed by energy; (-1, -1) if none.

    How far each of 32 mel bands is above its background (a low percentile), averaged over the
    bands, so that neither hum nor loud vowels decide alone; clicks are taken out. Without a timing,
    of the stretches without a pause of 0.22 s the one with the most of it is the word. Predicted
    starts run about 65 ms late and the last word of a clip takes in trailing silence, hence the
    margins.

    A fricative is faint in that mean, as it fills few bands. Where the word seems to end and one
    follows in less than 0.25 s of silence, as in "alexa" after the /k/, the word continues: through
    it, and through what comes right after it.
    """
    if len(pcm) < RUN * HOP or not pcm.any():
        return -1, -1
    bands = _excess(pcm, timing is not None)
    excess = bands.mean(axis=1)
    if timing is not None:
        low = max(0, int(timing[0] * 100) - 10)
        high = len(excess) if timing[2] else int(timing[1] * 100) + 2
        excess[:low] = 0.0
        excess[high:] = 0.0
    marks = np.flatnonzero(excess > SHARE * excess.max())
    runs = [run for run in _split(marks, 2) if len(run) >= RUN]
    if not runs:
        return -1, -1
    word = np.concatenate(runs)
    if timing is None:
        stretches = _split(word, GAP)
        best = max(range(len(stretches)), key=lambda i: float(excess[stretches[i]].sum()))
        word = stretches[best]
        after = stretches[best + 1] if best + 1 < len(stretches) else word[:0]
        word = _through_fricative(bands, word, after)
    return int(word[0]) * HOP, min((int(word[-1]) + 1) * HOP, len(pcm))


def _through_fricative(
    bands: NDArray[np.float64], word: NDArray[np.intp], after: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The word, continued where a fricative follows a short closure; `after`: the next stretch,
    which belongs to it where that begins no later than RUN hops after the fricative."""
    last = int(word[-1])
    high = bands[:, HISS].mean(axis=1)
    hissing = high > bands[:, : HISS.start].mean(axis=1) + HISS_DB
    following = np.flatnonzero(hissing[last + 1 :]) + last + 1
    runs = [run for run in _split(following, 2) if len(run) >= RUN]
    if not runs or runs[0][0] - last > CLOSURE or len(runs[0]) > LONGEST_HISS:
        return word
    if len(after) and after[0] - runs[0][-1] <= RUN:
        return np.concatenate([word, runs[0], after])
    return np.concatenate([word, runs[0]])


def _excess(pcm: NDArray[np.int16], clean: bool) -> NDArray[np.float64]:
    """dB over the background, float64[hops, bands]; a hop is centered on its window.

    `clean`: synthesized, with speech all around and no background.
    """
    padded = np.pad(pcm.astype(np.float64), ((WINDOW - HOP) // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: -(-len(pcm) // HOP)]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), BINS)) ** 2 @ _mel() / WINDOW
    level = 10 * np.log10(power + 0.1)
    around = np.pad(level, ((RUN // 2, RUN // 2), (0, 0)), mode="reflect")
    level = np.median(np.lib.stride_tricks.sliding_window_view(around, RUN, axis=0), axis=-1)
    live = level[level.mean(axis=1) > QUIET_DB]
    peak = level.max(axis=0)
    floor = level.min(axis=0)
    if len(live) and not clean:
        # The word is about 0.9 s of it at most; of the rest the middle.
        floor = np.percentile(live, min(20.0, 50 * max(0.0, 1 - 90 / len(live))), axis=0)
    floor = np.maximum(np.minimum(floor, peak - 15), peak.max() - 45)
    return np.asarray(np.clip(level - floor - 3, 0, 30))


@cache
def _mel() -> NDArray[np.float64]:
    """Triangles from 150 to 7800 Hz, float64[BINS / 2 + 1, BANDS]."""
    low, high = mel(np.array([150.0, 7800.0]))
    edge = hertz(np.linspace(low, high, BANDS + 2))
    hz = np.arange(BINS // 2 + 1)[:, None] * RATE / BINS
    rise = (hz - edge[:-2]) / (edge[1:-1] - edge[:-2])
    fall = (edge[2:] - hz) / (edge[2:] - edge[1:-1])
    return np.maximum(0.0, np.minimum(rise, fall))


def _split(marks: NDArray[np.intp], gap: int) -> list[NDArray[np.intp]]:
    """Runs of marks with no more than `gap` between neighbors."""
    return np.split(marks, np.flatnonzero(np.diff(marks) > gap) + 1)


def tts_timings(path: Path, core: str) -> dict[str, tuple[float, float, bool]]:
    """Start, end (s) and whether it is the clip's last, of the first word with `core`, by file.

    `core` of several parts, with spaces between them: of that many words in a row. What `make data`
    marked as the phrase needs no `core`.
    """
    if not path.is_file():
        return {}
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups = json.loads(row["words"])
            parts = [PHRASE] if any(g[0] == PHRASE for g in groups) else core.split()
            if not parts:
                continue
            for i in range(len(groups) - len(parts) + 1):
                phrase = groups[i : i + len(parts)]
                if all(part in g[0] for part, g in zip(parts, phrase, strict=True)):
                    last = i + len(parts) == len(groups)
                    found[row["path"]] = (phrase[0][1], phrase[-1][2], last)
                    break
    return found
