"""What the second look learns from: the sound around each wake of the first, as feature columns.

The scenes are those that the first network was trained on (train/pool.py), heard by that network:
where its logit is over LOWEST it might have woken, on the word or, of the others, on what sounds
most like it. The columns are cut where it tells the word's start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from train.data import RATE
from train.fit import Trainer
from train.model import ENDPOINT_HOPS
from train.pool import Pool, window_ends
from verify.cut import FRAMES, SILENCE
from verify.networks import PREROLL_FRAMES
from words import Word

LOWEST = 0.0  # logit of the first network, far below what it ships with
BLOCK = 2000


@dataclass(frozen=True)
class Wakes:
    """Clips of a pool at which the first network might have woken.

    `clip` int[n]; `told` float[n]: the start it tells, hops; `truth` float[n, 2]: start and end of
    the word, hops, NaN where there is none; `is_word` bool[n].
    """

    clip: NDArray[np.intp]
    told: NDArray[np.float64]
    truth: NDArray[np.float64]
    is_word: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.clip)


def find_wakes(word: Word, first: Trainer, pool: Pool, what: str) -> Wakes:
    """At the best step of each clip; of clips with the word, of the steps just after it."""
    f = word.frontend
    hops_ended = window_ends(word) * f.sample_rate / f.hop_samples
    places = pool.words * (f.sample_rate / RATE / f.hop_samples)
    found: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = []
    for at in tqdm(range(0, len(pool), BLOCK), desc=f"wakes, {what}", unit="block"):
        clips = np.arange(at, min(at + BLOCK, len(pool)))
        outputs = first.outputs(pool, clips)
        is_word = pool.words[clips, 0] >= 0
        allowed = np.where(is_word[:, None], pool.labels[clips] == 1, True)
        best = np.where(allowed, outputs[:, :, 0], -np.inf).argmax(axis=1)
        top = outputs[np.arange(len(clips)), best]
        woke = (top[:, 0] > LOWEST) & allowed.any(axis=1)
        told = hops_ended[best] - top[:, 1] * ENDPOINT_HOPS
        found.append((clips[woke], told[woke]))
    clip, told = (np.concatenate(parts) for parts in zip(*found, strict=True))
    is_word = pool.words[clip, 0] >= 0
    truth = np.where(is_word[:, None], places[clip], np.nan)
    return Wakes(clip, told, truth, is_word)


def cut(
    pool: Pool, wakes: Wakes, pick: NDArray[np.intp], off: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Columns int8[n, FRAMES, bands] around the picked wakes, and targets float32[n, 3]: whether
    it is the word, its start and end in columns. `off`: hops by which the told start is off.
    """
    features = pool.features
    hops = features.shape[1]
    out = np.full((len(pick), FRAMES, features.shape[2]), SILENCE, np.int8)
    begins = np.rint(wakes.told[pick] + off).astype(int) - PREROLL_FRAMES
    for row, (clip, begin) in enumerate(zip(wakes.clip[pick], begins, strict=True)):
        low, high = max(0, begin), min(hops, begin + FRAMES)
        if low < high:
            out[row, low - begin : high - begin] = features[clip, low:high]
    place = wakes.truth[pick] - begins[:, None]
    targets = np.concatenate([wakes.is_word[pick, None], place], axis=1)
    return out, targets.astype(np.float32)
