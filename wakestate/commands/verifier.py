# SPDX-License-Identifier: Apache-2.0
"""The verifier: the second network, which looks at a device's wakes again on a server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from wakestate import ROOT
from wakestate.commands import options
from wakestate.commands.options import (
    WordFile,
    data_folder,
    other_process,
    trained_verifier,
    verifier_folder,
)
from wakestate.commands.program import built_library
from wakestate.tables import Printed

# As in verify/learning/networks.py and verify/learning/fit.py, which take Keras' seconds to load.
_KINDS = ("cra", "cnn195", "cnn100", "cnn76", "dnn-hmm")
_WINDOWS = ("aligned", "misaligned")
_amount = click.option(
    "--amount",
    type=click.FloatRange(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of 84,000 scenes, 12,000 of them held out.",
)
_rate = click.option(
    "--rate",
    type=float,
    default=20.0,
    show_default=True,
    metavar="FA/H",
    help="False accepts an hour of the detector, in each condition.",
)
_epochs = click.option("--epochs", type=options.POSITIVE, default=30, show_default=True)


@click.group()
def verifier() -> None:
    """The verifier on the server: train, measure, compare."""


def _wakes(default: str) -> Any:
    return click.option(
        "--wakes",
        type=options.FOLDER,
        metavar="FOLDER",
        help=f"Wakes of the device, computed once for all runs.  [default: {default}]",
    )


@verifier.command(epilog="Example: wakestate verifier train --word alexa --data data/alexa")
@options.recipe_file("verifier train")
@options.word
@options.model
@options.verifier
@options.data
@options.also
@options.library
@options.out("runs/verify/WORD")
@options.seed
@_wakes("runs/verify/WORD-wakes-AMOUNT")
@_amount
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default="cra",
    show_default=True,
    help="Network, by verify/learning/networks.py.",
)
@click.option(
    "--windows",
    type=click.Choice(_WINDOWS),
    default="misaligned",
    show_default=True,
    help="Feature windows at the start as placed, or off by 0.5 s.",
)
@_epochs
@click.option(
    "--batches", type=options.POSITIVE, default=400, show_default=True, help="Batches in an epoch."
)
@options.executor
@options.needs("train")
def train(
    word: WordFile,
    model: Path | None,
    verifier: Path | None,
    data: Path | None,
    also: tuple[Path, ...],
    library: Path | None,
    out: Path | None,
    wakes: Path | None,
    amount: float,
    **given: Any,
) -> None:
    """Train a verifier on the wakes of a model; resumes after a kill.

    Mixes scenes as for the detector and runs the compiled device on them; learns from its
    wakes at a low threshold. Writes OUT/verifier; without --out, or with --verifier, it is copied
    there if nothing is there. dnn-hmm is what the networks are compared with; it is not served.
    """
    from wakestate.train.data.corpus import find_manifest

    folder = data_folder(data, word)
    for each in (folder, *also):
        find_manifest(each)
    library = built_library(word, model, library)
    from wakestate.verify.learning.examples import Amounts
    from wakestate.verify.learning.fit import train as fit
    from wakestate.verify.learning.fitter import TrainConfig

    train_config = TrainConfig(
        given["kind"], given["windows"], given["seed"], given["epochs"], given["batches"]
    )
    run = out or Path("runs/verify") / word.name
    options.keep_recipe(run, "verifier train")
    wakes = wakes or Path("runs/verify") / f"{word.name}-wakes-{amount:g}"
    print(
        fit(
            word.load(),
            folder,
            also,
            options.CACHE,
            library,
            model or word.model,
            wakes,
            run,
            train_config,
            Amounts().times(amount),
        )
    )
    target, made = verifier_folder(word, model, verifier), run / "verifier"
    if given["kind"] == "dnn-hmm" or (out is not None and verifier is None):
        return
    if (target / "verifier.json").exists() or target.is_relative_to(ROOT):  # of the package
        print(f"{target} stays as it was; to ship the new one: cp {made}/* {target}/")
    else:
        shutil.copytree(made, target, dirs_exist_ok=True)


@verifier.command(epilog="Example: wakestate verifier recalibrate --word alexa --data data/alexa")
@options.word
@options.model
@options.verifier
@options.data
@options.also
@options.library
@_wakes("runs/verify/WORD-held-AMOUNT-DEVICE")
@_amount
@options.executor
@options.needs("train")
def recalibrate(
    word: WordFile,
    model: Path | None,
    verifier: Path | None,
    data: Path | None,
    also: tuple[Path, ...],
    library: Path | None,
    wakes: Path | None,
    amount: float,
) -> None:
    """Fit a trained verifier to another detector.

    Or to its new thresholds. Runs the compiled device on scenes of held-out voices and sets in
    VERIFIER/verifier.json what its wakes decide, as `train` does in the end. The network stays as
    it is.
    """
    target = trained_verifier(word, model, verifier)
    library = built_library(word, model, library)
    from wakestate.train.evaluation.device import library_hash
    from wakestate.verify.learning.examples import Amounts
    from wakestate.verify.learning.thresholds import recalibrate_thresholds

    cache_name = f"{word.name}-held-{amount:g}-{library_hash(library)[:8]}"
    recalibrate_thresholds(
        word.load(),
        data_folder(data, word),
        also,
        options.CACHE,
        library,
        model or word.model,
        wakes or Path("runs/verify") / cache_name,
        target,
        Amounts().times(amount),
    )
    print(target)


@verifier.command(epilog="Example: wakestate verifier measure --word alexa --data data/alexa")
@options.word
@options.model
@options.verifier
@options.data
@options.also
@options.split
@options.library
@options.out("build/WORD")
@options.executor
@options.table
@options.needs("train")
def measure(
    word: WordFile,
    model: Path | None,
    verifier: Path | None,
    data: Path | None,
    also: tuple[Path, ...],
    split: str,
    library: Path | None,
    out: Path | None,
) -> Printed:
    """Misses and false accepts with and without the verifier.

    Streams a split through the compiled detector, as it ships and at the lower thresholds of
    the verifier's folder; asks the verifier about each wake of these.
    """
    target = trained_verifier(word, model, verifier)
    library = built_library(word, model, library)
    from wakestate.verify.learning.measure import System
    from wakestate.verify.learning.measure import measure as measured
    from wakestate.verify.service.detector import TrainedVerifier

    loaded = word.load()
    network = TrainedVerifier.load(target, loaded, model or word.model)
    folder = data_folder(data, word)
    system = System(loaded, library, network, folder, split, options.CACHE, also)
    return measured(system, (out or Path("build") / word.name) / "verify.json")


@verifier.command(
    epilog="Example: wakestate verifier compare runs/verify/alexa-experiment --data data/alexa"
)
@click.argument("folder", type=options.FOLDER)
@options.word
@options.model
@options.data
@options.split
@options.library
@_rate
@options.out("FOLDER itself")
@options.executor
@options.table
@options.needs("train")
def compare(**given: Any) -> Printed:
    """Verifiers and the DNN-HMM, at equal misses.

    Runs the compiled device on a split at a low threshold, asks every run in FOLDER about each
    wake, with the window as placed and up to 0.5 s off, and counts the false accepts that are left
    where as many words are rejected. Intervals: bootstrap over speakers.
    """
    return _compare(**given)


def _compare(
    folder: Path,
    word: WordFile,
    *,
    model: Path | None,
    data: Path | None,
    split: str,
    library: Path | None,
    rate: float,
    out: Path | None,
) -> Printed:
    library = built_library(word, model, library)
    from wakestate.verify.learning.compare import compare as compared

    return compared(
        word.load(),
        data_folder(data, word),
        split,
        options.CACHE,
        library,
        folder,
        rate,
        (out or folder) / "compare.json",
    )


@verifier.command(
    epilog="Example: wakestate verifier experiment --data data/alexa "
    "--kinds 'cra dnn-hmm' --seeds 1"
)
@options.recipe_file("verifier experiment")
@options.word
@options.model
@options.data
@options.also
@options.split
@options.out("runs/verify/WORD-experiment")
@_wakes("runs/verify/WORD-wakes-AMOUNT")
@_amount
@_epochs
@click.option("--kinds", default=" ".join(_KINDS), show_default=True)
@click.option("--windows", default=" ".join(_WINDOWS), show_default=True)
@click.option("--seeds", default="1 2 3", show_default=True)
@_rate
@options.executor
@options.table
@options.needs("train")
def experiment(
    word: WordFile,
    model: Path | None,
    data: Path | None,
    also: tuple[Path, ...],
    split: str,
    out: Path | None,
    wakes: Path | None,
    amount: float,
    epochs: int,
    kinds: str,
    windows: str,
    seeds: str,
    rate: float,
) -> Printed:
    """Train verifiers of several kinds, over seeds.

    CRA, CNNs and a DNN-HMM at equal misses: kinds x windows x seeds. Results that are there are not
    computed again.
    """
    place = out or Path("runs/verify") / f"{word.name}-experiment"
    options.keep_recipe(place, "verifier experiment")
    shared = [
        f"--word={word.path}",
        f"--model={model or word.model}",
        f"--data={data_folder(data, word)}",
        f"--amount={amount}",
        f"--epochs={epochs}",
        *(f"--also={path}" for path in also),
        *([f"--wakes={wakes}"] if wakes else []),
    ]
    for seed in seeds.split():
        for window in windows.split():
            for kind in kinds.split():
                run = place / f"{kind}-{window}-{seed}"
                if list(run.glob("verifier/*.json")):
                    continue
                other_process(
                    "verifier",
                    "train",
                    *shared,
                    f"--kind={kind}",
                    f"--windows={window}",
                    f"--seed={seed}",
                    f"--out={run}",
                )
    return _compare(
        place, word, model=model, data=data, split=split, library=None, rate=rate, out=None
    )
