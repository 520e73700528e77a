# SPDX-License-Identifier: Apache-2.0
"""Device, gateway and service on one computer: each wake, and the verifier's answer."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wakestate.boards.run import command
from wakestate.boards.schema import Board
from wakestate.boards.sound import plain_wav
from wakestate.boards.timeline import title
from wakestate.files import plain
from wakestate.verify.gateway.gateway import Gateway
from wakestate.verify.gateway.link import Device, Loop
from wakestate.verify.gateway.posting import Poster, Service, Verdict
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.sensitivity import Sensitivity
from wakestate.verify.service.child import running

_LEFT = 64  # columns


@dataclass
class _Shown:
    """Rows as the answers come. The poster's threads report verdicts."""

    verdicts: list[Verdict] = field(default_factory=list)
    wakes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, verdict: Verdict) -> None:
        start, answer = verdict.start, verdict.answer
        begin, end = (verdict.seconds(i) for i in (start.start_index, start.end_index))
        left = (
            f"{verdict.seconds(start.wake_index):8.3f} s  wake  word {begin:.3f}-{end:.3f}  "
            f"p={start.probability:.4f}"
        )
        if answer is None:
            right = f"no answer: {plain(verdict.problem)}"
        else:
            places = (answer["startIndexInSamples"], answer["endIndexInSamples"])
            begin, end = (verdict.seconds(i) for i in places)
            right = (
                f"{'accept' if answer['accept'] else 'REJECT'}  word {begin:.3f}-{end:.3f}  "
                f"score {answer['score']:.2f} (needs {answer['threshold']:.2f})  "
                f"{answer['milliseconds']:.0f} ms"
            )
        with self._lock:
            self.verdicts.append(verdict)
            print(f"{left.ljust(_LEFT)}{right}", flush=True)

    def line(self, line: str) -> None:
        """What the device sends; its wakes are counted, that none is lost on the way."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        kind = event.get("type") if isinstance(event, dict) else None
        self.wakes += kind == "wake"
        if kind in ("fault", "error"):
            raise GatewayError(f"the device: {plain(event.get('text'))}")


def demo(
    board: Board, program: Path, audio: Sequence[str], serve: Sequence[str], two_stage: Sensitivity
) -> int:
    """Let `program`, a device image or the host's emulator, process each of `audio` with
    `two_stage`.

    Of an emulated board the serial port is taken, in real time, and it gets the command to stop;
    the host's emulator sends all its output at once. Returns 0 where each wake had its answer.
    """
    if not program.exists():
        raise GatewayError(f"{program}: not built; `wakestate build --board {board.name}` does")
    for path in audio:
        if not Path(path).is_file():
            raise GatewayError(f"{path}: no such file; give a recording with AUDIO=FILE")
    shown = _Shown()
    with running(serve) as url:
        heads = (title(board), f"verifier, {url}")
        print("".join(head.ljust(_LEFT) for head in heads).rstrip())
        print("-" * (_LEFT - 3) + "   " + "-" * (_LEFT - 3))
        for path in audio:
            if len(audio) > 1:
                print(f"{path}:")
            with plain_wav(path) as plain:
                _run_device(
                    board, program, plain, Poster(Service(url), shown.show), shown, two_stage
                )
    answers = [v.answer for v in shown.verdicts if v.answer is not None]
    accepted = sum(answer["accept"] for answer in answers)
    print(
        f"\n{shown.wakes} wakes; {accepted} accepted, {len(answers) - accepted} rejected, "
        f"{shown.wakes - len(answers)} without an answer."
    )
    return 0 if len(answers) == shown.wakes else 1


def _run_device(
    board: Board, program: Path, path: str, poster: Poster, shown: _Shown, two_stage: Sensitivity
) -> None:
    host = board.kind == "host"
    options = [word for text in two_stage.texts() for word in ("--sensitivity", text)]
    arguments = [*options, "--json", "--uplink", "-", "--", path] if host else [path]
    call = command(board, program, arguments, serial=not host)
    process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    loop = Loop()
    device = Device(board.name, shown.line, hold=poster.full)
    device.gateway = Gateway(poster, device.command, shown.line, sensitivity=two_stage)
    loop.devices = [device]
    try:
        device.attach(process.stdout.fileno(), None if host else process.stdin.fileno())
        loop.run()
        if process.wait() != 0:
            raise GatewayError(f"{board.name}: ended with {process.returncode}, see above")
    finally:
        if process.poll() is None:
            process.kill()  # an emulator has nothing to put away
        process.wait()
        device.gateway.close()
        poster.close()
        loop.close()
        process.stdin.close()
        process.stdout.close()
