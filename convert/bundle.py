# SPDX-License-Identifier: Apache-2.0
"""A bundle: a word and its model as one file, NAME.wakestate.

It is a zip file of stored entries:

    manifest.json           what is in it: Contents, with the sha256 of every other file
    manifest.sig            optional: ed25519 signature of manifest.json, 64 bytes
    NAME.toml               the word file
    model.json              of the model folder, naming the states' files alone
    NAME_STATE.tflite       the network of each device state
    operating_points.json   optional: what other thresholds give
    page.wasm               optional: the engine with this word, for the page in the browser
    verifier.json, .npz     optional: the word's verifier

`bundle_of` is the only door: it takes a bundle as a whole, or refuses it in one line. What
`wakestate bundle make` does not write byte for byte is refused, so nothing can hide in the zip.
web/page/bundle.js is the page's door.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate.convert import operating_points
from wakestate.convert.emit import generate
from wakestate.convert.graph.tflite_graph import model_of
from wakestate.convert.manifest import (
    FILE_MAX,
    NAME,
    FileName,
    Manifest,
    Sha256,
    check_manifest,
    check_word,
    manifest_of,
    state_file,
    text_of,
)
from wakestate.errors import UserError
from wakestate.files import (
    FileError,
    inside,
    plain,
    plain_name,
    read_json,
    replaced_folder,
    shown,
    sized,
)
from wakestate.words import Word
from wakestate.words.schema import Text, WordError, word_of

SUFFIX = ".wakestate"
FOLDER = Path("build/bundles")  # where they are unpacked
MANIFEST, SIGNATURE, POINTS = "manifest.json", "manifest.sig", operating_points.NAME
MODULE, _WASM = "page.wasm", b"\0asm\1\0\0\0"
VERIFIER = ("verifier.json", "verifier.npz")
_ENTRIES_MAX = 80  # a word has up to 64 states
_DIRECTORY_MAX = _ENTRIES_MAX * 256  # bytes of the zip's directory
#: What zipfile raises where a file is damaged.
_DAMAGE: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError),
    *(struct.error, OverflowError, KeyError),
)
_MAKE = "hint: get it again, or make it with `wakestate bundle make`"


class BundleError(UserError):
    """A bundle is refused; the text is one line that names the file and what is wrong."""


class Contents(BaseModel):
    """manifest.json. What also stands in another file of the bundle must be the same there."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    bundle: Annotated[int, Field(ge=1, le=1)]  # Literal would take true
    word: str
    phrase: str
    frontend_hash: Sha256
    metadata: dict[str, tuple[str, ...]]
    thresholds: dict[str, int]
    detector: dict[str, float]
    results: dict[str, dict[str, float]]  # by state, at its threshold: of operating_points.json
    license: Text = Field(max_length=200, description="of the model: an SPDX expression")
    files: dict[FileName, Sha256] = Field(max_length=_ENTRIES_MAX)


@dataclass(frozen=True)
class Bundle:
    """One that was taken."""

    contents: Contents
    word: Word
    files: Mapping[str, bytes]  # but manifest.json and its signature
    signed: bool
    sha256: str  # of the whole


def make_bundle(
    word_path: Path,
    folder: Path,
    license_text: str,
    key: Path | None = None,
    module: bytes | None = None,
) -> bytes:
    """The bundle of a word file and its model folder, the same bytes for the same input; signed by
    a private key (PEM, ed25519). `module`: of the page. UserError."""
    data = sized(word_path, 1 << 20).read_bytes()
    word = word_of(data, word_path)
    full = check_manifest(folder, word)
    names = [state_file(word, state) for state in word.states]
    manifest = full.model_copy(update={"files": {name: full.files[name] for name in names}})
    files = {name: inside(folder, name, FILE_MAX).read_bytes() for name in names}
    files |= {f"{word.name}.toml": data, NAME: text_of(manifest).encode()}
    points = None
    if (folder / POINTS).is_file():
        points = operating_points.read(folder, full).model_copy(
            update={"model": operating_points.identity(manifest)}
        )
        files[POINTS] = operating_points.text_of(points).encode()
    if (folder / "verifier").is_dir():
        files |= _verifier(folder / "verifier", full, manifest)
    if module is not None:
        files[MODULE] = module
    facts = _facts(word, manifest, points)
    facts |= {"license": license_text, "files": _hashes(files)}
    text = json.dumps({"bundle": 1, **facts}, indent=1, ensure_ascii=False).encode() + b"\n"
    whole = {MANIFEST: text, **({SIGNATURE: _signed(text, key)} if key else {}), **files}
    made = packed(whole)
    bundle_of(made, Path(word.name + SUFFIX))
    return made


