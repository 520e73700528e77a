"""python -m train: train a wake word, and measure what was trained."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from convert.errors import ConvertError
from train.data import DataError, find_manifest
from train.device import DeviceError
from words import Word, WordError, load_word

CACHE = Path("build/cache")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is loaded
ECHO = "low=10,high=0"


def main() -> int:
    """Parse the command line and run one command; errors are one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train, resuming where a killed run stopped",
        description="Trains in the folder RUN: pools of mixed scenes, config.json, curve.csv, a "
        "checkpoint each round, and at the end model.keras, calibration.npy and result.json. "
        "The same command goes on after a kill.")  # fmt: skip
    _common(fit)
    fit.add_argument("--run", type=Path, help="run folder (default: runs/WORD)")
    fit.add_argument("--seed", type=_natural, default=1)
    fit.add_argument("--rounds", type=_positive, help="rounds of mining and training")
    fit.set_defaults(command=_fit)

    test = commands.add_parser("evaluate", help="FRR at fixed FA/h through the device pipeline",
        description="Streams the split through the compiled pipeline and prints the false reject "
        "rate at fixed false accepts an hour: clean, in noise, and in every device state. Writes "
        "evaluate.json and det.png.")  # fmt: skip
    _common(test)
    test.add_argument("--split", default="dev", help="split of the manifest (default: dev)")
    test.add_argument("--library", type=Path, help="default: build/host/WORD/libwakestate.so")
    test.add_argument("--out", type=Path, help="folder of the results (default: build/WORD)")
    test.add_argument("--seed", type=_natural, default=1)
    test.add_argument(
        "--draws",
        type=_positive,
        default=3,
        help="mixes of each recording, where mixed (default: 3)",
    )
    test.add_argument(
        "--echo", default=ECHO, metavar="VOLUME=DB,...",
        help=f"signal-to-echo ratio of each volume (default: {ECHO}; else 0)",
    )  # fmt: skip
    test.add_argument(
        "--set-thresholds", type=Path, metavar="MODEL",
        help="write the thresholds found at false_accepts_per_hour into MODEL/model.json",
    )  # fmt: skip
    test.set_defaults(command=_evaluate)

    scenes = commands.add_parser("scenes", help="mixed sound to listen to and to look at",
        description="Writes examples of what training hears: scenes as WAV, a picture of their "
        "features, and a stream in which the device goes through its states.")  # fmt: skip
    _common(scenes)
    scenes.add_argument("--out", type=Path, help="folder to write (default: build/WORD/scenes)")
    scenes.add_argument("--split", default="train", help="split of the manifest (default: train)")
    scenes.add_argument("--count", type=_positive, default=16, help="scenes (default: 16)")
    scenes.add_argument("--seed", type=_natural, default=1)
    scenes.set_defaults(command=_scenes)

    sample = commands.add_parser("sample", help="speak the bundled sample with flite's voices")
    sample.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    sample.add_argument("--out", type=Path, required=True, help="the WAV file to write")
    sample.set_defaults(command=_sample)

    args = parser.parse_args()
    try:
        args.command(args, load_word(args.word))
    except (WordError, ConvertError, DataError, DeviceError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")


def _natural(text: str) -> int:
    """argparse type: 0, 1, 2 ..."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0 or more")
    return number


def _positive(text: str) -> int:
    """argparse type: 1, 2, 3 ..."""
    if _natural(text) == 0:
        raise argparse.ArgumentTypeError("given 0; allowed: 1 or more")
    return int(text)


def _fit(args: argparse.Namespace, word: Word) -> None:
    find_manifest(args.data)  # said before TensorFlow takes its seconds to load
    from train.fit import Budget, fit

    budget = Budget(seed=args.seed, **({"rounds": args.rounds} if args.rounds else {}))
    fit(word, args.data, args.run or Path("runs") / word.name, CACHE, budget)


def _scenes(args: argparse.Namespace, word: Word) -> None:
    from train.data import load_corpus
    from train.scenes import write_scenes

    corpus = load_corpus(args.data, args.split, CACHE, word.data.stressed_core)
    out = args.out or Path("build") / word.name / "scenes"
    for path in write_scenes(corpus, word, out, args.count, args.seed):
        print(path)


def _sample(args: argparse.Namespace, word: Word) -> None:
    from train.sample import write_sample

    write_sample(word.phrase, args.out)


def _evaluate(args: argparse.Namespace, word: Word) -> None:
    from convert.manifest import check_manifest, set_thresholds
    from train.evaluate import evaluate, plot_det, table, write_json

    try:
        echo = {k: float(v) for k, v in (part.split("=") for part in args.echo.split(","))}
    except ValueError:
        raise WordError(f"--echo: given '{args.echo}'; allowed: VOLUME=DB,...") from None
    volumes = word.metadata.get("volume", tuple(echo))
    unknown = [volume for volume in echo if volume not in volumes]
    if unknown and args.echo != ECHO:
        raise WordError(f"--echo: given '{unknown[0]}'; allowed: {', '.join(volumes)}")
    if args.set_thresholds:  # an hour's work should not end in a refusal
        check_manifest(args.set_thresholds, word)
    library = args.library or Path("build/host") / word.name / "libwakestate.so"
    rate = word.detector.false_accepts_per_hour
    rates = tuple(sorted({1.0, 0.5, rate}, reverse=True))
    rows = evaluate(word, library, args.data, args.split, CACHE, seed=args.seed,
                    draws=args.draws, ser_db=echo, rates=rates)  # fmt: skip
    out = args.out or Path("build") / word.name
    about = {"word": word.name, "split": args.split, "seed": args.seed, "draws": args.draws,
             "signal_to_echo_db": echo}  # fmt: skip
    write_json(rows, out / "evaluate.json", about)
    plot_det(rows, out / "det.png", f"{word.name}, {args.split}, int8 streaming pipeline")
    print(table(rows))
    print(f"\n{out / 'evaluate.json'}  {out / 'det.png'}")
    if args.set_thresholds:
        found = {r.condition.state: int(r.at[f"{rate:g}"]["threshold"])
                 for r in rows if not r.condition.noise}  # fmt: skip
        set_thresholds(args.set_thresholds, word, found)
        print(f"thresholds at {rate:g} FA/h written to {args.set_thresholds / 'model.json'}")


if __name__ == "__main__":
    sys.exit(main())
