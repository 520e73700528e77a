# SPDX-License-Identifier: Apache-2.0
"""Measure a trained word: figures, the report, the sound of false accepts."""

from __future__ import annotations

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
from wakestate.commands.options import WordFile, data_folder
from wakestate.commands.program import built_library
from wakestate.tables import Printed

if TYPE_CHECKING:
    from wakestate.train.evaluation.document import Evaluated
    from wakestate.train.evaluation.listening import Options
    from wakestate.words import Word

ECHO = "low=10,high=0,high=-5"

draws = click.option(
    "--draws",
    type=options.POSITIVE,
    default=3,
    show_default=True,
    help="Mixes of each recording, where mixed.",
)
echo = click.option(
    "--echo",
    default=ECHO,
    show_default=True,
    metavar="VOLUME=DB,...",
    help="Signal-to-echo ratios, dB, of each volume (a volume may be repeated); of a "
    "volume not named: 0.",
)
short = click.option(
    "--short",
    is_flag=True,
    help="The device alone (with --float: the float model, too), without wrong "
    "states, input levels, codecs and confusables, and a sample of each stream.",
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
    draws,
    echo,
    short,
    click.option(
        "--confusables", "--near-misses", is_flag=True, help="Also in a short evaluation."
    ),
    click.option("--no-peers", is_flag=True, help="Without other engines."),
    click.option(
        "--float",
        "keras",
        type=options.FILE,
        metavar="KERAS",
        help="Float model to measure as well.  [default: MODEL/WORD.keras, if there]",
    ),
    click.option("--no-float", is_flag=True, help="Without the float model."),
)


_LONG = {"excerpts", "false_accepts"}  # of evaluate.json; not in what `--json` prints


