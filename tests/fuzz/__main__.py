# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets side by side for some minutes in all, and reports what they found."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz.targets import FOLDER, ROOT, TARGETS, FuzzError, Result


def _report(name: str, result: Result) -> None:
    print(f"{name:10} {result.executions:>12} {result.coverage:>9} {len(result.findings):>9}")
    if result.findings:
        print(result.log[-4000:], file=sys.stderr)
    for path in result.findings:
        shown = path.relative_to(ROOT)
        program = (FOLDER / "bin" / name).relative_to(ROOT)
        print(f"fuzz: {name}: finding: {shown}; to see it again: {program} {shown}")


def fuzz(names: list[str], minutes: float, jobs: int) -> int:
    """Run the targets, `jobs` at a time, for `minutes` in all; returns the exit status."""
    jobs = min(jobs, len(names))
    seconds = minutes * 60 * jobs / len(names)
    print(f"fuzz: {len(names)} targets, {seconds:.0f} s each, {jobs} at a time", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {name: pool.submit(TARGETS[name], seconds) for name in names}
        results = {name: future.result() for name, future in waiting.items()}
    print("target       executions  coverage  findings")
    for name, result in results.items():
        _report(name, result)
    return int(any(result.findings for result in results.values()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="in all (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    given = parser.parse_args()
    unknown = sorted(set(given.target) - set(TARGETS))
    if unknown:
        parser.error(f"no target '{unknown[0]}'; there are: {', '.join(TARGETS)}")
    if not 0 < given.minutes <= 10_000 or given.jobs < 1:
        parser.error("--minutes must be more than 0 and at most 10000, --jobs at least 1")
    try:
        return fuzz(given.target or list(TARGETS), given.minutes, given.jobs)
    except FuzzError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
