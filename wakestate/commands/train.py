"""Train a wake word, and measure what was trained."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wakestate import ROOT
from wakestate.commands import options
from wakestate.commands.options import WordFile, data_folder, other_process
from wakestate.commands.program import built_library
from wakestate.commands.word import warn_of_copies

if TYPE_CHECKING:
    from wakestate.train.evaluation.evaluate import Measured, Options
    from wakestate.words import Word

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is loaded
ECHO = "low=10,high=0,high=-5"
AMOUNT = click.FloatRange(0.001, 100)

_draws = click.option(
    "--draws",
    type=options.POSITIVE,
    default=3,
    show_default=True,
    help="Mixes of each recording, where mixed.",
)
_echo = click.option(
    "--echo",
    default=ECHO,
    show_default=True,
    metavar="VOLUME=DB,...",
    help="Signal-to-echo ratios of each volume, a volume as often as wanted; of "
    "a volume not named: 0.",
)
_short = click.option(
    "--short",
    is_flag=True,
    help="The device alone, without wrong states, input levels, codecs and near "
    "misses, and a sample of each stream.",
)
_MEASURING: tuple[Callable[..., Any], ...] = (
    options.word,
    options.model,
    options.data,
    options.also,
    options.split,
    options.library,
    options.out("build/WORD"),
    options.seed,
    _draws,
    _echo,
    _short,
    click.option("--no-peers", is_flag=True, help="The device alone."),
    click.option(
        "--float",
        "keras",
        type=options.FILE,
        metavar="KERAS",
        help="The float model, measured as well.  [default: MODEL/WORD.keras, if there]",
    ),
    click.option("--no-float", is_flag=True, help="Without the float model."),
)


def measuring(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what evaluates; equal ones take what an earlier command found."""
    for option in reversed(_MEASURING):
        function = option(function)
    return function