def _verifier(folder: Path, full: Manifest, manifest: Manifest) -> dict[str, bytes]:
    """Its files; that names its detector as the bundle's model.json has it."""
    facts, weights = VERIFIER
    found = read_json(folder / facts)
    if not isinstance(found, dict) or found.get("detector") != operating_points.identity(full):
        raise BundleError(
            f"{plain(folder / facts)}: detector: is of other networks than those in "
            f"{plain(folder.parent)}; hint: `wakestate verifier train` trains it again"
        )
    found["detector"] = operating_points.identity(manifest)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    return {facts: text.encode(), weights: inside(folder, weights, FILE_MAX).read_bytes()}


def read_bundle(path: Path, key: Path | None = None) -> Bundle:
    """Read and check a bundle; with a public key (PEM, ed25519) its signature, too. UserError."""
    return bundle_of(sized(path, FILE_MAX).read_bytes(), path, key)


def bundle_of(data: bytes, path: Path, key: Path | None = None) -> Bundle:
    """The same of the content of a file, which `path` names."""
    files = _entries(data, path)
    if MANIFEST not in files:
        raise _refused(path, f"holds no {MANIFEST}")
    text, signature = files.pop(MANIFEST), files.pop(SIGNATURE, None)
    contents = _contents(text, path / MANIFEST)
    if key:
        _check_signature(text, signature, key, path)
    hashes = _hashes(files)
    for name in sorted({*hashes, *contents.files}):
        if hashes.get(name) != contents.files.get(name):
            where = f"{MANIFEST}: files.{plain(name)}"
            problem = "there is no such file" if name not in files else "is another file's sha256"
            raise _refused(path, f"{where}: {problem if name in contents.files else 'is missing'}")
    word = _word(files, contents, path)
    return Bundle(contents, word, files, signature is not None, hashlib.sha256(data).hexdigest())


def unpacked(path: Path, check: Callable[[Word, Path], None]) -> tuple[Path, Path]:
    """The word file and the model folder of a bundle, checked, in a folder below build/ that has
    its hash in the name; `check` gets the folder before it is there. UserError; then nothing is."""
    bundle = read_bundle(path)
    folder = FOLDER / bundle.sha256[:16]
    word_path, model = f"{bundle.word.name}.toml", "model"
    if folder.is_dir():
        return folder / word_path, folder / model
    places = {word_path: word_path, **{name: f"{model}/verifier/{name}" for name in VERIFIER}}
    try:
        with replaced_folder(folder) as made:
            for name, content in bundle.files.items():
                place = made / places.get(name, f"{model}/{name}")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            try:
                generate(bundle.word, made / word_path, made / model)
                check(bundle.word, made / model)
            except UserError as error:
                raise _refused(path, plain(error).replace(f"{made}/", "")) from None
    except FileError:
        if not folder.is_dir():  # else another process was first
            raise
    return folder / word_path, folder / model


def _word(files: Mapping[str, bytes], contents: Contents, path: Path) -> Word:
    """The word, with everything that is in the bundle checked against it and each other."""
    name = contents.word + ".toml"
    for needed, limit in ((name, 1 << 18), (NAME, 1 << 20), (POINTS, 4 << 20)):
        if needed not in files and needed != POINTS:
            raise _refused(path, f"holds no {plain(needed, 200)}")
        if len(files.get(needed, b"")) > limit:
            raise _refused(path, f"{plain(needed, 200)}: is larger than {limit} bytes")
    try:
        word = word_of(files[name], path / name)
    except WordError as error:
        raise BundleError(str(error).partition("\n")[0]) from None
    manifest = manifest_of(files[NAME], path / NAME)
    check_word(manifest, path / NAME, word)
    networks = [state_file(word, state) for state in word.states]
    others = set(files) - {name, NAME, POINTS, MODULE, *VERIFIER, *networks}
    if others:
        raise _refused(path, f"holds {plain(min(others))}, which no bundle has")
    if len(set(VERIFIER) & set(files)) == 1:
        raise _refused(path, f"holds one of {' and '.join(VERIFIER)}; allowed: both, or none")
    if not files.get(MODULE, _WASM).startswith(_WASM):
        raise _refused(path, f"{MODULE}: is no WebAssembly module")
    if dict(manifest.files) != {one: contents.files[one] for one in networks if one in files}:
        raise _refused(path, f"{NAME}: files: are not the networks that are here")
    for one in networks:
        model_of(files[one], path / one)
    points = None
    if POINTS in files:
        points = operating_points.points_of(files[POINTS], path / POINTS, manifest)
    given = contents.model_dump(mode="json")
    for field, value in _facts(word, manifest, points).items():
        if given[field] != value:
            raise _refused(
                path,
                f"{MANIFEST}: {field}: given {shown(given[field])}, the files have {shown(value)}",
            )
    return word


