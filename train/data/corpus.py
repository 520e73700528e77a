# SPDX-License-Identifier: Apache-2.0
"""The manifest and its audio: which files, where the word is in them, what is held out.

Audio is mono int16 at 16 kHz. It is decoded once into one flat file below the cache folder and
memory-mapped from then on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.audio import RATE as RATE  # the rate of all recordings
from wakestate.files import replaced, write_atomically
from wakestate.train.data.locate import locate_word, tts_timings
from wakestate.train.data.manifest import (
    HELD_OUT,
    NOBODY,
    Row,
    check_together,
    listed,
    read_manifest,
    refuse,
    report_once,
)
from wakestate.train.data.manifest import PLAYBACK_KINDS as PLAYBACK_KINDS
from wakestate.train.data.manifest import SPEECH_KINDS as SPEECH_KINDS
from wakestate.train.data.manifest import DataError as DataError
from wakestate.train.data.manifest import find_manifest as find_manifest
from wakestate.words import Data, Word

WORD_S = (0.2, 10.0)  # recordings of the word of other lengths are named
RATES = (4000, 768000)  # of recordings


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
    held_out: bool | None = None  # held out, where not its voice decides
    source: str = ""  # where the recording comes from, as the manifest has it
    text: str = ""  # what is said, where the manifest has it


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
        """Clips of speech without the wake word (confusable phrases among it)."""
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
    return clip.path if clip.speaker in NOBODY else clip.speaker


def held_out(clip: Clip, tenths: int = 1) -> bool:
    """Whether a training clip is kept for choosing: by speaker where known, else by file."""
    if clip.held_out is not None:
        return clip.held_out
    return _hash(voice(clip))[0] % 10 < tenths


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def load_corpus(
    data: Path, split: str, cache: Path, spoken: Data | None = None, also: Sequence[Path] = ()
) -> Corpus:
    """Read one split ("train" or "dev") of `data`/manifest.csv, and of the folders in `also`;
    decode it on first use. HELD_OUT: the voices of train that nothing learns from.

    `spoken`: where recordings hold the word, as in a word file's [data].
    Raises DataError naming the files and what is wrong with them.
    """
    clips: list[Clip] = []
    pcm = []
    read = [(folder, read_manifest(folder, spoken)) for folder in (data, *also)]
    check_together(read)
    for number, (folder, everything) in enumerate(read):
        of = "train" if split == HELD_OUT else split
        more, samples = _load_folder(folder, everything, of, cache, spoken, number)
        clips += more
        pcm.append(samples)
    corpus = Corpus(clips, pcm, split)
    if spoken and split in ("train", HELD_OUT):
        corpus = corpus.only(_both_sides(clips, spoken))
    return corpus if split != HELD_OUT else corpus.only([c for c in corpus.clips if held_out(c)])


def _both_sides(clips: list[Clip], spoken: Data) -> list[Clip]:
    """The clips, some of them held out where their few voices would leave that, or training,
    without the word or without other speech: every tenth file then."""
    barred = {*spoken.positive, *spoken.exclude}
    kinds = {*SPEECH_KINDS, *_keyword_kinds(clips)}
    words = [c for c in clips if c.label in spoken.positive and c.end > c.start >= 0]
    others = [c for c in clips if c.kind in kinds and c.label not in barred]
    forced: dict[Clip, Clip] = {}
    for what, group in (("the word", words), ("other speech", others)):
        if len(group) < 2 or len({held_out(clip) for clip in group}) == 2:
            continue
        group = sorted(group, key=lambda clip: _hash(clip.path))
        count = -(-len(group) // 10)
        forced |= {clip: replace(clip, held_out=n < count) for n, clip in enumerate(group)}
        voices = len({voice(clip) for clip in group})
        report_once(
            f"of {what} there {'is 1 voice' if voices == 1 else f'are {voices} voices'}: {count} "
            f"of {len(group)} recordings are held out for validation, of voices in training too; "
            "with more voices it does better for strangers"
        )
    return [forced.get(clip, clip) for clip in clips]


def split_rows(data: Path, split: str, spoken: Data | None) -> list[Row]:
    """The rows of one split (HELD_OUT: of train) of `data`; DataError where there is none."""
    return _of_split(data, read_manifest(data, spoken), split)


def _of_split(data: Path, everything: list[Row], split: str) -> list[Row]:
    rows = [row for row in everything if row["split"] == ("train" if split == HELD_OUT else split)]
    if not rows:
        known = ", ".join(sorted({row["split"] for row in everything})) or "none"
        hint = f"; --split {HELD_OUT} measures on voices of train that training leaves out"
        raise DataError(
            f"{find_manifest(data)}: no row has split '{split}'; there are: {known}"
            + (hint if "train" in known and split != "train" else "")
        )
    return rows


def _load_folder(
    data: Path, everything: list[Row], split: str, cache: Path, spoken: Data | None, number: int
) -> tuple[list[Clip], NDArray[np.int16]]:
    """Clips and samples of one folder, the `number`th."""
    manifest = find_manifest(data)
    rows = _of_split(data, everything, split)
    of = manifest.read_bytes() + f"{data.resolve()} {split}".encode()
    key = hashlib.sha256(of).hexdigest()[:16]
    index_path, pcm_path = cache / f"{split}-{key}.json", cache / f"{split}-{key}.s16"
    if not (index_path.is_file() and pcm_path.is_file()):
        _decode(data, rows, index_path, pcm_path)
    index = json.loads(index_path.read_text())
    if len(index) != len(rows) or pcm_path.stat().st_size != 2 * sum(n for _, n in index):
        raise DataError(f"{pcm_path}: damaged; remove it, and it is made again")
    pcm = np.memmap(pcm_path, dtype=np.int16, mode="r")
    core = spoken.stressed_core if spoken else ""
    places = spoken.places if spoken else {}
    timings = tts_timings(data / split / "tts" / "words.csv", core)
    clips = []
    for row, (offset, samples) in zip(rows, index, strict=True):
        start, end, path = -1, -1, Path(row["path"])
        if spoken and row["label"] not in spoken.positive and _mentions(row, spoken.positive):
            continue  # neither a word to learn, as nobody knows where it is, nor speech without it
        if path.stem in places:
            start, end = (min(round(s * RATE), samples) for s in places[path.stem])
        elif row["kind"] in (row["label"], "tts") and (
            spoken is None or row["label"] in spoken.positive
        ):
            start, end = locate_word(pcm[offset : offset + samples], timings.get(path.name))
        clips.append(
            Clip(
                row["path"],
                row["kind"],
                row["label"],
                row["speaker"],
                offset,
                samples,
                start,
                end,
                number,
                None,
                row.get("source", ""),
                row.get("text", ""),
            )
        )
    if spoken:
        _doubt(manifest, clips, spoken)
    return clips, pcm


def _doubt(manifest: Path, clips: list[Clip], spoken: Data) -> None:
    """Say which recordings of the word are no use, or unlikely to be what their label claims."""
    words = [c for c in clips if c.label in spoken.positive]
    own = [c for c in words if c.kind in (c.label, "tts")]
    other = sorted({c.kind for c in words} - {c.kind for c in own})
    for what, found in (
        (
            f"are of kind {', '.join(other)}, not '{spoken.positive[0]}', and left out",
            [c for c in words if c.kind in other],
        ),
        (
            "hold no sound that can be the word, and are left out",
            [c for c in own if not c.end > c.start >= 0],
        ),
        (f"are shorter than {WORD_S[0]:g} s", [c for c in own if c.samples < WORD_S[0] * RATE]),
        (
            f"are longer than {WORD_S[1]:g} s; cut them around the word",
            [c for c in own if c.samples > WORD_S[1] * RATE],
        ),
    ):
        if found:
            report_once(
                f"{manifest}: warning: {len(found)} of {len(words)} recordings of the word {what}: "
                f"{listed([c.path for c in found])}"
            )


def _mentions(row: dict[str, str], phrases: tuple[str, ...]) -> bool:
    """Whether a recording's text, where the manifest has one, holds one of the phrases."""
    text = row.get("text") or ""
    return any(re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) for phrase in phrases)


