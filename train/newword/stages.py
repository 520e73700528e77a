# SPDX-License-Identifier: Apache-2.0
"""The stages of a new word, each a command of its own, under one display with the time left.

Each stage resumes by itself. What is done is noted in the run's folder, so that the same call after
a kill begins with the stage that was running.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from wakestate.errors import UserError
from wakestate.explain import one_line
from wakestate.processes import end_with_parent
from wakestate.train.artifacts import write_json

DONE, LOG, LOCK = "stages.json", "new.log", ".lock"  # in the run's folder
BAR = re.compile(r"(\d+)%\|")  # of tqdm
REDRAW_S = 0.5
NARROW = 80  # columns of a terminal of unknown width
STEADY_S = 60.0  # so much work counts as done as fast as expected, before any is


class StageError(UserError):
    """A stage failed; the text is what it said, and where the rest is."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Stage:
    """One command of the program. `seconds`: expected, of all cores."""

    name: str
    command: tuple[str, ...]
    seconds: float


class Display:
    """The stages and the time left: redrawn in place on a terminal, else a line at each change."""

    def __init__(self, stages: Sequence[Stage], done: dict[str, float], out: TextIO) -> None:
        self.stages, self.done, self.out = stages, done, out
        self.live = out.isatty()
        self._lines = 0

    def left(self, current: str = "", elapsed: float = 0.0) -> float:
        """Seconds that are left: the expected ones, as much slower as what is done was."""
        finished = [s for s in self.stages if s.name in self.done]
        expected = sum(s.seconds for s in finished) + STEADY_S
        slower = (sum(self.done[s.name] for s in finished) + STEADY_S) / expected
        left = 0.0
        for stage in self.stages:
            if stage.name == current:
                left += max(slower * stage.seconds - elapsed, 0.05 * slower * stage.seconds)
            elif stage.name not in self.done:
                left += slower * stage.seconds
        return left

    def begin(self, stage: Stage) -> None:
        """A stage begins."""
        self.draw(stage, 0.0, "")
        if not self.live:
            number = self.stages.index(stage) + 1
            left = minutes(self.left(stage.name))
            print(
                f"[{number}/{len(self.stages)}] {stage.name}; {left} left",
                file=self.out,
                flush=True,
            )

    def draw(self, stage: Stage, elapsed: float, bar: str) -> None:
        """The state of all, with the bar of the stage in work."""
        if not self.live:
            return
        shown = []
        for each in self.stages:
            mark, text = " ", f"about {minutes(each.seconds)}"
            if each.name in self.done:
                mark, text = "x", minutes(self.done[each.name])
            elif each == stage:
                mark, text = ">", f"{minutes(elapsed)}  {bar}"
            shown.append(f"[{mark}] {each.name:12} {text}")
        shown.append(f"{minutes(self.left(stage.name, elapsed))} left")
        width = (os.get_terminal_size(self.out.fileno()).columns or NARROW) - 1
        up = f"\x1b[{self._lines}A" if self._lines else ""
        self.out.write(up + "".join(f"\x1b[2K{line[:width]}\n" for line in shown))
        self.out.flush()
        self._lines = len(shown)

    def end(self, stage: Stage, seconds: float) -> None:
        """A stage is done."""
        self.done[stage.name] = seconds
        self.draw(stage, seconds, "")


def minutes(seconds: float) -> str:
    """ "12 s", "7 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60:02} min"


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """UserError where another process uses the folder."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{run}: another `wakestate word new` is running in it") from None
        yield


def run_stages(stages: Sequence[Stage], run: Path, out: TextIO) -> None:
    """Run those that are not done. StageError."""
    path = run / DONE
    done: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
    display = Display(stages, {name: took["seconds"] for name, took in done.items()}, out)
    for stage in stages:
        if stage.name in done:
            continue
        began, used = time.monotonic(), _used()
        display.begin(stage)
        _run(stage, run / LOG, display, began)
        seconds = round(time.monotonic() - began, 1)
        done[stage.name] = {"seconds": seconds, "core_seconds": round(_used() - used, 1)}
        display.end(stage, seconds)
        write_json(path, done)


def _used() -> float:
    """Seconds of a core that the stages so far have taken."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(stage: Stage, log: Path, display: Display, began: float) -> None:
    call = [sys.executable, "-m", "wakestate", *stage.command]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if stage.name in ("convert", "measure"):
        env["KERAS_BACKEND"] = "tensorflow"
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    child = subprocess.Popen(
        call, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=end_with_parent
    )
    last = ""
    try:
        assert child.stdout is not None
        with log.open("a", encoding="utf-8") as log_file:
            log_file.write(f"$ wakestate {' '.join(stage.command)}\n")
            drawn = 0.0
            for line in _lines(child.stdout):
                is_bar = BAR.search(line) is not None
                if not is_bar:
                    last = line
                    log_file.write(f"{line}\n")
                    log_file.flush()
                elif time.monotonic() - drawn > REDRAW_S:
                    drawn = time.monotonic()
                    display.draw(stage, drawn - began, line)
        status = child.wait()
    finally:
        child.terminate()
        child.wait()
        signal.signal(signal.SIGTERM, before)
    if status:
        raise StageError(one_line(f"{stage.name}: {last}; all of it is in {log}"), max(status, 1))


def _lines(pipe: IO[bytes]) -> Iterator[str]:
    """What ends in a new line or, as progress bars do, in a carriage return."""
    rest = b""
    while part := os.read(pipe.fileno(), 1 << 16):
        *lines, rest = re.split(rb"[\r\n]", rest + part)
        yield from (text for line in lines if (text := line.decode(errors="replace").strip()))
    if rest.strip():
        yield rest.decode(errors="replace").strip()
