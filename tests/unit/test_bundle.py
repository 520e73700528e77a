# SPDX-License-Identifier: Apache-2.0
"""Bundles: made, read and taken by commands; or refused as a whole, in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import bundles
from tests.fuzz.bundles import Files, opened, rehashed, toy
from tests.support.examples import typed_example, typed_line
from wakestate.__main__ import main
from wakestate.convert.bundle import (
    BundleError,
    bundle_of,
    make_bundle,
    packed,
    read_bundle,
)
from wakestate.errors import UserError

TOY = bundles.ROOT / "tests/toy"
PATH = Path("toy.wakestate")


@pytest.fixture(scope="module")
def good() -> bytes:
    return toy()


def test_holds_what_the_folder_has(good: bytes) -> None:
    bundle = bundle_of(good, PATH)
    assert bundle.files["toy_music.tflite"] == (TOY / "toy_music.tflite").read_bytes()
    assert bundle.files["toy.toml"] == (TOY / "toy.toml").read_bytes()
    assert set(bundle.contents.files) == set(bundle.files)
    assert list(bundle.contents.thresholds) == list(bundle.word.states)
    assert (bundle.contents.license, bundle.signed) == ("Apache-2.0", False)
    assert good == toy()


def test_commands_take_it(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As --word or --model; the C is that of the folder but for the hash of model.json."""
    monkeypatch.chdir(tmp_path)
    PATH.write_bytes(good)
    assert main(["bundle", "check", str(PATH), "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["thresholds"]
        == bundle_of(good, PATH).contents.model_dump()["thresholds"]
    )
    for given in (["--word", str(PATH)], ["--model", str(PATH)]):
        assert main(["model", "generate", *given, "--out", given[0][2:]]) == 0
    folder = ["--word", str(TOY / "toy.toml"), "--model", str(TOY)]
    assert main(["model", "generate", *folder, "--out", "folder"]) == 0
    texts = [Path(name, "ws_toy.c").read_text() for name in ("word", "model", "folder")]
    assert len({text.partition("*/")[2] for text in texts}) == 1
    assert main(["model", "generate", "--word", "alexa", "--model", str(PATH), "--out", "x"]) == 2
    assert "the bundle toy.wakestate is of 'toy'; leave out --word" in capsys.readouterr().err
    again = typed_example("bundle make", {"alexa": PATH})
    assert main([*again, "--no-page", "--out", "again"]) == 0
    assert read_bundle(Path("again/toy.wakestate")).contents.license == "Apache-2.0"


def test_the_verifier_comes_with_it(tmp_path: Path) -> None:
    """Its detector is named by the networks that are in the bundle."""
    shutil.copytree(TOY, tmp_path / "model")
    (tmp_path / "model/verifier").mkdir()
    facts = tmp_path / "model/verifier/verifier.json"
    (tmp_path / "model/verifier/verifier.npz").write_bytes(b"weights")
    facts.write_text('{"detector": "0"}')
    with pytest.raises(UserError, match="is of other networks"):
        make_bundle(TOY / "toy.toml", tmp_path / "model", "x")
    hashes = json.loads((TOY / "model.json").read_text())["files"]
    of = lambda names: hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()  # noqa: E731
    facts.write_text(json.dumps({"detector": of(hashes.values())}))
    files = bundle_of(make_bundle(TOY / "toy.toml", tmp_path / "model", "x"), PATH).files
    here = [hash for name, hash in hashes.items() if name in files]
    assert json.loads(files["verifier.json"]) == {"detector": of(here)}
    assert files["verifier.npz"] == b"weights"


def test_signatures(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="pip install 'wakestate[bundle]'")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for name in ("mine", "other"):
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        )
        (tmp_path / f"{name}.pem").write_bytes(private)
        public = form.PublicFormat.SubjectPublicKeyInfo
        (tmp_path / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(form.Encoding.PEM, public)
        )
    call = typed_line(
        "bundle make --word alexa --key key.pem",
        {"alexa": TOY / "toy.toml", "key.pem": tmp_path / "mine.pem"},
    )
    assert main([*call, "--model", str(TOY), "--no-page", "--out", str(tmp_path)]) == 0
    signed = (tmp_path / PATH).read_bytes()
    assert bundle_of(signed, PATH, tmp_path / "mine.pub").signed
    files = {"alexa.wakestate": tmp_path / PATH, "maker.pub.pem": tmp_path / "mine.pub"}
    assert main(typed_example("bundle check", files)) == 0
    unsigned = packed({n: c for n, c in opened(signed).items() if n != "manifest.sig"})
    for data, key_name, said in (
        (signed, "other.pub", "is not signed by the key"),
        (unsigned, "mine.pub", "is not signed;"),
        (signed, "mine.pem", "no public key"),
    ):
        with pytest.raises(BundleError, match=said):
            bundle_of(data, PATH, tmp_path / key_name)


