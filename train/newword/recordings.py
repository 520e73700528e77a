# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings of a word, as they come, as a data folder: no manifest is needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np

from wakestate.train.artifacts import write_wav
from wakestate.train.data.corpus import RATE, DataError, split_rows
from wakestate.train.data.manifest import Row, refuse
from wakestate.train.synthesis.gather import COLUMNS, claim, finish
from wakestate.train.synthesis.recorded import AUDIO, decode
from wakestate.words import Word

MANIFEST = "manifest.csv"
OWN = {"source": "recorded", "licence": "own"}
SOUNDS = AUDIO | {".m4a", ".mp4", ".aac", ".aif", ".aiff", ".webm", ".amr", ".wma"}


def import_recordings(
    folder: Path, word: Word, out: Path, split: str, others: Path | None = None
) -> int:
    """Fill the data folder `out` with the word as it is said in `folder`; how many times.

    Any rate, any format that FFmpeg reads. With a manifest.csv, as the page in the browser writes
    it: what that lists of the split, by its labels. Without: all is the word, and who speaks is the
    first folder below `folder`, where there is one; else each file counts as a voice.
    `others`: a data folder whose rows of the same split without the word are linked in beside.
    DataError names all files that cannot be read.
    """
    claim(out)
    given = _listed(folder, word, split) if (folder / MANIFEST).is_file() else _found(folder, word)
    rows, problems = [], []
    for number, (path, row) in enumerate(given):
        try:
            x = decode((folder / path).read_bytes(), path.suffix.lower())
        except (av.FFmpegError, IndexError, OSError) as error:
            problems.append(f"{path}: cannot be read: {error}")
            continue
        said = row["label"] in word.data.positive
        place = f"{split}/{'word' if said else 'other'}/{number:05d}.wav"
        seconds = f"{len(x) / RATE:.3f}"
        rows.append({**row, "path": place, "split": split, "seconds": seconds, **OWN})
        pcm = np.rint(np.clip(x, -1, 1) * 32767).astype(np.int16)
        write_wav(out / place, pcm)
    refuse(folder, problems, "files")
    count = sum(row["label"] in word.data.positive for row in rows)
    rows += _others(others, word, out, split) if others else []
    finish(out, rows, [], set())
    return count


def _found(folder: Path, word: Word) -> list[tuple[Path, Row]]:
    """All sounds below the folder, each the word."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUNDS and p.is_file())
    if not found:
        raise DataError(f"{folder}: no sound in it; allowed: {', '.join(sorted(SOUNDS))}")
    label = word.data.positive[0]
    row = {"kind": label, "label": label, "text": label}
    paths = [path.relative_to(folder) for path in found]
    return [(p, row | {"speaker": p.parts[0] if len(p.parts) > 1 else "n/a"}) for p in paths]


def _listed(folder: Path, word: Word, split: str) -> list[tuple[Path, Row]]:
    """What the folder's manifest has of the split, the word and other sound."""
    rows = split_rows(folder, split, word.data)
    if not any(row["label"] in word.data.positive for row in rows):
        raise DataError(
            f"{folder / MANIFEST}: no row of split '{split}' has the label "
            f"'{word.data.positive[0]}'; hint: without {MANIFEST} every file is taken as the word"
        )
    fields = ("kind", "label", "text", "speaker")
    return [(Path(row["path"]), {name: row.get(name, "") for name in fields}) for row in rows]


def _others(data: Path, word: Word, out: Path, split: str) -> list[Row]:
    barred = {*word.data.positive, *word.data.exclude}
    rows = [row for row in split_rows(data, split, word.data) if row["label"] not in barred]
    for row in rows:
        path = out / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            os.link(data / row["path"], path)
        except OSError:  # on another file system
            shutil.copy(data / row["path"], path)
    return [{name: row.get(name, "") for name in COLUMNS} for row in rows]
