# SPDX-License-Identifier: Apache-2.0
"""Names, messages and docs use the terms of docs/glossary.md; terms that were retired stay out."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from wakestate import ROOT

#: Parts of identifiers of Python and C (split at _ and capitals), and the term to use.
PARTS = {
    "anew": "again",
    "hear": "push, process",
    "heard": "processed, or what it is",
    "lamp": "led",
    "lamps": "leds",
    "least": "min, lowest",
    "mend": "hint",
    "most": "max, limit",
    "obey": "handle",
    "obeyed": "handled",
    "obeys": "handles",
    "tell": "emit, report",
    "tells": "emits, reports",
    "taught": "distill, soft_targets",
    "teach": "distill",
    "told": "reported, given",
    "untold": "unreported",
}
#: Whole identifiers, and the term to use.
NAMES = {
    "FirstLook": "Detector",
    "SecondLook": "Verifier",
    "first_look": "detector",
    "second_look": "verifier",
    "Heard": "DetectionResult",
    "Drawn": "Batch",
    "Recipe": "TrainConfig",
    "Cut": "FeatureWindow",
    "Cuts": "Examples",
    "Near": "Confusable",
    "near_recordings": "confusable_recordings",
    "decide_anew": "recalibrate",
    "Rounded": "FakeQuantize",
    "ahead": "prefetch",
    "be_late": "stall",
    "held": "validation, held_out",
    "kept": "artifacts, or what it is",
    "turned": "complex_multiply",
    "ws_half": "ws_halfband",
    "ws_kept": "hide_from_optimizer",
    "ws_later": "compiler_barrier",
    "ws_turned": "ws_complex_multiply",
}
#: Phrases of prose, in comments, messages and docs.
PHRASES = {
    r"(first|second|one|two|both) looks?": "detector, verifier",
    r"anew": "again",
    r"mend": "hint, fix",
    r"lamps?": "LED",
    r"reckon(ed|s)?": "computed",
    r"whence|thereby|henceforth": "plain words",
    r"behaviour|colour\w*|neighbour\w*|centre[ds]?|metres|labelled|modelled": "American spelling",
    r"told|untold": "given, reported",
    r"taught|teaches": "distillation, trained",
    r"obey(s|ed)?": "handles",
    r"(go|goes|going|went|gone) on (from|with|where)": "continue, resume",
    r"(made|begun|read) ahead": "prefetched",
    r"whoever|wants|at work|passed over": "who, needs, running, ignored",
}
#: Of these, what a log of experiments may have.
SINCE = [p for p in PHRASES if re.match(r"told|taught|\(go", p)]
#: Phrases whose term depends on what a file is about: they stay out of these.
ELSEWHERE = {
    r"near[ -]miss(es)?": (
        "confusable phrase: a near miss is an event of the device",
        ("README.md", "docs/training.md", "docs/experiments/", "train/", "verify/", "words/"),
    )
}
#: Experiments in the words of their time.
LOGS = ("docs/experiments/detector.md", "models/alexa/README.md")
OTHERS = {".tflite", ".keras", ".npz", ".wav", ".png", ".svg"}
#: Files with words of others: sentences to speak, and this list.
SKIPPED = {
    "train/synthesis/sentences.txt",
    "tests/unit/test_vocabulary.py",
    "CHANGELOG.md",
    "LICENSE",
}
WORD = re.compile(r"[A-Za-z_]\w*")
C_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)


def sources() -> list[Path]:
    """Tracked files of text."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    found = [ROOT / name for name in listed.stdout.split("\n") if name and name not in SKIPPED]
    return [p for p in found if p.is_file() and not p.is_symlink() and p.suffix not in OTHERS]


def identifiers(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier of Python or C."""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
    elif path.suffix in (".c", ".h", ".cpp"):
        code = C_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        for number, line in enumerate(code.split("\n"), 1):
            yield from ((number, name) for name in WORD.findall(line))


def parts(name: str) -> set[str]:
    """Words of an identifier."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def phrases(where: str) -> re.Pattern[str]:
    """What stays out of the prose of a file."""
    out = [p for p in PHRASES if where not in LOGS or p not in SINCE]
    out += [
        p for p, (_, places) in ELSEWHERE.items() if where.startswith(places) and where not in LOGS
    ]
    return re.compile("|".join(rf"\b(?:{p})\b" for p in out), re.IGNORECASE)


def test_no_retired_term_is_left() -> None:
    problems = []
    for path in sources():
        text, where = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        for number, name in identifiers(path, text):
            for part in sorted(parts(name) & PARTS.keys()):
                problems.append(f"{where}:{number}: {name}: {part}; use {PARTS[part]}")
            if name in NAMES:
                problems.append(f"{where}:{number}: {name}; use {NAMES[name]}")
        phrase = phrases(where)
        for number, line in enumerate(text.split("\n"), 1):
            problems += [f"{where}:{number}: {found[0]}" for found in phrase.finditer(line)]
    assert not problems, "\n".join(problems)


def test_retired_terms_are_found() -> None:
    assert parts("ws_driver_lampOff") == {"ws", "driver", "lamp", "off"}
    assert [n for _, n in identifiers(Path("x.c"), '/* told */ int told = "mend";')] == [
        "int",
        "told",
    ]
    assert (1, "mend") in list(identifiers(Path("x.py"), "mend = 'told'\n"))
