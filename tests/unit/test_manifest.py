# SPDX-License-Identifier: Apache-2.0
"""manifest.csv as people write it: read as meant, or refused by name. No sound is needed for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wakestate.train.data.manifest import (
    DataError,
    check_together,
    read_manifest,
    voices_of,
)
from wakestate.words import Data

SPOKEN = Data(positive=("hey toy",), exclude=("toys",))
PLAIN = """path,split,kind,label,speaker,seconds,text
a.wav,train,hey toy,hey toy,ann,1.5,
b/c.wav,train,speech,,bob,2,"said, so"
d.wav,dev,noise,rain,,3,
"""
WANT = [
    ("a.wav", "train", "hey toy", "hey toy", "ann", "1.5", ""),
    ("b/c.wav", "train", "speech", "", "bob", "2", "said, so"),
    ("d.wav", "dev", "noise", "rain", "", "3", ""),
]


def read(folder: Path, manifest: str | bytes) -> list[tuple[str, ...]]:
    data = manifest if isinstance(manifest, bytes) else manifest.encode()
    (folder / "manifest.csv").write_bytes(data)
    return [tuple(row.values()) for row in read_manifest(folder, SPOKEN)]


def separated(mark: str) -> str:
    return PLAIN.replace('"said, so"', "said# so").replace(",", mark).replace("#", ",")


#: Ways to write PLAIN, and what is said of them.
AS_MEANT: dict[str, tuple[str | bytes, str]] = {
    "plain": (PLAIN, ""),
    "BOM": ("\ufeff" + PLAIN, ""),
    "CRLF": (PLAIN.replace("\n", "\r\n"), ""),
    "UTF-16": (PLAIN.encode("utf-16"), ""),
    "UTF-16 BE": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), ""),
    "semicolons": (separated(";"), "its separator is read as semicolons"),
    "semicolons, CRLF, BOM": ("\ufeff" + separated(";").replace("\n", "\r\n"), "as semicolons"),
    "tabs": (separated("\t"), "its separator is read as tabs"),
    "sep=": ("sep=;\n" + separated(";"), "as semicolons"),
    "header in capitals": (PLAIN.replace("path,split,kind", "Path, SPLIT ,Kind"), ""),
    "quoted header": (PLAIN.replace("path,split", '"path","split"'), ""),
    "blanks": (PLAIN.replace(",train,", " , train ,").replace("ann", " ann "), ""),
    "blanks behind commas": (PLAIN.replace(",", ", ").replace("said, ", "said,"), ""),
    "empty rows": (PLAIN.replace("d.wav", "\n,,,,,,\nd.wav"), ""),
    "more empty cells": (PLAIN.replace("3,\n", "3,,,,\n"), ""),
    "split in capitals": (PLAIN.replace("dev", "Dev"), "split 'Dev' is read as 'dev'"),
    "kind in capitals": (PLAIN.replace("speech", "Speech"), "kind 'Speech' is read as 'speech'"),
    "backslashes": (PLAIN.replace("b/c.wav", "b\\c.wav"), ""),
    "dots": (PLAIN.replace("b/c.wav", "./x/../b//c.wav"), ""),
    "a row twice": (PLAIN + "d.wav,dev,noise,rain,,3,\n", "rows that say again"),
    "label near the word": (
        PLAIN.replace("noise,rain", "hey toys,hey toys"),
        "warning: label 'hey toys' (1 rows) is near 'hey_toy'",
    ),
    "speaker on both sides": (
        PLAIN.replace("rain,,", "rain,Ann,"),
        "warning: of ann there are recordings in train and in dev",
    ),
}


@pytest.mark.parametrize(
    ("speaker", "voices"),
    {
        "ann": {"ann"},
        "n/a": set(),
        "ann/bob": {"ann/bob"},
        "espeak:en-us+f2": {"espeak:en-us+f2"},
        "kokoro:af_sky": {"kokoro:af_sky"},
        "kokoro:af_sky*1.00": {"kokoro:af_sky"},
        "kokoro:fr/af_sky": {"kokoro:af_sky"},
        "kokoro:fr/af_sky*0.40+am_adam*0.60": {"kokoro:af_sky", "kokoro:am_adam"},
    }.items(),
)
def test_a_blend_has_each_of_its_voices(speaker: str, voices: set[str]) -> None:
    assert voices_of(speaker) == voices


def test_a_voice_in_train_of_one_folder_and_dev_of_another_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
    read(folders[0], PLAIN.replace("ann", "kokoro:af_sky*0.40+am_adam*0.60"))
    read(folders[1], PLAIN.replace("rain,,", "rain,kokoro:fr/af_sky,"))
    assert capsys.readouterr().err == ""
    check_together([(folder, read_manifest(folder, SPOKEN)) for folder in folders])
    printed = capsys.readouterr().err
    assert f"{folders[0] / 'manifest.csv'} and {folders[1] / 'manifest.csv'} together" in printed
    assert "of kokoro:af_sky there are recordings in train and in dev" in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("case", AS_MEANT)
def test_read_as_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    manifest, wording = AS_MEANT[case]
    rows = read(tmp_path, manifest)
    if case in ("label near the word", "speaker on both sides"):
        assert [row[0] for row in rows] == [row[0] for row in WANT]
    else:
        assert rows == WANT
    printed = capsys.readouterr().err
    assert wording in printed and (printed.count("\n") == 1 if wording else printed == "")
    read_manifest(tmp_path, SPOKEN)
    assert capsys.readouterr().err == ""  # once


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


REFUSED: dict[str, tuple[Callable[[str], str], str]] = {
    "label in capitals": (
        swap("hey toy,hey toy", "Hey Toy,Hey Toy"),
        "row 2: label 'Hey Toy' is not 'hey toy', but differs in case, blanks or hyphens only; "
        "write 'hey toy'",
    ),
    "blank behind a label": (swap("hey toy,ann", "hey toy ,ann"), "label 'hey toy ' is not"),
    "label with an underscore": (swap("hey toy,ann", "hey_toy,ann"), "write 'hey toy'"),
    "full-width label": (swap("hey toy,ann", "ｈｅｙ ｔｏｙ,ann"), "write 'hey toy'"),
    "label with no width": (swap("hey toy,ann", "hey\u200b toy,ann"), "'hey\\u200b toy' is not"),
    "label that is left out": (swap("rain", "Toys"), "row 4: label 'Toys' is not 'toys'"),
    "unknown kind": (swap("noise", "street"), "row 4: kind 'street' with label 'rain'; allowed:"),
    "kind near a known one": (swap("noise,rain", "noises,noises"), "is it 'noise'?"),
    "kind positive": (
        swap("hey toy,hey toy", "positive,hey toy"),
        "row 2: kind 'positive' with label 'hey toy'; a recording of the word has kind 'hey toy'",
    ),
    "no kind": (swap("noise,rain", ","), "row 4: kind '' with label ''; allowed"),
    "split": (swap("dev", "deb"), "row 4: split 'deb'; allowed: train and dev; is it 'dev'?"),
    "no split": (swap(",dev", ","), "row 4: split ''; allowed: train and dev"),
    "held-out": (swap("dev", "held-out"), "row 4: a split cannot be named 'held-out'"),
    "column": (swap("speaker", "speakr"), "column speaker is missing; is it 'speakr'? Rename it"),
    "two columns": (swap("text", "label"), "column label is there 2 times"),
    "no header": (lambda text: text.partition("\n")[2], "column path is missing"),
    "absolute": (swap("d.wav", "/d.wav"), "row 4: path '/d.wav' leads out of the data folder"),
    "outside": (swap("d.wav", "x/../../d.wav"), "leads out of the data folder"),
    "outside, Windows": (swap("d.wav", "..\\d.wav"), "leads out of the data folder"),
    "drive": (swap("d.wav", "C:\\d.wav"), "leads out of the data folder"),
    "no path": (swap("d.wav", ""), "row 4: the path is empty"),
    "too few": (swap(",3,", ""), "row 4 has too few columns, no seconds: d.wav"),
    "too many": (swap('"said, so"', "said, so"), "row 3 has 8 cells for 7 columns"),
    "two splits": (swap("d.wav", "a.wav"), "path 'a.wav' is in row 2 too, with another split"),
    "two labels": (
        swap("b/c.wav", "a.wav"),
        "row 3: path 'a.wav' is in row 2 too, with another label",
    ),
    "escape": (swap("noise", "\x1b[31m"), "kind '\\x1b[31m' with label 'rain'"),
    "NUL": (swap("noise", "\0"), "not UTF-8: it holds NUL"),
    "empty": (lambda text: "", "column path is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(tmp_path: Path, case: str) -> None:
    change, problem = REFUSED[case]
    with pytest.raises(DataError) as error:
        read(tmp_path, change(PLAIN))
    (line,) = str(error.value).splitlines()[:1]
    assert line.startswith(f"{tmp_path / 'manifest.csv'}: ") and line.isprintable()
    assert problem in line


def test_all_rows_with_a_problem_are_counted(tmp_path: Path) -> None:
    many = PLAIN + "".join(f"{i}.wav,dev,street{i % 25},x,,1,\n" for i in range(100))
    with pytest.raises(DataError) as error:
        read(tmp_path, many)
    lines = str(error.value).splitlines()
    assert len(lines) == 21 and "row 5 and 3 more: kind 'street0'" in lines[0]
    assert lines[-1].endswith("and 5 more problems")
