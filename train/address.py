# SPDX-License-Identifier: Apache-2.0
"""Where work runs and where its files are, as the environment has it: commands that are started
by others have it too, and no recipe and no result depends on it."""

from __future__ import annotations

import os
import re

EXECUTOR = "WAKESTATE_EXECUTOR"  # an address; none: processes
STORE = "WAKESTATE_STORE"  # an fsspec URL; none: files are at the same paths everywhere
PROCESSES = "processes"


def checked(address: str) -> str:
    """`address`, if it is one. ValueError."""
    if address != PROCESSES and not re.fullmatch(r"(dask|ray)://[^/]+:\d+", address):
        raise ValueError(
            f"given {address[:80]!r}; allowed: {PROCESSES}, dask://HOST:PORT, ray://HOST:PORT"
        )
    return address


def executor() -> str:
    """The address. ValueError."""
    return checked(os.environ.get(EXECUTOR) or PROCESSES)