def manifest(**changed: Any) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        text = json.dumps(json.loads(files["manifest.json"]) | changed)
        return files | {"manifest.json": text.encode()}

    return change


def hashed(name: str, content: bytes) -> Callable[[Files], Files]:
    """Of a file that is changed or added, the hash as well."""

    return lambda files: rehashed(files | {name: content})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f | {"toy_idle.tflite": b"x"}, "files.toy_idle.tflite: is another file's"),
        (lambda f: {n: c for n, c in f.items() if n != "toy.toml"}, "toy.toml: there is no such"),
        (lambda f: f | {"more.tflite": b"x"}, "files.more.tflite: is missing"),
        (lambda f: {n: c for n, c in f.items() if n != "manifest.json"}, "holds no manifest.json"),
        (lambda f: f | {"../x": b"x"}, "'../x' has separators"),
        (manifest(bundle=2), "bundle: Input should be less than or equal to 1"),
        (manifest(bundle=True), "bundle: Input should be a valid integer"),
        (manifest(thresholds={}), "thresholds: given {}, the files have"),
        (manifest(word="alexa"), "holds no alexa.toml"),
        (manifest(frontend_hash="0" * 64), "frontend_hash: given '0000"),
        (manifest(extra=1), "extra: Extra inputs are not permitted"),
        (manifest(results={"player=idle": {"missed": 0.0}}), "results: given"),
        (hashed("more.tflite", b"x"), "holds more.tflite, which no bundle has"),
        (hashed("page.wasm", b"#!/bin/sh"), "page.wasm: is no WebAssembly module"),
        (hashed("verifier.npz", b"x"), "holds one of verifier.json and verifier.npz"),
        (hashed("toy.toml", b"a." * 5000 + b"b = 1"), "line 1 has more than 512 dots"),
        (hashed("model.json", b'{"schema": 3}'), "model.json: schema: given 3"),
    ],
)
def test_is_refused_as_a_whole(change: Callable[[Files], Files], said: str, good: bytes) -> None:
    with pytest.raises(UserError) as caught:
        bundle_of(packed(change(opened(good))), PATH)
    assert said in str(caught.value) and str(caught.value).isprintable()


def test_nothing_of_a_refused_one_is_left(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only compiling shows that it does not fit."""
    monkeypatch.chdir(tmp_path)
    model = json.loads(opened(good)["model.json"])
    model["logit"]["scale"] = 0.5
    bad = hashed("model.json", json.dumps(model).encode())(opened(good))
    PATH.write_bytes(packed(bad))
    assert main(["emulate", "--word", str(PATH)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "toy.wakestate: model/model.json: logit: is 0.5" in line
    assert {path.name for path in tmp_path.rglob("*")} == {PATH.name, "build", "bundles"}


def test_damaged_at_random() -> None:
    outcomes, faults = bundles.run(150, 7)
    assert not faults
    assert {outcome.split()[1] for outcome in outcomes} >= {"taken", "refused"}