@click.command(epilog="Example: wakestate train --word alexa --data data/alexa --rounds 40")
@options.word
@options.data
@options.also
@click.option(
    "--out",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Of the run: pools of scenes, a "
    "checkpoint each round, model/ and evaluate.json.  [default: runs/WORD]",
)
@options.seed
@click.option(
    "--rounds",
    type=options.NATURAL,
    default=40,
    show_default=True,
    help="Of mining and training; 0: the --start as it is.",
)
@click.option(
    "--batches", type=options.POSITIVE, default=500, show_default=True, help="In a round."
)
@click.option(
    "--amount",
    type=AMOUNT,
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Of the usual 170,000 scenes.",
)
@click.option(
    "--quantization-aware",
    type=options.NATURAL,
    default=0,
    show_default=True,
    metavar="ROUNDS",
    help="Of the rounds, the last that compute as int8 will.",
)
@click.option(
    "--near-misses",
    type=options.NATURAL,
    default=0,
    show_default=True,
    metavar="CLIPS",
    help="Of the scenes without the word, those mixed around a near miss; 0: as many as "
    "chance gives.",
)
@click.option(
    "--teacher",
    type=options.FILE,
    multiple=True,
    metavar="KERAS",
    help="model.keras of another run to learn from as well; of several the mean.",
)
@click.option(
    "--start",
    type=options.FILE,
    multiple=True,
    metavar="KERAS",
    help="Begin with the weights of this network, not with random ones; of several that "
    "went on from the same one the mean.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Learning rate at its highest.  [default: 0.002]",
)
@click.option(
    "--pool",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Scenes that several runs share.  [default: OUT/pool]",
)
@click.option(
    "--conditioning",
    type=click.Choice(["both", "norm", "join", "none"]),
    help="Where the metadata goes in, instead of the word file's model.conditioning; "
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
@_draws
@_echo
@_short
@click.option("--only-train", is_flag=True, help="End with model.keras and calibration.npy.")
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

    The same command goes on after a kill.
    """
    from wakestate.train.data.corpus import find_manifest, split_rows

    if given["rounds"] == 0 and not given["start"]:
        raise click.UsageError("--rounds: given 0; allowed: 1 or more, or 0 with --start")
    loaded, folder, run = word.load(), data_folder(data, word), out or Path("runs") / word.name
    for each in (folder, *also, *given["also_dev"]):
        find_manifest(each)  # before TensorFlow takes its seconds to load
    for each in () if only_train else (folder, *given["also_dev"]):
        split_rows(each, given["split"], loaded.data)  # before hours of training
    from wakestate.train.learning.fit import Budget, fit

    warn_of_copies(word, loaded)
    budget = Budget(
        seed=given["seed"],
        rounds=given["rounds"],
        batches=given["batches"],
        rounded=given["quantization_aware"],
        near=given["near_misses"],
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
    if only_train:
        return
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
    print(f"To hear with it: wakestate emulate {where} --model {made} x.wav")
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


def as_options(given: dict[str, Any], word: WordFile, loaded: Word) -> Options:
    """What `measuring` takes."""
    from wakestate.train.evaluation.evaluate import Options

    ratios: dict[str, tuple[float, ...]] = {}
    try:
        for volume, ratio in (part.split("=") for part in given["echo"].split(",")):
            ratios[volume] = (*ratios.get(volume, ()), float(ratio))
    except ValueError:
        raise click.UsageError(f"--echo: given '{given['echo']}'; allowed: VOLUME=DB,...") from None
    volumes = loaded.metadata.get("volume", tuple(ratios))
    unknown = [volume for volume in ratios if volume not in volumes]
    if unknown and given["echo"] != ECHO:
        raise click.UsageError(f"--echo: given '{unknown[0]}'; allowed: {', '.join(volumes)}")
    keras = given["keras"]
    if keras and not keras.is_file():
        raise click.UsageError(f"--float: {keras}: not found; give the .keras file of this model")
    if keras is None and not given["no_float"]:
        own = (given["model"] or word.model) / f"{word.name}.keras"
        keras = own if own.is_file() else None
    rates = tuple(sorted({0.5, 0.1, loaded.detector.false_accepts_per_hour}, reverse=True))
    peers, keras = (False, None) if given["short"] else (not given["no_peers"], keras)
    return Options(
        given["seed"], given["draws"], ratios, rates, peers, keras, given["also"], given["short"]
    )


def _out(given: dict[str, Any], word: WordFile) -> Path:
    return given["out"] or Path("build") / word.name


def _measure(
    given: dict[str, Any], word: WordFile, loaded: Word, library: Path, chosen: Options
) -> Measured:
    """Evaluate, write evaluate.json, print the tables."""
    from wakestate.train.evaluation.device import Device
    from wakestate.train.evaluation.evaluate import evaluate, write_json
    from wakestate.train.report.tables import BY_NAME, tables

    out = _out(given, word) / "evaluate.json"
    start, kept = time.monotonic(), out.parent / "heard"
    Device(library, loaded)  # refuses a missing or foreign one before any sound is read
    try:
        measured = evaluate(
            loaded,
            library,
            data_folder(given["data"], word),
            given["split"],
            options.CACHE,
            chosen,
            kept,
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the sound in work", file=sys.stderr)
        raise
    write_json(measured, out)
    shutil.rmtree(kept, ignore_errors=True)
    for table in tables(json.loads(out.read_text(encoding="utf-8"))):
        if table.title != BY_NAME:
            print(table.markdown(), end="\n\n")
    print(
        f"{len(measured.false_accepts)} false accepts, each named in {out}; "
        "`wakestate model clips` writes their sound\n"
    )
    if chosen.short:
        print(
            "short: without other engines, the float model, states told wrongly, input levels, "
            "codecs and near misses, and a sample of each stream\n"
        )
    elif measured.about["peers_absent"]:
        print(f"not beside: {measured.about['peers_absent']}\n")
    print(f"evaluated in {time.monotonic() - start:.0f} s", file=sys.stderr)
    print(out)
    return measured


@click.command(epilog="Example: wakestate evaluate --word alexa --data data/alexa --short")
@measuring
@click.option(
    "--set-thresholds",
    is_flag=True,
    help="Write the thresholds found at the word "
    "file's false_accepts_per_hour into MODEL/model.json.",
)
@options.needs("train")
def evaluate(word: WordFile, set_thresholds: bool, **given: Any) -> None:
    """Misses at fixed false accepts an hour, as the device hears.

    Streams the split through the compiled pipeline, and through other engines where they are
    installed: clean, in noise, in every device state; near misses; input levels; states told
    wrongly. Writes OUT/evaluate.json.
    """
    from wakestate.convert import manifest
    from wakestate.train.data.manifest import find_manifest

    loaded, model = word.load(), given["model"] or word.model
    if set_thresholds:  # ten minutes' work should not end in a refusal
        manifest.check_manifest(model, loaded)
    chosen = replace(as_options(given, word, loaded), set_thresholds=set_thresholds)
    if given["library"] is None:
        find_manifest(data_folder(given["data"], word))  # before anything is built
    library = built_library(word, model, given["library"])
    measured = _measure(given, word, loaded, library, chosen)
    if set_thresholds:
        manifest.set_thresholds(model, loaded, measured.thresholds)
        meant = loaded.detector.false_accepts_per_hour
        print(f"thresholds at {meant:g} FA/h written to {model / 'model.json'}")
    elif min(r.shipped["threshold"] for r in measured.rows) >= manifest.never_fires(loaded):
        print("the model has no thresholds yet, so nothing wakes it: --set-thresholds")


@click.command(epilog="Example: wakestate report --word alexa --data data/alexa --short")
@measuring
@click.option(
    "--beside",
    type=options.NAMED_FILE,
    multiple=True,
    metavar="NAME=FILE",
    help="Another model's evaluate.json, shown beside (may be repeated).",
)
@click.option(
    "--costs",
    type=options.FILE,
    default=None,
    metavar="FILE",
    help="Counted costs.  [default: bench/baseline.json]",
)
@options.needs("train")
def report(
    word: WordFile, beside: Sequence[tuple[str, Path]], costs: Path | None, **given: Any
) -> None:
    """One HTML page of what evaluate found.

    Evaluates first where it must. Writes OUT/report/report.html (all in one file) and its figures
    as PNG.
    """
    from wakestate.convert.manifest import check_manifest
    from wakestate.train.report.page import stale, write_report

    loaded, model = word.load(), given["model"] or word.model
    check_manifest(model, loaded)
    chosen = as_options(given, word, loaded)
    library = built_library(word, model, given["library"])
    from wakestate.train.evaluation.device import Device

    out = _out(given, word)
    results = out / "evaluate.json"
    device = Device(library, loaded)
    reason = stale(results, device, loaded, given["split"], chosen, options.CACHE)
    if reason:
        print(f"{reason}; evaluating", file=sys.stderr)
        _measure(given, word, loaded, library, chosen)
    print(
        write_report(
            loaded,
            model,
            results,
            out / "report",
            costs or ROOT / "bench/baseline.json",
            list(beside),
        )
    )


@click.command(epilog="Example: wakestate model clips --word alexa --data data/alexa --short")
@measuring
@options.needs("train")
def clips(word: WordFile, **given: Any) -> None:
    """The sound of each false accept that evaluate found, as WAV.

    From 2 s before the wake on, into OUT/clips. Give the options that evaluate was given.
    """
    from wakestate.train.data.corpus import DataError, load_corpus
    from wakestate.train.evaluation.device import Device
    from wakestate.train.evaluation.false_accepts import write_clips
    from wakestate.train.evaluation.trials import Trials
    from wakestate.train.report.page import read_results, stale

    loaded, folder, out = word.load(), data_folder(given["data"], word), _out(given, word)
    chosen, results = as_options(given, word, loaded), out / "evaluate.json"
    device = Device(built_library(word, given["model"], given["library"]), loaded)
    reason = stale(results, device, loaded, given["split"], chosen, options.CACHE)
    if reason:
        raise DataError(f"{reason}; run `wakestate evaluate` with the same options first")
    corpus = load_corpus(folder, given["split"], options.CACHE, loaded.data, chosen.also)
    trials = Trials(loaded, corpus, chosen.seed, chosen.draws, chosen.short)
    written = write_clips(trials, read_results(results)["false_accepts"], out / "clips")
    print(f"{len(written)} clips in {out / 'clips'}")


@click.command(epilog="Example: wakestate model endpoints --word alexa --data data/alexa")
@options.word
@options.data
@options.also
@options.split
@click.option(
    "--run",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Of what was trained.  [default: runs/WORD]",
)
@options.needs("train")
def endpoints(
    word: WordFile, data: Path | None, also: tuple[Path, ...], split: str, run: Path | None
) -> None:
    """Two ways to tell where the word starts and ends.

    Goes on training RUN/model.keras by regression of start and end, and with aligned detectors,
    on the same pool; prints what both tell on a split.
    """
    from wakestate.train.experiments.aligned import go_on, measure

    loaded, folder, run = word.load(), data_folder(data, word), run or Path("runs") / word.name
    models = {
        method: go_on(loaded, folder, also, run, options.CACHE, method)
        for method in ("regression", "aligned")
    }
    print(measure(loaded, folder, split, options.CACHE, models))


@click.command(
    epilog="Example: wakestate model experiment --word alexa --data data/alexa "
    "--variants 'none both' --seeds '1 2'"
)
@options.word
@options.data
@options.also
@options.split
@options.out("runs/experiment/WORD")
@click.option(
    "--variants", default="none join norm both", show_default=True, help="Of --conditioning."
)
@click.option("--seeds", default="1 2 3", show_default=True)
@click.option("--rounds", type=options.POSITIVE, default=40, show_default=True)
@click.option("--batches", type=options.POSITIVE, default=500, show_default=True)
@click.option(
    "--amount",
    type=AMOUNT,
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Of the usual scenes.",
)
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
) -> None:
    """Does knowing the device's state help? Variants and seeds on the same scenes.

    What is there already is not done again.
    """
    from wakestate.train.experiments.variants import table

    folder, place = data_folder(data, word), out or Path("runs/experiment") / word.name
    more = [*(f"--also={path}" for path in also), *(f"--{k}={v}" for k, v in budget.items())]
    for seed in seeds.split():
        for variant in variants.split():
            run = place / f"{variant}-{seed}"
            if (run / "evaluate.json").is_file():
                continue
            other_process(
                "train",
                f"--word={word.path}",
                f"--data={folder}",
                f"--out={run}",
                f"--pool={place / 'pool'}",
                f"--conditioning={variant}",
                f"--seed={seed}",
                "--only-train",
                *more,
            )
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
    print(table(place, "none", (0.5, 1.0, 2.0, 4.0)))
