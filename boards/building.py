"""Builds, one at a time: two makes in one build folder would write over each other."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

#: Of all builds that share folders.
LOCK = Path("build/.lock")


def build(
    makefile: str, *arguments: str, root: Path = Path(), lock: Path = LOCK
) -> subprocess.CompletedProcess[str]:
    """Run make quietly in `root`; waits while another build with the same lock goes on there."""
    (root / lock).parent.mkdir(parents=True, exist_ok=True)
    command = ["make", "--no-print-directory", "-s", "-f", makefile, f"PYTHON={sys.executable}"]
    with (root / lock).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return subprocess.run(
            [*command, *arguments], cwd=root, capture_output=True, text=True, check=False
        )
