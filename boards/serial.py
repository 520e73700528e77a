"""A real board's serial port on this terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
from pathlib import Path

from wakestate.boards.schema import Board, BoardError


def port(board: Board, given: str | None, devices: Path = Path("/dev")) -> str:
    """The serial port to take: the given one, or the only one there is."""
    if given:
        return given
    found = sorted(str(path) for name in ("ttyACM*", "ttyUSB*") for path in devices.glob(name))
    assert board.uart is not None
    if not found:
        raise BoardError(f"{board.name}: no serial port found: plug in {board.uart.where}")
    if len(found) > 1:
        raise BoardError(f"{board.name}: several serial ports: give one of PORT={', '.join(found)}")
    return found[0]


def open_port(device: str, baud: int) -> int:
    """The port's file descriptor; 8 bits, nothing translated. BoardError says why it cannot be."""
    try:
        line = os.open(device, os.O_RDWR | os.O_NOCTTY)
    except PermissionError:
        raise BoardError(
            f"{device}: may not be opened: `sudo usermod -aG dialout $USER`, then log in again"
        ) from None
    except OSError as error:
        raise BoardError(f"{device}: cannot be opened: {error.strerror}") from None
    try:
        _set_up(line, baud)
    except (termios.error, BoardError) as error:
        os.close(line)
        raise BoardError(f"{device}: {error}") from None
    return line


def talk(device: str, baud: int) -> int:
    """Show what comes, send what is typed, until Ctrl-C or Ctrl-D."""
    line = open_port(device, baud)
    try:
        ends = [line, sys.stdin.fileno()]
        while True:
            for ready in select.select(ends, [], [])[0]:
                data = os.read(ready, 4096)
                if not data:
                    return 0
                os.write(sys.stdout.fileno() if ready == line else line, data)
    except OSError as error:
        raise BoardError(f"{device}: lost: {error.strerror}") from None
    finally:
        os.close(line)


def _set_up(line: int, baud: int) -> None:
    rate = getattr(termios, f"B{baud}", None)
    if rate is None:
        raise BoardError(f"{baud} baud: this system does not name that rate; Linux does")
    settings = termios.tcgetattr(line)
    settings[0] = termios.IGNPAR
    settings[1] = 0
    settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings[3] = 0
    settings[4] = settings[5] = rate
    termios.tcsetattr(line, termios.TCSANOW, settings)
