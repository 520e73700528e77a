# SPDX-License-Identifier: Apache-2.0
"""A real board's serial port on this terminal."""

from __future__ import annotations

import errno
import os
import select
import sys

from serial import Serial, SerialException
from serial.tools import list_ports

from wakestate.boards.schema import Board, BoardError


def port(board: Board, given: str | None) -> str:
    """The serial port to take: the given one, or the only one on USB."""
    if given:
        return given
    found = sorted(info.device for info in list_ports.comports() if info.vid is not None)
    assert board.uart is not None
    if not found:
        raise BoardError(f"{board.name}: no serial port found: plug in {board.uart.where}")
    if len(found) > 1:
        raise BoardError(f"{board.name}: several serial ports: give one of PORT={', '.join(found)}")
    return found[0]


def open_port(device: str, baud: int) -> Serial:
    """The port, for this program alone: 8 bits, nothing translated, its file descriptor does not
    block. BoardError: why it cannot be opened."""
    try:
        return Serial(device, baud, exclusive=True)
    except SerialException as error:
        if error.errno == errno.EACCES:
            why = "may not be opened: `sudo usermod -aG dialout $USER`, then log in again"
        elif error.errno == errno.EAGAIN:
            why = "another program has it open: close that one"
        else:
            why = f"cannot be opened: {os.strerror(error.errno) if error.errno else error}"
    except ValueError:
        why = f"{baud} baud: the port does not take this rate"
    raise BoardError(f"{device}: {why}")


def talk(device: str, baud: int) -> int:
    """Show what comes, send what is typed, until Ctrl-C or Ctrl-D."""
    with open_port(device, baud) as line:
        try:
            while True:
                for ready in select.select([line, sys.stdin], [], [])[0]:
                    data = os.read(ready.fileno(), 4096)
                    if not data:
                        return 0
                    if ready is line:
                        os.write(sys.stdout.fileno(), data)
                    else:
                        line.write(data)
        except OSError as error:
            raise BoardError(f"{device}: lost: {error.strerror or error}") from None
