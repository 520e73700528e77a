# SPDX-License-Identifier: Apache-2.0
"""Converts recordings of all formats to what the emulator takes: 16 kHz mono 16-bit WAV.

What libsndfile reads, and with ffmpeg installed what that reads; channels are averaged, other rates
resampled band-limited (libsoxr). Samples that need none of this keep their bits.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wakestate.audio import RATE
from wakestate.boards.run import run
from wakestate.boards.schema import Board, BoardError

_RATES = (4000, 768000)  # of recordings
_UNKNOWN = 0x7FFFE000  # a size from here on is what programs write that do not know it
_LOUDEST = 16.0  # 24 dB over full scale; what is more was never scaled
_BLOCK = 1 << 16  # samples a channel read at once


class SoundError(BoardError):
    """A recording cannot be read; the text names it and the reason."""

    several_lines = False  # names of recordings may hold anything


def is_plain(audio: str) -> bool:
    """Whether the emulator takes it as it is: by its header a 16 kHz mono 16-bit WAV; or a
    stream, which can be read but once: stdin ("-"), a named pipe. False where it cannot be read."""
    path = Path(audio)
    if audio == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return True
    try:
        with wave.open(audio, "rb") as file:
            return (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
    except (OSError, EOFError, wave.Error):
        return False


def run_emulator(board: Board, program: Path, options: list[str], audio: str) -> int:
    """Run the emulator, built for `board`, on a recording; its exit status, 1 where the recording
    cannot be decoded. What is printed names the recording itself."""
    with plain_wav(audio) as path:
        named = [] if path == audio else ["--name", audio]
        # A name may begin with "-", an option may not be meant.
        path = f"./{path}" if path.startswith("-") and path != "-" else path
        return run(board, program, [*options, *named, "--", path])


@contextmanager
def plain_wav(audio: str) -> Iterator[str]:
    """The path of a WAV for the emulator, within the context: the file itself, or
    another decoded from it. SoundError where it cannot be."""
    if is_plain(audio):
        yield audio
        return
    if not Path(audio).is_file():
        raise SoundError(f"{audio}: cannot be opened; does the file exist, and is it no folder?")
    with tempfile.TemporaryDirectory(prefix="wakestate-") as folder:
        path = Path(folder) / "decoded.wav"
        try:
            _decode(audio, path)
        except OSError as error:
            raise SoundError(f"{audio}: cannot be decoded in {folder}: {error.strerror}") from None
        yield str(path)


def _decode(audio: str, path: Path) -> None:
    count = 0
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        for samples in _decoded(audio):
            out.writeframesraw(samples)
            count += len(samples)
    if not count:
        raise SoundError(f"{audio}: empty: it holds no samples")


def _decoded(audio: str) -> Iterator[bytes]:
    """Blocks of s16le at RATE."""
    try:
        import soundfile  # not in the base install
        import soxr
    except ImportError as error:
        raise SoundError(
            f"{audio}: no 16 kHz mono 16-bit WAV, and {error.name} is not installed, which decodes "
            "others; pip install 'wakestate[audio]'"
        ) from None
    with _quiet_libraries():
        try:
            file = soundfile.SoundFile(audio)
        except (soundfile.LibsndfileError, OSError) as error:
            yield from _by_ffmpeg(audio, str(error).rpartition(": ")[2].strip())
            return
        with file:
            if not _RATES[0] <= file.samplerate <= _RATES[1]:
                allowed = f"{_RATES[0]} to {_RATES[1]} Hz"
                raise SoundError(f"{audio}: {file.samplerate} Hz; allowed: {allowed}")
            convert = soxr.ResampleStream(file.samplerate, RATE, 1)
            found, more = 0, True
            while more:
                try:
                    block = file.read(_BLOCK, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    raise SoundError(f"{audio}: damaged: {error}") from None
                found, more = found + len(block), len(block) > 0
                mono = block.mean(axis=1)
                if file.samplerate != RATE:
                    mono = convert.resample_chunk(mono, last=not more)
                yield _to_bytes(audio, mono)
            _check_complete(audio, file.extra_info, file.frames, found)


def _check_complete(audio: str, about: str, promised: int, found: int) -> None:
    """All samples are there that the header promises. `about`: libsndfile's notes on the file;
    of a WAV or AIFF that is cut off, that its data "should be" fewer bytes."""
    unit = "samples"
    if truncated := re.search(
        r"^ *(?:data|SSND) +: (\d+) \(should be (\d+)\)", about, re.MULTILINE
    ):
        size, present = map(int, truncated.groups())
        if present < size < _UNKNOWN:
            promised, found, unit = size, present, "bytes"
    if found < promised:
        raise SoundError(
            f"{audio}: truncated: its header promises {promised} {unit}, it holds {found}; record "
            "or copy it again"
        )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What C libraries write to stderr is dropped: libsndfile's MP3 decoder comments on frames."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _to_bytes(audio: str, samples: Any) -> bytes:
    """float32[samples] in -1 .. 1 as s16le; louder ones are clipped."""
    import numpy as np

    if not np.isfinite(samples).all():
        raise SoundError(f"{audio}: holds samples that are no numbers (NaN or infinite)")
    if (peak := np.abs(samples).max(initial=0)) > _LOUDEST:
        raise SoundError(f"{audio}: samples up to {peak:.0f}; floats are in -1 to 1: scale them")
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def _by_ffmpeg(audio: str, problem: str) -> Iterator[bytes]:
    """The same by ffmpeg; `problem` is why libsndfile could not."""
    call = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-protocol_whitelist",
        "file,pipe",
        "-i",
        f"file:{audio}",
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        str(RATE),
        "-f",
        "s16le",
        "-",
    ]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=log)
        except FileNotFoundError:
            raise SoundError(
                f"{audio}: cannot be decoded: {problem} Where ffmpeg is installed, it is tried too"
            ) from None
        assert process.stdout is not None
        with process:
            while block := process.stdout.read(2 * _BLOCK):
                yield block
        log.seek(0)
        lines = log.read().decode(errors="replace").split("\n")
    if process.returncode or lines[0]:
        reason = lines[0].rpartition("] ")[2].replace(f"file:{audio}: ", "") or "unknown"
        raise SoundError(f"{audio}: cannot be decoded: {problem} ffmpeg: {reason}")
