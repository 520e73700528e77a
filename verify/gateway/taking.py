# SPDX-License-Identifier: Apache-2.0
"""The gateway as a program: devices in, utterances to a service and into a folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wakestate.boards.schema import BoardError
from wakestate.verify.gateway.gateway import Folder, Gateway, Report, Sink
from wakestate.verify.gateway.lines import Lines
from wakestate.verify.gateway.link import Device, Loop, stopping
from wakestate.verify.gateway.posting import Both, Poster, Service
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.sensitivity import Sensitivity

_OFF_S = 1.0  # for a device to take `uplink off`
_ANSWERS_S = 2.5  # for answers after SIGTERM
_FLUSH_S = 0.5  # for who reads what is said
_INPUT_ENDED_S = 3600.0


@dataclass(frozen=True)
class Taken:
    """From where, and to where: `sources` as in `--from`; at least one of `out` and `service`."""

    sources: Sequence[str]
    baud: int
    out: Path | None
    follow_s: float
    service: Service | None
    quiet: bool
    sensitivity: Sensitivity | None = None  # of each device


def take(taken: Taken) -> int:
    """Until the files end, or SIGTERM or Ctrl-C; GatewayError, FileError. Returns 0."""
    log, verdicts = Lines(sys.stderr), Lines(sys.stdout)
    loop = Loop([log, verdicts])
    log.wake = verdicts.wake = loop.wake
    verdicts.when_gone = loop.stop
    poster: Poster | None = None
    if taken.service is not None:
        poster = Poster(taken.service, lambda verdict: verdicts(verdict.line()), loop.wake)
    folder = Folder(taken.out, taken.follow_s, log) if taken.out is not None else None
    try:
        loop.devices = [_device(source, taken, poster, folder, log) for source in taken.sources]
        with stopping(loop.stop):
            _open(loop.devices, log)
            try:
                loop.run()
            finally:
                _end(loop, poster)
        _report(loop.devices, log)
    finally:
        loop.until(lambda: log.empty and verdicts.empty, _FLUSH_S)
        loop.close()
    return 0


def _device(
    source: str, taken: Taken, poster: Poster | None, folder: Folder | None, log: Lines
) -> Device:
    several = len(taken.sources) > 1
    device = Device(
        source,
        lambda text: log(f"{source}: {text}"),
        taken.baud,
        hold=lambda: log.full() or (poster is not None and poster.full()),
    )

    def line(text: str) -> None:
        if not taken.quiet:
            log(f"{source}: {text}" if several else text)

    sinks: list[Sink] = [sink for sink in (poster, folder) if sink is not None]
    sink = sinks[0] if len(sinks) == 1 else Both(*sinks)
    name = source if several else ""
    device.gateway = Gateway(sink, device.command, line, name, taken.sensitivity)
    return device


def _open(devices: Sequence[Device], log: Report) -> None:
    """Those that are not there are tried again; GatewayError or BoardError where none is."""
    problem: Exception | None = None
    for device in devices:
        try:
            device.open()
        except (GatewayError, BoardError) as error:
            problem = error
            if len(devices) > 1:
                log(f"{error}; tried again until it is there")
    if problem is not None and all(device.file < 0 for device in devices):
        raise problem


def _end(loop: Loop, poster: Poster | None) -> None:
    """Uplinks go off; what was posted is answered, after SIGTERM only what is answered soon."""
    with contextlib.ExitStack() as last:
        if poster is not None:
            last.callback(poster.close, 0.0)
        loop.finish(_OFF_S)
        if poster is not None:
            waiting = poster
            loop.until(lambda: not waiting.busy, _ANSWERS_S if loop.stopped else _INPUT_ENDED_S)


def _report(devices: Sequence[Device], log: Report) -> None:
    for device in devices:
        source, reader = device.source, device.gateway.reader
        if reader.damaged or reader.lost:
            log(f"{source}: {reader.damaged} frames damaged, {reader.lost} missing")
        if device.problem:
            raise GatewayError(f"{source}: {device.problem}")
        if device.gateway.utterances == 0:
            log(f"{source}: no utterance in it")
            if reader.damaged and not device.port:
                raise GatewayError(f"{source}: is not what `wake-emulator --uplink FILE` writes")
