# SPDX-License-Identifier: Apache-2.0
"""Experiments over many runs of a word's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile, data_folder, other_process
from wakestate.commands.train import CONDITIONINGS, amount, batches, convert
from wakestate.tables import Printed


@click.command(epilog="Example: wakestate model endpoints --word alexa --data data/alexa")
@options.word
@options.data
@options.also
@options.split
@click.option(
    "--run",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Folder of the training run.  [default: runs/WORD]",
)
@options.table
@options.needs("train")
def endpoints(
    word: WordFile, data: Path | None, also: tuple[Path, ...], split: str, run: Path | None
) -> Printed:
    """Compare two ways to find where the word starts and ends.

    Continues training RUN/model.keras by regression of start and end, and with aligned detectors,
    on the same pool; prints what both report on a split.
    """
    from wakestate.train.experiments.aligned import continue_training, measure

    loaded, folder, run = word.load(), data_folder(data, word), run or Path("runs") / word.name
    models = {
        method: continue_training(loaded, folder, also, run, options.CACHE, method)
        for method in ("regression", "aligned")
    }
    return measure(loaded, folder, split, options.CACHE, models)


@click.command(
    epilog="Example: wakestate model experiment --word alexa --data data/alexa "
    "--variants 'none both' --seeds '1 2'"
)
@options.recipe_file("model experiment")
@options.word
@options.data
@options.also
@options.split
@options.out("runs/experiment/WORD")
@click.option(
    "--variants", default="none join norm both", show_default=True, help="Values of --conditioning."
)
@click.option("--seeds", default="1 2 3", show_default=True)
@click.option("--rounds", type=options.POSITIVE, default=40, show_default=True)
@batches
@amount
@options.executor
@options.table
@options.needs("train")
def experiment(
    word: WordFile,
    data: Path | None,
    also: tuple[Path, ...],
    split: str,
    out: Path | None,
    variants: str,
    seeds: str,
    **budget: Any,
) -> Printed:
    """Train variants of a network, over seeds.

    Does knowing the device's state help? All learn from the same scenes. Results that are there are
    not computed again.
    """
    from wakestate.train.experiments.runs import train_all
    from wakestate.train.experiments.variants import table

    unknown = [variant for variant in variants.split() if variant not in CONDITIONINGS]
    if unknown:
        allowed = ", ".join(CONDITIONINGS)
        raise click.UsageError(f"--variants: given '{unknown[0]}'; allowed: {allowed}")
    if not all(seed.isdecimal() for seed in seeds.split()):
        raise click.UsageError(f"--seeds: given '{seeds}'; allowed: whole numbers")
    folder, place = data_folder(data, word), out or Path("runs/experiment") / word.name
    options.keep_recipe(place, "model experiment")
    jobs = [(variant, int(seed)) for seed in seeds.split() for variant in variants.split()]
    jobs = [job for job in jobs if not (place / f"{job[0]}-{job[1]}/evaluate.json").is_file()]
    train_all(word.load(), folder, also, options.CACHE, place, jobs, **budget)
    for variant, seed in jobs:
        run = place / f"{variant}-{seed}"
        convert(word, run)
        other_process(
            "evaluate",
            f"--word={word.path}",
            f"--model={run / 'model'}",
            f"--data={folder}",
            f"--split={split}",
            "--short",
            f"--out={run}",
            tensorflow=True,
        )
    return table(place, "none", (0.5, 1.0, 2.0, 4.0))
