# SPDX-License-Identifier: Apache-2.0
"""What every speech engine can do, and what is done to its sound afterwards."""

from __future__ import annotations

import subprocess
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from wakestate.train.data.corpus import RATE, DataError

ENGLISH = "en"
Spoken = tuple[str, float, float]  # a word (or its phonemes), start and end in seconds


class PhraseError(DataError):
    """The voices cannot say a phrase; the text names it and the letters."""

    status = 2


def check_speakable(where: str, text: str) -> None:
    """A PhraseError where English voices, as all here are, would spell, guess or leave out letters
    of `text`, which is at `where` in a word file."""
    punctuation = " '’-.,!?&"
    odd = [
        c for c in dict.fromkeys(text) if not (c.isascii() and c.isalnum()) and c not in punctuation
    ]
    refuse_letters(where, text, odd, "English voices", "English letters")


def refuse_letters(where: str, text: str, odd: list[str], voices: str, letters: str) -> None:
    """A PhraseError where `voices` cannot say `odd` letters of `text`, or it has none; `letters`:
    those that they can."""
    if odd:
        named = ", ".join(f"'{c}' ({letter_name(c)})" for c in odd[:3])
        raise PhraseError(
            f"{where}: '{text}': {voices} cannot say {named}; give spellings in {letters} in "
            "[data] say, or record people instead"
        )
    if not any(c.isalnum() for c in text):
        raise PhraseError(f"{where}: '{text}': has no letter or digit that a voice could say")


def letter_name(c: str) -> str:
    """As Unicode has it, or its number."""
    return unicodedata.name(c, f"U+{ord(c):04X}")


@dataclass(frozen=True)
class Speech:
    """What an engine said: int16[samples] mono at 16 kHz, and its words where it reports them."""

    pcm: NDArray[np.int16]
    words: tuple[Spoken, ...] | None = None

    def cut(self, lead_s: float, trail_s: float) -> Speech:
        """With so much silence before the first and after the last sound (within 40 dB of peak)."""
        level = np.abs(self.pcm.astype(np.float32))
        loud = np.flatnonzero(level > level.max(initial=0) / 100)
        if not len(loud):
            return self
        first, last = int(loud[0]), int(loud[-1]) + 1
        lead, trail = int(lead_s * RATE), int(trail_s * RATE)
        part = self.pcm[max(0, first - lead) : last + trail]
        before = max(0, lead - first)
        after = max(0, last + trail - len(self.pcm))
        shift = (lead - first) / RATE
        words = self.words and tuple((w, max(0.0, s + shift), e + shift) for w, s, e in self.words)
        return Speech(np.pad(part, (before, after)), words)


class Engine(ABC):
    """A text-to-speech program or library."""

    name: str
    source: str  # said in the manifest
    licence: str
    share = 1.0  # of what is said, relative to the other engines'
    timed = False  # has the time of each word, to find the phrase in a sentence
    accents: tuple[str, ...] = ()  # a voice "ACCENT/VOICE" reads the text by that language's rules

    @abstractmethod
    def missing(self) -> str:
        """What is not here and how to get it; empty when the engine can speak."""

    @abstractmethod
    def voices(self) -> list[str]:
        """Names that no voice of the other split may share anything with."""

    def draw(self, rng: np.random.Generator, voices: list[str]) -> str:
        """A voice made of some of `voices`: one of them, or what the engine mixes of them."""
        return voices[int(rng.integers(len(voices)))]

    @abstractmethod
    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        """Speak at `speed` times the voice's usual rate; the same call gives the same samples."""

    def speak(self, text: str, voice: str, speed: float, pitch: float) -> Speech:
        """The same with pitch and formants `pitch` times as high: another, smaller throat."""
        speech = self.synthesize(text, voice, speed / pitch)
        pcm = to_int16_at(speech.pcm.astype(np.float32) / np.float32(32768), RATE * pitch)
        words = speech.words and tuple((w, s / pitch, e / pitch) for w, s, e in speech.words)
        return Speech(pcm, words)


def to_int16_at(x: NDArray[np.float32], rate: float) -> NDArray[np.int16]:
    """Samples of +-1 at `rate` Hz as int16 at 16 kHz, the peak at half of full scale."""
    if rate != RATE:
        x = soxr.resample(x, rate, RATE)
    peak = float(np.abs(x).max(initial=0.0))
    return np.rint(x * (16384 / peak if peak else 0.0)).astype(np.int16)


def run_program(arguments: list[str]) -> str:
    """Output of a program; a DataError with its own words when it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise DataError(f"{' '.join(arguments)}: failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
