# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings of a word, as they come, as a data folder: no manifest to write."""

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

SOUNDS = AUDIO | {".m4a", ".mp4", ".aac", ".aif", ".aiff", ".webm", ".amr", ".wma"}


def import_recordings(
    folder: Path, word: Word, out: Path, split: str, others: Path | None = None
) -> int:
    """Fill the data folder `out` with the word as it is said in `folder`; how many files.

    Any rate, any format that FFmpeg reads. Who speaks: the first folder below `folder`, where there
    is one; else each file counts as a voice. `others`: a data folder whose rows of the same split
    without the word are linked in beside. DataError names all files that cannot be read.
    """
    claim(out)
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUNDS and p.is_file())
    if not found:
        raise DataError(f"{folder}: no sound in it; allowed: {', '.join(sorted(SOUNDS))}")
    rows, problems = [], []
    for number, path in enumerate(found):
        try:
            x = decode(path.read_bytes(), path.suffix.lower())
        except (av.FFmpegError, IndexError, OSError) as error:
            problems.append(f"{path.relative_to(folder)}: cannot be read: {error}")
            continue
        rows.append(_row(path.relative_to(folder), word, split, number, len(x)))
        pcm = np.rint(np.clip(x, -1, 1) * 32767).astype(np.int16)
        write_wav(out / rows[-1]["path"], pcm)
    refuse(folder, problems, "files")
    rows += _others(others, word, out, split) if others else []
    finish(out, rows, [], set())
    return len(found)


def _row(path: Path, word: Word, split: str, number: int, samples: int) -> Row:
    label = word.data.positive[0]
    return {
        "path": f"{split}/word/{number:05d}.wav",
        "split": split,
        "kind": label,
        "label": label,
        "speaker": path.parts[0] if len(path.parts) > 1 else "n/a",
        "seconds": f"{samples / RATE:.3f}",
        "text": label,
        "source": "recorded",
        "licence": "own",
    }


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
