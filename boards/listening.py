# SPDX-License-Identifier: Apache-2.0
"""Live sound through the host emulator: what it detects, a level meter, and clips of it."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import math
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from wakestate.audio import RATE
from wakestate.boards.schema import BoardError
from wakestate.files import make_folder, write_atomically

BLOCK = RATE // 20  # samples read at once
_AROUND_S = 0.5  # of a clip, before and after the word
_MEMORY_S = 10  # of sound that is saved for clips
_METER_DB = 60  # from full scale down
_METER = 20  # columns
_COLUMNS = ("path", "split", "kind", "label", "speaker", "seconds", "text", "source", "licence")


class MicrophoneError(BoardError):
    """There is no microphone, or not that one; the text names it and what to do."""


def microphones() -> str:
    """A table of the sound devices of this computer; ">" marks the default. MicrophoneError."""
    return str(_sounddevice().query_devices())


def microphone(name: str | None, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """Blocks of s16le at RATE from a device, by its name or number, until `stopped`.
    MicrophoneError."""
    sounddevice = _sounddevice()
    device = int(name) if name is not None and name.isdecimal() else name
    try:
        stream = sounddevice.RawInputStream(
            RATE, blocksize=BLOCK, device=device, channels=1, dtype="int16"
        )
        with stream:
            while not stopped():
                block, late = stream.read(BLOCK)
                if late:
                    print("microphone: samples lost; is this computer too busy?", file=sys.stderr)
                yield bytes(block)
    except (ValueError, sounddevice.PortAudioError) as error:
        which = "the default microphone" if name is None else f"microphone {name}"
        raise MicrophoneError(
            f"{which}: {error}; `wakestate listen --devices` lists those that there are"
        ) from None


def _sounddevice() -> Any:
    try:
        import sounddevice  # not in the base install
    except ModuleNotFoundError:
        raise MicrophoneError(
            "sounddevice: not installed; pip install 'wakestate[audio]'"
        ) from None
    except OSError:
        raise MicrophoneError("PortAudio: not installed; apt-get install libportaudio2") from None
    return sounddevice


@dataclass(frozen=True)
class Detection:
    """A wake or a near miss: the emulator's line, and the sound around it, s16le at RATE."""

    line: dict[str, Any]
    pcm: bytes


