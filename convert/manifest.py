# SPDX-License-Identifier: Apache-2.0
"""model.json: what a model folder holds, and what it was made for.

It carries the schema version, the front-end hash, the metadata vocabulary, the outputs' scale,
the thresholds and the hash of every file, so that nothing is compiled that does not fit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from wakestate.convert.frontend import frontend_hash
from wakestate.convert.graph.errors import ConvertError
from wakestate.files import (
    FileError,
    inside,
    plain,
    plain_name,
    sha256,
    shown,
    sized,
    write_atomically,
)
from wakestate.words import Word, state_fields

NAME = "model.json"
SCHEMA = 2  # of model.json
FILES_MAX = 256  # a model has one file for each state, of which there are up to 64
_BYTES_MAX = 1 << 20  # of model.json
FILE_MAX = 64 << 20  # bytes of a file that it names
_AGAIN = "write the folder again with `wakestate model convert`"
_CONVERT = "convert the model again with `wakestate model convert`"

FileName = Annotated[str, AfterValidator(plain_name)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, strict=True
    )


class Logit(_Part):
    """How an int8 output q of the network reads as a number: scale * (q - zero_point).

    The logit and the two endpoints share it, being one tensor.
    """

    scale: float = Field(gt=0.0)
    zero_point: int = Field(ge=-128, le=127)


class Manifest(_Part):
    """The content of model.json."""

    version: Literal[2] = Field(2, alias="schema")
    word: str
    frontend_hash: Sha256
    metadata: dict[str, tuple[str, ...]]
    logit: Logit
    endpoint_hops: int = Field(gt=0)  # hops that 1.0 of an endpoint stands for
    thresholds: dict[str, int]
    files: dict[FileName, Sha256] = Field(max_length=FILES_MAX)  # of this folder, no other


def never_fires(word: Word) -> int:
    """The threshold just above the largest possible sum of logits."""
    return 127 * word.detector.smoothing_steps + 1


def never_wakes(word: Word, manifest: Manifest) -> bool:
    """Whether nothing wakes the model in any state: a conversion that evaluation has not ended."""
    return all(value >= never_fires(word) for value in manifest.thresholds.values())


def state_file(word: Word, state: str) -> str:
    """Name of one state's .tflite: "alexa_music_high.tflite"."""
    return "_".join([word.name, *state_fields(state).values()]) + ".tflite"


def two_input_file(word: Word) -> str:
    """Name of the .tflite that takes features and metadata."""
    return f"{word.name}_two_input.tflite"


def read_manifest(folder: Path) -> Manifest:
    """Read model.json; ConvertError names file, field and what is allowed."""
    path = folder / NAME
    if not path.is_file():
        raise ConvertError(
            f"{plain(path)}: no such file; a model folder is written by `wakestate model convert`"
        )
    try:
        data = sized(path, _BYTES_MAX).read_bytes()
    except (FileError, OSError) as error:
        raise ConvertError(plain(error)) from None
    return manifest_of(data, path)


def manifest_of(data: bytes, path: Path) -> Manifest:
    """The same of the content of a model.json, which `path` names."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ConvertError(_explain(path, error)) from None


def _explain(path: Path, error: ValidationError) -> str:
    """One line: the first thing that is wrong."""
    items = error.errors()
    for item in items:
        if item["loc"] == ("schema",):  # then what else is wrong only follows from it
            return (
                f"{plain(path)}: schema: given {shown(item['input'])}; this version reads {SCHEMA},"
                " whose network also reports where the word starts and ends: train again with "
                "`wakestate train`, or convert a model so trained with "
                "`wakestate model convert`"
            )
    first = items[0]
    field = plain(".".join(str(part) for part in first["loc"] if part != "[key]"), 200) or "(file)"
    self_explained = first["type"] in ("missing", "value_error")  # by the message itself
    given = "" if self_explained else f" given {shown(first['input'])};"
    message = plain(first["msg"].removeprefix("Value error, "))
    more = f" ({len(items) - 1} more)" if len(items) > 1 else ""
    return f"{plain(path)}: {field}:{given} {message}{more}; {_AGAIN}"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write model.json in one step. FileError."""
    write_atomically(folder / NAME, text_of(manifest))


def text_of(manifest: Manifest) -> str:
    """The text of model.json."""
    return json.dumps(manifest.model_dump(by_alias=True, mode="json"), indent=1) + "\n"


def check_manifest(folder: Path, word: Word) -> Manifest:
    """Read model.json and check it, and every file it names, against the word file."""
    manifest = read_manifest(folder)
    check_word(manifest, folder / NAME, word)
    for name, wanted in manifest.files.items():
        try:
            file = inside(folder, name, FILE_MAX)
        except FileError as error:
            raise ConvertError(f"{error}, but {NAME} names it; {_CONVERT}") from None
        if sha256(file) != wanted:
            raise ConvertError(
                f"{file}: sha256 is {sha256(file)[:12]}.., {NAME} has files.{name} = "
                f"{wanted[:12]}..; the file was changed: restore it, or {_CONVERT}"
            )
    return manifest


def check_word(manifest: Manifest, path: Path, word: Word) -> None:
    """Check a model.json, which `path` names, against the word file."""

    def differ(field: str, given: object, wanted: object, hint: str) -> ConvertError:
        return ConvertError(
            f"{plain(path)}: {field}: is {plain(given, 300)}, the word file has {wanted}; {hint}"
        )

    if manifest.word != word.name:
        raise differ("word", manifest.word, word.name, "give the folder of this word's model")
    if manifest.frontend_hash != frontend_hash(word.frontend):
        raise differ(
            "frontend_hash",
            manifest.frontend_hash[:12],
            frontend_hash(word.frontend)[:12],
            "the model was trained with another front end: restore [frontend] or train again",
        )
    if list(manifest.metadata.items()) != list(word.metadata.items()):
        raise differ(
            "metadata",
            {k: list(v) for k, v in manifest.metadata.items()},
            {k: list(v) for k, v in word.metadata.items()},
            "the model was trained with another vocabulary: restore [metadata] or train again",
        )
    check_thresholds(plain(path), word, manifest.thresholds)
    for state in word.states:
        if state_file(word, state) not in manifest.files:
            raise ConvertError(f"{plain(path)}: files: lacks {state_file(word, state)}; {_CONVERT}")


def check_thresholds(where: str, word: Word, thresholds: dict[str, int]) -> None:
    """One threshold for each state of the word, within what a sum of logits can reach."""
    if set(thresholds) != set(word.states):
        raise ConvertError(
            f"{where}: thresholds: given for {plain(sorted(thresholds), 300)}; "
            f"exactly these states are allowed: {sorted(word.states)}"
        )
    low, high = -128 * word.detector.smoothing_steps, never_fires(word)
    for state, value in thresholds.items():
        if not low <= value <= high:
            raise ConvertError(
                f"{where}: thresholds.{state}: given {value}; allowed: {low} .. {high}, "
                f"the sum of {word.detector.smoothing_steps} int8 logits ({high} never fires)"
            )


def set_thresholds(folder: Path, word: Word, thresholds: dict[str, int]) -> None:
    """Give a converted model the thresholds that evaluation found."""
    manifest = read_manifest(folder)
    check_thresholds(str(folder / NAME), word, thresholds)
    ordered = {state: int(thresholds[state]) for state in word.states}
    write_manifest(folder, manifest.model_copy(update={"thresholds": ordered}))
