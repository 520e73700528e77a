# SPDX-License-Identifier: Apache-2.0
"""Train a wake word, and measure what was trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from wakestate.commands import options
from wakestate.commands.evaluate import draws, echo, short
from wakestate.commands.options import WordFile, data_folder, other_process
from wakestate.commands.word import warn_of_copies

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is loaded
CONDITIONINGS = ("both", "norm", "join", "none")
batches = click.option(
    "--batches", type=options.POSITIVE, default=500, show_default=True, help="Batches in a round."
)
amount = click.option(
    "--amount",
    type=click.FloatRange(0.001, 100),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the usual 170,000 scenes.",
)


@click.command(epilog="Example: wakestate train --word alexa --data data/alexa --rounds 40")
@options.recipe_file("train")
@options.word
@options.data
@options.also
@click.option(
    "--out",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Folder of the run: pools of scenes, a "
    "checkpoint each round, model/ and evaluate.json.  [default: runs/WORD]",
)
@options.seed
@click.option(
    "--rounds",
    type=options.NATURAL,
    default=40,
    show_default=True,
    help="Rounds of mining and training; 0: --start as it is.",
)
@batches
@amount
@click.option(
    "--quantization-aware",
    type=options.NATURAL,
    default=0,
    show_default=True,
    metavar="ROUNDS",
    help="How many of the last rounds compute as int8 will.",
)
@click.option(
    "--confusables",
    "--near-misses",
    "confusables",
    type=options.NATURAL,
    default=0,
    show_default=True,
    metavar="CLIPS",
    help="Of the scenes without the word, those mixed around a confusable phrase; 0: as many as "
    "chance gives.",
)
@click.option(
    "--teacher",
    type=options.FILE,
    multiple=True,
    metavar="KERAS",
    help="model.keras of another run to learn from as well; of several, their mean.",
)
@click.option(
    "--start",
    type=options.FILE,
    multiple=True,
    metavar="KERAS",
    help="Start from the weights of this network instead of random ones; given several times, "
    "from their mean: for networks that were trained further from the same one.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Highest learning rate.  [default: 0.002]",
)
@click.option(
    "--pool",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Scenes that several runs share.  [default: OUT/pool]",
)
@click.option(
    "--conditioning",
    type=click.Choice(CONDITIONINGS),
    help="Where the metadata enters, instead of the word file's model.conditioning; "
    "none: the device's state is unknown.",
)
@click.option(
    "--also-dev",
    type=options.FOLDER,
    multiple=True,
    metavar="FOLDER",
    help="Another data folder, whose split is evaluated as well.",
)
@options.split
@draws
@echo
@short
@click.option("--only-train", is_flag=True, help="Stop after model.keras and calibration.npy.")
@options.executor
@options.needs("train")
def train(
    word: WordFile,
    data: Path | None,
    also: tuple[Path, ...],
    out: Path | None,
    only_train: bool,
    **given: Any,
) -> None:
    """Train, convert and measure a word, and set its thresholds.

    The same command resumes after a kill.
    """
    from wakestate.train.data.corpus import find_manifest, split_rows

    if given["rounds"] == 0 and not given["start"]:
        raise click.UsageError("--rounds: given 0; allowed: 1 or more, or 0 with --start")
    loaded, folder, run = word.load(), data_folder(data, word), out or Path("runs") / word.name
    for each in (folder, *also, *given["also_dev"]):
        find_manifest(each)  # before TensorFlow takes its seconds to load
    for each in () if only_train else (folder, *given["also_dev"]):
        split_rows(each, given["split"], loaded.data)  # before hours of training
    options.keep_recipe(run, "train")
    from wakestate.train.learning.fit import Budget, fit

    warn_of_copies(word, loaded)
    budget = Budget(
        seed=given["seed"],
        rounds=given["rounds"],
        batches=given["batches"],
        quantization_aware=given["quantization_aware"],
        confusable=given["confusables"],
        **({"rate": given["rate"]} if given["rate"] else {}),
    )
    if given["conditioning"]:
        changed = loaded.model.model_copy(update={"conditioning": given["conditioning"]})
        loaded = loaded.model_copy(update={"model": changed})
    fit(
        loaded,
        folder,
        run,
        options.CACHE,
        budget.times(given["amount"]),
        given["pool"],
        also,
        given["teacher"],
        given["start"],
    )
    if not only_train:
        _measure(word, folder, run, given)


def _measure(word: WordFile, folder: Path, run: Path, given: dict[str, Any]) -> None:
    """Convert what was trained, measure it, set its thresholds; say what to do next."""
    where, made = f"--word {word.path}", run / "model"
    measured = [
        f"--data={folder}",
        *(f"--also={path}" for path in given["also_dev"]),
        *(f"--{key}={given[key]}" for key in ("split", "draws", "echo")),
        *(["--short"] if given["short"] else []),
    ]
    convert(word, run)
    other_process(
        "evaluate",
        f"--word={word.path}",
        f"--model={made}",
        f"--out={run}",
        *measured,
        "--set-thresholds",
        tensorflow=True,
    )
    print(f"To try it: wakestate emulate {where} --model {made} x.wav")
    print(f"To see it: wakestate report {where} --model {made} --out {run} {' '.join(measured)}")
    print(f"To ship it: mkdir -p models/{word.name} && cp {made}/* models/{word.name}/")


def convert(word: WordFile, run: Path) -> None:
    """RUN/model of what was trained there."""
    other_process(
        "model",
        "convert",
        f"--word={word.path}",
        f"--keras={run / 'model.keras'}",
        f"--calibration={run / 'calibration.npy'}",
        f"--out={run / 'model'}",
        tensorflow=True,
    )
