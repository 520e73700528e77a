# SPDX-License-Identifier: Apache-2.0
"""Models of microWakeWord: its JSON manifest (version 2) and streaming int8 .tflite.

Imported, one is a word like ours: a word file, and a model folder with one state. Its outputs are
TensorFlow Lite Micro's to the bit; their mean over the newest steps wakes above the cutoff.
"""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate.contract.kernels import Kernels
from wakestate.convert.compile.lower import lower
from wakestate.convert.compile.memory import plan
from wakestate.convert.compile.names import model_name
from wakestate.convert.compile.program import Program
from wakestate.convert.compile.simplify import Work, simplify
from wakestate.convert.frontend import frontend_hash
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import read_model
from wakestate.convert.manifest import (
    FILE_MAX,
    FileName,
    Logit,
    Manifest,
    check_manifest,
    state_file,
    write_manifest,
)
from wakestate.files import (
    FileError,
    inside,
    plain,
    read_json,
    replaced_folder,
    sha256,
    shown,
    write_atomically,
)
from wakestate.words import Word
from wakestate.words.schema import Text, word_of

START_HOPS = 100  # it does not place the word: taken to have begun so long before its end
_ENDPOINT_HOPS = 256  # of 1.0: a hop for each step of the probability
_LOGIT = Logit(scale=1 / 256, zero_point=-128)


class _Micro(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    probability_cutoff: float = Field(ge=0.0, le=1.0)
    sliding_window_size: int = Field(ge=1, le=16)
    feature_step_size: Literal[10]


class _Given(BaseModel):
    """The JSON manifest, as far as it matters here."""

    model_config = ConfigDict(frozen=True)

    type: Literal["micro"]
    version: Literal[2]
    wake_word: Annotated[Text, Field(min_length=1, max_length=80)]
    author: Text = "unknown"
    website: Text = "unknown"
    model: FileName
    micro: _Micro


def compile_network(path: Path, word: Word, kernels: Kernels) -> Program:
    """The network, planned: its input is in its state, its output a probability. ConvertError."""
    work = _checked(path)
    (given,) = work.inputs
    scale = word.frontend.feature_scale
    if given.shape != (1, word.model.stride, word.frontend.bands):
        raise ConvertError(
            f"{plain(path)}: input {list(given.shape)}; the word file has "
            f"{[1, word.model.stride, word.frontend.bands]}: import it again"
        )
    if given.quantization.scale != scale:
        raise ConvertError(
            f"{plain(path)}: input scale {given.quantization.scale}; the word file has "
            f"frontend.feature_scale {scale}: import it again"
        )
    program = lower(work, kernels)
    program.halves_up = True
    plan(program)
    return program


def _checked(path: Path) -> Work:
    """The graph, if it is one of microWakeWord's. ConvertError."""
    work = simplify(read_model(path))
    work.resident = True

    def refuse(what: str, given: object, allowed: str) -> ConvertError:
        return ConvertError(
            f"{plain(path)}: {what}: {plain(given, 200)}; allowed: {allowed}, as microWakeWord's "
            "streaming models have"
        )

    if len(work.inputs) != 1 or len(work.outputs) != 1:
        raise refuse("ends", f"{len(work.inputs)} in, {len(work.outputs)} out", "one of each")
    given, found = work.inputs[0], work.outputs[0]
    if given.dtype != "INT8" or len(given.shape) != 3 or given.shape[::2] != (1, 40):
        raise refuse("input", f"{given.dtype} {list(given.shape)}", "INT8 [1, columns, 40]")
    if not 1 <= given.shape[1] <= 8 or given.quantization.zero_point != -128:
        at = f"{given.shape[1]}, zero point {given.quantization.zero_point}"
        raise refuse("columns of a step", at, "1 .. 8, zero point -128")
    quantized = (found.dtype, found.size, found.quantization.scale, found.quantization.zero_point)
    if quantized != ("UINT8", 1, 1 / 256, 0):
        raise refuse("output", quantized, "one UINT8 of scale 1/256 and zero point 0")
    if not work.variables:
        raise refuse("state", "none", "a network that keeps columns in variables")
    return work


def _sees_hops(work: Work) -> int:
    """Hops that an output depends on, at most: what all variables keep, one after another."""
    stride = work.inputs[0].shape[1]
    columns = sum(
        op.outputs[0].shape[1] if len(op.outputs[0].shape) > 1 else 1
        for op in work.ops
        if op.name == "READ_VARIABLE"
    )
    return stride * (1 + columns)


def threshold(cutoff: float, steps: int) -> int:
    """The least sum of `steps` int8 outputs whose mean is above the cutoff: a float's mean, as
    pymicro-wakeword has it."""
    for total in range(255 * steps + 1):
        if statistics.mean([total / 256, *[0.0] * (steps - 1)]) > cutoff:
            return total - 128 * steps
    return 127 * steps + 1


def import_word(
    path: Path, words: Path, models: Path, name: str | None = None
) -> tuple[Path, Path]:
    """Write words/NAME.toml and models/NAME of a JSON manifest and the .tflite beside it; returns
    both. FileError, ConvertError, WordError; then nothing was written."""
    given = _read(path)
    tflite = inside(path.parent, given.model, FILE_MAX)
    work = _checked(tflite)
    name = name or model_name(path)
    word_path, folder = words / f"{name}.toml", models / name
    text = _word_file(given, path, work, name)
    for there in (word_path, folder):
        if there.exists():
            raise ConvertError(f"{plain(there)}: is there already; hint: --name, or remove it")
    word = word_of(text.encode(), word_path)
    compile_network(tflite, word, "plain")
    file = state_file(word, word.states[0])
    manifest = Manifest(
        word=name,
        frontend_hash=frontend_hash(word.frontend),
        metadata=word.metadata,
        logit=_LOGIT,
        endpoint_hops=_ENDPOINT_HOPS,
        thresholds={
            word.states[0]: threshold(
                given.micro.probability_cutoff, given.micro.sliding_window_size
            )
        },
        files={file: sha256(tflite)},
    )
    with replaced_folder(folder) as made:
        shutil.copyfile(tflite, made / file)
        write_manifest(made, manifest)
        check_manifest(made, word)
    try:
        write_atomically(word_path, text)
    except FileError:
        shutil.rmtree(folder)
        raise
    return word_path, folder


def _read(path: Path) -> _Given:
    """The JSON manifest. FileError, ConvertError."""
    try:
        return _Given.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = plain(".".join(map(str, first["loc"])), 200) or "(file)"
        given = "" if first["type"] == "missing" else f" given {shown(first['input'])};"
        raise ConvertError(
            f"{plain(path)}: {field}:{given} {plain(first['msg'])}; hint: give a manifest of "
            "microWakeWord, version 2"
        ) from None


def _word_file(given: _Given, path: Path, work: Work, name: str) -> str:
    """The text of the word file."""
    phrase = json.dumps(given.wake_word.lower(), ensure_ascii=False)
    (columns,) = work.inputs
    return f"""\
# Imported by `wakestate word import {plain(path.name)}`: a model of microWakeWord,
# author {given.author}, {given.website}. words/schema.py explains and checks every key.
name = {json.dumps(name)}
phrase = {phrase}

[frontend]
kind = "micro"
feature_scale = {columns.quantization.scale!r}

[metadata]
player = ["idle"]       # the network knows nothing of its device

[model]
network = "microwakeword"
stride = {columns.shape[1]}
sees_hops = {_sees_hops(work)}

[detector]
smoothing_steps = {given.micro.sliding_window_size}
refractory_s = 1.0

[data]
positive = [{phrase}]
"""
