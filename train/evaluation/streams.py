# SPDX-License-Identifier: Apache-2.0
"""Sound without the word as a device gets it: recordings with silence between them.

A stream is cut into blocks at gaps. Each block is processed from a fresh start, which changes
nothing as it begins with a gap; so blocks are processed in parallel on all cores, and a killed
evaluation loses one block of each. A block holds recordings of one half (train/data/halves.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wakestate.train.data.corpus import RATE, Clip
from wakestate.words import Word

GAP_S = 2.0  # digital silence before and after each recording: longer than engines look back
BLOCK_S = 600.0  # a block is full with so much


def gap_samples(word: Word) -> int:
    """The gap between recordings: GAP_S, or more where the network looks back so far, smoothing
    included, or a wake bars others so long. No score depends on two recordings."""
    f, m, d = word.frontend, word.model, word.detector
    window = (m.receptive_hops - 1) * f.hop_samples + f.window_samples
    smoothed = window + (d.smoothing_steps - 1) * m.stride * f.hop_samples
    return max(smoothed, round(d.refractory_s * RATE), round(GAP_S * RATE))


@dataclass(frozen=True)
class Block:
    """Recordings of one half, a gap before each and after the last."""

    number: int  # of the stream as a whole
    half: int
    clips: tuple[Clip, ...]
    gap: int  # samples

    @cached_property
    def starts(self) -> list[int]:
        """Where each recording begins, samples."""
        lengths = [clip.samples + self.gap for clip in self.clips]
        return [self.gap + sum(lengths[:i]) for i in range(len(lengths))]

    @property
    def samples(self) -> int:
        """With all gaps."""
        return self.starts[-1] + self.clips[-1].samples + self.gap

    @property
    def hours(self) -> float:
        """Of the recordings alone: gaps do not count."""
        return sum(clip.samples for clip in self.clips) / RATE / 3600

    def place(self, sample: int) -> tuple[Clip, float]:
        """The recording that is playing at a sample, or was last, and seconds from its start."""
        at = max(0, int(np.searchsorted(self.starts, sample, side="right")) - 1)
        return self.clips[at], (sample - self.starts[at]) / RATE


def blocks(clips: Sequence[Clip], half: dict[Clip, int], gap: int) -> list[Block]:
    """All recordings, those of the first half first."""
    found: list[Block] = []
    for side in (0, 1):
        full = 0
        own: list[Clip] = []
        for clip in (c for c in clips if half[c] == side):
            own.append(clip)
            full += clip.samples
            if full >= BLOCK_S * RATE:
                found.append(Block(len(found), side, tuple(own), gap))
                full, own = 0, []
        if own:
            found.append(Block(len(found), side, tuple(own), gap))
    return found


def half_hours(found: Sequence[Block]) -> tuple[float, float]:
    """Hours of each half."""
    first, second = (sum(b.hours for b in found if b.half == side) for side in (0, 1))
    return first, second


def thinned(found: list[Block], hours: float) -> list[Block]:
    """Blocks of each half at even distances, about that many hours; all if there are fewer."""
    whole = sum(block.hours for block in found)
    if whole <= hours:
        return found
    selected = []
    for side in (0, 1):
        own = [block for block in found if block.half == side]
        count = max(1, round(len(own) * hours / whole))
        selected += [own[i * len(own) // count] for i in range(count)] if own else []
    return selected
