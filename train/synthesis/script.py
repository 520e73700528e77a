# SPDX-License-Identifier: Apache-2.0
"""What is said: every line with its engine, voice, rate and pitch, all drawn from one seed.

Each line is drawn from its own number alone, so asking for more changes none of the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from wakestate.train.synthesis.engine import ENGLISH, Engine
from wakestate.train.synthesis.language import word_sequences
from wakestate.words import Word

SENTENCES = Path(__file__).with_name("sentences.txt")
DEV_SHARE = 0.15  # of the lines; by voices of their own
EVERY = 6  # one voice in that many is for dev
ALONE = 0.4  # of the lines: the phrase with nothing before or after
ACCENTED = 0.5  # of those, as somebody reads it whose first language is another
SPEED, PITCH = (0.8, 1.25), (0.9, 1.12)
LEAD_S, TRAIL_S = (0.05, 0.5), (0.05, 0.6)
TIGHT = 0.3  # of the clips: cut right at the sound


STREAMS = {"positives": 9, "confusables": 4, "general": 7}  # of random numbers, by Counts' fields


@dataclass(frozen=True)
class Counts:
    """How many lines of each label, train and dev together."""

    positives: int = 3000
    confusables: int = 2000
    general: int = 1000


@dataclass(frozen=True)
class Line:
    """One clip to synthesize. The phrase is `words` words of `text` from word `at`; -1: none."""

    split: str
    label: str
    text: str
    at: int
    words: int
    engine: str
    voice: str
    speed: float
    pitch: float
    lead_s: float
    trail_s: float

    @property
    def stem(self) -> str:
        """Name of its file: the same line has the same name, whatever else is asked for."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.engine}-{digest[:16]}"


class Cast:
    """The engines that can speak, and which of their voices belong to which split."""

    def __init__(self, engines: list[Engine]) -> None:
        self.engines = engines
        self.voices: dict[tuple[str, str], list[str]] = {}
        for engine in engines:
            for i, voice in enumerate(engine.voices()):
                # An engine with one voice or two has none to spare for dev.
                split = "dev" if i % EVERY == 3 else "train"
                self.voices.setdefault((split, engine.name), []).append(voice)

    def draw(self, rng: np.random.Generator, split: str, sentence: bool) -> tuple[Engine, str]:
        """An engine and a voice; for a phrase in a sentence an engine with timings."""
        mine = [e for e in self.engines if (split, e.name) in self.voices]
        able = [e for e in mine if e.timed or not sentence] or mine
        share = np.array([e.share for e in able])
        engine = able[int(rng.choice(len(able), p=share / share.sum()))]
        return engine, engine.draw(rng, self.voices[split, engine.name])


def _sentences(language: str) -> list[str]:
    if language != ENGLISH:
        return word_sequences(language)
    return SENTENCES.read_text(encoding="utf-8").split("\n")


def write_script(
    word: Word, cast: Cast, confusables: list[str], counts: Counts, seed: int
) -> Iterator[Line]:
    """All lines: positives, confusables, general sentences; a sixth or so in dev voices."""
    say = word.data.say or (word.phrase,)
    sentences = _sentences(word.data.language)
    sentences = [s for s in sentences if s and word.phrase.lower() not in s.lower()]
    splits = {split for split, _ in cast.voices}
    # In a sentence the phrase is only of use where train.data can find it.
    timed = any(engine.timed for engine in cast.engines)
    carriers = word.data.spoken_carriers
    lacks = {"confusables": not confusables, "general": not sentences}
    wanted = [
        (kind, i)
        for kind, count in asdict(counts).items()
        for i in range(0 if lacks.get(kind) else count)
    ]
    for kind, number in wanted:
        rng = np.random.default_rng([seed, STREAMS[kind], number])
        split = "dev" if "dev" in splits and rng.random() < DEV_SHARE else "train"
        alone = rng.random() < ALONE
        carrier = carriers[int(rng.integers(len(carriers)))]
        alone = alone or carrier == "{}"
        at, words, located = -1, 0, False
        if kind == "positives":
            label = word.data.positive[0]
            phrase = say[int(rng.integers(len(say)))]
            located = timed and not alone
            text = carrier.format(phrase) if located else f"{phrase}."
            at = len(carrier[: carrier.index("{}")].split()) if located else 0
            words = len(phrase.split())
        elif kind == "confusables":
            label = "near"
            # Two thirds from the nearer half.
            half = rng.random() < 2 / 3 and len(confusables) > 1
            phrase = confusables[
                int(rng.integers(len(confusables) // 2 if half else len(confusables)))
            ]
            text = f"{phrase}." if alone else carrier.format(phrase)
        else:
            label, text = "general", sentences[int(rng.integers(len(sentences)))]
        engine, voice = cast.draw(rng, split, located)
        tight = rng.random() < TIGHT
        lead, trail = (0.0, 0.0) if tight else (rng.uniform(*LEAD_S), rng.uniform(*TRAIL_S))
        speed, pitch = rng.uniform(*SPEED), rng.uniform(*PITCH)
        if alone and kind != "general" and engine.accents and rng.random() < ACCENTED:
            voice = f"{engine.accents[int(rng.integers(len(engine.accents)))]}/{voice}"
        yield Line(
            split,
            label,
            text[0].upper() + text[1:],
            at,
            words,
            engine.name,
            voice,
            round(float(speed), 3),
            round(float(pitch), 3),
            round(float(lead), 3),
            round(float(trail), 3),
        )