def _facts(
    word: Word, manifest: Manifest, points: operating_points.OperatingPoints | None
) -> dict[str, Any]:
    """What manifest.json says of the other files."""
    results = {}
    for state, curve in points.states.items() if points else ():
        point = curve.at(manifest.thresholds[state])
        missed = sum(point.missed) / max(1, len(point.missed))
        results[state] = {
            "hours": curve.hours,
            "false_accepts": point.false_accepts,
            "missed": round(missed, 4),
        }
    detector = word.detector.model_dump(include={"smoothing_steps", "refractory_s", "shortest_s"})
    return {
        "word": word.name,
        "phrase": word.phrase,
        "frontend_hash": manifest.frontend_hash,
        "metadata": {field: list(values) for field, values in word.metadata.items()},
        "thresholds": manifest.thresholds,
        "detector": detector,
        "results": results,
    }


def _contents(text: bytes, path: Path) -> Contents:
    try:
        return Contents.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = plain(".".join(str(part) for part in first["loc"]), 200) or "(file)"
        message = plain(first["msg"].removeprefix("Value error, "), 300)
        raise BundleError(f"{plain(path)}: {field}: {message}; {_MAKE}") from None


def _entries(data: bytes, path: Path) -> dict[str, bytes]:
    """The files of the zip; what it says is bounded before zipfile reads it."""
    if data[:4] != b"PK\3\4" or data[-22:-18] != b"PK\5\6" or data[-42:-38] == b"PK\6\7":
        raise _refused(path, "is no bundle, or cut off")
    _, _, count, _, directory, _, _ = struct.unpack("<HHHHIIH", data[-18:])
    if count > _ENTRIES_MAX or directory > _DIRECTORY_MAX:
        raise _refused(path, f"holds {count} files; allowed: {_ENTRIES_MAX}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_entries(infos, path)
            files = {info.filename: archive.read(info) for info in infos}
    except _DAMAGE as error:
        raise _refused(path, f"is damaged: {plain(error, 200)}") from None
    if packed(files) != data:
        raise _refused(path, "was changed, or not written by `wakestate bundle make`")
    return files


def _check_entries(infos: Sequence[zipfile.ZipInfo], path: Path) -> None:
    """Plain files, each once, as they are: nothing to decompress."""
    names = set()
    for info in infos:
        mode, name = info.external_attr >> 16, info.filename
        problem = ""
        try:
            plain_name(name)
        except ValueError as error:
            problem = str(error)
        if not problem and name.lower() in names:
            problem = f"{plain(name)} is there twice"
        elif info.flag_bits & 1:
            problem = f"{plain(name)} is encrypted"
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            problem = f"{plain(name)} is a link or another thing that is no file"
        elif info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            problem = f"{plain(name)} is compressed; allowed: stored"
        if problem:
            raise _refused(path, problem)
        names.add(name.lower())


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip file of them, the same whenever and wherever it is made."""
    made = io.BytesIO()
    first = [name for name in (MANIFEST, SIGNATURE) if name in files]
    with zipfile.ZipFile(made, "w") as archive:
        for name in (*first, *sorted({*files} - {*first})):
            entry = zipfile.ZipInfo(name)  # of 1980
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return made.getvalue()


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def _refused(path: Path, problem: str) -> BundleError:
    return BundleError(f"{plain(path)}: {problem}; {_MAKE}")


def _signed(text: bytes, path: Path) -> bytes:
    """By the private key of a PEM file. BundleError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(sized(path, 1 << 16).read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise BundleError(f"{plain(path)}: no private key: {plain(error, 200)}; {_KEY}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{plain(path)}: is no ed25519 key; {_KEY}")
    return key.sign(text)


def _check_signature(text: bytes, signature: bytes | None, path: Path, bundle: Path) -> None:
    """BundleError where it is not that of the public key in a PEM file."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(sized(path, 1 << 16).read_bytes())
    except ValueError as error:
        raise BundleError(f"{plain(path)}: no public key: {plain(error, 200)}; {_KEY}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{plain(path)}: is no ed25519 key; {_KEY}")
    if signature is None:
        raise _refused(bundle, "is not signed")
    try:
        key.verify(signature, text)
    except InvalidSignature:
        raise _refused(bundle, f"is not signed by the key {plain(path)}") from None


_KEY = "hint: `openssl genpkey -algorithm ed25519 -out key.pem`, and `openssl pkey -pubout` of it"
