# SPDX-License-Identifier: Apache-2.0
"""Models: .keras -> int8 .tflite -> C; what two of them miss."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from wakestate.commands import evaluate, experiment, options
from wakestate.commands.options import WordFile
from wakestate.tables import Printed

_copies = click.option(
    "--without-copies",
    is_flag=True,
    help="No copies of the headers of firmware/ that the C includes.",
)
_stream = click.option(
    "--stream",
    is_flag=True,
    help="Axis 1 is time: take new columns a run and keep what layers still need of old ones.",
)


@click.group()
def model() -> None:
    """Models: convert, generate C, compare."""


@model.command(
    epilog="Example: wakestate model convert --keras runs/alexa/model.keras "
    "--calibration runs/alexa/calibration.npy --out runs/alexa/model"
)
@options.word
@click.option("--keras", type=options.FILE, required=True, metavar="FILE", help="Trained model.")
@click.option(
    "--calibration",
    type=options.FILE,
    required=True,
    metavar="FILE",
    help=".npy of int8 windows [n, receptive hops, bands]: real features, a few hundred, "
    "that activations' ranges are measured on.",
)
@click.option("--out", type=options.FOLDER, required=True, metavar="FOLDER", help="Model folder.")
@options.needs("train")
def convert(word: WordFile, keras: Path, calibration: Path, out: Path) -> None:
    """.keras to int8 .tflite, one for each state.

    The thresholds still say "never fires": evaluation sets them.
    """
    import numpy as np

    from wakestate.convert.graph.errors import ConvertError
    from wakestate.files import plain

    loaded = word.load()
    try:
        windows = np.lib.format.open_memmap(calibration, mode="r")
    except Exception as error:  # a damaged file may raise anything
        raise ConvertError(
            f"{plain(calibration)}: not a readable .npy file: {plain(error, 300)}"
        ) from None
    from wakestate.convert.export import export
    from wakestate.train.model.network import load_network

    export(loaded, load_network(loaded, keras), keras, windows, out)
    print(f"{out}: {len(loaded.states)} states; thresholds not set yet")


@model.command(epilog="Example: wakestate model generate --word alexa --kernels dsp --out c")
@options.word
@options.model
@options.kernels
@_copies
@options.c_out
def generate(
    word: WordFile, model: Path | None, kernels: Any, without_copies: bool, out: Path
) -> None:
    """Model folder -> the C that the firmware is built from."""
    from wakestate.convert.emit import compile_word, emit
    from wakestate.convert.manifest import never_wakes, read_manifest

    loaded, folder = word.load(), model or word.model
    for path in emit(word.path, folder, out, kernels, copies=not without_copies):
        print(path)
    if never_wakes(loaded, read_manifest(folder)):
        print(
            f"{folder}: warning: no thresholds are set, so nothing wakes it; wakestate evaluate "
            f"--word {word.path} --model {folder} --set-thresholds",
            file=sys.stderr,
        )
    program = compile_word(loaded, folder, kernels)
    print(
        f"{sum(step.macs > 0 for step in program.steps)} layers, {program.weight_bytes} bytes of "
        f"weights, {len(loaded.states)} states, state {program.state_bytes} bytes, "
        f"arena {program.arena_bytes} bytes"
    )


@model.command(
    "generate-words",
    epilog="Example: wakestate model generate-words --word alexa --word computer --out c",
)
@options.words
@options.c_out
def generate_words(words: Sequence[WordFile], out: Path) -> None:
    """ws_words.h and ws_words.c: the words of one program."""
    from wakestate.convert.emit import generate_words as generate
    from wakestate.render import write_files

    texts = generate([word.path for word in words], [word.load() for word in words])
    for path in write_files(out, texts):
        print(path)


@model.command(
    "compile", epilog="Example: wakestate model compile kws.tflite --kernels dsp --out c"
)
@click.argument("tflite", type=options.FILE)
@click.option("--name", help="Name of the C files and functions.  [default: the file's name]")
@_stream
@options.kernels
@_copies
@options.c_out
def only_compile(
    tflite: Path, name: str | None, stream: bool, kernels: Any, without_copies: bool, out: Path
) -> None:
    """Any int8 .tflite -> C, nothing built.

    Writes NAME.h (a struct, NAME_reset, NAME_run) and NAME.c. What is supported: docs/compile.md.
    """
    from wakestate.convert.compile.emit import emit_model
    from wakestate.convert.compile.names import model_name

    made, paths = emit_model(
        tflite,
        name or model_name(tflite),
        kernels,
        out,
        stream=stream,
        copies=not without_copies,
    )
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


@click.command("compile", epilog="Example: wakestate compile kws.tflite --board mps2-an386")
@click.argument("tflite", type=options.FILE)
@options.board
@_stream
@options.table
def compile_tflite(tflite: Path, board: str, stream: bool) -> Printed:
    """Any int8 .tflite to C for a board, and what it costs there."""
    from wakestate.boards.building import build_verbosely, check_tools
    from wakestate.boards.schema import load_board
    from wakestate.commands.bench import count_model
    from wakestate.convert.compile.names import model_name

    facts, file = load_board(board), str(tflite)
    check_tools(facts)
    name = model_name(tflite) + ("_stream" if stream else "")
    if not tflite.is_file():
        raise click.UsageError(f"{file}: no such file; give a .tflite file")
    build_verbosely(
        "firmware/compile.mk",
        "all",
        f"BOARD={board}",
        f"NAME={name}",
        f"TFLITE={file.replace('$', '$$')}",
        f"STREAM={'yes' if stream else ''}",
    )
    generated = Path("build/generated/compiled") / name / facts.kernels
    program = "compiled" if board == "host" else "compiled.elf"
    files = {
        "header": str(generated / f"{name}.h"),
        "source": str(generated / f"{name}.c"),
        "program": str(Path("build") / board / "compiled" / name / program),
    }
    costs = Printed("", {}) if board == "host" else count_model(tflite, board, stream)
    text = "\n".join(filter(None, (*files.values(), costs.text)))
    return Printed(text, files | {"costs": costs.data})


@model.command(
    "compare",
    epilog="Example: wakestate model compare new=runs/new/evaluate.json "
    "old=build/alexa/evaluate.json",
)
@click.argument("first", type=options.NAMED_FILE, metavar="NAME=FILE")
@click.argument("others", type=options.NAMED_FILE, nargs=-1, required=True, metavar="NAME=FILE...")
@options.table
@options.needs("train")
def compare(first: tuple[str, Path], others: Sequence[tuple[str, Path]]) -> Printed:
    """A paired test between evaluations of models.

    Takes their evaluate.json, of the same data and options. Prints for each condition, and for all
    together, the difference of their misses with its interval over voices, and p.
    """
    from wakestate.train.evaluation.document import read
    from wakestate.train.evaluation.paired import comparison

    name, results = first[0], read(first[1])
    made = [
        table
        for other_name, other in others
        for table in comparison(name, results, other_name, read(other))
    ]
    return Printed(
        "\n\n".join(table.markdown() for table in made), [table.data() for table in made]
    )


@model.command(epilog="Example: wakestate model variants runs/experiment/alexa --rate 0.5")
@click.argument("folder", type=options.FOLDER)
@click.option("--baseline", default="none", show_default=True, help="Variant to compare with.")
@click.option(
    "--rate",
    type=float,
    multiple=True,
    metavar="FA/H",
    default=(0.5, 1.0, 2.0, 4.0),
    show_default=True,
    help="False accepts an hour to compare at.",
)
@options.table
@options.needs("train")
def variants(folder: Path, baseline: str, rate: tuple[float, ...]) -> Printed:
    """Compare variants of a model, over seeds.

    Reads FOLDER/VARIANT-SEED/evaluate.json. Prints the FRR of every variant, and the mean relative
    change against the baseline, with intervals.
    """
    from wakestate.train.experiments.variants import table

    return table(folder, baseline, rate)


for _command in (evaluate.clips, experiment.endpoints, experiment.experiment):
    model.add_command(_command)
