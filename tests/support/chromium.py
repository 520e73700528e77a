# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium by its own protocol on a pipe: no driver, no port."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-background-timer-throttling",  # a page that nobody sees runs its timers late
    "--disable-renderer-backgrounding",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

# Chromium reads from file 3 and writes to file 4, whatever numbers the pipes have here.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for number, fd in enumerate(ends, 3):
    os.dup2(fd, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def program() -> str | None:
    """The path of Chromium, if it is here."""
    return shutil.which("chromium") or shutil.which("google-chrome")


class Tab:
    """One page. Its problems (exceptions, errors on its console) gather in `problems`."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._number, self._rest, self._session = 0, b"", ""
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._back, 1 << 20)
            assert read, "Chromium ended"
            self._rest += read
        text, _, self._rest = self._rest.partition(b"\0")
        answer = dict(json.loads(text))
        params = answer.get("params", {})
        if answer.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", details).get("description", str(details)))
        if answer.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        return answer

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        done = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> Any:
        """The same, once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not within {seconds} s: {script}; {self.problems}"
            time.sleep(0.05)
        return value

    def open(self, url: str) -> None:
        """Goes to a page and waits until it can be used."""
        self.call("Page.navigate", url=url)
        self.wait("performance.getEntriesByName('usable').length > 0")

    def look(self, width: int, height: int, dark: bool) -> None:
        """Shows the page as a phone or a desktop does."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if width < 600 else 1,
            mobile=width < 600,
        )


@contextlib.contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Tab]:
    """A Chromium with a profile of its own, and a tab of it."""
    found = program()
    assert found
    (from_us, to), (back, from_it) = os.pipe(), os.pipe()
    call = [found, *FLAGS, *flags, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(from_us), str(from_it), *call],
        pass_fds=(from_us, from_it),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_us)
    os.close(from_it)
    try:
        tab = Tab(to, back)
        yield tab
        tab.call("Browser.close")
    finally:
        os.close(to)
        os.close(back)
        process.terminate()
        process.wait()
