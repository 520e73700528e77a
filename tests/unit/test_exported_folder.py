# SPDX-License-Identifier: Apache-2.0
"""An exported folder is written whole or not at all, and nothing of anybody else's is lost."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest

from tests.support.executors import ALEXA, TOY
from wakestate.__main__ import main
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.library.files import Given, Library
from wakestate.convert.library.merge import Merger
from wakestate.convert.manifest import never_fires, set_thresholds
from wakestate.files import FileError, write_folder

MARKER = "export.json"
FILES = {"README.md": b"new\n", "src/a.c": b"int a;\n"}


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def test_a_later_export_replaces_what_the_earlier_wrote_and_keeps_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "deep/er/library"
    write_folder(out, {"README.md": b"old\n", "src/gone.c": b""}, MARKER, {"command": "x"})
    assert json.loads((out / MARKER).read_text())["command"] == "x"
    (out / "build").mkdir()
    (out / "build/mine.o").write_bytes(b"mine")
    (out / "build/link").symlink_to("nowhere")
    (out / "folder_link").symlink_to("build")
    write_folder(out, FILES, MARKER, {})
    assert written(out) == FILES | {"build/mine.o": b"mine"}
    assert (out / "build/link").is_symlink() and (out / "folder_link").is_symlink()
    assert [path.name for path in out.parent.iterdir()] == ["library"]


def test_it_refuses_what_it_would_destroy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(out: Path, why: str) -> None:
        before = written(tmp_path)
        with pytest.raises(FileError, match=why) as caught:
            write_folder(out, FILES, MARKER, {})
        assert "hint: " in str(caught.value) and written(tmp_path) == before

    out = tmp_path / "library"
    out.mkdir()
    (out / "thesis.md").write_text("mine")
    refused(out, "holds thesis.md; hint: name a folder that is not there yet")
    refused(out / "thesis.md", "is a file")
    (out / MARKER).write_text("[]")
    refused(out, "names no files")
    (out / MARKER).write_text('{"files": {}}')
    (out / "README.md").write_text("mine")
    refused(out, "README.md: was changed")
    (out / "README.md").unlink()
    write_folder(out, FILES, MARKER, {})
    (out / "src/a.c").write_text("int mine;\n")
    refused(out, "a.c: was changed; hint: move it away, or name a folder")
    (out / "src/a.c").unlink()
    monkeypatch.chdir(out / "src")
    refused(out, "is the current folder")


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_interrupted_it_leaves_what_was_there(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "library"
    write_folder(out, FILES, MARKER, {})
    rename = Path.rename

    def interrupt(path: Path, target: Path) -> Path:
        if target == out and path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if failing == "write":
            patch.setattr(Path, "write_bytes", stop)
        else:
            patch.setattr(Path, "rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_folder(out, {"README.md": b"newer\n"}, MARKER, {})
    assert written(out) == FILES and list(tmp_path.iterdir()) == [out]


def test_headers_are_merged_once_and_in_each_branch(tmp_path: Path) -> None:
    texts = {
        "main.c": '#include "a.h"\n#include "p.h"\n#include "t.h"\n#include "t.h"\nint main;\n',
        "a.h": '#ifndef A\n#define A\n#include <s.h>\n#ifdef X\n#include "b.h"\n#else\n'
        '#include "b.h"\n#endif\n#include "p.h"\n#include "b.h"\n#endif\n',
        "b.h": '#ifndef B\n#define B\n#include "a.h"\nint b;\n#endif\n',
        "t.h": "int t;\n",
    }
    merged = Merger([tmp_path], texts, lambda name: "public.h" if name == "p.h" else None)
    text = merged.merged("main.c")
    assert text.count("int b;") == 3 and text.count("int t;") == 2
    assert text.count('#include "public.h"') == 1 and text.count("#include <s.h>") == 1
    assert '"a.h"' not in text and '"b.h"' not in text


def test_two_exports_are_equal_to_the_byte(tmp_path: Path) -> None:
    call = ["export", "--word", str(TOY.word_path), "--model", str(TOY.folder), "--as", "cmake"]
    for name in ("a", "b"):
        assert main([*call, "--out", str(tmp_path / name)]) == 0
    a, b = (written(tmp_path / name) for name in ("a", "b"))
    assert a == b and len(a) > 8 and not any(name.endswith(".wav") for name in a)
    marker = [(tmp_path / name / MARKER).read_bytes() for name in ("a", "b")]
    assert marker[0] == marker[1]


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConvertError, match="words of one program share front end and device"):
        words = [Given(model.word_path, model.folder) for model in (ALEXA, TOY)]
        Library(words, "plain").files()
    folder = tmp_path / "model"
    folder.mkdir()
    for path in TOY.folder.glob("toy_*.tflite"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "model.json").write_bytes((TOY.folder / "model.json").read_bytes())
    set_thresholds(folder, TOY.word, dict.fromkeys(TOY.word.states, never_fires(TOY.word)))
    with pytest.raises(ConvertError, match=r"no thresholds are set.* hint: wakestate evaluate"):
        Library([Given(TOY.word_path, folder)], "plain").files()
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
    with pytest.raises(ConvertError, match="2 channels, 16 bits, 8000 Hz; hint: give a WAV"):
        Library(
            [Given(ALEXA.word_path, ALEXA.folder)], "plain", "plain", tmp_path / "x.wav"
        ).files()
    assert main(["export", "--as", "yocto", "--out", str(tmp_path / "out")]) == 2
    assert "'yocto' is not one of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
