"""The manifest and its audio: what to hear, where the word is in it, what is held out.

Audio is mono int16 at 16 kHz. It is decoded once into one flat file below the cache folder and
memory-mapped from then on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from words import Word

RATE = 16000
COLUMNS = ("path", "split", "kind", "label", "speaker", "seconds")
# Kinds a device plays itself, by the player state they belong to.
PLAYBACK_KINDS = {"music": "music", "speech": "device_speech", "alarm": "alarms"}
# Kinds whose recordings are speech without the wake word unless the label says otherwise.
SPEECH_KINDS = ("speech", "acted_speech", "other_keywords", "device_speech", "tts")


class DataError(Exception):
    """The data folder cannot be used; the text says which file, and the mend."""


@dataclass(frozen=True)
class Clip:
    """One file of the manifest. `start` and `end` are the wake word's samples, or -1."""

    path: str
    kind: str
    label: str
    speaker: str
    offset: int
    samples: int
    start: int = -1
    end: int = -1


class Corpus:
    """One split of a data folder: `clips`, and `audio(clip)` as int16 samples."""

    def __init__(self, clips: list[Clip], pcm: NDArray[np.int16], split: str) -> None:
        self.clips = clips
        self.split = split
        self._pcm = pcm

    def audio(self, clip: Clip) -> NDArray[np.int16]:
        """Samples of one clip, int16[samples]."""
        return self._pcm[clip.offset : clip.offset + clip.samples]

    def of(self, *kinds: str) -> list[Clip]:
        """Clips of the given kinds."""
        return [c for c in self.clips if c.kind in kinds]

    def positives(self, word: Word) -> list[Clip]:
        """Clips with the wake word in them, its place known."""
        return [c for c in self.clips if c.label in word.data.positive and c.end > c.start >= 0]

    def negatives(self, word: Word) -> list[Clip]:
        """Clips of speech without the wake word (near misses among them)."""
        barred = set(word.data.positive) | set(word.data.exclude)
        kinds = (*SPEECH_KINDS, *_keyword_kinds(self.clips))
        return [c for c in self.clips if c.kind in kinds and c.label not in barred]

    def only(self, clips: Iterable[Clip]) -> Corpus:
        """The same audio, fewer clips."""
        return Corpus(list(clips), self._pcm, self.split)


def _keyword_kinds(clips: list[Clip]) -> tuple[str, ...]:
    """Kinds that are one wake word by many speakers: named like their only label."""
    return tuple(sorted({c.kind for c in clips if c.kind == c.label} - {"music", "speech"}))


def voice(clip: Clip) -> str:
    """Who speaks: the speaker where known, else each file counts as a voice of its own."""
    return clip.path if clip.speaker in ("", "n/a", "unknown") else clip.speaker


def held_out(clip: Clip, tenths: int = 1) -> bool:
    """Whether a training clip is kept for choosing: by speaker where known, else by file."""
    return hashlib.sha256(voice(clip).encode()).digest()[0] % 10 < tenths


def find_manifest(data: Path) -> Path:
    """`data`/manifest.csv, or a DataError that says what is missing."""
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise DataError(f"{manifest}: not found; name a data folder with DATA=FOLDER")
    return manifest


def load_corpus(data: Path, split: str, cache: Path, core: str = "") -> Corpus:
    """Read one split ("train" or "dev") of `data`/manifest.csv; decode it on first use.

    `core`: phonemes that find the word where synthesized clips come with timings; for a phrase a
    part for each of its words.
    Raises DataError naming the file and what is wrong with it.
    """
    manifest = find_manifest(data)
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{manifest}: column {missing[0]} is missing")
            everything = list(reader)
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest}: not UTF-8: {error}") from None
    for number, row in enumerate(everything, 2):
        if any(row[c] is None for c in COLUMNS):
            raise DataError(f"{manifest}: row {number} has too few columns: {row['path']}")
    rows = [row for row in everything if row["split"] == split]
    if not rows:
        known = ", ".join(sorted({row["split"] for row in everything})) or "none"
        raise DataError(f"{manifest}: no row has split '{split}'; there are: {known}")
    key = hashlib.sha256(manifest.read_bytes() + split.encode()).hexdigest()[:16]
    index_path, pcm_path = cache / f"{split}-{key}.json", cache / f"{split}-{key}.s16"
    if not (index_path.is_file() and pcm_path.is_file()):
        _decode(data, rows, index_path, pcm_path)
    index = json.loads(index_path.read_text())
    if pcm_path.stat().st_size != 2 * sum(samples for _, samples in index):
        raise DataError(f"{pcm_path}: damaged; remove it, and it is made anew")
    pcm = np.memmap(pcm_path, dtype=np.int16, mode="r")
    timings = _tts_timings(data / split / "tts" / "words.csv", core)
    clips = []
    for row, (offset, samples) in zip(rows, index, strict=True):
        start, end = -1, -1
        if row["kind"] == "tts" or row["kind"] == row["label"]:
            start, end = locate_word(
                pcm[offset : offset + samples], timings.get(Path(row["path"]).name)
            )
        clips.append(
            Clip(row["path"], row["kind"], row["label"], row["speaker"], offset, samples,
                 start, end)
        )  # fmt: skip
    return Corpus(clips, pcm, split)