def measuring(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what evaluates; equal ones take what an earlier command found."""
    for option in reversed(_MEASURING):
        function = option(function)
    return function


def as_options(given: dict[str, Any], word: WordFile, loaded: Word) -> Options:
    """What `measuring` takes."""
    from wakestate.train.evaluation.listening import Options

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
    if keras is None and not given["no_float"] and not given["short"]:
        own = (given["model"] or word.model) / f"{word.name}.keras"
        keras = own if own.is_file() else None
    rates = tuple(sorted({0.5, 0.1, loaded.detector.false_accepts_per_hour}, reverse=True))
    peers = not given["no_peers"] and not given["short"]
    return Options(
        given["seed"],
        given["draws"],
        ratios,
        rates,
        peers,
        keras,
        given["also"],
        given["short"],
        confusables=given["confusables"],
    )


def _out(given: dict[str, Any], word: WordFile) -> Path:
    return given["out"] or Path("build") / word.name


def _measure(
    given: dict[str, Any], word: WordFile, loaded: Word, library: Path, chosen: Options
) -> Evaluated:
    """Evaluate, write evaluate.json, print the tables."""
    from wakestate.train.evaluation.device import Device
    from wakestate.train.evaluation.document import write
    from wakestate.train.evaluation.evaluate import evaluate
    from wakestate.train.report.tables import BY_NAME, tables

    out = _out(given, word) / "evaluate.json"
    start, resume_folder = time.monotonic(), out.parent / "streamed"
    Device(library, loaded)  # refuses a missing or foreign one before any sound is read
    try:
        measured = evaluate(
            loaded,
            library,
            data_folder(given["data"], word),
            given["split"],
            options.CACHE,
            chosen,
            resume_folder,
        )
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        raise
    write(measured, out)
    shutil.rmtree(resume_folder, ignore_errors=True)
    for table in tables(measured):
        if table.title != BY_NAME:
            print(table.markdown(), end="\n\n")
    print(
        f"{len(measured.false_accepts)} false accepts, each named in {out}; "
        "`wakestate model clips` writes their sound\n"
    )
    if chosen.short:
        print(
            f"short: without other engines, {'' if chosen.keras else 'the float model, '}wrong "
            "device states, input levels, codecs and confusable phrases, and a sample of each "
            "stream\n"
        )
    elif measured.peers_absent:
        print(f"not compared: {measured.peers_absent}\n")
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
@options.executor
@options.table
@options.needs("train")
def evaluate(word: WordFile, set_thresholds: bool, **given: Any) -> Printed:
    """Misses at fixed false accepts an hour, streamed as on the device.

    Streams the split through the compiled pipeline, and through other engines where they are
    installed: clean, in noise, in every device state; confusable phrases; input levels; wrong
    states. Writes OUT/evaluate.json.
    """
    from wakestate.convert import manifest, operating_points
    from wakestate.train.data.manifest import find_manifest
    from wakestate.train.evaluation.operating_points import operating_points as found_points
    from wakestate.train.evaluation.thresholds import ScoreScale

    loaded, model = word.load(), given["model"] or word.model
    chosen = as_options(given, word, loaded)
    if set_thresholds:  # ten minutes' work should not end in a refusal
        logit = manifest.check_manifest(model, loaded).logit
        scale = ScoreScale(logit, loaded.detector.smoothing_steps)
        imported = loaded.model.network == "microwakeword"  # its outputs are no logits
        chosen = replace(chosen, set_thresholds=True, scale=None if imported else scale)
    if given["library"] is None:
        find_manifest(data_folder(given["data"], word))  # before anything is built
    library = built_library(word, model, given["library"])
    measured = _measure(given, word, loaded, library, chosen)
    if set_thresholds:
        manifest.set_thresholds(model, loaded, measured.thresholds)
        of = operating_points.identity(manifest.read_manifest(model))
        operating_points.write(model, found_points(measured, of))
        meant = loaded.detector.false_accepts_per_hour
        print(f"thresholds at {meant:g} FA/h written to {model / 'model.json'}")
    elif min(r.ships.threshold for r in measured.rows) >= manifest.never_fires(loaded):
        print("the model has no thresholds yet, so nothing wakes it: --set-thresholds")
    return Printed("", measured.model_dump(mode="json", exclude=_LONG))


@click.command(epilog="Example: wakestate report --word alexa --data data/alexa --short")
@measuring
@click.option(
    "--beside",
    type=options.NAMED_FILE,
    multiple=True,
    metavar="NAME=FILE",
    help="Another model's evaluate.json, shown as well (may be repeated).",
)
@click.option(
    "--costs",
    type=options.FILE,
    default=None,
    metavar="FILE",
    help="Counted costs.  [default: bench/baseline.json]",
)
@options.executor
@options.needs("train")
def report(
    word: WordFile, beside: Sequence[tuple[str, Path]], costs: Path | None, **given: Any
) -> None:
    """One HTML page of what evaluate found.

    Evaluates first if needed. Writes OUT/report/report.html (all in one file) and its figures
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
            [data_folder(given["data"], word), *chosen.also],
        )
    )


@click.command(epilog="Example: wakestate model clips --word alexa --data data/alexa --short")
@measuring
@options.needs("train")
def clips(word: WordFile, **given: Any) -> None:
    """The sound of each false accept, as WAV.

    Of those that evaluate found: from 2 s before the wake on, into OUT/clips. Give the options that
    evaluate was given.
    """
    from wakestate.train.data.corpus import DataError, load_corpus
    from wakestate.train.evaluation.device import Device
    from wakestate.train.evaluation.document import read
    from wakestate.train.evaluation.false_accepts import write_clips
    from wakestate.train.evaluation.trials import Trials
    from wakestate.train.report.page import stale

    loaded, folder, out = word.load(), data_folder(given["data"], word), _out(given, word)
    chosen, results = as_options(given, word, loaded), out / "evaluate.json"
    device = Device(built_library(word, given["model"], given["library"]), loaded)
    reason = stale(results, device, loaded, given["split"], chosen, options.CACHE)
    if reason:
        raise DataError(f"{reason}; run `wakestate evaluate` with the same options first")
    corpus = load_corpus(folder, given["split"], options.CACHE, loaded.data, chosen.also)
    trials = Trials(loaded, corpus, chosen.seed, chosen.draws, chosen.short)
    written = write_clips(trials, read(results).false_accepts, out / "clips")
    print(f"{len(written)} clips in {out / 'clips'}")
