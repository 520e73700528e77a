"""The manifest and its audio: what to hear, where the word is in it, what is held out.

Audio is mono int16 at 16 kHz. It is decoded once into one flat file below the cache folder and
memory-mapped from then on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from train.locate import RATE as RATE  # the rate of all recordings
from train.locate import locate_word, tts_timings
from words import Data, Word

HELD = "held"  # a split: of train, what held_out() keeps
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
    folder: int = 0  # which of the data folders it is in


class Corpus:
    """One split of data folders: `clips`, and `audio(clip)` as int16 samples.

    `pcm`: all samples of each folder, int16.
    """

    def __init__(self, clips: list[Clip], pcm: list[NDArray[np.int16]], split: str) -> None:
        self.clips = clips
        self.split = split
        self._pcm = pcm

    def audio(self, clip: Clip) -> NDArray[np.int16]:
        """Samples of one clip, int16[samples]."""
        return self._pcm[clip.folder][clip.offset : clip.offset + clip.samples]

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


def load_corpus(
    data: Path, split: str, cache: Path, spoken: Data | None = None, also: Sequence[Path] = ()
) -> Corpus:
    """Read one split ("train" or "dev") of `data`/manifest.csv, and of the folders in `also`;
    decode it on first use. HELD: the voices of train that nothing learns from.

    `spoken`: where recordings hold the word, as a word file's [data] tells it.
    Raises DataError naming the file and what is wrong with it.
    """
    clips: list[Clip] = []
    pcm = []
    for number, folder in enumerate((data, *also)):
        of = "train" if split == HELD else split
        more, samples = _load_folder(folder, of, cache, spoken, number)
        clips += [clip for clip in more if split != HELD or held_out(clip)]
        pcm.append(samples)
    return Corpus(clips, pcm, split)


def _load_folder(
    data: Path, split: str, cache: Path, spoken: Data | None, number: int
) -> tuple[list[Clip], NDArray[np.int16]]:
    """Clips and samples of one folder, the `number`th."""
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
    for line, row in enumerate(everything, 2):
        if any(row[c] is None for c in COLUMNS):
            raise DataError(f"{manifest}: row {line} has too few columns: {row['path']}")
        if row["split"] == HELD:
            raise DataError(f"{manifest}: row {line}: a split cannot be named '{HELD}', which "
                            "stands for the voices of train that nothing learns from")  # fmt: skip
    rows = [row for row in everything if row["split"] == split]
    if not rows:
        known = ", ".join(sorted({row["split"] for row in everything})) or "none"
        raise DataError(f"{manifest}: no row has split '{split}'; there are: {known}")
    of = manifest.read_bytes() + f"{data.resolve()} {split}".encode()
    key = hashlib.sha256(of).hexdigest()[:16]
    index_path, pcm_path = cache / f"{split}-{key}.json", cache / f"{split}-{key}.s16"
    if not (index_path.is_file() and pcm_path.is_file()):
        _decode(data, rows, index_path, pcm_path)
    index = json.loads(index_path.read_text())
    if pcm_path.stat().st_size != 2 * sum(samples for _, samples in index):
        raise DataError(f"{pcm_path}: damaged; remove it, and it is made anew")
    pcm = np.memmap(pcm_path, dtype=np.int16, mode="r")
    core = spoken.stressed_core if spoken else ""
    places = spoken.places if spoken else {}
    timings = tts_timings(data / split / "tts" / "words.csv", core)
    clips = []
    for row, (offset, samples) in zip(rows, index, strict=True):
        start, end, path = -1, -1, Path(row["path"])
        if spoken and row["label"] not in spoken.positive and _says(row, spoken.positive):
            continue  # neither a word to learn, as nobody knows where it is, nor speech without it
        if path.stem in places:
            start, end = (min(round(s * RATE), samples) for s in places[path.stem])
        elif row["kind"] in (row["label"], "tts") and (
            spoken is None or row["label"] in spoken.positive
        ):
            start, end = locate_word(pcm[offset : offset + samples], timings.get(path.name))
        clips.append(
            Clip(row["path"], row["kind"], row["label"], row["speaker"], offset, samples,
                 start, end, number)
        )  # fmt: skip
    return clips, pcm


def _says(row: dict[str, str], phrases: tuple[str, ...]) -> bool:
    """Whether a recording's text, where the manifest has one, holds one of the phrases."""
    text = row.get("text") or ""
    return any(re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) for phrase in phrases)


def _decode(data: Path, rows: list[dict[str, str]], index_path: Path, pcm_path: Path) -> None:
    index_path.parent.mkdir(parents=True, exist_ok=True)
    index, offset = [], 0
    partial = pcm_path.with_suffix(f".{os.getpid()}.partial")
    paths = [data / row["path"] for row in rows]
    try:
        with partial.open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as team:
            read = team.map(_read, paths)
            for pcm in tqdm(read, f"decode {rows[0]['split']}", len(rows), unit="file"):
                out.write(pcm.tobytes())
                index.append((offset, len(pcm)))
                offset += len(pcm)
        partial.replace(pcm_path)
        partial.write_text(json.dumps(index))
        partial.replace(index_path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> NDArray[np.int16]:
    """A file's first channel."""
    try:
        pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if rate != RATE:
        raise DataError(f"{path}: {rate} Hz; resample it to {RATE} Hz")
    if not len(pcm):
        raise DataError(f"{path}: holds no samples; take it out of the manifest")
    return pcm[:, 0]
