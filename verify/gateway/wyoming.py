# SPDX-License-Identifier: Apache-2.0
"""A wake-word service of the Wyoming protocol, as Home Assistant and its satellites use it.

The sound of each client goes through an emulator of its own, as through a device. With a verifier
(`posting.Service`) a wake becomes a detection when the verifier has accepted it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.server import AsyncEventHandler
from wyoming.wake import Detect, Detection, NotDetected

from wakestate import __version__
from wakestate.audio import RATE
from wakestate.files import plain
from wakestate.verify.gateway.gateway import Gateway, Report, Sink, Utterance
from wakestate.verify.gateway.posting import Poster, Service, Verdict
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import Start
from wakestate.words import Word

CLIENTS_MAX = 64  # at a time; each has a process of about 2 MB
_READ = 16384  # bytes at a time
_FULL_S = 0.05  # until a full queue of the verifier is looked at again


@dataclass(frozen=True)
class Engine:
    """What processes a client's sound: `program`, a host emulator built of `words`, with `options`.

    `service`: the verifier; None: every wake is a detection.
    """

    words: Sequence[Word]
    program: Path
    options: Sequence[str] = ()
    service: Service | None = None

    def info(self) -> Info:
        """What a client gets as the list of what it can ask for."""
        own = Attribution("Wakestate", "")
        models = [
            WakeModel(word.name, own, True, word.phrase, __version__, ["en"], word.phrase)
            for word in self.words
        ]
        about = "small-footprint wake words, as they run on a microcontroller"
        return Info(wake=[WakeProgram("wakestate", own, True, about, __version__, models)])


async def serve(engine: Engine, host: str, port: int, report: Report) -> None:
    """Until SIGTERM or Ctrl-C. GatewayError where the address cannot be had."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if len(tasks) > CLIENTS_MAX:
                report(f"{name}: refused: {CLIENTS_MAX} clients are connected")
                return
            await _Client(engine, partial(_named, report, name), reader, writer).run()
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, EOFError):
            report(f"{name}: sent what is no Wyoming event; disconnected")
        except OSError as error:
            report(f"{name}: lost: {error.strerror}")
        except asyncio.CancelledError:
            pass  # the service ends
        finally:
            tasks.discard(task)
            writer.close()

    try:
        server = await asyncio.start_server(connected, host, port)
    except OSError as error:
        raise GatewayError(f"{host}:{port}: cannot listen there: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with server:
        for socket in server.sockets:
            report("Wyoming service at tcp://{}:{}".format(*socket.getsockname()[:2]))
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def _named(report: Report, name: str, text: str) -> None:
    report(f"{name}: {text}")


class _Detections:
    """A Sink without a verifier: every wake is a detection."""

    def __init__(self, detected: Callable[[Start], None]) -> None:
        self._detected = detected

    def begin(self, utterance: Utterance) -> None:
        self._detected(utterance.start)

    def more(self, utterance: Utterance) -> bool:
        return True

    def end(self, utterance: Utterance) -> None:
        pass


class _Stream:
    """The sound from AudioStart to AudioStop, through one emulator.

    `detected` is called with each wake that the verifier, if any, accepts.
    """

    def __init__(self, engine: Engine, detected: Callable[[Start], None], report: Report) -> None:
        self._engine, self._detected, self._report = engine, detected, report
        self._loop = asyncio.get_running_loop()
        self._convert = AudioChunkConverter(rate=RATE, width=2, channels=1)
        self._poster = Poster(engine.service, self._answered) if engine.service else None
        sink: Sink = self._poster or _Detections(detected)
        self._gateway = Gateway(sink)

    async def open(self) -> None:
        """Start the emulator. GatewayError."""
        call = (*self._engine.options, "--json", "--uplink", "-", "--", "-")
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._engine.program, *call, stdin=-1, stdout=-1
            )
        except OSError as error:
            raise GatewayError(f"{self._engine.program}: {error.strerror}") from None
        self._reading = asyncio.create_task(self._read())

    async def push(self, chunk: AudioChunk) -> None:
        """Process sound of any rate, width and number of channels."""
        assert self._process.stdin is not None
        self._process.stdin.write(self._convert.convert(chunk).audio)
        with contextlib.suppress(ConnectionError):  # it has ended: `finish` says so
            await self._process.stdin.drain()

    async def finish(self) -> None:
        """Until all wakes are there. GatewayError where the emulator failed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reading
        self._gateway.close()
        if await self._process.wait() != 0:
            raise GatewayError(f"the emulator ended with {self._process.returncode}")
        if self._poster:
            await asyncio.to_thread(self._poster.close)
            await asyncio.sleep(0)  # what its threads scheduled comes first

    def abort(self) -> None:
        """The client is gone."""
        self._reading.cancel()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._poster:
            self._poster.close(0.0)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(_READ):
            self._gateway.feed(data)
            while self._poster and self._poster.full():
                await asyncio.sleep(_FULL_S)

    def _answered(self, verdict: Verdict) -> None:
        """By a thread of the poster."""
        self._report(verdict.line())
        if verdict.answer is not None and verdict.answer["accept"]:
            self._loop.call_soon_threadsafe(self._detected, verdict.start)


class _Client(AsyncEventHandler):
    """One connection: Detect, then AudioStart, AudioChunk ..., AudioStop, as often as wanted."""

    def __init__(
        self,
        engine: Engine,
        report: Report,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(reader, writer)
        self._engine, self._report = engine, report
        self._names: Sequence[str] = ()  # none: all
        self._stream: _Stream | None = None
        self._begin_ms = self._detections = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def handle_event(self, event: Event) -> bool:
        """False disconnects."""
        try:
            if Describe.is_type(event.type):
                await self._send(self._engine.info())
            elif Detect.is_type(event.type):
                self._choose(Detect.from_event(event).names or ())
            elif AudioStart.is_type(event.type):
                await self._start(AudioStart.from_event(event))
            elif AudioChunk.is_type(event.type) and self._stream:
                await self._stream.push(AudioChunk.from_event(event))
            elif AudioStop.is_type(event.type):
                await self._stop()
        except GatewayError as error:
            self._report(str(error))
            await self._send(Error(str(error)))
            return False
        return True

    async def disconnect(self) -> None:
        if self._stream:
            self._stream.abort()
            self._stream = None

    def _choose(self, names: Sequence[str]) -> None:
        known = [word.name for word in self._engine.words]
        for name in names:
            if name not in known:
                raise GatewayError(f"{plain(name)}: no such word here; there are {known}")
        self._names = names

    async def _start(self, start: AudioStart) -> None:
        await self._stop()
        self._begin_ms, self._detections = start.timestamp or 0, 0
        stream = _Stream(self._engine, self._detected, self._report)
        await stream.open()
        self._stream = stream

    async def _stop(self) -> None:
        if self._stream is None:
            return
        await self._stream.finish()
        self._stream = None
        if self._sending:
            await asyncio.wait(self._sending)
        if self._detections == 0:
            await self._send(NotDetected())

    def _detected(self, start: Start) -> None:
        if self._names and start.word not in self._names:
            return
        self._detections += 1
        ms = self._begin_ms + 1000 * start.wake_sample // start.sample_rate
        self._report(f"detected {start.word} at {ms} ms")
        task = asyncio.create_task(self._send(Detection(name=start.word, timestamp=ms)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, what: Eventable) -> None:
        with contextlib.suppress(ConnectionError):  # the client is gone: reading says so
            await self.write_event(what.event())
