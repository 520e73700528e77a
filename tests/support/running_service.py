# SPDX-License-Identifier: Apache-2.0
"""A service of the verifier that tests ask: tests/support/loud_service.py as a process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.firmware_build import ROOT
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import needed
from wakestate.words import load_word

FRONTEND = load_word(ROOT / "words/alexa.toml").frontend
NEEDED = needed(FRONTEND, PREROLL)
QUERY = {"word": "alexa", "startIndexInSamples": PREROLL, "endIndexInSamples": 17600}
CALL = [sys.executable, "-m", "tests.support.loud_service"]


def sound(begin: int = 8000, end: int = 17600, samples: int = NEEDED) -> NDArray[np.int16]:
    """Noise from `begin` to `end`, and silence around it."""
    noise = np.random.default_rng(1).normal(0, 8000, samples).astype(np.int16)
    noise[:begin] = noise[end:] = 0
    return noise


@dataclass
class Running:
    process: subprocess.Popen[str]
    host: str

    def open(self, query: dict[str, Any] = QUERY, **headers: str) -> http.client.HTTPConnection:
        """A chunked upload that has begun."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.putrequest("POST", f"/v1/verify?{urllib.parse.urlencode(query)}")
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection

    def post(
        self, body: bytes, query: dict[str, Any] = QUERY, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer of an upload with Content-Length."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", f"/v1/verify?{urllib.parse.urlencode(query)}", body, names)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Any = None
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            return answer(connection)
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next((float(v) for n, v in (x.rsplit(" ", 1) for x in lines) if n == name), 0.0)


def chunk(connection: http.client.HTTPConnection, data: bytes) -> None:
    connection.send(b"%x\r\n%s\r\n" % (len(data), data))


def answer(connection: http.client.HTTPConnection) -> tuple[int, dict[str, Any]]:
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def started(*options: str, log: Path | None = None, **environment: str) -> Iterator[Running]:
    with contextlib.ExitStack() as stack:
        err = stack.enter_context(log.open("w")) if log else None
        process = subprocess.Popen(
            [*CALL, *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            yield Running(process, address.removeprefix("http://"))
        finally:
            process.terminate()
            process.communicate(timeout=60)
        assert process.returncode == 0
