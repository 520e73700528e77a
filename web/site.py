# SPDX-License-Identifier: Apache-2.0
"""The page's folder: static files, the module, and the page's facts about the words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wakestate import ROOT, __version__
from wakestate.bench.rows import read_report
from wakestate.words import Word

PAGE = Path(__file__).parent / "page"
MODULE = "engine.wasm"


@dataclass(frozen=True)
class Shown:
    """A word of the page, and its sample where it has one."""

    word: Word
    sample: Path | None


def costs(names: Sequence[str]) -> list[dict[str, Any]]:
    """What the words cost on each core for a second of sound, as the baseline counts it."""
    report = read_report(ROOT / "bench/baseline.json", made_by="wakestate bench accept")
    return [
        {
            "word": row.model,
            "core": row.core.replace("cortex-m", "Cortex-M"),
            "instructions": row.instructions,
            "flash": row.flash,
            "ram": row.ram,
            "stack": row.stack,
        }
        for row in report.rows
        if row.layer == "total" and row.model in names
    ]


def about(shown: Sequence[Shown]) -> dict[str, Any]:
    """The page's facts about its words."""
    return {
        "version": __version__,
        "words": [
            {
                "name": one.word.name,
                "phrase": one.word.phrase,
                "label": one.word.data.positive[0],
                "sample": f"{one.word.name}.wav" if one.sample else None,
            }
            for one in shown
        ],
        "costs": costs([one.word.name for one in shown]),
    }


def _copied(shown: Sequence[Shown], module: Path, out: Path) -> list[str]:
    """Copy what the page is made of; the names of the files."""
    shutil.copytree(PAGE, out, dirs_exist_ok=True)
    if module != out / MODULE:
        shutil.copyfile(module, out / MODULE)
    samples = {f"{one.word.name}.wav": one.sample for one in shown if one.sample}
    for name, sample in samples.items():
        shutil.copyfile(sample, out / name)
    return sorted([*(path.name for path in PAGE.iterdir()), MODULE, *samples])


def write_site(shown: Sequence[Shown], module: Path, out: Path) -> None:
    """Write the folder `out`: any web server may serve it, and nothing else is needed."""
    facts = about(shown) | {"files": [*_copied(shown, module, out), "about.json"]}
    text = json.dumps(facts, ensure_ascii=False, indent=1)
    (out / "about.json").write_text(text + "\n", encoding="utf-8")
