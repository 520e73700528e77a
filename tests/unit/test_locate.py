# SPDX-License-Identifier: Apache-2.0
"""Where a word is found: by energy, in timings, by hand."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from tests.support.small_data import Samples, chirp, write_manifest
from wakestate.train.acoustics.stage import to_int16
from wakestate.train.data.corpus import load_corpus
from wakestate.train.data.locate import RATE, locate_word, tts_timings
from wakestate.words import Data

ROOT = Path(__file__).resolve().parents[2]


def spoken(stop: float = 0.08) -> Samples:
    """0.55 s like a word: a vowel, a stop, a hiss 20 dB below, a vowel 10 dB below."""
    rng = np.random.default_rng(1)
    t = np.arange(3200) / RATE
    vowel = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    hiss = np.diff(rng.normal(0, 1, 1921))
    parts = [3000 * vowel, np.zeros(int(stop * RATE)), 300 * hiss, 1000 * vowel[:2400]]
    return np.concatenate(parts)


def found(pcm: Samples) -> tuple[float, float]:
    start, end = locate_word(to_int16(pcm.astype(np.float32)))
    assert (start % 160, end % 160) == (0, 0)
    return start / RATE, end / RATE


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_word_is_located(noise: float) -> None:
    """At 1.0 s, in digital silence and in noise; its end is no later for a long stop in it."""
    for stop in (0.08, 0.2):
        pcm = np.pad(spoken(stop), (RATE, RATE))
        pcm = pcm + np.random.default_rng(2).normal(0, noise, len(pcm))
        start, end = found(pcm)
        assert start == pytest.approx(1.0, abs=0.03)
        assert end == pytest.approx(1.47 + stop, abs=0.04)


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_faint_fricative_after_a_stop_belongs_to_the_word(noise: float) -> None:
    """A stop, a /s/ so faint that it fills few bands, and a vowel or nothing: 0.2 s of silence do
    not end a word that continues with it, and more do; a breath in all bands is none."""
    rng = np.random.default_rng(3)
    t = np.arange(3200) / RATE
    vowel = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    high = sosfilt(butter(6, 4500, "high", fs=RATE, output="sos"), rng.normal(0, 60, 1920))
    flat = rng.normal(0, 30, 1920)
    for stop, hiss, tail, last in (
        (0.12, high, 2400, 1.2 + 0.12 + 0.12 + 0.15),  # /k/, /s/ and a vowel 0.24 s later
        (0.2, high, 2400, 1.2 + 0.2 + 0.12 + 0.15),
        (0.2, high, 0, 1.2 + 0.2 + 0.12),
        (0.4, high, 2400, 1.2),
        (0.2, flat, 0, 1.2),
    ):
        parts = [3000 * vowel, np.zeros(int(stop * RATE)), hiss, 400 * vowel[:tail]]
        pcm = np.pad(np.concatenate(parts), (RATE, RATE))
        pcm = pcm + rng.normal(0, noise, len(pcm))
        start, end = found(pcm)
        assert start == pytest.approx(1.0, abs=0.03)
        assert end == pytest.approx(last, abs=0.04), (stop, tail)


def test_clicks_and_talk_are_not_the_word() -> None:
    pcm = np.pad(spoken(), (RATE, RATE))
    pcm[4800:5000] = 20000  # before
    pcm[33000:33160] = -20000  # and after, louder than the word
    pcm[:9600] += 0.1 * spoken()[np.arange(9600) % 8800]  # talk, 20 dB below
    start, end = found(pcm)
    assert start == pytest.approx(1.0, abs=0.03) and end == pytest.approx(1.55, abs=0.04)


def test_another_sound_is_taken_in_only_when_near() -> None:
    """A tone as loud as the vowel, 0.1 s or 0.3 s after."""
    tone = 6000 * np.sin(2 * np.pi * 700 * np.arange(3200) / RATE) + spoken()[:3200]
    for pause, last in ((1600, 1.85), (4800, 1.55)):
        pcm = np.concatenate([np.pad(spoken(), (RATE, pause)), tone * 0.9, np.zeros(RATE)])
        assert found(pcm)[1] == pytest.approx(last, abs=0.04)


def test_a_place_set_by_hand_counts(tmp_path: Path) -> None:
    write_manifest(tmp_path, [["a_1.wav", "dev", "toy", "toy", "a", 3.0, "", "", ""]])
    pcm = to_int16(np.pad(spoken(), (RATE, RATE)).astype(np.float32))
    soundfile.write(tmp_path / "a_1.wav", pcm, RATE, subtype="PCM_16")
    for places, start, end in (({}, 1.0, 1.55), ({"a_1": (0.5, 9.0)}, 0.5, len(pcm) / RATE)):
        data = Data(positive=("toy",), places=places)
        (clip,) = load_corpus(tmp_path, "dev", tmp_path / "cache", data).clips
        assert clip.start / RATE == pytest.approx(start, abs=0.03)
        assert clip.end / RATE == pytest.approx(end, abs=0.04)


def test_folders_are_read_together(tmp_path: Path) -> None:
    for name, level in (("one", 0.5), ("two", 0.25)):
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, [["x.wav", "train", "music", "", "", 1.0, "", "", ""]])
        soundfile.write(tmp_path / name / "x.wav", np.full(1600, level), RATE, subtype="PCM_16")
    corpus = load_corpus(tmp_path / "one", "train", tmp_path, also=[tmp_path / "two"])
    assert [corpus.audio(c)[0] for c in corpus.clips] == [16384, 8192]


def test_timings_choose_between_two(tmp_path: Path) -> None:
    """words.csv names which of two equal sounds is the word."""
    pcm = np.concatenate([np.pad(chirp(), (4000, 8000)), np.pad(chirp(), (0, 4000))])
    write_manifest(tmp_path, [["train/tts/x.wav", "train", "tts", "alexa", "v", 1, "", "", ""]])
    (tmp_path / "train/tts").mkdir(parents=True)
    soundfile.write(tmp_path / "train/tts/x.wav", pcm / 32768, RATE, subtype="PCM_16")
    data = Data(positive=("alexa",), stressed_core="lˈɛks")
    for at in (0.25, 1.15):
        groups = [["hˈaɪ", 0.0, 0.1], ["ɐlˈɛksə", at, at + 0.4], ["stˈɑp", 1.7, 1.8]]
        with (tmp_path / "train/tts/words.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [["path", "label", "words"], ["x.wav", "alexa", json.dumps(groups)]]
            )
        (clip,) = load_corpus(tmp_path, "train", tmp_path / "cache", data).clips
        assert abs(clip.start / RATE - at) < 0.05 and abs(clip.end / RATE - at - 0.4) < 0.05


def test_a_timing_spans_a_long_and_faint_middle() -> None:
    """A stop and a weak /s/ after it, 0.3 s together, do not end a word whose timing is known."""
    pcm = spoken(stop=0.3)
    pcm = to_int16(np.pad(pcm, (4000, 8000)).astype(np.float32))
    whole = (0.25, (len(pcm) - 8000) / RATE, True)
    assert locate_word(pcm, whole)[1] == pytest.approx(len(pcm) - 8000, abs=480)
    assert locate_word(pcm)[1] < len(pcm) - 8000 - RATE // 4


def test_timings_of_a_phrase_span_its_words(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    groups = [["sˈi", 0.0, 0.1], ["hˈA", 0.2, 0.4], ["sˈæmjəl", 0.5, 0.9], ["sˈɪt", 1.0, 1.2]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "words"], ["x.wav", json.dumps(groups)]])
    assert tts_timings(path, "hˈ sˈ") == {"x.wav": (0.2, 0.9, False)}
    assert tts_timings(path, "sˈæm sˈ") == {"x.wav": (0.5, 1.2, True)}
    assert tts_timings(path, "sˈæm hˈ") == {}


def test_nothing_to_locate() -> None:
    assert locate_word(np.zeros(0, np.int16)) == (-1, -1)
    assert locate_word(np.zeros(100, np.int16)) == (-1, -1)
    assert locate_word(np.zeros(RATE, np.int16)) == (-1, -1)
    assert locate_word(to_int16(chirp()), (5.0, 0.1, False)) == (-1, -1)


def test_words_are_where_the_eye_sees_them(data: Path) -> None:
    """The table of docs/experiments/places.md: read off spectrograms, locate_word not asked."""
    table = (ROOT / "docs/experiments/places.md").read_text()
    rows = re.findall(r"\| (dev/\S+\.flac) \| ([\d.]+) \| ([\d.]+) \|", table)
    assert len(rows) == 12
    for path, start, end in rows:
        pcm, rate = soundfile.read(data / path, dtype="int16")
        assert rate == RATE
        found = np.array(locate_word(pcm)) / RATE
        off = np.abs(found - [float(start), float(end)])
        assert off[0] < 0.015 and off[1] < 0.035, path
