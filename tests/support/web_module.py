# SPDX-License-Identifier: Apache-2.0
"""The module of the page, in wasmtime instead of a browser."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.executors import ALEXA
from tests.support.vectors import FRONTEND

wasmtime = pytest.importorskip("wasmtime")
NAMES = ("score", "wake", "near")
RATE = FRONTEND.sample_rate


class Module:
    """The module of words, as web/page/engine.js uses it."""

    def __init__(self, words: str, path: Path) -> None:
        self.words, self.path = words.split(), path
        self.store = wasmtime.Store()
        module = wasmtime.Module.from_file(self.store.engine, str(self.path))
        assert not module.imports
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        assert self("start") == 0

    def __call__(self, name: str, *given: int) -> Any:
        return self.exports[name](self.store, *given)

    def read(self, at: int, size: int) -> bytes:
        return bytes(self.exports["memory"].read(self.store, at, at + size))

    def push(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.int8], list[tuple[float, ...]]]:
        """Columns and events."""
        columns, events, piece = b"", [], self("piece")
        for at in range(0, len(pcm), piece):
            part = pcm[at : at + piece]
            self.exports["memory"].write(self.store, part.tobytes(), self("pcm"))
            found = self.read(self("events"), 64 * self("push", len(part)))
            events += struct.iter_unpack("<8d", found)
            columns += self.read(self("columns"), self("column_count") * self("bands"))
        return np.frombuffer(columns, np.int8).reshape(-1, self("bands")), events

    def process(self, state: int, pcm: NDArray[np.int16]) -> tuple[NDArray[np.int8], list[str]]:
        """Columns, and lines as the host emulator prints them of a file."""
        self("restart", state)
        columns, events = self.push(pcm)
        _, behind = self.push(np.zeros(RATE // 2, np.int16))
        events += [event for event in behind if event[0] == NAMES.index("wake")]
        return columns, [self.line(event) for event in events]

    def line(self, event: Sequence[float]) -> str:
        kind, word, state, _, q15, *times = map(int, event)
        ms = [(sample * 1000 + RATE // 2) // RATE for sample in times]
        t, start, end = (f"{one // 1000}.{one % 1000:03}" for one in ms)
        p = (q15 * 10000 + 16384) >> 15
        named = f'"word":"{self.words[word]}",' if len(self.words) > 1 else ""
        if NAMES[kind] == "score":
            return f'{{"type":"score",{named}"t":{t},"p":{p // 10000}.{p % 10000:04}}}'
        return (
            f'{{"type":"{NAMES[kind]}",{named}"file":"-","t":{t},"start":{start},"end":{end},'
            f'"p":{p // 10000}.{p % 10000:04},"state":"{ALEXA.word.states[state]}"}}'
        )
