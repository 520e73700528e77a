"""A device's port, or a file of what one said, and the bytes from it to a gateway."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from boards.serial import open_port
from verify.gateway import Gateway, GatewayError

_TICK_S = 0.5


@contextlib.contextmanager
def opened(source: str, baud: int) -> Iterator[tuple[int, bool]]:
    """The file descriptor, and whether it is a port; "-" is stdin. GatewayError, BoardError."""
    if source == "-":
        yield sys.stdin.fileno(), False
        return
    try:
        port = stat.S_ISCHR(Path(source).stat().st_mode)
        file = open_port(source, baud) if port else os.open(source, os.O_RDONLY)
    except OSError as error:
        raise GatewayError(f"{source}: cannot be opened: {error.strerror}") from None
    try:
        yield file, port
    finally:
        os.close(file)


def write(file: int, source: str, data: bytes) -> None:
    """Send a command to the device."""
    try:
        os.write(file, data)
    except OSError as error:
        raise GatewayError(f"{source}: lost: {error.strerror}; plug it in again") from None


def pass_on(file: int, source: str, gateway: Gateway) -> None:
    """Until the source ends."""
    ticked = time.monotonic()
    while True:
        ready, _, _ = select.select([file], [], [], _TICK_S)
        if time.monotonic() - ticked >= _TICK_S:
            ticked = time.monotonic()
            gateway.tick()
        if not ready:
            continue
        try:
            data = os.read(file, 65536)
        except OSError as error:
            raise GatewayError(f"{source}: lost: {error.strerror}; plug it in again") from None
        if not data:
            return
        gateway.feed(data)