class Clips:
    """A data folder that grows: `wakestate train --also FOLDER` takes it.

    Wakes are in `wakes`, near misses in `near_misses`, all of kind `unlabeled`, which training
    refuses: only who listens to a clip knows whether it is the word. FileError.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._manifest = out, make_folder(out) / "manifest.csv"
        self._rows: list[list[str]] = []
        if self._manifest.is_file():
            with self._manifest.open(newline="", encoding="utf-8") as file:
                self._rows = list(csv.reader(file))[1:]

    def keep(self, detection: Detection) -> Path:
        """Write one clip and its row; its file."""
        what = "wakes" if detection.line["type"] == "wake" else "near_misses"
        name = f"train/{what}/{len(self._rows) + 1:05}.wav"
        made = io.BytesIO()
        with wave.open(made, "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(detection.pcm)
        make_folder((self._out / name).parent)
        write_atomically(self._out / name, made.getvalue())
        seconds = f"{len(detection.pcm) / 2 / RATE:.3f}"
        source = f"{detection.line['type']}, p {detection.line['p']:.4f}"
        self._rows.append([name, "train", "unlabeled", "", "me", seconds, "", source, "own"])
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([_COLUMNS, *self._rows])
        write_atomically(self._manifest, table.getvalue())
        return self._out / name


class Listener:
    """One run of the emulator on sound that comes block by block.

    `on_event` gets each wake and near miss, half a second after it, `on_level` the peak of each
    block in dBFS and the newest probability.
    """

    def __init__(
        self,
        program: Path,
        options: Sequence[str],
        on_event: Callable[[Detection], None],
        on_level: Callable[[float, float], None] = lambda dbfs, p: None,
    ) -> None:
        self._call = [str(program), *options, "--json", "--scores", "--name", "live", "--", "-"]
        self._on_event, self._on_level = on_event, on_level
        self._pcm, self._first = bytearray(), 0  # the newest sound, and its first sample
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._newest = 0.0

    def run(self, blocks: Iterable[bytes]) -> None:
        """Until the blocks end. BoardError where the emulator fails."""
        pipe = subprocess.PIPE
        with subprocess.Popen(self._call, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert process.stdin and process.stdout and process.stderr
            reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
            reader.start()
            try:
                self._feed(process.stdin, blocks)
            except BaseException:
                process.kill()
                raise
            finally:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                reader.join()
            self._report(ended=True)
            problem = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            raise BoardError(problem or f"the emulator ended with {process.returncode}")

    def _feed(self, stdin: IO[bytes], blocks: Iterable[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
            for block in blocks:
                stdin.write(block)
                stdin.flush()
                self._remember(block)
                self._report(ended=False)

    def _read(self, stdout: Iterable[bytes]) -> None:
        for line in stdout:
            event = json.loads(line)
            with self._lock:
                if event["type"] == "score":
                    self._newest = event["p"]
                else:
                    self._waiting.append(event)

    def _remember(self, block: bytes) -> None:
        self._pcm += block
        if (old := len(self._pcm) // 2 - _MEMORY_S * RATE) > 0:
            del self._pcm[: 2 * old]
            self._first += old
        peak = int(np.abs(np.frombuffer(block, "<i2").astype(np.int32)).max())
        self._on_level(20 * np.log10(max(peak, 1) / 32768), self._newest)

    def _report(self, ended: bool) -> None:
        """What has half a second of sound behind it, or all."""
        end_s = (self._first + len(self._pcm) // 2) / RATE
        with self._lock:
            due = [e for e in self._waiting if ended or e["t"] + _AROUND_S <= end_s]
            self._waiting = [e for e in self._waiting if e not in due]
        for event in due:
            ends_s = (event["start"] - _AROUND_S, event["t"] + _AROUND_S)
            samples = [round(s * RATE) - self._first for s in ends_s]
            first, last = (2 * max(sample, 0) for sample in samples)
            self._on_event(Detection(event, bytes(self._pcm[first:last])))


def meter(dbfs: float, probability: float) -> str:
    """One line for a terminal: level, and how sure the network is."""
    level = round(_METER * min(max(1 + dbfs / _METER_DB, 0), 1))
    sure = round(_METER * probability)
    return f"{dbfs:6.1f} dBFS |{'=' * level:{_METER}}|  p {probability:.2f} |{'#' * sure:{_METER}}|"


def listen(
    program: Path,
    options: Sequence[str],
    device: str | None,
    clips: Path | None = None,
    seconds: float | None = None,
) -> None:
    """Show what a microphone's sound does, until Ctrl-C or for some seconds. BoardError, FileError.

    Wakes and near misses are lines on stdout, for a terminal with a meter, else JSON.
    """
    saved = Clips(clips) if clips else None
    metered = sys.stdout.isatty()
    stopped = threading.Event()

    def show(detection: Detection) -> None:
        path = saved.keep(detection) if saved else None
        line = detection.line
        if not metered:
            print(json.dumps({**line, **({"clip": str(path)} if path else {})}), flush=True)
            return
        word = f"  {line['word']}" if "word" in line else ""
        where = f"  {path}" if path else ""
        text = f"{line['t']:9.3f} s  {line['type']}{word}  p {line['p']:.4f}{where}"
        print(f"\r\33[K{text}", flush=True)

    def level(dbfs: float, probability: float) -> None:
        print("\r" + meter(dbfs, probability), end="", flush=True)

    blocks = microphone(device, stopped.is_set)
    if seconds is not None:
        blocks = itertools.islice(blocks, math.ceil(seconds * RATE / BLOCK))
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        Listener(program, options, show, level if metered else lambda dbfs, p: None).run(blocks)
    finally:
        signal.signal(signal.SIGINT, before)
        if metered:
            print()