@dataclass(frozen=True)
class _Sound:
    """A decoded file: int16[samples], and what there is to say of it."""

    pcm: NDArray[np.int16]
    problem: str = ""
    rate: int = RATE
    channels: int = 1


def _decode(data: Path, rows: list[Row], index_path: Path, pcm_path: Path) -> None:
    """All files into one; a DataError names all that cannot be read."""
    index, offset = [], 0
    paths = [data / row["path"] for row in rows]
    problems, decoded = [], []
    with (
        replaced(pcm_path) as partial,
        partial.open("wb") as out,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        read = pool.map(_read, paths)
        for row, sound in zip(
            rows, tqdm(read, f"decode {rows[0]['split']}", len(rows), unit="file"), strict=True
        ):
            out.write(sound.pcm.tobytes())
            index.append((offset, len(sound.pcm)))
            offset += len(sound.pcm)
            if sound.problem:
                problems.append(f"{row['path']}: {sound.problem}")
            decoded.append(replace(sound, pcm=sound.pcm[:0]) if sound.pcm.any() else sound)
        refuse(data, problems, "files")
        _report(data, rows, decoded, [samples for _, samples in index])
    write_atomically(index_path, json.dumps(index))


def _report(data: Path, rows: list[Row], decoded: list[_Sound], samples: list[int]) -> None:
    """Say, with counts, what was converted and what looks wrong."""
    paths = [row["path"] for row in rows]
    odd = sorted({s.rate for s in decoded} - {RATE})
    other = [p for p, s in zip(paths, decoded, strict=True) if s.rate != RATE]
    wide = [p for p, s in zip(paths, decoded, strict=True) if s.channels > 1]
    silent = [p for p, s in zip(paths, decoded, strict=True) if len(s.pcm)]
    wrong = [row["path"] for row, n in zip(rows, samples, strict=True) if _misstated(row, n)]
    for what, found in (
        (f"are resampled to {RATE} Hz from {', '.join(map(str, odd))} Hz", other),
        ("have several channels, which are averaged", wide),
        ("are silent: all their samples are 0", silent),
        ("have other lengths than `seconds` says, which nothing goes by", wrong),
    ):
        if found:
            report_once(f"{data}: {len(found)} of {len(rows)} files {what}: {listed(found)}")


def _misstated(row: Row, samples: int) -> bool:
    try:
        stated = float(row["seconds"].replace(",", ".")) * RATE
        return not abs(stated - samples) <= 0.1 * samples + RATE  # NaN is wrong, too
    except ValueError:
        return True


def _read(path: Path) -> _Sound:
    """A file as mono int16 at RATE: channels averaged, other rates resampled."""
    nothing = np.zeros(0, np.int16)
    if not path.is_file():
        return _Sound(nothing, "cannot be read: there is no such file")
    try:
        pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        return _Sound(nothing, f"cannot be read: {str(error).rpartition(': ')[2]}")
    if not len(pcm):
        return _Sound(nothing, "holds no samples; take it out of the manifest")
    if not RATES[0] <= rate <= RATES[1]:
        return _Sound(nothing, f"{rate} Hz; allowed: {RATES[0]} to {RATES[1]} Hz")
    channels = pcm.shape[1]
    if (rate, channels) == (RATE, 1):
        return _Sound(pcm[:, 0])
    mono = pcm.astype(np.float32).mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    clipped = np.clip(np.rint(mono), -32768, 32767).astype(np.int16)
    if not len(clipped):
        return _Sound(clipped, f"{len(pcm)} samples at {rate} Hz are none at {RATE} Hz")
    return _Sound(clipped, rate=rate, channels=channels)
