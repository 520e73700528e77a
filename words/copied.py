# SPDX-License-Identifier: Apache-2.0
"""What a word file still has from the one that it was copied from."""

from __future__ import annotations

from pathlib import Path

from wakestate import ROOT
from wakestate.words.schema import Word, WordError, load_word

OURS = ROOT / "words"


def copied(path: Path, word: Word) -> list[str]:
    """A line for each file of another phrase, here or next to `path`, of which `word` has facts
    that are that phrase's own."""
    lines = []
    for other in sorted({*path.parent.glob("*.toml"), *OURS.glob("*.toml")}):
        if other.resolve() == path.resolve():
            continue
        try:
            theirs = load_word(other)
        except WordError:
            continue
        same = [] if theirs.phrase.lower() == word.phrase.lower() else _same(word, theirs)
        if same:
            lines.append(
                f"{path}: warning: {', '.join(same)}: as in {other}, whose phrase is "
                f"'{theirs.phrase}'; remove what does not belong to '{word.phrase}'"
            )
    return lines[:1]  # copies of a copy say the same


def _same(word: Word, theirs: Word) -> list[str]:
    """The keys of `[data]` and `[detector]` with values that no two phrases share by chance."""
    mine, other = word.data, theirs.data
    same = []
    if set(mine.positive) & set(other.positive):
        same.append("[data] positive")
    if mine.stressed_core and mine.stressed_core == other.stressed_core:
        same.append("[data] stressed_core")
    for key in ("say", "confusables"):
        if len(set(getattr(mine, key)) & set(getattr(other, key))) > 1:
            same.append(f"[data] {key}")
    for key in ("places", "confusable_recordings"):
        shared = len(set(getattr(mine, key)) & set(getattr(other, key)))
        if shared:
            same.append(f"[data.{key}] ({shared} recordings)")
    shortest = word.detector.shortest_s
    if same and shortest and shortest == theirs.detector.shortest_s:
        same.append("[detector] shortest_s")
    return same
