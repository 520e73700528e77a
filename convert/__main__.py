"""Command line of conversion: `python -m wakestate.convert --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from wakestate.convert.compile.emit import emit_model
from wakestate.convert.compile.names import model_name
from wakestate.convert.emit import compile_word, emit, generate_words
from wakestate.convert.errors import ConvertError
from wakestate.convert.kernels import KERNELS
from wakestate.convert.manifest import deaf, read_manifest
from wakestate.convert.render import write_files
from wakestate.words import WordError, load_word
from wakestate.words.explain import one_line
from wakestate.words.files import FileError, plain

EPILOG = """\
the way of a model:

  1. python -m wakestate.convert tflite --word words/alexa.toml --keras runs/alexa/model.keras \\
         --calibration runs/alexa/calibration.npy --out models/alexa
     folds and quantizes the trained network: one int8 .tflite for each device state, all with
     the same weight bytes; one .tflite with two inputs; model.json. Needs TensorFlow
     (pip install '.[train]'). The thresholds still say "never fires": evaluation sets them.

  2. python -m wakestate.convert c --word words/alexa.toml --model models/alexa \\
         --out build/generated/alexa
     checks the folder against the word file and writes the C that the firmware is built from.

any other int8 model:

     python -m wakestate.convert compile --tflite kws.tflite --kernels dsp --out build/kws
     writes kws.h (a struct, kws_reset, kws_run) and kws.c, with the kernels that it needs. With
     --stream a model over a window of columns [1, columns, ...] becomes one that takes a new
     column a run. What is supported: docs/compile.md. `make compile` also builds and counts.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; 0 is success."""
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
    except (ConvertError, WordError, FileError) as error:
        print(one_line(str(error)), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wakestate.convert",
        description="From a trained model to int8 .tflite files, and from those to C.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="{tflite,c,words,compile}")
    path: dict[str, Any] = {"type": Path, "required": True}

    tflite = commands.add_parser("tflite", help=".keras -> model folder (needs TensorFlow)")
    tflite.set_defaults(run=_tflite)
    tflite.add_argument("--word", **path, help="the word's TOML file")
    tflite.add_argument("--keras", **path, help="the trained model")
    tflite.add_argument("--calibration", **path,
                        help=".npy of int8 windows [n, receptive hops, bands]: real features, a "
                        "few hundred, that activations' ranges are measured on")  # fmt: skip
    tflite.add_argument("--out", **path, help="model folder, as models/alexa")

    c = commands.add_parser("c", help="model folder -> generated C (light install)")
    c.set_defaults(run=_c)
    c.add_argument("--word", **path, help="the word's TOML file")
    c.add_argument("--model", **path, help="model folder, as models/alexa")

    words = commands.add_parser("words", help="the words of one program -> ws_words.h, ws_words.c")
    words.set_defaults(run=_words)
    words.add_argument("--word", **path, action="append",
                       help="a word's TOML file; may be given several times")  # fmt: skip

    compiled = commands.add_parser("compile", help="any int8 .tflite -> C (light install)")
    compiled.set_defaults(run=_compile)
    compiled.add_argument("--tflite", **path, help="the model")
    compiled.add_argument("--name", help="of the C files and functions; default: the file's name")
    compiled.add_argument("--stream", action="store_true",
                          help="axis 1 is time: take new columns a run and keep what layers still "
                          "need of old ones")  # fmt: skip
    for command in (c, words, compiled):
        command.add_argument("--out", **path, help="folder for the generated C")
    for command in (c, compiled):
        command.add_argument("--kernels", choices=KERNELS, default="plain",
                             help="instructions of the core: plain (any), dsp (M4, M7, M33), "
                             "dsp-wide (the same, faster with twice the flash for weights), mve "
                             "(M55); default: plain")  # fmt: skip
        command.add_argument("--without-copies", action="store_true",
                             help="no copies of the headers of firmware/ that the C includes: "
                             "-Ifirmware finds them")  # fmt: skip
    return parser


def _tflite(given: argparse.Namespace) -> None:
    import numpy as np

    word = load_word(given.word)
    try:
        calibration = np.lib.format.open_memmap(given.calibration, mode="r")
    except Exception as error:  # a damaged file may raise anything
        raise ConvertError(
            f"{plain(given.calibration)}: not a readable .npy file: {plain(error, 300)}"
        ) from None
    try:
        from wakestate.convert.export import export
        from wakestate.train.data.manifest import DataError
        from wakestate.train.model.network import load_network
    except ModuleNotFoundError as error:
        raise ConvertError(
            f"convert tflite needs {error.name}, which the base install leaves out: "
            "pip install '.[train]'"
        ) from None
    try:
        network = load_network(word, given.keras)
    except DataError as error:
        raise ConvertError(str(error)) from None
    export(word, network, given.keras, calibration, given.out)
    print(f"{given.out}: {len(word.states)} states; thresholds not set yet")


def _c(given: argparse.Namespace) -> None:
    word = load_word(given.word)
    copies = not given.without_copies
    for path in emit(given.word, given.model, given.out, given.kernels, copies=copies):
        print(path)
    if deaf(word, read_manifest(given.model)):
        print(f"{given.model}: warning: no thresholds are set, so nothing wakes it; make evaluate "
              f"WORD={word.name} MODEL={given.model} SET=yes", file=sys.stderr)  # fmt: skip
    program = compile_word(word, given.model, given.kernels)
    print(
        f"{sum(step.macs > 0 for step in program.steps)} layers, {program.weight_bytes} bytes of "
        f"weights, {len(word.states)} states, state {program.state_bytes} bytes, "
        f"arena {program.arena_bytes} bytes"
    )


def _words(given: argparse.Namespace) -> None:
    texts = generate_words(given.word, [load_word(path) for path in given.word])
    for path in write_files(given.out, texts):
        print(path)


def _compile(given: argparse.Namespace) -> None:
    name = given.name or model_name(given.tflite)
    made, paths = emit_model(
        given.tflite, name, given.kernels, given.out,
        stream=given.stream, copies=not given.without_copies,
    )  # fmt: skip
    for path in paths:
        print(path)
    program = made.program
    if made.warning:
        print(f"warning: {made.warning}", file=sys.stderr)
    print(
        f"{len(program.steps)} steps, {program.macs} "
        f"multiply-accumulates a run, state {program.state_bytes} bytes, "
        f"arena {program.arena_bytes} bytes"
    )


if __name__ == "__main__":
    sys.exit(main())
