# SPDX-License-Identifier: Apache-2.0
"""How good a phrase is as a wake word: how long, how often it is said, what sounds like it."""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass

import wordfreq

from wakestate.train.synthesis.confusables import Confusable, confusables
from wakestate.train.synthesis.engine import ENGLISH
from wakestate.train.synthesis.language import check_letters, plain, zipf
from wakestate.train.synthesis.sounds import sounds_of

NEAREST = 5  # phrases that are shown
FEW_SYLLABLES, MANY_SYLLABLES = 3, 7
COMMON = 4.5  # Zipf frequency of the rarest word: 32 times in a million words
CLOSE = 0.6  # of a phone apart


@dataclass(frozen=True)
class Phrase:
    """What is known of a phrase before anything is trained."""

    text: str
    phones: tuple[str, ...]
    zipf: float  # of its rarest word: log10 of how often among 10^9 words; 0: not known
    nearest: tuple[Confusable, ...]
    syllables: int  # vowels, each of them the middle of a syllable
    language: str = ENGLISH

    def concerns(self) -> list[str]:
        """What speaks against it, a sentence each."""
        found = []
        if self.syllables < FEW_SYLLABLES:
            found.append(
                f"{_syllables(self.syllables)} can be heard in other speech by chance; "
                + ("'hey' before it helps" if self.language == ENGLISH else "a longer one helps")
            )
        if self.syllables > MANY_SYLLABLES:
            found.append(f"{_syllables(self.syllables)} are many: people leave some out")
        if self.zipf >= COMMON:
            found.append(
                f"its rarest word is said {10 ** (self.zipf - 3):.0f} times in a million: "
                "each of them in a conversation may wake the device"
            )
        own = set(self.text.lower().split())
        close = [
            c.text for c in self.nearest if c.distance <= CLOSE and not own & set(c.text.split())
        ]
        if close:
            found.append(f"nearly the same sounds: {', '.join(close)}")
        return found

    def lines(self) -> list[str]:
        """All of it for people."""
        near = ", ".join(f"{c.text} ({c.distance:.1f})" for c in self.nearest)
        often = f"{10 ** (self.zipf - 3):.2g} in a million words" if self.zipf else "not known"
        concerns = self.concerns()
        overall = ("good", "it may do")[len(concerns)] if len(concerns) < 2 else "weak"
        return [
            f"phrase       {self.text}: {_syllables(self.syllables)}, {len(self.phones)} phones: "
            f"{' '.join(self.phones)}",
            f"how common   {often} (its rarest word)",
            f"sounds like  {near or 'nothing near'}",
            *(f"concern      {concern}" for concern in concerns),
            f"in all       {overall}",
        ]


def _syllables(count: int) -> str:
    return "1 syllable" if count == 1 else f"{count} syllables"


def assess(text: str, language: str = ENGLISH) -> Phrase:
    """What is known of a phrase. PhraseError where no voice can say it."""
    check_letters("phrase", text, language)
    sounds = sounds_of(language)
    if language == ENGLISH:
        spoken = re.sub(r"[^\w' ]", " ", text).lower()
        often = min(wordfreq.zipf_frequency(word, "en") for word in spoken.split())
    else:
        spoken = plain(text)
        often = zipf(spoken, language)
    phones = sounds.pronounce(spoken)
    nearest = tuple(confusables(spoken, NEAREST, language)) if len(phones) > 1 else ()
    return Phrase(text, phones, often, nearest, sum(map(sounds.is_vowel, phones)), language)


def _latin(letter: re.Match[str]) -> str:
    """The Latin letter below marks and strokes, where there is one."""
    found = re.match(r"LATIN SMALL LETTER ([A-Z])( WITH .*)?$", unicodedata.name(letter[0], ""))
    return found[1].lower() if found else letter[0]


def name_of(text: str) -> str:
    """A word file's name for a phrase: "Hey Jupiter!" is hey_jupiter; one with letters that no
    Latin one stands for ends in a number of its own."""
    latin = re.sub(r"[^\W\d_]", _latin, text.casefold())
    ascii_only = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")
    if any(c.isalpha() and not c.isascii() for c in latin):
        name = f"{name}_{zlib.crc32(text.casefold().encode()):08x}".strip("_")
    return name if name[:1].isalpha() else f"word_{name}".rstrip("_")
