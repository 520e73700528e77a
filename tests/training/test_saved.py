# SPDX-License-Identifier: Apache-2.0
"""What a .keras file may hold."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.executors import ROOT, TOY
from wakestate.train.data.corpus import DataError
from wakestate.train.model.network import load_network  # which also registers its layers
from wakestate.train.model.saved import check, load_model

TRAINED = TOY.folder / "toy.keras"
#: Objects that run, read or write what they name; the last is registered nowhere.
FOREIGN: dict[str, dict[str, Any]] = {
    "keras.layers.Lambda": {"config": {"function": {"class_name": "__lambda__", "config": {}}}},
    "keras.layers.TFSMLayer": {"config": {"filepath": "/"}},
    "keras.layers.StringLookup": {"config": {"vocabulary": "/etc/hostname"}},
    "keras.utils.get_file": {"config": {"origin": "file:///"}},
    "builtins.function": {"config": "print", "registered_name": "function"},
    # Keras finds a function by its name, whatever it is registered as.
    "keras.utils.function": {"config": "get_file", "registered_name": "wakestate>TimeConv"},
    "os.system": {"config": "true", "registered_name": "wakestate>Missing"},
}


def changed(path: Path, change: Any) -> Path:
    """The toy's file with another configuration."""
    with zipfile.ZipFile(TRAINED) as stored, zipfile.ZipFile(path, "w") as made:
        for name in stored.namelist():
            content = stored.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            made.writestr(name, content)
    return path


@pytest.mark.parametrize("named", FOREIGN)
def test_foreign_code_is_refused_before_keras_sees_it(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = named.rpartition(".")
    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("Keras saw it"))
    layer = {"module": module, "class_name": name, "name": "x", **FOREIGN[named]}
    path = changed(tmp_path / "x.keras", lambda c: c["config"]["layers"].append(layer))
    with pytest.raises(DataError, match=rf"x\.keras: names {named}, of which no network of this"):
        load_model(path)


@pytest.mark.parametrize("name", ["assets/x", "../x", "config.json/../../x"])
def test_other_files_in_it_are_refused(name: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "x.keras", lambda _: None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(DataError, match=r"x\.keras: holds .*x; refused"):
        load_model(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    # An .h5 knows no safe mode, and a folder would be read by another loader.
    (tmp_path / "x.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for path in (tmp_path / "x.keras", tmp_path):
        with pytest.raises(DataError, match=r"not a \.keras file; `wakestate train` writes one"):
            load_model(path)
    path = changed(tmp_path / "empty.keras", dict.clear)
    with pytest.raises(DataError, match=r"empty\.keras: cannot be read: "):
        load_model(path)


def test_what_ships_is_taken() -> None:
    for path in (ROOT / "models").glob("*/*.keras"):
        check(path)
    assert load_network(TOY.word, TRAINED).name == TOY.word.name
