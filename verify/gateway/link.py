# SPDX-License-Identifier: Apache-2.0
"""Devices' ports, or files of what they said: one loop reads and writes them all.

Nothing here waits for a device: it is read when something came and written to when it takes it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from serial import Serial

from wakestate.boards.schema import BoardError
from wakestate.boards.serial import open_port
from wakestate.verify.gateway.gateway import Gateway, Report
from wakestate.verify.protocol.errors import GatewayError

TICK_S = 0.5
COMMANDS_MAX = 8  # that wait for a device; then the oldest is dropped: it is said again anyway
AGAIN_S, AGAIN_MAX_S = 1.0, 30.0  # between tries to open a lost port
_FILE = os.O_RDONLY | os.O_NONBLOCK  # a named pipe may have no writer yet
_PORT_READ, _FILE_READ = 65536, 16384  # bytes at a time


class Stream(Protocol):
    """What the loop also serves: where lines go to. `events`: for poll, 0 for nothing."""

    @property
    def file(self) -> int: ...

    def events(self) -> int: ...

    def ready(self, events: int) -> None: ...


class Device:
    """One device: what is read from it goes to its gateway, commands to it are queued.

    `source`: a port, a file, or - for stdin. `hold`: whether a file is not to be read for now; a
    port is read always.
    """

    def __init__(
        self,
        source: str,
        report: Report,
        baud: int | None = None,
        hold: Callable[[], bool] | None = None,
    ) -> None:
        self.source, self.port, self.ended, self.problem = source, True, False, ""
        self.gateway: Gateway  # set by the caller before `open`
        self._report, self._baud, self._hold = report, baud, hold
        self._file = self._to = -1
        self._serial: Serial | None = None  # whose descriptor both are
        self._commands: deque[bytes] = deque()
        self._begun = b""  # what is left of a command that was written in part
        self._pause = AGAIN_S
        self._again = 0.0  # when to open it again

    @property
    def file(self) -> int:
        return self._file

    @property
    def to(self) -> int:
        return self._to

    @property
    def waits(self) -> bool:
        """Commands wait for it."""
        return self._to >= 0 and bool(self._begun or self._commands)

    def attach(self, file: int, to: int | None) -> None:
        """Take open file descriptors: to read from, and to write to if any."""
        self.port, self._file = to is not None, file
        if to is not None:
            self._to = to
            os.set_blocking(to, False)
        self.gateway.open()

    def open(self) -> None:
        """Open the source. GatewayError, BoardError."""
        try:
            if self.source == "-":
                self.port, self._file = False, sys.stdin.fileno()
            elif stat.S_ISCHR(Path(self.source).stat().st_mode):
                self.port, self._serial = True, open_port(self.source, self._baud or 0)
                self._file = self._to = self._serial.fileno()
            else:
                self.port, self._file = False, os.open(self.source, _FILE)
        except OSError as error:
            raise GatewayError(f"{self.source}: cannot be opened: {error.strerror}") from None
        self.gateway.open()

    def command(self, data: bytes) -> None:
        """Queue a command; one that waits already is not queued twice."""
        if self.port and data not in self._commands:
            if len(self._commands) >= COMMANDS_MAX:
                self._commands.popleft()
            self._commands.append(data)

    def tick(self, now: float) -> None:
        """Now and then."""
        if self._file >= 0:
            self.gateway.tick()
        elif not self.ended and now >= self._again:
            try:
                self.open()
                self._report("opened again")
            except (GatewayError, BoardError):
                self._later()

    def events(self) -> int:
        if self._file < 0 or self.ended or (not self.port and self._hold and self._hold()):
            return 0
        return select.POLLIN | (select.POLLOUT if self.waits and self._to == self._file else 0)

    def ready(self, events: int) -> None:
        if events & select.POLLOUT:
            self.write()
        if self._file < 0 or not events & ~select.POLLOUT:
            return
        try:
            data = os.read(self._file, _PORT_READ if self.port else _FILE_READ)
        except BlockingIOError:
            return
        except OSError as error:
            if self._to == self._file:
                self._lose(error.strerror)
            else:
                self.ended, self.problem = True, f"cannot be read: {error.strerror}"
            return
        if data:
            self._pause = AGAIN_S
            self.gateway.feed(data)
        elif self._to == self._file:
            self._lose("it hung up")
        else:
            self.ended = True

    def write(self) -> None:
        """As many commands as it takes."""
        while self.waits:
            self._begun = self._begun or self._commands.popleft()
            try:
                self._begun = self._begun[os.write(self._to, self._begun) :]
            except BlockingIOError:
                return
            except OSError as error:
                if self._to == self._file:
                    self._lose(error.strerror)
                self._to = -1
                return

    def close(self) -> None:
        """What it said and has not ended ends, and its uplink goes off: `write` what waits."""
        self._commands.clear()
        self.gateway.close()

    def release(self) -> None:
        """Close the file. What a port has not taken is dropped, so that closing does not wait."""
        if self._serial:
            with contextlib.suppress(OSError, termios.error):
                if self.waits:
                    self._serial.reset_output_buffer()
                else:
                    self._serial.reset_input_buffer()
            with contextlib.suppress(OSError):
                self._serial.close()
        elif self._file >= 0 and self.source != "-":
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._file, self._to, self._serial = -1, -1, None
        self._commands.clear()
        self._begun = b""

    def _lose(self, why: str | None) -> None:
        self.release()
        self.gateway.lost()
        self._report(f"lost: {why}; it is opened again when it is plugged in")
        self._later()

    def _later(self) -> None:
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, AGAIN_MAX_S)


class Loop:
    """Serves devices and streams; `wake` may be called by any thread, `stop` by a signal."""

    def __init__(self, streams: Sequence[Stream] = ()) -> None:
        self.devices: list[Device] = []
        self.stopped = False
        self._streams = streams
        self._read, self._write = os.pipe()
        for file in (self._read, self._write):
            os.set_blocking(file, False)
        self._ticked = time.monotonic()

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)

    def wake(self) -> None:
        """Look again at who waits for what."""
        with contextlib.suppress(OSError):  # full: it is awake; or closed
            os.write(self._write, b"\0")

    def stop(self) -> None:
        self.stopped = True
        self.wake()

    def run(self) -> None:
        """Until all devices have ended, which ports do not, or it is stopped."""
        while not self.stopped and not all(device.ended for device in self.devices):
            self.step(self.devices)

    def until(self, true: Callable[[], bool], within_s: float) -> bool:
        """Serve the streams, and no device, until something holds; False where it does not."""
        end = time.monotonic() + within_s
        while not (reached := true()) and time.monotonic() < end:
            self.step([], min(TICK_S, max(end - time.monotonic(), 0)))
        return reached

    def step(self, devices: Sequence[Device], timeout_s: float = TICK_S) -> None:
        """Wait for the next that can be done, and do it."""
        waiting: list[Device | Stream] = [*devices, *self._streams]
        poll = select.poll()  # not select(), which knows 1,024 files
        poll.register(self._read, select.POLLIN)
        found: dict[int, Device | Stream] = {}
        for one in waiting:
            if events := one.events():
                poll.register(one.file, events)
                found[one.file] = one
        for file, events in poll.poll(round(1000 * timeout_s)):
            if file == self._read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read, 4096)
            else:
                found[file].ready(events)
        for device in devices:
            if device.to != device.file:  # which poll did not ask about
                device.write()
        now = time.monotonic()
        if now - self._ticked >= TICK_S:
            self._ticked = now
            for device in devices:
                device.tick(now)

    def finish(self, within_s: float) -> None:
        """Switch the uplinks off; a device that does not take that is left."""
        for device in self.devices:
            device.close()
        end = time.monotonic() + within_s
        while waiting := [device for device in self.devices if device.waits]:
            left = end - time.monotonic()
            if left <= 0:
                break
            poll = select.poll()
            for device in waiting:
                poll.register(device.to, select.POLLOUT)
            poll.poll(round(1000 * left))
            for device in waiting:
                device.write()
        for device in self.devices:
            device.release()


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C call `stop`; the second time they end the program at once."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def once(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.default_int_handler)
        stop()

    before = [signal.signal(number, once) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