def _decode(data: Path, rows: list[dict[str, str]], index_path: Path, pcm_path: Path) -> None:
    index_path.parent.mkdir(parents=True, exist_ok=True)
    index, offset = [], 0
    partial = pcm_path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as out:
            for row in tqdm(rows, desc=f"decode {rows[0]['split']}", unit="file"):
                path = data / row["path"]
                try:
                    pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
                except (OSError, soundfile.LibsndfileError) as error:
                    raise DataError(f"{path}: cannot be read: {error}") from None
                if rate != RATE:
                    raise DataError(f"{path}: {rate} Hz; resample it to {RATE} Hz")
                if not len(pcm):
                    raise DataError(f"{path}: holds no samples; take it out of the manifest")
                out.write(pcm[:, 0].tobytes())
                index.append((offset, len(pcm)))
                offset += len(pcm)
        partial.replace(pcm_path)
        partial.write_text(json.dumps(index))
        partial.replace(index_path)
    finally:
        partial.unlink(missing_ok=True)


def _tts_timings(path: Path, core: str) -> dict[str, tuple[float, float, bool]]:
    """Start, end (s) and whether it is the clip's last, of the first word with `core`, by file.

    `core` of several parts, with spaces between them: of so many words in a row.
    """
    parts = core.split()
    if not core or not path.is_file():
        return {}
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups = json.loads(row["words"])
            for i in range(len(groups) - len(parts) + 1):
                phrase = groups[i : i + len(parts)]
                if all(part in g[0] for part, g in zip(parts, phrase, strict=True)):
                    last = i + len(parts) == len(groups)
                    found[row["path"]] = (phrase[0][1], phrase[-1][2], last)
                    break
    return found


def locate_word(
    pcm: NDArray[np.int16], timing: tuple[float, float, bool] | None
) -> tuple[int, int]:
    """Start and end sample of the word: the timing if given, trimmed by energy.

    Energy: from the loudest 10 ms frame outwards while no gap of 0.15 s below the threshold
    (25 dB under the peak, and 6 dB over the background) is met. Predicted starts run about 65 ms
    late and the last word of a clip takes in trailing silence, hence the margins.
    """
    frames = len(pcm) // 160
    if frames == 0 or not pcm.any():
        return -1, -1
    x = pcm[: frames * 160].astype(np.float32).reshape(frames, 160)
    power = np.convolve((x**2).mean(axis=1), np.ones(3) / 3, mode="same")
    level = 10 * np.log10(power + 1e-3)
    low, high = 0, frames
    if timing is not None:
        low = min(frames - 1, max(0, int(timing[0] * 100) - 10))
        high = frames if timing[2] else min(frames, int(timing[1] * 100) + 2)
    peak = float(level[low:high].max(initial=-30.0))
    loud = level[low:high] > max(peak - 25.0, min(float(np.percentile(level, 15)) + 6, peak - 12))
    if not loud.any():
        return -1, -1
    at = int(np.argmax(level[low:high]))
    marks = np.flatnonzero(loud)
    breaks = np.flatnonzero(np.diff(marks) > 15)
    groups = np.split(marks, breaks + 1)
    group = next(g for g in groups if g[0] <= at <= g[-1])
    return (low + int(group[0])) * 160, (low + int(group[-1]) + 1) * 160
