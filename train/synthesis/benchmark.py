# SPDX-License-Identifier: Apache-2.0
"""`wakestate data benchmark`: recorded sound without the word, to count false accepts.

benchmark.toml lists the packages. All of it is for dev, and none of it is in recorded.toml,
which training reads.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from wakestate.tables import Printed
from wakestate.train.data.corpus import DataError
from wakestate.train.synthesis.gather import claim, finish, summary, take_recorded
from wakestate.train.synthesis.recorded import download, megabytes, sources

TABLE = Path(__file__).with_name("benchmark.toml")
MINUTES = 40  # of a core, to read them all


def make_benchmark(data: Path, downloads: Path, only: Sequence[str] = ()) -> Printed:
    """Fill the folder `data` with manifest.csv and all it names; a file's hash is in its row.

    `only`: of these packages; of all where it is empty. Raises DataError where one is not in the
    list, or cannot be had: with less in it, it is another benchmark.
    """
    began = time.monotonic()
    every = sources(table=TABLE)
    listed = sorted({source.package for source in every})
    unknown = [package for package in only if package not in listed]
    if unknown:
        raise DataError(f"--package: given '{unknown[0]}'; allowed: {', '.join(listed)}")
    taken = [source for source in every if not only or source.package in only]
    packages = sorted({source.package for source in taken})
    claim(data)
    cores = os.cpu_count() or 1
    if not only:
        print(
            f"to do: {len(packages)} packages, {megabytes(table=TABLE)} MB to download; about "
            f"0.4 GB of sound; about {MINUTES // cores} minutes on {cores} cores",
            flush=True,
        )
    debs = download(packages, downloads / "packages")
    missing = [package for package in packages if package not in debs]
    if missing:
        raise DataError(
            f"{', '.join(missing)}: not to be had; the benchmark needs every package "
            "of train/synthesis/benchmark.toml; `apt-get update` may help"
        )
    rows = take_recorded(taken, debs, data)
    for row in rows:
        row["sha256"] = hashlib.sha256((data / row["path"]).read_bytes()).hexdigest()
        package = row["source"].removeprefix("debian: ")
        row["source"] += f" {debs[package].name.split('_')[1]}"
    finish(data, rows, taken, set())
    made = summary(rows, time.monotonic() - began)
    digest = hashlib.sha256("".join(row["sha256"] for row in rows).encode()).hexdigest()
    text = f"{made.text}\n\n{data / 'manifest.csv'}: sha256 of all sound {digest}"
    return Printed(text, {"manifest": str(data / "manifest.csv"), "sha256": digest} | made.data)
