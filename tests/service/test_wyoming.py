# SPDX-License-Identifier: Apache-2.0
"""The Wyoming service, asked by the published library's own client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("wyoming")

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect

from tests.support.examples import typed_example
from tests.support.firmware_build import ROOT, build
from tests.support.running_service import started
from wakestate.verify.gateway.wyoming import Engine, serve
from wakestate.words import load_word

SAMPLE = ROOT / "models/alexa/sample.wav"
WORD = load_word(ROOT / "words/alexa.toml")


@pytest.fixture(scope="module")
def program() -> Path:
    return build("alexa", "host").program("emulator")


@pytest.fixture(scope="module")
def wakes(program: Path) -> list[int]:
    """Milliseconds at which the emulator wakes on the sample."""
    out = subprocess.run([program, "--json", SAMPLE], capture_output=True, check=True).stdout
    return [int(1000 * json.loads(line)["t"]) for line in out.splitlines()]


def during(engine: Engine, ask: Callable[[int], Awaitable[None]]) -> list[str]:
    """What the service reports while `ask` talks to its port; it ends on SIGTERM."""
    reported: list[str] = []

    async def both() -> None:
        service = asyncio.create_task(serve(engine, "127.0.0.1", 0, reported.append))
        while not reported:
            await asyncio.sleep(0.01)
        await ask(int(reported[0].rpartition(":")[2]))
        os.kill(os.getpid(), signal.SIGTERM)
        await service

    asyncio.run(asyncio.wait_for(both(), 120))
    return reported[1:]


async def detect(port: int, pcm: bytes, names: Sequence[str] | None = None) -> list[Event]:
    """What a client gets for a stream, which begins at 5 s of its clock."""
    got = []
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Detect(names=list(names) if names else None).event())
        await client.write_event(AudioStart(16000, 2, 1, timestamp=5000).event())
        for at in range(0, len(pcm), 2048):
            await client.write_event(AudioChunk(16000, 2, 1, pcm[at : at + 2048]).event())
        await client.write_event(AudioStop().event())
        await client.write_event(Describe().event())  # answered last
        while (event := await client.read_event()) and not Info.is_type(event.type):
            got.append(event)
    return got


def sample() -> bytes:
    with wave.open(str(SAMPLE)) as file:
        return file.readframes(file.getnframes())


def test_two_clients_get_the_emulators_wakes(program: Path, wakes: list[int]) -> None:
    async def ask(port: int) -> None:
        both = await asyncio.gather(
            detect(port, sample()), detect(port, bytes(32000) + sample(), ["alexa"])
        )
        for got, late in zip(both, (0, 1000), strict=True):
            assert [event.type for event in got] == ["detection"] * len(wakes)
            assert [event.data["name"] for event in got] == ["alexa"] * len(wakes)
            times = [event.data["timestamp"] - 5000 - late for event in got]
            assert times == pytest.approx(wakes, abs=30)  # a step: the hops of the other begin late
            if not late:
                assert times == wakes

    assert len(wakes) > 1
    assert len(during(Engine([WORD], program), ask)) == 2 * len(wakes)


def test_silence_is_not_detected_and_other_words_are_refused(program: Path) -> None:
    async def ask(port: int) -> None:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            ((model,),) = [program.models for program in Info.from_event(event).wake]
            assert (model.name, model.phrase, model.installed) == ("alexa", "alexa", True)
        assert [event.type for event in await detect(port, bytes(64000))] == ["not-detected"]
        (refused,) = await detect(port, b"", ["computer"])
        assert refused.type == "error"
        assert refused.data["text"] == "computer: no such word here; there are ['alexa']"

    during(Engine([WORD], program), ask)


def test_the_verifier_decides(wakes: list[int]) -> None:
    """From the command, by a service that accepts all that is loud."""
    with started() as running:
        url = f"http://{running.host}"
        typed = typed_example("gateway wyoming", {"10400": "0"}, "--post", url, "--two-stage")
        call = [sys.executable, "-m", "wakestate", *typed]
        with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline().rpartition(":")[2])
                found = [event.type for event in asyncio.run(detect(port, sample()))]
            finally:
                process.terminate()
            reported = process.stdout.read()
    assert process.returncode == 0 and len(found) >= len(wakes)  # it wakes more readily
    assert set(found) == {"detection"} and reported.count('"accept": true') == len(found)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\n",
        b"[]\n",
        b'{"data": {}}\n',
        b'{"type": "audio-start"}\n',
        b'{"type": "audio-start", "data": {"rate": 0, "width": 9, "channels": 7}}\n'
        b'{"type": "audio-chunk", "data": {"rate": 0, "width": 9, "channels": 7}, '
        b'"payload_length": 3}\nabc',
        b'{"type": "detect", "data": {"names": [1, {}]}}\n',
        b'{"type": "x", "payload_length": 9}\nabc',
    ],
)
def test_what_is_no_event_ends_only_its_client(
    program: Path, wakes: list[int], sent: bytes
) -> None:
    async def ask(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        got = await detect(port, sample()[: 32 * (wakes[0] + 500)])
        assert [event.type for event in got] == ["detection"]

    during(Engine([WORD], program), ask)


def test_a_missing_emulator_is_reported_to_the_client(tmp_path: Path) -> None:
    async def ask(port: int) -> None:
        (error,) = await detect(port, b"")
        assert (error.type, error.data["text"]) == (
            "error",
            f"{tmp_path / 'none'}: No such file or directory",
        )

    (reported,) = during(Engine([WORD], tmp_path / "none"), ask)
    assert reported.endswith(f"{tmp_path / 'none'}: No such file or directory")
