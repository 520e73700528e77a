# SPDX-License-Identifier: Apache-2.0
"""What filling a data folder consists of, whatever it is filled with.

A folder made here bears a mark, so that nobody's recordings are overwritten. What is finished is
a file of its own, so a killed run resumes where it was; the manifest is written last, and what it
does not name is removed.
"""

from __future__ import annotations

import csv
import json
import signal
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from wakestate.files import replaced, write_atomically
from wakestate.tables import Printed, markdown
from wakestate.train.data.corpus import DataError
from wakestate.train.parallel import in_parallel
from wakestate.train.synthesis.recorded import Source, extract

COLUMNS = ("path", "split", "kind", "label", "speaker", "seconds", "text", "source", "licence")
MARK = "made-by-wakestate.json"


def claim(data: Path) -> None:
    """Make the folder, or a DataError when it holds somebody's recordings."""
    mark = data / MARK
    if data.exists() and not mark.is_file() and any(data.iterdir()):
        raise DataError(f"{data}: has files that were not made here; name another folder: DATA=")
    data.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    write_atomically(mark, '{"made": "wakestate data synthesize"}\n')


def _stop(*_: object) -> None:
    raise SystemExit(143)  # as Ctrl-C does, it ends the workers too


Job = tuple[Path, Source]  # a package, and what to take of it


def _take(job: Job) -> tuple[str, dict[str, bytes]]:
    """The rows as JSON, and the files by their paths."""
    with tempfile.TemporaryDirectory() as folder:
        rows = json.dumps(extract(*job, Path(folder)))
        found = [path for path in Path(folder).rglob("*") if path.is_file()]
        return rows, {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def _key(job: Job) -> str:
    """What its files come from."""
    key = {"package": job[0].name, "source": asdict(job[1])}
    return json.dumps(key, sort_keys=True)


def _is_taken(data: Path, job: Job) -> bool:
    rows = rows_file(data, job[1])
    key = rows.with_suffix(".key")
    return rows.is_file() and key.is_file() and key.read_text(encoding="utf-8") == _key(job)


def take_recorded(taken: list[Source], debs: dict[str, Path], data: Path) -> list[dict[str, str]]:
    """Write what each source takes from its package, as far as that is not done; manifest rows."""

    def keep(job: Job, found: tuple[str, dict[str, bytes]]) -> None:
        for name, content in found[1].items():
            write_atomically(data / name, content)
        write_atomically(rows_file(data, job[1]), found[0])
        write_atomically(rows_file(data, job[1]).with_suffix(".key"), _key(job))

    jobs = [(debs[s.package], s) for s in taken]
    missing = [job for job in jobs if not _is_taken(data, job)]
    in_parallel(_take, missing, "recorded", "packages", keep=keep)
    rows = []
    for source in taken:
        rows += json.loads(rows_file(data, source).read_text(encoding="utf-8"))
    return rows


def rows_file(data: Path, source: Source) -> Path:
    """Where the manifest rows of a source are kept."""
    return data / "made" / f"{source.name}.json"


def finish(data: Path, rows: list[dict[str, str]], taken: list[Source], more: set[Path]) -> None:
    """Write the manifest; remove what an earlier call left, but for the files of `more`."""
    with (
        replaced(data / "manifest.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        out = csv.DictWriter(file, list(dict.fromkeys([*COLUMNS, *rows[0]])))
        out.writeheader()
        out.writerows(rows)
    stored = more | {data / row["path"] for row in rows}
    stored |= {rows_file(data, s).with_suffix(e) for s in taken for e in (".json", ".key")}
    for folder in ("train", "dev", "made"):
        for path in (data / folder).rglob("*"):
            if path.is_file() and path not in stored:
                path.unlink()


def summary(rows: list[dict[str, str]], seconds: float) -> Printed:
    """Clips, hours and voices of each kind and label, as a Markdown table."""
    table: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        label = row["label"] if row["kind"] == "tts" else ""
        table[row["split"], row["kind"], label].append(row)
    shown = []
    for (split, kind, label), found in sorted(table.items()):
        hours = sum(float(row["seconds"]) for row in found) / 3600
        voices = len({row["speaker"] for row in found} - {"n/a"})
        shown.append(
            {
                "split": split,
                "kind": kind,
                "label": label,
                "files": len(found),
                "hours": f"{hours:.2f}",
                "voices": voices or None,
            }
        )
    hours = sum(float(row["seconds"]) for row in rows) / 3600
    rate = 3600 * hours / max(seconds, 1e-9)
    speed = f"{hours:.1f} h in {seconds:.0f} s: {rate:.1f} x real time"
    return Printed(f"{markdown(shown, left=3)}\n\n{speed}", {"sounds": shown})
