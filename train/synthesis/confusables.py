# SPDX-License-Identifier: Apache-2.0
"""What sounds like a phrase: words, pairs and triples of words at a small phonetic distance.

The distance is an edit distance over the phones of the CMU dictionary, or in other languages than
English over espeak-ng's phonemes. Putting one phone in another's place costs by the articulatory
features they do not share (PanPhon, COLING 2016); phones that follow or precede the phrase cost
little, as a detector on a stream finds the phrase inside them ("Alexander").
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakestate.train.synthesis.engine import ENGLISH
from wakestate.train.synthesis.sounds import Phones, Sounds, sounds_of

Word = tuple[float, str, Phones]  # a word with its distance from a stretch of the phrase

DROP = {True: 0.8, False: 1.0}  # cost of a vowel, a consonant too many or too few
OUTSIDE = 0.25  # of a phone before or after the phrase
KNOWN, COMMON = 2.3, 3.0  # Zipf frequency that a word must have: alone; in a pair or triple
SPAN_WORDS, TRIPLE_WORDS = 40, 12  # tried for each stretch of the phrase
A_WORD_MORE = 0.3
SAME = 0.25  # nearer than this they sound the same


@dataclass(frozen=True, order=True)
class Confusable:
    """A phrase and its phonetic distance from the wake word; 1 is one phone too many."""

    distance: float
    text: str


def pronounce(phrase: str, language: str = ENGLISH) -> Phones:
    """Phones of a phrase."""
    return sounds_of(language).pronounce(phrase)


def distance(phones: Phones, phrase: Phones, sounds: Sounds | None = None) -> float:
    """Weighted edit distance of a pronunciation from the phrase's, all its neighbors tried."""
    sounds = sounds or sounds_of(ENGLISH)
    words, part = sounds.codes(phones)[None], sounds.codes(phrase)
    return float(_distances(sounds, words, part, True, True)[0])


def _distances(
    sounds: Sounds, words: NDArray[np.int64], part: NDArray[np.int64], opens: bool, ends: bool
) -> NDArray[np.float64]:
    """Distances of words of one length from a part of the phrase.

    `opens`, `ends`: the part is the phrase's first, last, so what is outside costs little.
    """
    cost, length = sounds.substitution(), words.shape[1]
    drops = np.where(sounds.vowels(), DROP[True], DROP[False])
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


def _nearest(
    sounds: Sounds, part: Phones, opens: bool, ends: bool, frequency: float, limit: int
) -> list[Word]:
    slack = 8 if opens and ends else 3
    target = sounds.codes(part)
    found: list[Word] = []
    for words, codes in sounds.lexicon(frequency):
        if len(part) - 3 <= codes.shape[1] <= len(part) + slack:
            apart = _distances(sounds, codes, target, opens, ends)
            for i in np.argsort(apart, kind="stable")[:limit]:
                phones = tuple(sounds.names[code] for code in codes[i])
                found.append((float(apart[i]), words[int(i)], phones))
    return sorted(found)[:limit]


def confusables(phrase: str, limit: int = 200, language: str = ENGLISH) -> list[Confusable]:
    """The nearest phrases, the nearest first; never the phrase, nor one that has it inside.

    One to three words each; no long word in more than a fortieth of them.
    """
    sounds = sounds_of(language)
    wanted = sounds.pronounce(phrase)
    n = len(wanted)
    singles = [(word,) for word in _nearest(sounds, wanted, True, True, KNOWN, 2 * limit)]
    span = {
        (i, j): _nearest(sounds, wanted[i:j], i == 0, j == n, COMMON, SPAN_WORDS)
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
        apart = distance(phones, wanted, sounds) + A_WORD_MORE * (len(words) - 1)
        if apart >= SAME and text != phrase and not _inside(sounds, wanted, phones):
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


def _inside(sounds: Sounds, phrase: Phones, phones: Phones) -> bool:
    """Whether the phrase is spoken in it, up to vowels that sound the same."""
    cost, n = sounds.substitution(), len(phrase)
    wanted, codes = sounds.codes(phrase), sounds.codes(phones)
    return any(cost[codes[i : i + n], wanted].sum() < SAME for i in range(len(phones) - n + 1))
