# SPDX-License-Identifier: Apache-2.0
"""wakestate service bench: how long after the sound's end the service answers."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
import urllib.parse
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wakestate.audio import RATE
from wakestate.verify.protocol.api import PATH
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import needed
from wakestate.words import Word

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Load:
    """`streams` uploads at a time, each `rounds` times, in pieces of `piece_s`, in real time.

    They begin at random times, or all `together`, so that all end at the same time. `whole`: each
    sound at once, and the next as soon as it is answered.
    """

    streams: int
    rounds: int
    piece_s: float
    together: bool
    seed: int
    whole: bool = False


@dataclass(frozen=True)
class Outcome:
    """Of one upload: when the answer came, ms behind the end of the sound; what the service reports
    it took of these; or why there is none. `at_s`: when, from the beginning of all."""

    ms: float = 0.0
    own_ms: float = 0.0
    problem: str = ""
    at_s: float = 0.0


def sounds(path: Path, word: Word, count: int, seed: int) -> list[bytes]:
    """That many pieces of a recording, each as long as the verifier needs."""
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                raise GatewayError(f"{path}: allowed: 16 kHz, one channel, 16 bits")
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (OSError, EOFError, wave.Error) as error:
        raise GatewayError(f"{path}: cannot be read: {error}") from None
    if len(pcm) == 0:
        raise GatewayError(f"{path}: holds no sound")
    samples = needed(word.frontend, PREROLL)
    draw = random.Random(seed)
    starts = [draw.randrange(len(pcm)) for _ in range(count)]
    return [np.take(pcm, range(at, at + samples), mode="wrap").tobytes() for at in starts]


async def run(
    urls: Sequence[str],
    word: Word,
    key: str | None,
    load: Load,
    pieces: list[bytes],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """All outcomes, of load.streams * load.rounds uploads, to each service in turn."""
    draw = random.Random(load.seed)
    outcomes: list[Outcome] = []
    begin = time.perf_counter() + 0.2
    length_s = 0.0 if load.whole else len(pieces[0]) / 2 / word.frontend.sample_rate

    async def stream(number: int, offset_s: float) -> None:
        at = begin + offset_s
        for turn in range(load.rounds):
            sound = pieces[(number + turn * load.streams) % len(pieces)]
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    url = urls[number % len(urls)]
                    found = await _upload(url, word, key, load, sound, at)
                    outcomes.append(replace(found, at_s=time.perf_counter() - begin))
            except (OSError, EOFError, ValueError, KeyError, TimeoutError) as error:
                outcomes.append(Outcome(problem=str(error) or type(error).__name__))
            progress(len(outcomes))
            at = max(at + length_s, time.perf_counter())

    offsets = [0.0 if load.together else draw.uniform(0, length_s) for _ in range(load.streams)]
    await asyncio.gather(*(stream(i, offset) for i, offset in enumerate(offsets)))
    return outcomes


async def _upload(
    url: str, word: Word, key: str | None, load: Load, sound: bytes, begin: float
) -> Outcome:
    """One request on a connection of its own, as a gateway's."""
    parts = urllib.parse.urlsplit(url)
    await asyncio.sleep(max(begin - time.perf_counter(), 0))
    # Written by hand: the time of each piece must be ours, and the client must cost little.
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    query = f"word={word.name}&startIndexInSamples={PREROLL}&endIndexInSamples={2 * PREROLL}"
    head = [f"POST {PATH}?{query} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    head += ["Content-Type: application/octet-stream", "Transfer-Encoding: chunked"]
    head += [f"Authorization: Bearer {key}"] if key else []
    try:
        writer.write("\r\n".join([*head, "", ""]).encode())
        rate = float("inf") if load.whole else 2 * word.frontend.sample_rate
        size = 2 * round(load.piece_s * word.frontend.sample_rate)
        size = len(sound) if load.whole else size
        due = begin
        for at in range(0, len(sound), size):
            piece = sound[at : at + size]
            due += len(piece) / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            last = b"0\r\n\r\n" if at + size >= len(sound) else b""
            writer.write(b"%x\r\n%s\r\n%s" % (len(piece), piece, last))
        reply = await reader.read()
    finally:
        writer.close()
    ms = 1000 * (time.perf_counter() - due)
    status, _, body = reply.partition(b"\r\n\r\n")
    if b" 200 " not in status.split(b"\r\n")[0]:
        return Outcome(problem=(status.split(b"\r\n")[0] + b" " + body).decode(errors="replace"))
    return Outcome(ms, json.loads(body)["milliseconds"])


def report(outcomes: list[Outcome]) -> str:
    """Percentiles; they take in the client's own delays, and all of the network between."""
    good = [o for o in outcomes if not o.problem]
    lines = [f"answered                {len(good):6} of {len(outcomes)}"]
    if good:
        lines[0] += f", {len(good) / max(o.at_s for o in good):.1f} a second"
    for title, values in (
        ("ms behind the sound's end", [o.ms for o in good]),
        ("of these in the service", [o.own_ms for o in good]),
    ):
        if len(values) >= 2:
            percentiles = statistics.quantiles(values, n=100, method="inclusive")
            p50, p90, p99 = percentiles[49], percentiles[89], percentiles[98]
            lines.append(
                f"{title:25} p50 {p50:6.1f}   p90 {p90:6.1f}   p99 {p99:6.1f}   "
                f"max {max(values):6.1f}"
            )
    problems = sorted({o.problem for o in outcomes if o.problem})
    return "\n".join([*lines, *(f"no answer: {problem}" for problem in problems[:5])])
