# SPDX-License-Identifier: Apache-2.0
"""What to expect of a new word, in words: from what its evaluation found."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from wakestate import tables
from wakestate.train.evaluation.cells import frr, label
from wakestate.train.evaluation.document import Evaluated, Row, State
from wakestate.train.report.verdict import MANY_MISSES, fooled, headline, rate_of, shares, states
from wakestate.words import Word

FEW_HOURS = 6.0  # three false accepts at half of one an hour: fewer say little of a rate
FOOLED = 0.1  # of the tries


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
    overall = headline(found.rows[0].crossed[rate_of(word)].frr)
    parts = [head, overall, tables.text(_rows(word, found), left=1)]
    parts += ["\n".join(lines) for lines in [fooled(word, found)] if lines]
    return "\n\n".join([*parts, "What would help most:\n" + _help(word, found, short, judged)])


def _rows(word: Word, found: Evaluated) -> list[dict[str, str]]:
    rate, of = rate_of(word), states(word, found)
    return [
        {
            "the device, and what sounds": label(row.condition.name),
            "misses, % [95 %]": " ".join(frr(row.crossed[rate])),
            "false wakes an hour [95 %]": _an_hour(of[row.condition.state]),
        }
        for row in found.of("sound", "state")
    ]


def _an_hour(state: State) -> str:
    rate = state.false_accepts / max(state.hours, 1e-9)
    return f"{rate:.2f} [{state.low:.2f}, {state.high:.2f}]"


def _help(word: Word, found: Evaluated, short: bool, judged: bool) -> str:
    rate, hours = rate_of(word), sum(found.half_hours)
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
            f"from {_highest(word, found):.1f}; `--recipe best` takes 28 h more"
        )
    worst = _worst(found, rate)
    if worst is not None and clean.frr <= MANY_MISSES:
        tips.append(
            f"a larger `--flash`, if there is room: misses are most in "
            f"{label(worst.condition.name)}"
        )
    if any(share > FOOLED for _, share in shares(word, found)):
        tips.append(
            "phrases that fool it: name more of them as [data] confusables in the word file"
        )
    if clean.frr > MANY_MISSES and not short:
        tips.append("a longer phrase: this one is missed even in clean recordings")
    return "\n".join(f"  {n}. {tip}" for n, tip in enumerate(tips, 1)) or "  nothing that is known"


def _highest(word: Word, found: Evaluated) -> float:
    return max(s.high for s in states(word, found).values())


def _worst(found: Evaluated, rate: str) -> Row | None:
    rows = found.of("sound", "state")
    worst = max(rows, key=lambda row: row.crossed[rate].frr)
    return worst if worst.crossed[rate].frr > 3 * MANY_MISSES else None


def next_steps(
    word_file: Path, model: Path, sample: Path, board: str, measured: Sequence[str]
) -> str:
    """The commands to hear it, to flash it and to put it into one's own firmware."""
    program, of = as_typed(), f"--word {word_file} --model {model}"
    steps = {
        "To hear it:": f"emulate {of} {sample}",
        "By microphone:": f"listen {of}",
        "In the browser:": f"web serve {of}",
        "To flash it:": f"flash {of} --board {board}",
        "Your firmware:": f"export {of} --out library   (docs/integrate.md)",
        "The whole report:": f"report {of} --out {model.parent} {' '.join(measured)}",
    }
    return "\n".join(f"{what:<17} {program} {command}" for what, command in steps.items())


def as_typed() -> str:
    """What starts this program here: its name, or where that is not in PATH its path."""
    own = Path(sys.executable).with_name("wakestate")
    if shutil.which("wakestate") or not own.is_file():
        return "wakestate"
    here = Path.cwd()
    return str(own.relative_to(here) if own.is_relative_to(here) else own)
