# SPDX-License-Identifier: Apache-2.0
"""What to expect of a new word, in words: from what its evaluation found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from wakestate import tables
from wakestate.train.evaluation.cells import frr, label
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import Evaluated, Row, State
from wakestate.words import Word

FEW_HOURS = 6.0  # three false accepts at half of one an hour: fewer say little of a rate
MANY_MISSES = 0.1
UNUSABLE = 0.5
FOOLED = 0.1  # of the tries
SHOWN = 5  # false accepts


def outcome(word: Word, found: Evaluated, *, short: bool, judged: bool) -> str:
    """Misses and false wakes of each device state, what fools it and what would help.

    `short`: by a recipe that gives up accuracy. `judged`: the recordings of the word are by people
    who were given for this alone. Each half of the sound is measured at the threshold that the
    other half sets.
    """
    hours = sum(found.half_hours)
    voices = len(set(found.voices))
    who = "people" if judged else "synthetic voices that training never read"
    head = (
        f'What to expect of "{word.phrase}": {found.positives} recordings by {voices} {who}; '
        f"{hours:.1f} h of sound without it"
    )
    overall = _overall(found.rows[0].crossed[_rate(word)].frr)
    parts = [head, overall, tables.text(_rows(word, found), left=1), *_fooled(word, found)]
    return "\n\n".join([*parts, "What would help most:\n" + _help(word, found, short, judged)])


def _overall(missed: float) -> str:
    """In one sentence, by the share of clean recordings that are missed."""
    if missed > UNUSABLE:
        return "Not usable as it is: it misses most recordings, even clean ones."
    of = f"it misses {100 * missed:.0f} of 100 clean recordings"
    return f"Usable: {of}." if missed <= MANY_MISSES else f"It works at times: {of}."


def _rate(word: Word) -> str:
    return f"{word.detector.false_accepts_per_hour:g}"


def _rows(word: Word, found: Evaluated) -> list[dict[str, str]]:
    rate = _rate(word)
    states = {s.state: s for s in found.states if s.listener == OURS and s.rate == rate}
    return [
        {
            "the device, and what sounds": label(row.condition.name),
            "misses, % [95 %]": " ".join(frr(row.crossed[rate])),
            "false wakes an hour [95 %]": _an_hour(states[row.condition.state]),
        }
        for row in found.of("sound", "state")
    ]


def _an_hour(state: State) -> str:
    rate = state.false_accepts / max(state.hours, 1e-9)
    return f"{rate:.2f} [{state.low:.2f}, {state.high:.2f}]"


def _fooled(word: Word, found: Evaluated) -> list[str]:
    """Phrases that wake it, and what did in the sound without the word."""
    lines, shares = [], _shares(word, found)
    if found.confusables:
        named = [f"{phrase} ({100 * share:.0f} %)" for phrase, share in shares if share]
        lines.append("Phrases that fool it: " + (", ".join(named) or "none of those tried"))
    texts = dict.fromkeys(accept.text or accept.file for accept in found.false_accepts)
    if texts:
        lines.append("Woke it without the word: " + "; ".join(list(texts)[:SHOWN]))
    return ["\n".join(lines)] if lines else []


def _shares(word: Word, found: Evaluated) -> list[tuple[str, float]]:
    """Of each confusable phrase the share of the tries with a wake, the highest first."""
    fired, tries = Counter[str](), Counter[str]()
    for one in found.confusables:
        if one.phrase != word.phrase:
            fired[one.phrase] += one.fired[OURS].get("shipped", 0)
            tries[one.phrase] += one.tries
    shares = [(phrase, fired[phrase] / max(count, 1)) for phrase, count in tries.items()]
    return sorted(shares, key=lambda share: (-share[1], share[0]))


def _help(word: Word, found: Evaluated, short: bool, judged: bool) -> str:
    rate, hours = _rate(word), sum(found.half_hours)
    clean = found.rows[0].crossed[rate]
    tips = []
    if short:
        tips.append(
            "`--recipe standard`: quick has few voices, few scenes and few hours; it shows that "
            "the word works, not how well it can"
        )
    if not judged:
        tips.append(
            "recordings by people: no person has said it yet, and people are missed more often "
            "than voices; `--judge FOLDER` measures on them, `--recordings FOLDER` learns from them"
        )
    if hours < FEW_HOURS:
        tips.append(
            f"more sound without the word: {hours:.1f} h cannot tell {rate} false wakes an hour "
            f"from {_highest(found, rate):.1f}; `--recipe best` takes 28 h more"
        )
    worst = _worst(found, rate)
    if worst is not None and clean.frr <= MANY_MISSES:
        tips.append(
            f"a larger `--flash`, if there is room: misses are most in "
            f"{label(worst.condition.name)}"
        )
    if any(share > FOOLED for _, share in _shares(word, found)):
        tips.append(
            "phrases that fool it: name more of them as [data] confusables in the word file"
        )
    if clean.frr > MANY_MISSES and not short:
        tips.append("a longer phrase: this one is missed even in clean recordings")
    return "\n".join(f"  {n}. {tip}" for n, tip in enumerate(tips, 1)) or "  nothing that is known"


def _highest(found: Evaluated, rate: str) -> float:
    return max(s.high for s in found.states if s.listener == OURS and s.rate == rate)


def _worst(found: Evaluated, rate: str) -> Row | None:
    rows = found.of("sound", "state")
    worst = max(rows, key=lambda row: row.crossed[rate].frr)
    return worst if worst.crossed[rate].frr > 3 * MANY_MISSES else None


def next_steps(
    word_file: Path, model: Path, sample: Path, board: str, measured: Sequence[str]
) -> str:
    """The commands to hear it, to flash it and to put it into one's own firmware."""
    of = f"--word {word_file} --model {model}"
    return "\n".join(
        [
            "To hear it:       wakestate emulate " + f"{of} {sample}",
            "In the browser:   wakestate web serve " + of,
            "To flash it:      wakestate flash " + f"{of} --board {board}",
            "Your firmware:    wakestate export " + f"{of} --out library   (docs/integrate.md)",
            "The whole report: wakestate report "
            + f"{of} --out {model.parent} {' '.join(measured)}",
        ]
    )
