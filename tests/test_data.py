"""The manifest and its audio, on a small folder of tones, chirps and noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.executors import TOY
from tests.small_data import Samples, chirp, write_manifest
from train.data import (
    RATE,
    Clip,
    Corpus,
    DataError,
    held_out,
    load_corpus,
    voice,
)


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
    return r"manifest\.csv: row 2 has too few columns: x\.wav"


def no_such_split(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "dev", "noise", "", "", 1, "", "", ""]])
    return r"manifest\.csv: no row has split 'train'; there are: dev"


def reserved_split(folder: Path) -> str:
    write_manifest(folder, [["x.wav", "held", "noise", "", "", 1, "", "", ""]])
    return r"manifest\.csv: row 2: a split cannot be named 'held'"


def not_utf8(folder: Path) -> str:
    (folder / "manifest.csv").write_bytes(b"path,split,kind,label,speaker,seconds\n\xff,,,,,\n")
    return r"manifest\.csv: not UTF-8"


def wrong_rate(folder: Path) -> str:
    one_file(folder, np.zeros(8000), 8000)
    return r"x\.wav: 8000 Hz; resample it to 16000 Hz"


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
        wrong_rate,
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
    held = load_corpus(sounds, "held", cache)
    assert held.split == "held" and held.clips == [c for c in corpus.clips if held_out(c)]
    assert np.array_equal(held.audio(held.clips[-1]), corpus.audio(held.clips[-1]))


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
    said = [("", "A toy, please."), ("", "Toys and toyshops."), ("toy", "Toy.")]
    rows = [[f"train/{i}.wav", "train", "speech", label, "a", 1.0, text, "", ""]
            for i, (label, text) in enumerate(said)]  # fmt: skip
    write_manifest(tmp_path, rows)
    (tmp_path / "train").mkdir()
    for i in range(len(rows)):
        soundfile.write(tmp_path / f"train/{i}.wav", np.ones(RATE, np.int16), RATE)
    found = load_corpus(tmp_path, "train", tmp_path / "cache", TOY.word.data)
    assert [c.path for c in found.clips] == ["train/1.wav", "train/2.wav"]
    assert len(load_corpus(tmp_path, "train", tmp_path / "cache").clips) == 3
