# SPDX-License-Identifier: Apache-2.0
"""A word of one's own, from its phrase to a model and what to expect of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile, other_process
from wakestate.errors import UserError
from wakestate.files import write_atomically
from wakestate.words import load_word
from wakestate.words.sizes import SIZES

BOARD = "b-l475e-iot01a"  # a small one with a microphone


def _recipe_options(function: Any) -> Any:
    """What a recipe says; hidden, since nobody needs to choose any of it."""
    found = (
        click.option("--positives", type=options.POSITIVE, default=3000),
        click.option("--engines", default="espeak,kokoro,piper"),
        click.option("--recorded", type=click.Choice(["yes", "some", "few"]), default="yes"),
        click.option("--benchmark", is_flag=True),
        click.option("--rounds", type=options.POSITIVE, default=24),
        click.option("--batches", type=options.POSITIVE, default=800),
        click.option("--amount", type=click.FloatRange(0.001, 100), default=0.5),
        click.option("--quantization-aware", type=options.NATURAL, default=0),
        click.option("--confusables", type=options.NATURAL, default=0),
        click.option("--rate", type=click.FloatRange(0, 1, min_open=True)),
        click.option("--teacher", type=options.FILE, multiple=True),
        click.option("--draws", type=options.POSITIVE, default=3),
        click.option("--short", is_flag=True),
    )
    for option in reversed(found):
        function = option(function)
        function.__click_params__[-1].hidden = True
    return function


@click.command(epilog='Example: wakestate word new "hey jupiter" --recipe quick')
@click.argument("phrase")
@options.recipe_file("word new", "standard")
@click.option(
    "--flash",
    type=click.Choice(list(SIZES)),
    default="small",
    show_default=True,
    help="Size of the network: 35, 107 or 251 KB of weights.",
)
@click.option(
    "--recordings",
    type=options.FOLDER,
    metavar="FOLDER",
    help="People saying the word, to learn from: WAV, MP3, FLAC, any rate, no manifest.",
)
@click.option(
    "--judge",
    type=options.FOLDER,
    metavar="FOLDER",
    help="People saying the word, for the last measurement alone.",
)
@click.option(
    "--lang", default="en", show_default=True, help="Language of the phrase: es, fr, de, hi ..."
)
@options.out("runs/WORD")
@options.data
@click.option("--downloads", type=options.FOLDER, default="downloads", hidden=True)
@options.seed
@_recipe_options
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan, and exit.")
@options.needs("synth")
def new(phrase: str, **given: Any) -> None:
    """Make a model from a phrase alone, and say what to expect of it.

    Writes words/WORD.toml, synthesizes speech, trains, converts, measures on voices that training
    never reads and sets the thresholds. The same command resumes after a kill.
    """
    from wakestate.commands.word import need_synthesis

    need_synthesis()
    from wakestate.train.newword import phrase as phrases
    from wakestate.train.newword import plan as planning
    from wakestate.train.newword.stages import alone, run_stages
    from wakestate.train.synthesis.language import check_language

    given["lang"] = given["lang"].lower().replace("_", "-")
    check_language("--lang", given["lang"])
    for name in ("recordings", "judge"):
        if given[name] is not None and not given[name].is_dir():
            raise UserError(f"--{name}: {given[name]}: no such folder; give a folder of recordings")
    name = phrases.name_of(phrase)
    path, run = Path("words") / f"{name}.toml", given["out"] or Path("runs") / name
    there = load_word(path) if path.is_file() else None
    if there is not None and given["lang"] not in ("en", there.data.language):
        raise UserError(
            f"{path}: data.language: is '{there.data.language}', --lang given "
            f"'{given['lang']}'; change one of them, or move the file away"
        )
    given["lang"] = there.data.language if there else given["lang"]
    found = phrases.assess(phrase, given["lang"])
    print("\n".join(found.lines()))
    text, size = planning.word_file(found, name, given["flash"]), given["flash"]
    if there:
        size = there.model.size
        print(f"word file    {path}: is there, and taken as it is; its network is {size}")
    folders = given["data"] or Path("data") / name, given["downloads"]
    task = planning.Task(path, size, run, *folders, given)
    planned = planning.plan(task)
    print("\n".join([*planned.lines(), ""]), flush=True)
    if given["only_plan"]:
        return
    with alone(run):
        if not path.is_file():
            write_atomically(path, text)
        planning.keep(task)
        run_stages(planned.stages, run, sys.stderr)
        _show(task)


def _show(task: Any) -> None:
    """What to expect, into RUN/expect.txt as well; the sample, emulated; what to type next."""
    from wakestate.train.evaluation.document import read
    from wakestate.train.newword.outcome import next_steps, outcome
    from wakestate.train.newword.plan import measuring

    found = read(task.run / "evaluate.json")
    text = outcome(
        load_word(task.path), found, short=task.given["short"], judged=bool(task.given["judge"])
    )
    write_atomically(task.run / "expect.txt", text + "\n")
    print(f"{text}\n")
    sample, model = task.run / "sample.wav", task.run / "model"
    print(f"{sample}, the word by synthetic voices, in the emulator:", flush=True)
    other_process("emulate", f"--word={task.path}", f"--model={model}", str(sample))
    print("\n" + next_steps(task.path, model, sample, BOARD, measuring(task)))


@click.command(epilog="Example: wakestate data recordings mine --word alexa --data data/mine")
@click.argument("folder", type=options.FOLDER)
@options.word
@click.option(
    "--data", type=options.FOLDER, required=True, metavar="FOLDER", help="Data folder to fill."
)
@click.option("--dev", is_flag=True, help="For measuring, not for training.")
@click.option(
    "--others",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Data folder whose sound without the word is linked in as well.",
)
@options.needs("synth")
def recordings(folder: Path, word: WordFile, data: Path, dev: bool, others: Path | None) -> None:
    """Make a data folder of recordings of the word, in any format.

    WAV, MP3, FLAC and what else FFmpeg reads, at any rate. A folder inside FOLDER for each person,
    if there are several.
    """
    from wakestate.train.newword.recordings import import_recordings

    count = import_recordings(folder, word.load(), data, "dev" if dev else "train", others)
    print(f"{data / 'manifest.csv'}: {count} recordings of the word")
