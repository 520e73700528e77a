# SPDX-License-Identifier: Apache-2.0
"""A model folder and its word file -> the generated C, from templates/.

What a template shows is worked out here; templates only loop and name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate import ROOT
from wakestate.contract.kernels import Kernels, family
from wakestate.convert import microwakeword
from wakestate.convert.compile.emit import compile_variants, program_values
from wakestate.convert.compile.program import Program
from wakestate.convert.compile.sources import included
from wakestate.convert.features import frontend_files, network_input
from wakestate.convert.frontend import lfbe_name
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.manifest import (
    NAME,
    Logit,
    Manifest,
    check_manifest,
    never_fires,
    never_wakes,
    state_file,
)
from wakestate.files import sha256
from wakestate.render import heading, render, write_files
from wakestate.words import Word, load_word

OUTPUTS = 3  # logit, start and end
ENGINE_SCHEMA = 4  # WS_SCHEMA of firmware/include/wakestate/version.h


def emit(
    word_path: Path, folder: Path, out: Path, kernels: Kernels = "plain", *, copies: bool = True
) -> list[Path]:
    """Write the generated tree to `out`, with `copies` of the headers of firmware/kernels and
    firmware/frontend that it needs; files whose text is the same are left untouched."""
    word = load_word(word_path)
    texts = generate(word, word_path, folder, kernels)
    return write_files(out, {**texts, **(included(texts.values()) if copies else {})})


def generate(
    word: Word, word_path: Path, folder: Path, kernels: Kernels = "plain"
) -> dict[str, str]:
    """Every generated file's text, by name."""
    _check_name(word_path, word)
    manifest = check_manifest(folder, word)
    program = compile_word(word, folder, kernels)
    _check_logit(folder, program, manifest.logit)
    given, model = _shown_path(word_path), _shown_path(folder)
    first = heading(
        f"  word   {given}  sha256 {sha256(word_path)}",
        f"  model  {_shown_path(folder / NAME)}  sha256 {sha256(folder / NAME)}",
        f"  wakestate model generate --word {given} --model {model} --kernels {kernels}",
    )
    rate = word.frontend.sample_rate
    title = f'The wake word "{word.name}"'
    values = program_values(program, "layers", title, first, kernels, word.states)
    values |= {
        "word": word,
        "schema": ENGINE_SCHEMA,
        "lfbe": lfbe_name(word.frontend),
        "frontend_hash": manifest.frontend_hash[:8],
        "thresholds": [manifest.thresholds[state] for state in word.states],
        "never": never_fires(word),
        "never_wakes": never_wakes(word, manifest),
        "logit": manifest.logit,
        "probability": probability(word, manifest.logit),
        "imported": word.model.network == "microwakeword",
        "start_hops": microwakeword.START_HOPS,
        "endpoint_q16": endpoint_q16(word, manifest),
        "refractory": round(word.detector.refractory_s * rate),
        "shortest": round(word.detector.shortest_s * rate),
        "upper": word.name.upper(),
        "network_bytes": values["state_bytes"] + values["arena_bytes"],
    }
    return generate_words([word_path], [word]) | {
        f"ws_{word.name}.h": render("ws_word.h.j2", **values),
        f"ws_{word.name}.c": render("ws_word.c.j2", **values),
        **frontend_files(word.frontend, first, family(kernels)),
    }


def generate_words(paths: Sequence[Path], words: Sequence[Word]) -> dict[str, str]:
    """ws_words.h and ws_words.c: the words of one program, which must share a front end and device
    states. ConvertError names the word file that differs."""
    for path, word in zip(paths, words, strict=True):
        for table in ("frontend", "metadata"):
            if getattr(word, table) != getattr(words[0], table):
                raise ConvertError(
                    f"{path}: [{table}] is another than that of {paths[0]}; words of one program "
                    "share front end and device states: build it alone, or train it with those"
                )
    names = [word.name for word in words]
    if len(set(names)) < len(names):
        raise ConvertError(f"words {', '.join(names)}: each is allowed once")
    given = " ".join(f"--word {_shown_path(path)}" for path in paths)
    values = {
        "header": heading(f"  wakestate model generate-words {given}"),
        "words": words,
        "seen_hops": max(
            word.model.receptive_hops + (word.detector.smoothing_steps - 1) * word.model.stride
            for word in words
        ),
    }
    return {name: render(f"{name}.j2", **values) for name in ("ws_words.h", "ws_words.c")}


