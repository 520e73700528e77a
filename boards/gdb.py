# SPDX-License-Identifier: Apache-2.0
"""A small client of the gdb remote protocol: enough to load a program and start it.

QEMU and debug servers (pyocd, openocd) speak it; here it flashes the emulated boards.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from wakestate.boards.elf import Segment, segments
from wakestate.boards.schema import BoardError

_CHUNK = 1024  # bytes of memory a packet, twice as many hex digits


class Gdb:
    """A connection to a server at a Unix socket."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        end = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise BoardError(f"{path}: no gdb server answers there") from None
                time.sleep(0.02)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def write(self, segment: Segment) -> None:
        """Write to the board's memory, flash too."""
        for at in range(0, len(segment.data), _CHUNK):
            part = segment.data[at : at + _CHUNK]
            self._ok(f"M{segment.address + at:x},{len(part):x}:{part.hex()}")

    def read(self, address: int, length: int) -> bytes:
        """Read the board's memory."""
        data = b""
        while len(data) < length:
            count = min(_CHUNK, length - len(data))
            answer = self._ask(f"m{address + len(data):x},{count:x}")
            try:
                data += bytes.fromhex(answer)
            except ValueError:
                raise BoardError(f"gdb: cannot read {address:#x}: {answer}") from None
        return data

    def monitor(self, text: str) -> None:
        """A command to the server itself."""
        answer = self._ask("qRcmd," + text.encode().hex())
        while answer.startswith("O") and answer != "OK":  # what it prints
            answer = self._packet()
        if answer not in ("OK", ""):
            raise BoardError(f"gdb: 'monitor {text}' is answered {answer}")

    def detach(self) -> None:
        """Leave; the board runs on."""
        self._ok("D")

    def _ok(self, command: str) -> None:
        answer = self._ask(command)
        if answer != "OK":
            raise BoardError(f"gdb: '{command[:24]}' is answered '{answer}'")

    def _ask(self, command: str) -> str:
        data = command.encode()
        try:
            self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))
            return self._packet()
        except OSError as error:
            raise BoardError(f"gdb: '{command[:24]}' gets no answer: {error}") from None

    def _packet(self) -> str:
        """The next packet, acknowledged; what is between packets (acknowledgements) is dropped."""
        while True:
            _, start, rest = self._buffer.partition(b"$")
            body, end, tail = rest.partition(b"#")
            if start and end and len(tail) >= 2:
                self._buffer = tail[2:]
                self._socket.sendall(b"+")
                if int(tail[:2], 16) != sum(body) & 0xFF:
                    raise BoardError("gdb: a packet came damaged")
                return body.decode("latin-1")
            more = self._socket.recv(65536)
            if not more:
                raise BoardError("gdb: the server has closed the connection")
            self._buffer += more


def load(gdb: Gdb, elf: Path) -> int:
    """Load a program, read it back, and return its bytes."""
    parts = segments(elf)
    for part in parts:
        gdb.write(part)
    for part in parts:
        if gdb.read(part.address, len(part.data)) != part.data:
            raise BoardError(f"{elf}: what was written at {part.address:#x} reads back otherwise")
    return sum(len(part.data) for part in parts)
