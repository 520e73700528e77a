# SPDX-License-Identifier: Apache-2.0
"""Two halves of a split, so that thresholds are set on one and reported on the other.

No voice and no package is in both. Which half a group of recordings falls into depends on names
and lengths alone, so that every machine divides them in the same way.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from wakestate.train.data.corpus import Clip
from wakestate.train.data.manifest import NOBODY

SOUNDS = ("music", "noise")
WORD = "the word"  # a kind of its own, whatever the recordings' kind is


def group(clip: Clip) -> str:
    """What must not be in both halves: a package, else a speaker, else a source of recordings.

    Of music and noise, where nobody speaks, a package or the file.
    """
    if clip.source.startswith("debian") and "," not in clip.source:
        return clip.source
    if clip.kind in SOUNDS:
        return clip.path
    return clip.speaker if clip.speaker not in NOBODY else clip.source or clip.path


def halves(positives: Iterable[Clip], negatives: Iterable[Clip]) -> dict[Clip, int]:
    """0 or 1 for each clip; near equal hours of each kind without the word, and recordings of it.

    Recordings of the word by nobody that is known count as voices of their own; so does every
    file where all would be one group.
    """
    words = list(positives)
    others = list(negatives)
    known = {clip.speaker for clip in words} - set(NOBODY)
    of = {
        clip: group(clip) if len(known) > 1 and clip.speaker in known else clip.path
        for clip in words
    }
    alone = len({group(clip) for clip in others}) < 2
    of |= {clip: clip.path if alone else group(clip) for clip in others}
    sizes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for clip in words:
        sizes[of[clip]][WORD] += 1
    for clip in others:
        sizes[of[clip]][clip.kind] += clip.samples
    half = _balanced(sizes)
    return {clip: half[name] for clip, name in of.items()}


def _balanced(sizes: dict[str, dict[str, float]]) -> dict[str, int]:
    """The largest groups first, each to the half that then differs less: in each kind, and in all
    that is not the word, each as a share of its whole."""
    whole: dict[str, float] = defaultdict(float)
    for amounts in sizes.values():
        for kind, amount in amounts.items():
            whole[kind] += amount
    sound = sum(amount for kind, amount in whole.items() if kind != WORD) or 1.0

    def share(amounts: dict[str, float]) -> float:
        return max(a / whole[kind] if kind == WORD else a / sound for kind, a in amounts.items())

    lead: dict[str, float] = defaultdict(float)  # of the first half over the second
    found = {}
    for name in sorted(sizes, key=lambda n: (-share(sizes[n]), _digest(n))):
        amounts = sizes[name]

        def apart(sign: int, amounts: dict[str, float] = amounts) -> float:
            after = {kind: lead[kind] + sign * a for kind, a in amounts.items()}
            total = sum((lead | after).get(k, 0.0) for k in whole if k != WORD) / sound
            return total**2 + sum((x / whole[k]) ** 2 for k, x in after.items())

        first, second = apart(1), apart(-1)
        found[name] = int(second < first) if first != second else _digest(name)[0] % 2
        for kind, amount in amounts.items():
            lead[kind] += amount * (1 - 2 * found[name])
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