def compile_word(word: Word, folder: Path, kernels: Kernels) -> Program:
    """The network of a model folder, all states, checked against the word file's shape."""
    files = [folder / state_file(word, state) for state in word.states]
    if word.model.network == "microwakeword":
        return microwakeword.compile_network(files[0], word, kernels)
    program = compile_variants(files, kernels)
    (given,) = program.inputs
    window = [given.shape[0], program.window, *given.shape[2:]]
    wanted = [1, word.model.receptive_hops, 1, word.frontend.bands]
    if window != wanted or given.shape[1] != word.model.stride:
        raise ConvertError(
            f"{files[0]}: input {window}, {given.shape[1]} hops a step; [model] and [frontend] of "
            f"the word file make {wanted} and {word.model.stride}; restore them or train again"
        )
    found, wanted_input = given.quantization, network_input(word.frontend)
    if given.dtype != "INT8" or found != wanted_input:
        raise ConvertError(
            f"{files[0]}: input: {given.dtype}, scale {found.scale}, zero point "
            f"{found.zero_point}; the front end gives INT8, {wanted_input.scale} and "
            f"{wanted_input.zero_point}: convert again with `wakestate model convert`"
        )
    shapes = [(tensor.dtype, tensor.size) for tensor in program.outputs]
    if shapes != [("INT8", OUTPUTS)]:
        given_shapes = ", ".join(f"{t.dtype} {list(t.shape)}" for t in program.outputs)
        raise ConvertError(
            f"{files[0]}: output: {given_shapes}; logit, start and end, INT8 [1, 1, 1, {OUTPUTS}], "
            "are needed; models trained for an older version lack the last two: train again"
        )
    return program


def probability(word: Word, logit: Logit) -> NDArray[np.int64]:
    """Q15 sigmoid of every int8 logit, -128 first; an imported network's is a probability."""
    x = logit.scale * (np.arange(-128, 128) - logit.zero_point)
    if word.model.network == "microwakeword":
        return np.rint(32768 * x).astype(np.int64)
    return np.rint(32768 / (1 + np.exp(-x))).astype(np.int64)


def endpoint_q16(word: Word, manifest: Manifest) -> int:
    """Samples that one int8 step of START or END stands for, over the steps averaged, in Q16."""
    samples = manifest.logit.scale * manifest.endpoint_hops * word.frontend.hop_samples
    return round(samples / word.detector.smoothing_steps * 65536)


def _check_name(path: Path, word: Word) -> None:
    """ws_NAME must be no name of firmware's own: of a function, a type, a file."""
    taken = {"frontend", "lfbe", "words"}
    for header in sorted((ROOT / "firmware").rglob("*.h")):
        code = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        taken |= set(re.findall(r"\bws_(\w+)", code))
    if word.name in taken:
        raise ConvertError(
            f"{path}: name: '{word.name}' makes ws_{word.name}, which firmware/ has already; "
            f"hint: name the file and the word '{word.name}_word'"
        )


def _check_logit(folder: Path, program: Program, logit: Logit) -> None:
    (output,) = program.outputs
    scale, zero_point = output.quantization.scale, output.quantization.zero_point
    zero_point -= 128 if output.dtype == "UINT8" else 0
    if (logit.scale, logit.zero_point) != (scale, zero_point):
        raise ConvertError(
            f"{folder / NAME}: logit: is {logit.scale}, {logit.zero_point}, the .tflite files have "
            f"{scale}, {zero_point}; convert again: "
            "`wakestate model convert`"
        )


def _shown_path(path: Path) -> str:
    """The path within the project, or only the name: no file knows the machine it was made on."""
    absolute = path.resolve()
    return absolute.relative_to(ROOT).as_posix() if absolute.is_relative_to(ROOT) else path.name
