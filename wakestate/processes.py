# SPDX-License-Identifier: Apache-2.0
"""What processes that belong together do to each other."""

from __future__ import annotations

import ctypes
import signal
import sys


def end_with_parent() -> None:
    """On Linux: when the process that started this one is killed, this one is as well."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
