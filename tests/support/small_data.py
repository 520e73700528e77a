# SPDX-License-Identifier: Apache-2.0
"""A small data folder that tests make themselves: tones, chirps and noise."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from wakestate.train.acoustics.stage import to_int16
from wakestate.train.data.corpus import (
    RATE,
    Clip,
    held_out,
)
from wakestate.words import Word, load_word

Samples = NDArray[Any]
COLUMNS = ["path", "split", "kind", "label", "speaker", "seconds", "text", "source", "licence"]

BEEP = """
name = "beep"
phrase = "beep"
[frontend]
bands = 16
[metadata]
player = ["idle", "music", "speech", "alarm"]
volume = ["low", "high"]
[model]
first_kernel = 3
stride = 2
first_channels = 8
blocks = [{ kernel = 3, channels = 8 }]
head_steps = 3
dense = 6
embedding = 3
metadata_dense = 4
[data]
positive = ["toy"]

[acoustics]
level_dbfs = [-30, -30]
noise_snr_db = [SNR, SNR]
signal_to_echo_db = { low = [9, 9], high = [3, 3] }
canceller_share = 0.0
partial_playback = 0.0
wrong_state = 0.0
"""


def beep(folder: Path, snr: float) -> Word:
    """A word with every kind of playback, its levels pinned."""
    path = folder / "beep.toml"
    path.write_text(BEEP.replace("SNR", str(snr)))
    return load_word(path)


def chirp(seconds: float = 0.4, pitch: float = 1.0) -> Samples:
    """The "word": a rising tone."""
    t = np.arange(int(seconds * RATE)) / RATE
    return 6000 * np.sin(2 * np.pi * pitch * (400 * t + 2500 * t**2)) * np.hanning(len(t)) ** 0.2


def tones(rng: np.random.Generator, seconds: float, low: float, high: float) -> Samples:
    """Steady tones of 0.1 to 0.3 s with short pauses."""
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * RATE:
        t = np.arange(int(rng.uniform(0.1, 0.3) * RATE)) / RATE
        parts += [3000 * np.sin(2 * np.pi * rng.uniform(low, high) * t), np.zeros(800)]
    return np.concatenate(parts)[: int(seconds * RATE)]


def speakers(validation: bool, count: int) -> list[str]:
    """Names that `held_out` puts on the given side."""
    names = (f"speaker-{i}" for i in range(1000))
    side = (n for n in names if held_out(Clip("", "", "", n, 0, 0)) == validation)
    return [next(side) for _ in range(count)]


def write_data(folder: Path) -> Path:
    """A data folder with all kinds of sound, in both splits."""
    rng = np.random.default_rng(5)
    rows: list[list[object]] = []

    def add(split: str, kind: str, label: str, speaker: str, pcm: Samples) -> None:
        path = f"{split}/{kind}/{len(rows):03d}.wav"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pcm = pcm + rng.normal(0, 3, len(pcm))
        soundfile.write(folder / path, to_int16(pcm.astype(np.float32)), RATE, subtype="PCM_16")
        rows.append([path, split, kind, label, speaker, len(pcm) / RATE, "", "made here", "CC0"])

    for split, people in {
        "train": speakers(False, 5) + speakers(True, 2),
        "dev": ["dev-a", "dev-b", "dev-c"],
    }.items():
        for person in people:
            for _ in range(2):
                word = chirp(pitch=rng.uniform(0.9, 1.1))
                add(split, "toy", "toy", person, np.pad(word, (8000, 6400)))
                add(split, "speech", "", person, tones(rng, 2.5, 200, 1500))
        add(split, "tts", "toy", f"{split}-voice", np.pad(chirp(), (4000, 4000)))
        add(split, "device_speech", "", f"{split}-voice", tones(rng, 3.0, 500, 900))
        add(split, "noise", "", "n/a", rng.normal(0, 900, 5 * RATE))
        add(split, "music", "", "n/a", tones(rng, 5.0, 300, 500) + tones(rng, 5.0, 800, 2000))
        add(split, "alarms", "", "n/a", tones(rng, 1.0, 2000, 3000))
        add(split, "rir", "", "n/a", np.pad(8000 * 0.99 ** np.arange(2000.0), (100, 0)))
    write_manifest(folder, rows)
    return folder


def write_more(folder: Path) -> Path:
    """A second of sound without the word in each split, as data/benchmark has hours of it."""
    rng, rows = np.random.default_rng(6), list[list[object]]()
    for split in ("train", "dev"):
        path = folder / split / "more.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, to_int16(tones(rng, 1.0, 200, 1500).astype(np.float32)), RATE)
        facts = [split, "acted_speech", "en", "n/a", 1.0, "", "made here", "CC0"]
        rows.append([f"{split}/more.wav", *facts])
    write_manifest(folder, rows)
    return folder


def write_manifest(folder: Path, rows: list[list[object]], columns: list[str] = COLUMNS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
