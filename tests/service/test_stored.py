# SPDX-License-Identifier: Apache-2.0
"""Verifiers that are damaged: refused at start, in one line."""

from __future__ import annotations

import io
import json
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.firmware_build import ROOT
from wakestate.__main__ import main
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.service.detector import TrainedVerifier
from wakestate.words import load_word

MODEL = ROOT / "models/alexa"
NPZ, FACTS = ((MODEL / "verifier" / f"verifier.{kind}").read_bytes() for kind in ("npz", "json"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL / "verifier", tmp_path / "verifier"))


def printed(folder: Path, npz: bytes = NPZ, facts: bytes = FACTS) -> str:
    (folder / "verifier.npz").write_bytes(npz)
    (folder / "verifier.json").write_bytes(facts)
    with pytest.raises(GatewayError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")  # they would be more lines
        TrainedVerifier.load(folder, load_word(ROOT / "words/alexa.toml"), MODEL)
    text = str(caught.value)
    assert text.isprintable() and str(folder) in text and "wakestate verifier train" in text
    return text


def put(at: int, form: str, value: int) -> bytes:
    data = bytearray(NPZ)
    struct.pack_into(form, data, at, value)
    return bytes(data)


def header(change: Callable[[bytes], bytes]) -> bytes:
    """The first array's bytes, edited; the archive around it is whole."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(NPZ)) as old, zipfile.ZipFile(made, "w") as new:
        for number, member in enumerate(old.infolist()):
            data = old.read(member)
            new.writestr(member.filename, data if number else change(data))
    return made.getvalue()


def arrays(change: Callable[[dict[str, Any]], object]) -> bytes:
    with np.load(io.BytesIO(NPZ)) as file:
        have = {name: file[name].copy() for name in file.files}
    change(have)
    made = io.BytesIO()
    np.savez(made, **have)
    return made.getvalue()


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("x.npy", bytes(70 << 20))
    return made.getvalue()


FIRST, LAST = NPZ.index(b"PK\1\2"), NPZ.rindex(b"PK\3\4")
DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut": (lambda: NPZ[:5000], "is damaged"),
    "a bit": (lambda: put(3000, "B", NPZ[3000] ^ 1), "is damaged"),
    "no zip": (lambda: b"nothing", "is damaged"),
    "compression": (lambda: put(FIRST + 10, "<H", 93), "is damaged"),
    "encrypted": (lambda: put(FIRST + 8, "<H", 1), "is damaged"),
    "a long name": (lambda: put(LAST + 26, "<H", 65535), "is damaged"),
    "a header's length": (lambda: header(lambda b: b[:8] + b"\xff\xff" + b[10:]), "is damaged"),
    "a shape that is not there": (
        lambda: header(lambda b: b.replace(b"(3, 3, 1, 16), ", b"(3, 3, 1, 2**9),")),
        "is damaged",
    ),
    "a huge shape": (
        lambda: header(lambda b: b.replace(b"(3, 3, 1, 16), ", b"(9999999999,), ")),
        "is damaged",
    ),
    "a bomb": (bomb, "allowed: 100 arrays"),
    "objects": (lambda: arrays(lambda a: a.update({"last.bias": np.array([None])})), "is damaged"),
    "text": (lambda: arrays(lambda a: a.update({"last.bias": np.array("x")})), "is damaged"),
    "NaN": (lambda: arrays(lambda a: a["last.kernel"].fill(np.nan)), "no finite number"),
    "infinite": (lambda: arrays(lambda a: a["gru.bias"].fill(np.inf)), "no finite number"),
    "beyond float32": (
        lambda: arrays(lambda a: a.update({"last.bias": np.full(64, 1e300)})),
        "no finite number",
    ),
    "large": (lambda: arrays(lambda a: [x.fill(1e30) for x in a.values()]), "no finite numbers"),
    "a layer less": (lambda: arrays(lambda a: a.pop("column.bias")), "column.bias: is missing"),
    "a layer more": (lambda: arrays(lambda a: a.update(x=np.zeros(3))), "'x': unknown for kind"),
    "a bias that broadcasts": (
        lambda: arrays(lambda a: a.update({"last.bias": np.zeros(1)})),
        "last.bias: is (1,)",
    ),
    "transposed": (
        lambda: arrays(lambda a: a.update({"gru.kernel": a["gru.kernel"].T})),
        "gru.kernel: is",
    ),
    "a kernel that is too large": (
        lambda: arrays(lambda a: a.update({"conv0.kernel": np.zeros((300, 3, 1, 16))})),
        "larger",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_weights_are_refused(folder: Path, name: str) -> None:
    make, wording = DAMAGED[name]
    assert wording in printed(folder, npz=make())


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(FACTS) | changes).encode()


def each(name: str, value: Any) -> bytes:
    return changed(**{name: dict.fromkeys(json.loads(FACTS)[name], value)})


@pytest.mark.parametrize(
    ("facts", "wording"),
    [
        (b"[" * 100_000, "is no JSON"),
        (b"1" * 5000, "is no JSON"),
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "cannot be read"),
        (bytes(2 << 20), "allowed: up to"),
        (each("thresholds", float("nan")), "NaN is no JSON number"),
        (each("thresholds", 1e308), "thresholds.player=idle,volume=low: given 1e+308"),
        (each("wakes", "NaN"), "wakes.player=idle,volume=low: given 'NaN'"),
        (each("wakes", True), "wakes.player=idle,volume=low: given True"),
        (each("shipped", 1.5), "shipped.player=idle,volume=low: given 1.5"),
        (changed(shipped={}), "shipped: 'player=idle,volume=low' is missing"),
        (changed(weight=-1), "weight: given -1"),
        (changed(weight="\x1b"), "given '\\x1b'"),
        (changed(detector="../x"), "detector: given '../x'"),
        (changed(kind="dnn"), "kind: given 'dnn'"),
        (changed(kind="cnn195"), "last.kernel: is"),
        (changed(seen=0), "seen: given 0"),
        (changed(seen=999), "seen: given 999"),
        (changed(bands=10**9), "bands: given 1000000000"),
        (changed(frames=195.5), "frames: given 195.5"),
        (changed(bands=None), "bands: given None"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_damaged_facts_are_refused(folder: Path, facts: bytes, wording: str) -> None:
    assert wording in printed(folder, facts=facts)


def test_the_service_does_not_start_with_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    (folder / "verifier.npz").write_bytes(NPZ[:5000])
    assert main(["service", "serve", "--verifier", str(folder), "--model", str(MODEL)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "verifier.npz: is damaged: " in err
