# SPDX-License-Identifier: Apache-2.0
"""Trained networks in .keras files: the one place that reads and writes them.

Such a file names the code that is to build it, and Keras' own check of that (`safe_mode`) was
passed by more than once. So what it names is looked at before Keras sees it: an archive of three
files, made of the layers that this project's networks have.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from wakestate.files import plain, replaced
from wakestate.train.data.corpus import DataError

FILES = {"metadata.json", "config.json", "model.weights.h5"}
MAX_BYTES = 1 << 30  # of a file in it, unpacked
#: Of Keras, what networks of train/model and verify/learning are made of.
LAYERS = {
    *("Add", "BatchNormalization", "Conv1D", "Conv2D", "Cropping1D", "Dense", "DepthwiseConv2D"),
    *("Dot", "Flatten", "GRU", "InputLayer", "Normalization", "ReLU", "Reshape", "Softmax"),
}
#: Modules of which any class may be named: they hold numbers.
MODULES = {
    *("keras.initializers", "keras.losses"),
    *("keras.optimizers", "keras.optimizers.schedules"),
}
OTHERS = {
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    (None, "__keras_tensor__"),
}

SAVED = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can name


def save_model(model: keras.Model, path: Path) -> None:
    """Write `model`, with its optimizer if it has one; equal networks give equal bytes, where Keras
    stores the time, and addresses as the numbers of shared objects. FileError."""
    with replaced(path) as made:
        model.save(made)
        with zipfile.ZipFile(made) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        version = {"keras_version": json.loads(files["metadata.json"])["keras_version"]}
        files["metadata.json"] = json.dumps(version).encode()
        files["config.json"] = _numbered(files["config.json"])
        with zipfile.ZipFile(made, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, SAVED), content)


def _numbered(config: bytes) -> bytes:
    """A configuration whose shared objects are counted from 1, in their order."""
    numbers: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        return found[1] + str(numbers.setdefault(found[2], len(numbers) + 1)).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def load_model(path: Path, compile: bool = False) -> keras.Model:
    """The network that a .keras file holds, as a checkpoint with its optimizer and loss if
    `compile`. DataError where it is none of this project's."""
    try:
        check(path, compile)
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except DataError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"{plain(path)}: cannot be read: {plain(error, 300)}") from None


def check(path: Path, compile: bool = False) -> None:
    """DataError where a .keras file names anything but what this project's networks are made of:
    their layers and, if `compile`, how they are trained."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{plain(path)}: not a .keras file; `wakestate train` writes one")
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if item.filename not in FILES or item.file_size > MAX_BYTES:
                raise DataError(f"{plain(path)}: holds {plain(item.filename, 100)}; refused")
        config = json.loads(archive.read("config.json"))
    if not compile:
        config.pop("compile_config", None)  # Keras does not read it then
    ours = keras.saving.get_custom_objects()
    for named in _objects(config):
        module, name = named.get("module"), named["class_name"]
        if not (
            module in MODULES
            or (module == "keras.layers" and name in LAYERS)
            or (module, name) in OTHERS
            # Keras finds a function by its name, any other object by its registered one.
            or named.get("config" if name == "function" else "registered_name") in [*ours]
        ):
            raise DataError(
                f"{plain(path)}: names {plain(f'{module}.{name}', 100)}, of which no network of "
                "this project is made; refused, as it may run code"
            )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All objects that a configuration names by their class."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
