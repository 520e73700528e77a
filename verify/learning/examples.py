# SPDX-License-Identifier: Apache-2.0
"""What the verifier learns from: the sound around each wake of the detector, as feature columns.

Scenes are mixed as for the detector (train/learning/pool.py), but longer, and the compiled
device processes them: its wakes at a low threshold, on the word or on something else, give feature
windows at the start it reports. A scene without the word that does not wake it gives one where its
score was highest. These windows are wider than what a network sees, so that a start may be moved
later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.train.artifacts import Arrays, Make, joined, keep_config, make_shards
from wakestate.train.data.corpus import RATE, Corpus, DataError
from wakestate.train.evaluation.device import Device, library_hash
from wakestate.train.learning.pool import SHARD, Renderer
from wakestate.verify.learning.networks import PREROLL_FRAMES
from wakestate.verify.protocol.window import FRAMES, FeatureWindow
from wakestate.words import Word

EDGE = 50  # columns more than a network sees, on either side
WIDE = FRAMES + 2 * EDGE
SCENE_S = 4.2
ENDS_S = (1.9, 2.3)  # of the word in a scene: its window is complete
LOW = 2 / 3  # of the way from a device's score of silence to its shipped threshold: a low one
NEAREST, LOWERED, SHIPPED = 0, 1, 2  # whether the device woke, and at which threshold


@dataclass(frozen=True)
class Examples:
    """`features` int8[n, WIDE, bands], the word's start as detected at EDGE + PREROLL_FRAMES;
    `place` float32[n, 2]: the columns where the word truly starts and ends, NaN where there is
    none; `who` str[n]: whose voice, where that is known; `where` str[n]: kind of scene, condition;
    `woke` int8[n]: NEAREST, LOWERED or SHIPPED; `state` uint8[n]: the device's; `best`
    int16[n]: its highest score.
    """

    features: NDArray[np.int8]
    place: NDArray[np.float32]
    who: NDArray[np.str_]
    where: NDArray[np.str_]
    woke: NDArray[np.int8]
    state: NDArray[np.uint8]
    best: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.place)

    @property
    def is_word(self) -> NDArray[np.bool_]:
        """bool[n]"""
        return ~np.isnan(self.place[:, 0])

    def pick(self, rows: NDArray[np.bool_]) -> Examples:
        """Those rows."""
        return Examples(*(getattr(self, field.name)[rows] for field in fields(self)))


def seen(
    examples: Examples, pick: NDArray[np.intp], off: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """What a network sees of some examples, int8[n, FRAMES, bands], and targets float32[n, 3]:
    whether it is the word, its start and end in columns. `off`: columns by which the detected start
    is off.
    """
    first = EDGE + np.clip(np.rint(off).astype(int), -EDGE, EDGE)
    columns = first[:, None] + np.arange(FRAMES)
    place = examples.place[pick] - first[:, None]
    word = ~np.isnan(place[:, :1])
    return examples.features[pick[:, None], columns], np.hstack([word, place]).astype(np.float32)


def wide(extract: Extractor, pcm: NDArray[np.int16], start: int) -> NDArray[np.int8]:
    """int8[WIDE, bands] around a word with a detected start."""
    window = FeatureWindow(extract, start - EDGE * extract.frontend.hop_samples, WIDE)
    window.feed(pcm)
    return window.features().astype(np.int8)


def columns_of(word: Word, detected_start: int, samples: tuple[int, int]) -> list[float]:
    """Where samples are in a wide window; NaN for those below 0."""
    hop = word.frontend.hop_samples
    return [
        EDGE + PREROLL_FRAMES + (sample - detected_start) / hop if sample >= 0 else float("nan")
        for sample in samples
    ]


@dataclass(frozen=True)
class Amounts:
    """Scenes of each part; about nine in ten with the word wake, one in fourteen without."""

    positive: int = 16000
    negative: int = 40000
    confusable: int = 16000
    validation_positive: int = 2000
    validation_negative: int = 8000
    validation_confusable: int = 2000

    def times(self, share: float) -> Amounts:
        """More, or fewer."""
        return Amounts(*(max(1, round(share * n)) for n in asdict(self).values()))

    def validation(self) -> Amounts:
        """Of held-out voices alone."""
        return replace(self, positive=0, negative=0, confusable=0)

    def all(self, corpus: Corpus, word: Word) -> list[tuple[int, str, str, int]]:
        """(number, part, kind, scenes); of confusables only where there are any."""
        confusable = any(c.label == "near" for c in corpus.negatives(word))
        parts = [
            ("train", "positive", self.positive),
            ("train", "negative", self.negative),
            ("train", "near", self.confusable if confusable else 0),
            ("validation", "positive", self.validation_positive),
            ("validation", "negative", self.validation_negative),
            ("validation", "near", self.validation_confusable if confusable else 0),
        ]
        return [(number, *part) for number, part in enumerate(parts) if part[2]]


class Miner:
    """Finds the device's wakes in scenes of one part."""

    def __init__(self, corpus: Corpus, word: Word, library: Path, part: str) -> None:
        step = word.model.stride * word.frontend.hop_samples / RATE
        self.renderer = Renderer(corpus, word, part, round(SCENE_S / step), ENDS_S)
        self.device, self.word = Device(library, word), word
        self.thresholds = between(self.device)

    def wake(
        self, rng: np.random.Generator, kind: str
    ) -> tuple[NDArray[np.int8], list[float], int, int, int] | None:
        """A scene's wide window, the word's place in it, whether the device woke, its state and
        highest score; None where it should have woken."""
        pcm, _, state, place = self.renderer.scene(rng, kind)
        detected_start, woke, best = device_wake(
            rng, self.device, pcm, state, self.thresholds[state], place
        )
        if place[0] >= 0 and not woke:
            return None
        window = wide(self.renderer.extract, pcm, detected_start)
        return window, columns_of(self.word, detected_start, place), woke, state, best


