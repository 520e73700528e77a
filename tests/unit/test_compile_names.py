# SPDX-License-Identifier: Apache-2.0
"""What a compiled model is named, whatever its file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT
from tests.support.tflite_maker import Maker
from wakestate.__main__ import main
from wakestate.boards import building
from wakestate.convert.compile.names import check_name, fits, model_name
from wakestate.convert.graph.errors import ConvertError


def relu(folder: Path, name: str) -> Path:
    m = Maker(1)
    x = m.input([1, 4])
    m.output(m.op("RELU", [x], [m.tensor([1, 4])]))
    folder.mkdir(exist_ok=True)
    return m.write(folder / name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("kws.tflite", "kws"),
        ("Okay Nabu-v2.1.tflite", "okay_nabu_v2_1"),
        ("1model.tflite", "model_1model"),
        ("bool.tflite", "model_bool"),
        ("true.tflite", "model_true"),
        ("int.tflite", "model_int"),
        ("uint8_t.tflite", "model_uint8_t"),
        ("string.tflite", "model_string"),
        ("class.tflite", "model_class"),
        ("ws_model.tflite", "model_ws_model"),
        ('it\'s "mine".tflite', "it_s_mine"),
        ("modèle.tflite", "modele"),
        ("唤醒.tflite", "model"),
        (f"{'x' * 200}.tflite", "x" * 50),
    ],
)
def test_default(file: str, name: str) -> None:
    assert model_name(Path(file)) == name and fits(name)


@pytest.mark.parametrize(
    "name", ["", "2x", "Kws", "a b", "ws_x", "int", "bool", "stdint", "é", "x" * 61]
)
def test_given_names_are_checked(name: str) -> None:
    with pytest.raises(ConvertError, match=r"a C name of a-z.*hint: --name"):
        check_name(name)


def test_odd_files_compile(tmp_path: Path) -> None:
    path = relu(tmp_path / "a folder", 'it\'s\n1 "*_" bool.tflite')
    assert main(["model", "compile", str(path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/it_s_1_bool.c").read_text()
    assert "model  it's\\n1" in text, "a line end in a name starts no line of the comment"


def test_make_takes_spaces_and_quotes(tmp_path: Path) -> None:
    path, made = relu(tmp_path / "a folder", 'it\'s 1 "bool".tflite'), tmp_path / "c"
    call = [f"TFLITE={path}", "BOARD=host", f"GENERATED={made}"]
    done = building.build("firmware/compile.mk", f"{made}/.stamp", *call, root=ROOT)
    assert done.returncode == 0, done.stderr
    assert (made / "it_s_1_bool.c").is_file()
    before = (made / ".stamp").stat().st_mtime_ns
    building.build("firmware/compile.mk", f"{made}/.stamp", *call, root=ROOT)
    assert (made / ".stamp").stat().st_mtime_ns == before, "the same model is compiled once"
    path.unlink()
    done = building.build("firmware/compile.mk", f"{made}/.stamp", *call, root=ROOT)
    assert done.returncode != 0 and f"{path}: no such file" in done.stderr
