# SPDX-License-Identifier: Apache-2.0
"""The service as a process of its own, for the demonstration and the bench."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from wakestate.verify.protocol.errors import GatewayError


def call(word: str, *options: str) -> list[str]:
    """What starts the service of a word, a name or a file, on a free port of this computer."""
    return [
        sys.executable,
        "-m",
        "wakestate",
        "service",
        "serve",
        "--word",
        word,
        "--port",
        "0",
        *options,
    ]


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[str]:
    """Its address, once it listens; behind the block it is stopped, and has ended.

    GatewayError where it does not start; it reports why itself.
    """
    # A session of its own: Ctrl-C is ours, and the service ends in order behind us.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " on http" not in line:
            process.wait()
            raise GatewayError("the service did not start; see its output above")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
