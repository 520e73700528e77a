# SPDX-License-Identifier: Apache-2.0
"""The manifest and its audio, on a small folder of tones, chirps and noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.executors import TOY
from tests.support.small_data import Samples, chirp, write_manifest
from wakestate.train.data.corpus import (
    RATE,
    Clip,
    Corpus,
    DataError,
    held_out,
    load_corpus,
    voice,
)
from wakestate.train.learning.pool import check_parts


def test_corpus_is_the_manifest(sounds: Path, corpus: Corpus) -> None:
    assert {c.path.split("/")[0] for c in corpus.clips} == {"train"}
    for clip in corpus.clips:
        pcm, _ = soundfile.read(sounds / clip.path, dtype="int16")
        assert np.array_equal(corpus.audio(clip), pcm)
    assert {c.kind for c in corpus.positives(TOY.word)} == {"toy", "tts"}
    negatives = corpus.negatives(TOY.word)
    assert {c.kind for c in negatives} == {"speech", "device_speech"}
    assert not {c.label for c in negatives} & {"toy"}


def one_file(folder: Path, pcm: Samples, rate: int = RATE) -> Path:
    write_manifest(folder, [["x.wav", "train", "toy", "toy", "a", 1.0, "", "", ""]])
    soundfile.write(folder / "x.wav", pcm, rate, subtype="PCM_16")
    return folder


def no_manifest(folder: Path) -> str:
    return r"manifest\.csv: not found; name a data folder with DATA=FOLDER"


def missing_column(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "train"]], ["path", "split"])
    return r"manifest\.csv: column kind is missing"


def short_row(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "train"]])
    return r"manifest\.csv: row 2 has too few columns, no kind: x\.wav"


def no_such_split(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "dev", "noise", "", "", 1, "", "", ""]])
    return r"manifest\.csv: no row has split 'train'; there are: dev"


def reserved_split(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "held-out", "noise", "", "", 1, "", "", ""]])
    return r"manifest\.csv: row 2: a split cannot be named 'held-out'"


def not_utf8(folder: Path) -> str:
    (folder / "manifest.csv").write_bytes(b"path,split,kind,label,speaker,seconds\n\xff,,,,,\n")
    return r"manifest\.csv: not UTF-8"


def missing_file(folder: Path) -> str:
    one_file(folder, np.zeros(8000))
    (folder / "x.wav").unlink()
    return r"x\.wav: cannot be read"


def no_sound_file(folder: Path) -> str:
    one_file(folder, np.zeros(8000))
    (folder / "x.wav").write_bytes(b"no sound")
    return r"x\.wav: cannot be read"


def empty_file(folder: Path) -> str:
    one_file(folder, np.zeros(0))
    return r"x\.wav: holds no samples"


@pytest.mark.parametrize(
    "spoil",
    [
        no_manifest,
        missing_column,
        short_row,
        no_such_split,
        reserved_split,
        not_utf8,
        missing_file,
        no_sound_file,
        empty_file,
    ],
)
def test_bad_data_is_named_and_leaves_nothing(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    message = spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        load_corpus(tmp_path, "train", tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


def test_cache_is_reused_and_follows_the_manifest(tmp_path: Path) -> None:
    pcm = np.pad(chirp(), 4000) / 32768
    first = load_corpus(one_file(tmp_path, pcm), "train", tmp_path / "cache")
    (tmp_path / "x.wav").unlink()
    again = load_corpus(tmp_path, "train", tmp_path / "cache")
    assert again.clips == first.clips
    assert np.array_equal(again.audio(again.clips[0]), first.audio(first.clips[0]))
    write_manifest(tmp_path, [["x.wav", "train", "noise", "", "a", 1.0, "", "", ""]])
    with pytest.raises(DataError, match="cannot be read"):
        load_corpus(tmp_path, "train", tmp_path / "cache")


def test_damaged_cache_is_seen(tmp_path: Path) -> None:
    load_corpus(one_file(tmp_path, np.full(9000, 0.1)), "train", tmp_path / "cache")
    (pcm,) = (tmp_path / "cache").glob("*.s16")
    pcm.write_bytes(pcm.read_bytes()[:-2])
    with pytest.raises(DataError, match="damaged; remove it"):
        load_corpus(tmp_path, "train", tmp_path / "cache")


def test_interrupted_decoding_leaves_nothing(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, count = soundfile.read, iter(range(1000))

    def interrupted(*args: Any, **keywords: Any) -> Any:
        if next(count) == 7:
            raise KeyboardInterrupt
        return read(*args, **keywords)

    monkeypatch.setattr(soundfile, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_corpus(sounds, "train", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(load_corpus(sounds, "train", tmp_path).clips) > 20
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_held_out_is_a_split_of_its_own(sounds: Path, cache: Path, corpus: Corpus) -> None:
    validation = load_corpus(sounds, "held-out", cache)
    assert validation.split == "held-out" and validation.clips == [
        c for c in corpus.clips if held_out(c)
    ]
    assert np.array_equal(
        validation.audio(validation.clips[-1]), corpus.audio(validation.clips[-1])
    )


def test_held_out_never_splits_a_speaker(corpus: Corpus) -> None:
    sides: dict[str, set[bool]] = {}
    for clip in corpus.clips:
        sides.setdefault(voice(clip), set()).add(held_out(clip))
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == set.union(*sides.values())
    # Of many speakers about a tenth; of files without one, too, each by itself.
    many = [Clip(f"{i}.wav", "", "", f"p{i}", 0, 0) for i in range(2000)]
    nobody = [Clip(f"{i}.wav", "", "", "unknown", 0, 0) for i in range(2000)]
    for clips in (many, nobody):
        assert 0.07 < np.mean([held_out(c) for c in clips]) < 0.14


def test_speech_with_the_word_in_its_text_is_left_out(tmp_path: Path) -> None:
    """Where in it the word is nobody knows, and speech without it it is not."""
    printed = [("", "A toy, please."), ("", "Toys and toyshops."), ("toy", "Toy.")]
    rows = [
        [f"train/{i}.wav", "train", "speech", label, "a", 1.0, text, "", ""]
        for i, (label, text) in enumerate(printed)
    ]
    write_manifest(tmp_path, rows)
    (tmp_path / "train").mkdir()
    for i in range(len(rows)):
        soundfile.write(tmp_path / f"train/{i}.wav", np.ones(RATE, np.int16), RATE)
    found = load_corpus(tmp_path, "train", tmp_path / "cache", TOY.word.data)
    assert [c.path for c in found.clips] == ["train/1.wav", "train/2.wav"]
    assert len(load_corpus(tmp_path, "train", tmp_path / "cache").clips) == 3


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [f"{i}.wav", "train", "speech", "", f"p{i}", 1, "", "", ""] for i in range(30)
    ]
    write_manifest(tmp_path, rows)
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", np.ones(RATE, np.int16), RATE)
    (tmp_path / "3.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "4.wav", np.zeros(0), RATE)
    with pytest.raises(DataError) as error:
        load_corpus(tmp_path, "train", tmp_path / "cache")
    lines = str(error.value).splitlines()
    assert len(lines) == 21 and lines[-1].endswith(": and 7 more files")
    assert lines[0] == f"{tmp_path}: 3.wav: cannot be read: Format not recognised."
    assert lines[1].startswith(f"{tmp_path}: 4.wav: holds no samples")
    assert lines[2] == f"{tmp_path}: 5.wav: cannot be read: there is no such file"


def test_other_rates_and_channels_are_converted_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t = np.arange(48000) / 48000
    tone = 8000 * np.sin(2 * np.pi * 440 * t)
    high = 8000 * np.sin(2 * np.pi * 15000 * t)  # nothing of it may come back below 8 kHz
    stereo = np.stack([2 * (tone + high), 0 * t], axis=1).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", stereo, 48000)
    soundfile.write(tmp_path / "y.wav", tone[::3].astype(np.int16), RATE)
    soundfile.write(tmp_path / "z.wav", np.zeros(RATE, np.int16), RATE)
    write_manifest(
        tmp_path,
        [
            [f"{n}.wav", "train", "noise", "", "", seconds, "", "", ""]
            for n, seconds in (("x", 1), ("y", 100), ("z", "1,0"))
        ],
    )
    corpus = load_corpus(tmp_path, "train", tmp_path / "cache")
    x, y, z = (corpus.audio(clip).astype(float) for clip in corpus.clips)
    assert len(x) == len(y) == RATE and not z.any()
    assert np.abs(x - y)[200:-200].max() < 20
    printed = capsys.readouterr().err
    assert f"{tmp_path}: 1 of 3 files are resampled to 16000 Hz from 48000 Hz: x.wav\n" in printed
    assert f"{tmp_path}: 1 of 3 files have several channels, which are averaged: x.wav\n" in printed
    assert f"{tmp_path}: 1 of 3 files are silent: all their samples are 0: z.wav\n" in printed
    assert f"{tmp_path}: 1 of 3 files have other lengths than `seconds` says" in printed
    load_corpus(tmp_path, "train", tmp_path / "cache")
    assert capsys.readouterr().err == ""


def recordings(folder: Path, speakers: list[tuple[str, str]], count: int) -> Path:
    """`count` recordings by each (label, speaker)."""
    rows: list[list[object]] = []
    for label, speaker in speakers:
        for i in range(count):
            name = f"{label}-{speaker}-{i}.wav"
            pcm = np.pad(chirp(), 6000).astype(np.int16)
            soundfile.write(folder / name, pcm, RATE)
            rows.append([name, "train", label, label, speaker, 1, "", "", ""])
    write_manifest(folder, rows)
    return folder


def test_one_speaker_is_on_both_sides_and_that_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = recordings(tmp_path, [("toy", "me"), ("speech", "q1"), ("speech", "q2")], 24)
    corpus = load_corpus(data, "train", tmp_path / "cache", TOY.word.data)
    check_parts(corpus, TOY.word)
    words = corpus.positives(TOY.word)
    assert len(words) == 24 and sum(map(held_out, words)) == 3
    validation = load_corpus(data, "held-out", tmp_path / "cache", TOY.word.data)
    assert validation.positives(TOY.word) == [c for c in words if held_out(c)]
    printed = capsys.readouterr().err
    assert "of the word there is 1 voice: 3 of 24 recordings are held out" in printed
    assert printed.count("of the word there is") == 1


def test_too_little_is_reported_before_anything_is_rendered(tmp_path: Path) -> None:
    for speakers, problem in (
        ([("toy", "me"), ("speech", "me")], "no recording of the word for validation: at least 2"),
        ([("speech", "a"), ("speech", "b")], "label 'toy' are needed.*in the data: 'speech'"),
        ([("toy", "a"), ("toy", "b")], "no speech without the word for train"),
    ):
        folder = tmp_path / speakers[-1][1] / speakers[0][0]
        folder.mkdir(parents=True)
        corpus = load_corpus(
            recordings(folder, speakers, 1), "train", tmp_path / "cache", TOY.word.data
        )
        with pytest.raises(DataError, match=problem):
            check_parts(corpus, TOY.word)


def test_odd_recordings_of_the_word_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = recordings(tmp_path, [("toy", "a"), ("toy", "b"), ("speech", "c")], 2)
    soundfile.write(data / "toy-a-0.wav", np.zeros(RATE, np.int16), RATE)
    soundfile.write(data / "toy-a-1.wav", chirp(0.15).astype(np.int16), RATE)
    long = np.pad(chirp(), (0, 11 * RATE)).astype(np.int16)
    soundfile.write(data / "toy-b-0.wav", long, RATE)
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("b-1.wav,train,toy,", "b-1.wav,train,speech,"))
    load_corpus(data, "train", tmp_path / "cache", TOY.word.data)
    printed = capsys.readouterr().err
    for what in (
        "are of kind speech, not 'toy', and left out: toy-b-1.wav",
        "hold no sound that can be the word, and are left out: toy-a-0.wav",
        "are shorter than 0.2 s: toy-a-1.wav",
        "are longer than 10 s; cut them around the word: toy-b-0.wav",
    ):
        assert f"{manifest}: warning: 1 of 4 recordings of the word {what}\n" in printed
