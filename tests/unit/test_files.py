# SPDX-License-Identifier: Apache-2.0
"""Names and files from outside, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import TOY
from wakestate.__main__ import main
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.manifest import check_manifest, set_thresholds
from wakestate.files import (
    FileError,
    inside,
    plain,
    plain_name,
    read_json,
    replaced,
    write_atomically,
)
from wakestate.words import load_word

BAD_NAMES = (
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:x",
    "a\0b",
    "a\nb",
    "\x1b[31mred",
    "x\u202e",
    "\ud800",
    ".hidden",
    " x",
    "x ",
    "x.",
    "con",
    "NUL.tflite",
    "com1.bin",
    "a*",
    "a?b",
    'a"b',
    "a<b",
    "a|b",
    "x" * 151,
    "é" * 80,
)


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed: a plain file name") as caught:
        plain_name(name)
    assert str(caught.value).isprintable()


def test_plain_names() -> None:
    for name in ("a", "alexa.keras", "hey_samuel_music_high.tflite", "a-b (2).x", "é.tflite"):
        assert plain_name(name) == name
    assert plain("a\x1b[0m\n\u202eb\t", 60) == "a\\x1b[0m\\n\\u202eb\\t"
    assert plain("x" * 99, 10) == "xxxxxxxx.."


def test_a_file_that_a_folder_names_lies_in_it(tmp_path: Path) -> None:
    folder, secret = tmp_path / "model", tmp_path / "secret"
    folder.mkdir()
    secret.write_bytes(b"own")
    (folder / "good").write_bytes(bytes(9))
    (folder / "out").symlink_to(secret)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dir").mkdir()
    (folder / "also").symlink_to("good")
    os.mkfifo(folder / "pipe")
    assert inside(folder, "good", 9).read_bytes() == inside(folder, "also", 9).read_bytes()
    for name, wording in (
        ("out", "leads out of its folder"),
        ("none", "no such file"),
        ("loop", "loop|Too many"),
        ("dir", "is no file"),
        ("pipe", "is no file"),
        ("../secret", "a plain file name"),
    ):
        with pytest.raises(FileError, match=wording) as caught:
            inside(folder, name, 9)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="good: 9 bytes; allowed: up to 8"):
        inside(folder, "good", 8)


def test_json_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in (b"[" * 100000, b"1" * 5000, b"\xff\xfe", b"", b'{"a": NaN}', b"[1e", bytes(99)):
        path.write_bytes(text)
        with pytest.raises(FileError, match=r"x\.json: is no JSON: ") as caught:
            read_json(path)
        assert str(caught.value).isprintable()
    path.write_bytes(b'[1, "a"]')
    assert read_json(path) == [1, "a"]
    for bad, wording in ((path.with_name("none"), "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(FileError, match=wording):
            read_json(bad)
    with pytest.raises(FileError, match="8 bytes; allowed: up to 5"):
        read_json(path, 5)


@contextlib.contextmanager
def disk(room: int) -> Iterator[None]:
    """As where a disk is full: no file grows beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_written_leaves_what_was(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    write_atomically(path, "before")
    wording = r"x\.npy: cannot be written: File too large; make room"
    with pytest.raises(FileError, match=wording), disk(65536):
        write_atomically(path, bytes(70000))
    with pytest.raises(FileError, match="cannot"), disk(65536), replaced(path) as partial:
        np.save(partial, np.zeros(70000))
    with pytest.raises(ZeroDivisionError), replaced(path) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    link = tmp_path / "link"
    link.symlink_to(path)
    write_atomically(link, "another")  # takes the link's place
    assert path.read_text() == "before" and link.read_text() == "another"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for bad in (path / "below", tmp_path / "loop/x", Path("/proc/none/x"), tmp_path):
        with pytest.raises(FileError, match="cannot be written: ") as caught:
            write_atomically(bad, "x")
        assert "\n" not in str(caught.value)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY.folder, tmp_path / "toy"))


def change(folder: Path, what: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    content = json.loads(path.read_text())
    what(content)
    path.write_text(json.dumps(content))


def refused(folder: Path) -> str:
    with pytest.raises(ConvertError) as caught:
        check_manifest(folder, load_word(TOY.word_path))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_model_folder_names_plain_files(copied: Path, name: str) -> None:
    change(copied, lambda m: m["files"].update({name: "0" * 64}))
    assert "allowed: a plain file name" in refused(copied) or "JSON" in refused(copied)


def test_model_json_is_read_as_it_is_documented(copied: Path) -> None:
    original = (copied / "model.json").read_bytes()

    def wording(what: Callable[[dict[str, Any]], object]) -> str:
        (copied / "model.json").write_bytes(original)
        change(copied, what)
        return refused(copied)

    assert "extra: given 1; Extra inputs" in wording(lambda m: m.update(extra=1))
    assert "endpoint_hops: Field required" in wording(lambda m: m.pop("endpoint_hops"))
    assert "endpoint_hops: given '8';" in wording(lambda m: m.update(endpoint_hops="8"))
    assert "logit.scale: given nan" in wording(lambda m: m["logit"].update(scale=float("nan")))
    assert "thresholds.player=idle: given 1.5" in wording(
        lambda m: m["thresholds"].update({"player=idle": 1.5})
    )
    assert "\\x1b" in wording(lambda m: m.update({"\x1b[31m": "\n"}))
    assert "word: is a\\x07b, the word" in wording(lambda m: m.update(word="a\x07b"))
    assert "(1 more)" in wording(lambda m: (m.pop("word"), m.pop("files")))
    assert "files: " in wording(
        lambda m: m["files"].update({f"x{i}": "0" * 64 for i in range(300)})
    )
    for text in (b"[" * 100000, b"1" * 5000, b"\xff\xfe", b"", b"[]"):
        (copied / "model.json").write_bytes(text)
        assert "model.json: (file): " in refused(copied)
    (copied / "model.json").write_bytes(bytes((1 << 20) + 1))
    assert "1048577 bytes; allowed: up to 1048576" in refused(copied)
    (copied / "model.json").unlink()
    (copied / "model.json").mkdir()
    assert "model.json: no such file" in refused(copied)


def test_a_model_file_that_leads_out_of_the_folder(copied: Path, tmp_path: Path) -> None:
    path = copied / "toy_music.tflite"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "toy_music.tflite: leads out of its folder" in refused(copied)


@pytest.mark.parametrize("out", ["file", "file/below", "loop", "full"])
def test_commands_report_in_one_line_what_cannot_be_written(
    out: str, tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Odd --out, and a disk that is full: status, one line, and nothing half-written."""
    (tmp_path / "file").write_text("own")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    convert = ["model", "generate", "--word", str(TOY.word_path), "--model", str(copied)]
    boards = ["board", "generate", "mps2-an386"]
    for call in (convert, boards):
        with disk(64 if out == "full" else 1 << 30):
            assert main([*call, "--out", str(tmp_path / out)]) == 1
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1 and "cannot be written: " in printed
    assert (tmp_path / "file").read_text() == "own"
    assert out != "full" or list((tmp_path / out).iterdir()) == []


def test_thresholds_that_cannot_be_written(copied: Path) -> None:
    before, word = (copied / "model.json").read_bytes(), load_word(TOY.word_path)
    wording = r"model\.json: cannot be written: File too large"
    with pytest.raises(FileError, match=wording), disk(100):
        set_thresholds(copied, word, dict.fromkeys(word.states, 3))
    assert (copied / "model.json").read_bytes() == before
    assert not list(copied.glob(".*"))
