# SPDX-License-Identifier: Apache-2.0
"""What sound an evaluation used, and under which licenses: from the manifests of its folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from wakestate.train.data.manifest import Row, read_manifest
from wakestate.train.evaluation.cells import Table


def sources(folders: Sequence[Path], split: str) -> Table | None:
    """Hours, recordings and licenses of each kind; None where no folder is there. DataError."""
    kinds: dict[str, list[Row]] = defaultdict(list)
    for folder in folders:
        if (folder / "manifest.csv").is_file():
            for row in read_manifest(folder):
                if row["split"] == split:
                    kinds[row["kind"]].append(row)
    body = [
        (
            (kind, ""),
            (f"{sum(float(row['seconds'] or 0) for row in rows) / 3600:.2f}", ""),
            (f"{len(rows):,}", ""),
            (", ".join(sorted({row.get("licence") or "not named" for row in rows})), ""),
        )
        for kind, rows in sorted(kinds.items())
    ]
    if not body:
        return None
    note = (
        "Everything of the split; short evaluations use a part of it. None of it is on this page."
    )
    return Table(
        "Sound and licenses", note, ("kind", "hours", "recordings", "licenses"), tuple(body)
    )
