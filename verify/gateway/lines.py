# SPDX-License-Identifier: Apache-2.0
"""Lines for people and programs, which nobody may be reading: they wait in a bounded queue."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

from wakestate.files import plain

LINES_MAX = 1000  # that wait; then new ones are dropped, and counted
_AT_ONCE = 4096  # bytes: what POSIX lets a pipe take without waiting


class Lines:
    """Writes lines to a stream when it takes them (link.Loop calls when); any thread may
    call it. Control characters are escaped. `wake` is called when there is something to write,
    `when_gone` when nobody can read it any more.
    """

    def __init__(self, to: TextIO) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.when_gone: Callable[[], None] = lambda: None
        self.gone = False  # its reader
        self._to = to
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._begun = b""
        self._dropped = 0
        try:
            to.flush()
            self.file = to.fileno()
        except (OSError, ValueError):  # no file: in a test
            self.file = -1

    def __call__(self, text: str) -> None:
        if self.file < 0:
            print(plain(text), file=self._to, flush=True)
            return
        with self._lock:
            if len(self._waiting) >= LINES_MAX:
                self._dropped += 1
            elif not self.gone:
                self._waiting.append(plain(text))
        self.wake()

    @property
    def empty(self) -> bool:
        return self.gone or not (self._begun or self._waiting or self._dropped)

    def events(self) -> int:
        return 0 if self.empty else select.POLLOUT

    def full(self) -> bool:
        """The queue is so full that what can wait should: a file."""
        return len(self._waiting) >= LINES_MAX // 2

    def ready(self, events: int) -> None:
        """Write for as long as the stream takes it without waiting."""
        poll = select.poll()
        poll.register(self.file, select.POLLOUT)
        with self._lock:
            while not self.empty and poll.poll(0):
                self._write()

    def _write(self) -> None:
        while self._waiting and len(self._begun) < _AT_ONCE:
            self._begun += f"{self._waiting.popleft()}\n".encode()
        if not self._begun and self._dropped:
            self._begun = f"({self._dropped} lines dropped: nobody read them)\n".encode()
            self._dropped = 0
        try:
            self._begun = self._begun[os.write(self.file, self._begun[:_AT_ONCE]) :]
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
            self._waiting.clear()
            self.when_gone()
