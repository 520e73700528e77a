# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found, in plain words: misses in ten, false wakes in hours, what fools it.

Each half of the sound is measured at the threshold that the other half sets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from wakestate.train.evaluation.cells import frr, label
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import Evaluated, State
from wakestate.train.evaluation.float_baseline import FLOAT
from wakestate.words import Word

MANY_MISSES = 0.1
UNUSABLE = 0.5
SHOWN = 5  # false accepts


@dataclass(frozen=True)
class Missed:
    """Misses in one condition: in words, as a share, and its interval in percent."""

    what: str
    words: str
    share: float
    interval: str


@dataclass(frozen=True)
class Verdict:
    """The first section of the report; every part is text but the bars of `missed`."""

    headline: str
    missed: tuple[Missed, ...]
    wakes: tuple[tuple[str, str], ...]  # device state, how often
    fooled: tuple[str, ...]
    beside: tuple[str, ...]  # other engines on the same trials


def verdict(word: Word, found: Evaluated) -> Verdict:
    """All of it at the false accepts an hour that the word file means."""
    rate = rate_of(word)
    rows = found.of("sound", "state")
    return Verdict(
        headline(found.rows[0].crossed[rate].frr),
        tuple(
            Missed(
                label(row.condition.name),
                in_ten(at.frr, row.clips),
                at.frr,
                frr(at)[1],
            )
            for row in rows
            for at in (row.crossed[rate],)
        ),
        tuple((label(s.state), in_hours(s)) for s in states(word, found).values()),
        tuple(fooled(word, found)),
        tuple(_beside(found, rate)),
    )


def headline(missed: float) -> str:
    """In one sentence, by the share of clean recordings that are missed."""
    if missed > UNUSABLE:
        return "Not usable as it is: it misses most recordings, even clean ones."
    of = f"it misses {100 * missed:.0f} of 100 clean recordings"
    return f"Usable: {of}." if missed <= MANY_MISSES else f"It works at times: {of}."


def in_ten(share: float, trials: int) -> str:
    """A share of misses: "none of 82", "1 in 14", "3 in 10"."""
    if share == 0:
        return f"none of {trials}"
    if share < 0.2:
        return f"1 in {round(1 / share)}"
    return f"{round(10 * share)} in 10"


def in_hours(state: State) -> str:
    """How often it wakes for nothing: "one in 2.4 hours [1.8, 3.3]", below an hour in minutes."""
    if state.false_accepts == 0:
        return f"none in {state.hours:.1f} hours"
    each = state.hours / state.false_accepts
    unit, scale = ("hours", 1) if each >= 1 else ("minutes", 60)
    low, high = (scale / rate for rate in (state.high, state.low))
    return f"one in {scale * each:.1f} {unit} [{low:.1f}, {high:.1f}]"


def rate_of(word: Word) -> str:
    """False accepts an hour that the word's thresholds are for, as evaluate.json names them."""
    return f"{word.detector.false_accepts_per_hour:g}"


def states(word: Word, found: Evaluated) -> dict[str, State]:
    """The device's false accepts by state, at the word's rate."""
    rate = rate_of(word)
    return {s.state: s for s in found.states if s.listener == OURS and s.rate == rate}


def fooled(word: Word, found: Evaluated) -> list[str]:
    """Phrases that wake it, and what did in the sound without the word."""
    lines = []
    if found.confusables:
        named = [
            f"{phrase} ({100 * share:.0f} %)" for phrase, share in shares(word, found) if share
        ]
        lines.append("Phrases that fool it: " + (", ".join(named) or "none of those tried"))
    texts = dict.fromkeys(accept.text or accept.file for accept in found.false_accepts)
    if texts:
        lines.append("Woke it without the word: " + "; ".join(list(texts)[:SHOWN]))
    return lines


def shares(word: Word, found: Evaluated) -> list[tuple[str, float]]:
    """Of each confusable phrase the share of the tries with a wake, the highest first."""
    fired, tries = Counter[str](), Counter[str]()
    for one in found.confusables:
        if one.phrase != word.phrase:
            fired[one.phrase] += one.fired[OURS].get("shipped", 0)
            tries[one.phrase] += one.tries
    each = [(phrase, fired[phrase] / max(count, 1)) for phrase, count in tries.items()]
    return sorted(each, key=lambda share: (-share[1], share[0]))


def _beside(found: Evaluated, rate: str) -> list[str]:
    """Misses over all rows, beside those of the other engines on the same trials."""
    rows = found.of("sound", "state")
    trials = sum(row.clips for row in rows)
    ours = sum(row.crossed[rate].misses for row in rows) / trials
    made = []
    for name in rows[0].others:
        if name == FLOAT or not all(rate in row.others[name].crossed for row in rows):
            continue
        theirs = sum(row.others[name].crossed[rate].misses for row in rows) / trials
        made.append(
            f"{name} misses {100 * theirs:.1f} % of these trials at thresholds for {rate} false "
            f"wakes an hour, this word {100 * ours:.1f} %."
        )
    return made