def between(device: Device) -> list[tuple[float, int]]:
    """The thresholds of each state between which examples are made: a low one and the shipped
    one."""
    out = []
    for state in range(len(device.states)):
        rest = float(device.scores(np.zeros(round(SCENE_S * RATE), np.int16), state)[-1])
        shipped = device.threshold(state)
        out.append((rest + LOW * (shipped - rest), shipped))
    return out


def device_wake(
    rng: np.random.Generator,
    device: Device,
    pcm: NDArray[np.int16],
    state: int,
    thresholds: tuple[float, float],
    place: tuple[int, int],
) -> tuple[int, int, int]:
    """The start that the device reports when it wakes, in samples, whether it woke, and its highest
    score.

    At a threshold drawn between the two; with a word in the scene (`place`, samples) from its start
    to a second after its end. Where it does not wake, at its highest score.
    """
    steps = device.steps(pcm, state)
    ends = device.step_end(0) + np.arange(len(steps.scores)) * device.step_samples
    inside = np.ones(len(ends), bool)
    if place[0] >= 0:
        inside = (ends >= place[0]) & (ends <= place[1] + RATE)
    scores = np.where(inside, steps.scores, np.iinfo(np.int16).min)
    best = int(scores.max())
    low, high = thresholds
    share = rng.random()
    threshold = best if best < low else low + share * (min(best, high) - low)
    woke = NEAREST if best < low else LOWERED if best < high else SHIPPED
    return int(steps.start[int(np.argmax(scores >= threshold))]), woke, best


@dataclass(frozen=True)
class _Wakes:
    """Makes a shard."""

    miner: Miner
    kind: str

    def __call__(self, rng: np.random.Generator) -> Arrays:
        wakes = (self.miner.wake(rng, self.kind) for _ in range(SHARD))
        found = [f for f in wakes if f is not None]
        features = np.array([f[0] for f in found], np.int8)
        return {
            "features": features.reshape(-1, WIDE, self.miner.word.frontend.bands),
            "place": np.array([f[1] for f in found], np.float32).reshape(-1, 2),
            "woke": np.array([f[2] for f in found], np.int8),
            "state": np.array([f[3] for f in found], np.uint8),
            "best": np.array([f[4] for f in found], np.int16),
        }


def _begin(corpus: Corpus, word: Word, library: Path, part: str, kind: str) -> Make:
    return _Wakes(Miner(corpus, word, library, part), kind)


def mine(
    corpus: Corpus, word: Word, library: Path, folder: Path, seed: int, amounts: Amounts
) -> dict[str, Examples]:
    """The examples of "train" and "validation" speakers (corpus.held_out), kept in `folder` in
    shards.

    A killed call resumes where it was. DataError where the folder holds those of another device.
    """
    config = {
        "library_sha256": library_hash(library),
        "seed": seed,
        "fields": [field.name for field in fields(Examples)],
        "word": word.model_dump(mode="json"),
        "amounts": asdict(amounts),
        "voices_sha256": sha256("".join(c.path for c in corpus.clips).encode()).hexdigest(),
    }
    keep_config(folder / "config.json", config, "these examples were made")
    out: dict[str, list[Examples]] = {"train": [], "validation": []}
    for number, part, kind, scenes in amounts.all(corpus, word):
        begin = partial(_begin, corpus, word, library, part, kind)
        paths = make_shards(
            folder, part, kind, -(-scenes // SHARD), 1000 * seed + number, begin, "wakes,"
        )
        for path in paths:
            with np.load(path) as shard:
                count = len(shard["place"])
                out[part].append(
                    Examples(
                        shard["features"],
                        shard["place"],
                        np.full(count, ""),
                        np.full(count, kind),
                        shard["woke"],
                        shard["state"],
                        shard["best"],
                    )
                )
    examples = {part: joined(parts) for part, parts in out.items() if parts}
    for part, found in examples.items():
        words = found.is_word & (found.woke == SHIPPED)
        others = ~found.is_word & (found.woke > NEAREST)
        if not words.any() or not others.any():
            missing = "something else" if words.any() else "the word"
            raise DataError(
                f"{library}: does not wake on {missing} in the scenes of {part}; "
                "train the detector, or mine more scenes"
            )
    return examples
