# SPDX-License-Identifier: Apache-2.0
"""`make flash`, `make monitor`, `make debug`: a program onto a board, its serial port, gdb.

Emulated boards take the same way: their program comes in by QEMU's gdb port, is read back and
started by a reset, and the serial port is QEMU's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wakestate.boards import gdb
from wakestate.boards.run import check_qemu, command
from wakestate.boards.schema import Board, BoardError, Flash, board_names, load_board
from wakestate.boards.serial import port, talk

USB = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")
DEBUG_PORT = 3333
_PERMIT = ".venv/bin/wakestate board udev | sudo tee /etc/udev/rules.d/60-wakestate.rules"
_GDBS = ("gdb-multiarch", "arm-none-eabi-gdb")


def check(board: Board, verb: str, device: str | None = None) -> None:
    """What `verb` (flash, monitor, debug) needs is plugged in, and may be used.

    Else BoardError, with one line and a hint.
    """
    if board.flash is None:
        raise BoardError(f"{board.name}: it is this computer; there is nothing to flash")
    if board.emulated:
        check_qemu(board)
        return
    if verb == "monitor":
        port(board, device)
        return
    if verb == "debug" and board.flash.debug_probe:
        return  # there are many: the server reports it
    if not sys.platform.startswith("linux"):
        return  # the tool itself will report it
    found = attached(board.flash, USB)
    if found is None:
        raise BoardError(
            f"{board.name}: not found: plug in {board.flash.plug}, by a USB cable that carries "
            f"data; if it is in, let this user have it: {_PERMIT}, then plug it in again"
        )
    node = NODES / found
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        raise BoardError(
            f"{board.name}: found, but {node} may not be opened: {_PERMIT}, then plug it in again"
        )


def attached(flash: Flash, usb: Path) -> str | None:
    """BUS/DEVICE of the first USB device that is the board's; None when there is none."""
    for device in sorted(usb.glob("*")) if usb.is_dir() else []:
        try:
            ids = [(device / name).read_text().strip() for name in ("idVendor", "idProduct")]
            if ":".join(ids) in flash.usb:
                bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
                return f"{bus:03}/{number:03}"
        except (OSError, ValueError):
            continue
    return None


def udev_rules() -> str:
    """Rules that let every user have the USB devices of all boards."""
    boards = [load_board(name) for name in board_names()]
    ids = sorted({usb for board in boards if board.flash for usb in board.flash.usb})
    rule = 'SUBSYSTEM=="{0}", ATTRS{{idVendor}}=="{1}", ATTRS{{idProduct}}=="{2}", MODE="0666"\n'
    return "".join(rule.format(kind, *usb.split(":")) for usb in ids for kind in ("usb", "tty"))


def flash_command(board: Board, elf: Path, device: str | None = None) -> list[str]:
    """What flashes a real board; `device` is the serial port of its boot loader."""
    assert board.flash is not None
    target = board.flash.target
    if board.flash.tool == "pyocd":
        return [sys.executable, "-m", "pyocd", "flash", "--no-wait", "--target", target, str(elf)]
    if board.flash.tool == "openocd":
        program = f"program {{{elf}}} verify reset exit"
        return ["openocd", "-f", target, "-c", program]
    binary = str(elf.with_suffix(".bin"))
    name = Path(port(board, device)).name
    return ["bossac", "-d", f"--port={name}", "-U", "-i", "-e", "-w", binary, "-R"]


def flash(board: Board, elf: Path, audio: Sequence[str], device: str | None) -> int:
    """Flash it; of an emulated board also see that it starts."""
    check(board, "flash")
    _built(board, elf)
    if board.emulated:
        with _emulated(board, elf, audio, quiet=True) as (process, size):
            assert process.stdout is not None
            line = process.stdout.readline().decode().strip()
            print(
                f"{board.name}: {size} bytes by QEMU's gdb port, read back equal, started: {line}"
            )
        return 0
    assert board.flash is not None
    if board.flash.tool == "bossac":  # takes no ELF
        copy = ["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(elf.with_suffix(".bin"))]
        subprocess.run(copy, check=True)
    call = flash_command(board, elf, device)
    _installed(board, call[0])
    print(shlex.join(call), file=sys.stderr)
    return subprocess.run(call, check=False).returncode


def monitor(board: Board, elf: Path, audio: Sequence[str], device: str | None) -> int:
    """The serial port on this terminal; an emulated board is flashed first, as it keeps nothing."""
    check(board, "monitor", device)
    if board.emulated:
        _built(board, elf)
        with _emulated(board, elf, audio, quiet=False) as (process, _):
            return process.wait()
    assert board.uart is not None
    return talk(port(board, device), board.uart.baud)


def debug(board: Board, elf: Path, audio: Sequence[str]) -> int:
    """gdb on the board, with the program loaded, stopped before its first instruction."""
    check(board, "debug")
    _built(board, elf)
    debugger = next((name for name in _GDBS if shutil.which(name)), None)
    if debugger is None:
        raise BoardError(f"{board.name}: no gdb for Arm: install gdb-multiarch (apt-get, brew)")
    assert board.flash is not None
    if board.emulated:
        server = command(board, None, audio, gdb=f"tcp::{DEBUG_PORT}")
        reset = "monitor system_reset"
    else:
        server = shlex.split(board.flash.debug_server)
        if server[0] == "pyocd":  # ours, wherever the PATH leads
            server[:1] = [sys.executable, "-m", "pyocd"]
        _installed(board, server[0])
        reset = "monitor reset halt"
    # A process group of its own: Ctrl-C is for the program, not for the server.
    process = subprocess.Popen(server, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_for(board, process)
        connect = f"target extended-remote :{DEBUG_PORT}"
        steps = [connect, "load", reset]
        calls = [word for step in steps for word in ("-ex", step)]
        return subprocess.run([debugger, "-q", str(elf), *calls], check=False).returncode
    finally:
        process.terminate()
        process.wait()


def _wait_for(board: Board, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> None:
    """The debug server listens; BoardError where it has ended or does not come."""
    assert board.flash is not None
    end = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", DEBUG_PORT), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    needs = board.flash.debug_probe or board.flash.plug
    raise BoardError(f"{board.name}: the debug server does not answer: plug in {needs}")


@contextmanager
def _emulated(
    board: Board, elf: Path, audio: Sequence[str], *, quiet: bool
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The board in QEMU with the program loaded and running; and the bytes that were loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gdb"
        process = subprocess.Popen(
            command(board, None, audio, serial=True, gdb=f"unix:{path},server=on,wait=off"),
            stdin=subprocess.DEVNULL if quiet else None,
            stdout=subprocess.PIPE if quiet else None,
        )
        try:
            with gdb.Gdb(path) as server:
                size = gdb.load(server, elf)
                server.monitor("system_reset")
                server.detach()
            yield process, size
        finally:
            if process.poll() is None:
                process.kill()  # QEMU has nothing to put away
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _built(board: Board, elf: Path) -> None:
    if not elf.exists():
        raise BoardError(f"{elf}: not built; `wakestate build --board {board.name}` does")


def _installed(board: Board, program: str) -> None:
    if shutil.which(program) is None:
        raise BoardError(
            f"{board.name}: {program} is not installed; see docs/boards/{board.name}.md"
        )
