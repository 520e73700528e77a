# SPDX-License-Identifier: Apache-2.0
"""How fast the host emulator runs, and what memory it takes, for an hour and for ten."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import wave
from dataclasses import asdict, dataclass
from pathlib import Path

from wakestate.audio import RATE
from wakestate.bench.rows import BenchError
from wakestate.tables import Printed, text
from wakestate.train.data.manifest import DataError, read_manifest

_SECOND = 2 * RATE  # bytes
#: Every eighth recording of the dev split: all kinds of sound, and some minutes.
_EVERY = 8


@dataclass(frozen=True)
class Audio:
    """Sound to process again and again."""

    pcm: bytes  # s16le, mono, RATE
    origin: str


@dataclass(frozen=True)
class EmulatorRun:
    """One run of the emulator."""

    seconds: float
    cpu_s: float  # user and system
    peak_kb: int
    lines: int  # of events

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.seconds / self.cpu_s


def recordings(data: Path | None, samples: list[Path]) -> Audio:
    """Of a data folder's dev split, or the word's own samples where there is none."""
    if data is not None and (data / "manifest.csv").is_file():
        try:
            rows = [row for row in read_manifest(data) if row["split"] == "dev"]
        except DataError as error:
            raise BenchError(str(error)) from None
        paths = [data / row["path"] for row in rows if row["kind"] != "rir"][::_EVERY]
        origin = f"{len(paths)} recordings of {data}/dev"
        pcm = b"".join(_decode(path) for path in paths)
    else:
        origin = " and ".join(map(str, samples))
        pcm = b"".join(_read_wav(path) for path in samples)
    if not pcm:
        raise BenchError("no audio: give --data, or a word with a sample.wav")
    return Audio(pcm, f"{origin}, {len(pcm) / _SECOND:,.0f} s, again and again")


def run_emulator(program: Path, audio: Audio, seconds: float) -> EmulatorRun:
    """Stream `audio` to the emulator until it has processed `seconds`."""
    left = round(seconds * RATE) * 2
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as events:
        try:
            process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=events)
        except FileNotFoundError:
            raise BenchError(f"{program}: not built; `wakestate emulate` builds it") from None
        peak = None
        try:
            with process:
                assert process.stdin is not None
                while left > 0:
                    left -= process.stdin.write(memoryview(audio.pcm)[:left])
                process.stdin.flush()
                peak = _peak_kb(process.pid)
        except BrokenPipeError:
            pass
        if process.returncode != 0 or peak is None:
            raise BenchError(f"{program}: ended with status {process.returncode} before the audio")
        events.seek(0)
        lines = sum(1 for _ in events)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return EmulatorRun(seconds, cpu, peak, lines)


def table(program: Path, audio: Audio, hours: float) -> Printed:
    """Measure `hours` and ten times as much."""
    short, long = (run_emulator(program, audio, times * hours * 3600) for times in (1, 10))
    rows = [
        {
            "audio": f"{each.seconds / 3600:g} h",
            "CPU s": f"{each.cpu_s:.2f}",
            "x real time": round(each.speed),
            "peak memory, KB": each.peak_kb,
            "events": each.lines,
        }
        for each in (short, long)
    ]
    times, memory = long.cpu_s / short.cpu_s, long.peak_kb / short.peak_kb
    lines = (
        f"{program} on one core of this computer; {audio.origin}",
        text(rows, left=0),
        f"ten times the audio: {times:.2f} x the time, {memory:.2f} x the memory",
    )
    return Printed(
        "\n".join(lines), [asdict(each) | {"speed": each.speed} for each in (short, long)]
    )


def _peak_kb(pid: int) -> int:
    """The most memory a running process had; a finished one's counts in what it was forked of."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BenchError("the emulator's memory is read from /proc, which only Linux has") from None
    return int(status.partition("VmHWM:")[2].split()[0])


def _decode(path: Path) -> bytes:
    import soundfile  # not in the base install

    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise BenchError(f"{path}: cannot be decoded: {error}") from None
    if rate != RATE or samples.ndim != 1:
        raise BenchError(f"{path}: {rate} Hz, shape {samples.shape}: {RATE} Hz mono is needed")
    return bytes(samples.astype("<i2").tobytes())


def _read_wav(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise BenchError(f"{path}: {RATE} Hz mono 16-bit is needed")
        return file.readframes(file.getnframes())
