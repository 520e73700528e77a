# SPDX-License-Identifier: Apache-2.0
"""A gateway that runs while a test feeds it, and a message to feed."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator

import numpy as np

from tests.support.firmware_build import ROOT
from wakestate.verify.gateway.gateway import Utterance
from wakestate.verify.protocol.frames import Audio, End, Frame, Kind, Start, encode

START = Start(1, 0, 16000, 8000, 17000, 17000, 41040, 0, 0.5, "alexa", "player=idle")

SOUND = np.arange(20000, dtype=np.int16)


class Collector:
    """A sink that keeps what it gets, and has enough at a sample."""

    def __init__(self, enough: int | None = None) -> None:
        self.begun: list[Utterance] = []
        self.ended: list[Utterance] = []
        self.enough = enough

    def begin(self, utterance: Utterance) -> None:
        self.begun.append(utterance)

    def more(self, utterance: Utterance) -> bool:
        return self.enough is not None and utterance.samples >= self.enough

    def end(self, utterance: Utterance) -> None:
        self.ended.append(utterance)


def message(number: int = 0, utterance: int = 1, reason: int = 0) -> list[bytes]:
    """The frames of one message with all of SOUND."""
    start = Start(**{**START.__dict__, "utterance": utterance})
    payloads = [(Kind.START, start.payload())]
    for at in range(0, len(SOUND), 160):
        audio = Audio(utterance, at, SOUND[at : at + 160])
        payloads.append((Kind.AUDIO, audio.payload()))
    payloads.append((Kind.END, End(utterance, reason, len(SOUND), 0, 0).payload()))
    return [encode(Frame(kind, number + i, data)) for i, (kind, data) in enumerate(payloads)]


@contextlib.contextmanager
def running(call: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is killed where the test fails."""
    pipe = subprocess.PIPE
    with subprocess.Popen(call, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(port: int, command: bytes) -> bytes:
    """What the gateway sends until it sends `command`."""
    printed = b""
    end = time.monotonic() + 60
    while command not in printed:
        assert time.monotonic() < end, printed
        if select.select([port], [], [], 1)[0]:
            printed += os.read(port, 1000)
    return printed
