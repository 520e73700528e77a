"""What python -m wakestate.verify takes: commands and options."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = "The second look: who takes a device's wakes, and the service that verifies."
BAUD = 1_000_000
# As in verify/learning/networks.py and verify/learning/fit.py, which take Keras' seconds to load.
_KINDS = ("cra", "cnn195", "cnn100", "cnn76", "dnn-hmm")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wakestate.verify", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    gateway = commands.add_parser(
        "gateway",
        help="take the utterances from a device, or from a file, to a service or into a folder",
        description="Switches the uplink of a device on. With --post each wake's sound goes to "
        "the service of the second look while it comes in; the device is told to stop when that is "
        "enough, and each verdict is a line of JSON on stdout. A service that is busy or away is "
        "asked again for 15 s. With --out the sound is kept as OUT/NUMBER-WORD.wav, with what the "
        "device said of it in a .json beside. A file is what the emulator's --uplink wrote, or "
        "what was recorded from a port; - is stdin.",
        epilog="Example: build/host/alexa/wake-emulator --uplink - x.wav | "
        "python -m wakestate.verify gateway --from - --post http://127.0.0.1:8080",
    )
    gateway.add_argument(
        "--from", dest="sources", action="append", required=True, metavar="PORT|FILE|-",
        help="a device; give it again for each of several",
    )  # fmt: skip
    gateway.add_argument("--out", type=Path, metavar="FOLDER", help="keep the utterances there")
    gateway.add_argument(
        "--post", metavar="URL", help="of the service: http://HOST:PORT, or https where a proxy "
        "stands before it",
    )  # fmt: skip
    gateway.add_argument(
        "--key-file", type=Path, metavar="FILE", help="its first line is the key for the service"
    )
    gateway.add_argument(
        "--follow", type=_seconds, default=2.0, metavar="SECONDS",
        help="for --out: after the word's end, then the device is told to stop (default: 2)",
    )  # fmt: skip
    gateway.add_argument(
        "--baud", type=_positive, default=BAUD, help=f"of a port (default: {BAUD})"
    )
    gateway.add_argument(
        "--first-of-two", action="store_true", help="let each device wake more readily on --word "
        "while its wakes are looked at again: at the thresholds in verifier.json",
    )  # fmt: skip
    _add_served(gateway)
    gateway.add_argument("--quiet", action="store_true", help="do not show the device's lines")

    serve = commands.add_parser(
        "serve",
        help="the HTTP service of the second look",
        description="Serves POST /v1/verify for one word: the sound of a wake in, accept or reject "
        "out; /docs is its page, docs/verifier.md tells all of it. On SIGTERM it takes no more, "
        "answers all that it took, and ends.",
        epilog="Example: python -m wakestate.verify serve --word alexa --port 8080",
    )
    _add_served(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=_port, default=8080, help="0: any that is free (default: 8080)"
    )
    serve.add_argument(
        "--keys", type=Path, metavar="FILE", help="keys that may ask, one a line; else those in "
        "$WAKESTATE_KEYS, with commas between. Needed on every address but this computer's own",
    )  # fmt: skip
    serve.add_argument(
        "--streams", type=_positive, default=200,
        help="uploads at a time; more are told 429 (default: 200)",
    )  # fmt: skip
    serve.add_argument(
        "--seconds", type=_seconds, default=15.0, help="of sound in an upload (default: 15)"
    )
    serve.add_argument(
        "--patience", type=_seconds, default=5.0, metavar="SECONDS",
        help="an upload may fall so far behind real time (default: 5)",
    )  # fmt: skip
    serve.add_argument(
        "--batch", type=_positive, default=8,
        help="utterances that go through the network together, at most (default: 8)",
    )  # fmt: skip
    serve.add_argument("--access-log", action="store_true", help="a line for each request")

    demo = commands.add_parser(
        "demo",
        help="device, gateway and service on this computer, side by side",
        description="Starts the service, lets a device hear the sound, and shows each wake with "
        "the second look beside it. `make demo-two-stage` builds what it needs first.",
    )
    _add_served(demo)
    demo.add_argument("--board", required=True, help="an emulated board, or host")
    demo.add_argument(
        "--program", type=Path, required=True, help="its device.elf; the host's wake-emulator"
    )
    demo.add_argument("audio", nargs="+", help="WAV files, 16 kHz")

    bench = commands.add_parser(
        "bench-service",
        help="how long after the sound's end the service answers",
        description="Uploads sound in real time, many streams at once, and tells percentiles of "
        "the time from the sound's end to the answer. Without --url it starts a service itself.",
    )
    _add_served(bench)
    bench.add_argument("--url", help="a service that runs: http://HOST:PORT")
    bench.add_argument("--key-file", type=Path, metavar="FILE", help="its first line is the key")
    bench.add_argument("--streams", type=_positive, default=50)
    bench.add_argument("--rounds", type=_positive, default=10, help="uploads of each stream")
    bench.add_argument("--piece-ms", type=_positive, default=50, help="of sound in each chunk")
    bench.add_argument("--together", action="store_true", help="all end at the same time")
    bench.add_argument("--seed", type=int, default=1)
    bench.add_argument("--audio", type=Path, help="WAV (default: models/WORD/sample.wav)")

    fit = commands.add_parser(
        "train",
        help="train a network of the second look; goes on after a kill",
        description="Mixes scenes as for the first network and lets the compiled device hear them; "
        "learns from its wakes at a low threshold. Writes RUN/verifier: verifier.json and "
        "verifier.npz. dnn-hmm is what the networks are compared with; it is not served.",
    )
    _add_data(fit)
    _add_model(fit)
    _add_cuts(fit, "runs/verify/WORD-wakes-AMOUNT")
    fit.add_argument("--run", type=Path, help="run folder (default: runs/verify/WORD)")
    fit.add_argument("--kind", choices=_KINDS, default="cra",
                     help="network, by verify/learning/networks.py (default: cra)")  # fmt: skip
    fit.add_argument("--cuts", choices=("aligned", "misaligned"), default="misaligned",
                     help="at the start told, or off by 0.5 s (default: misaligned)")  # fmt: skip
    fit.add_argument("--seed", type=int, default=1)
    fit.add_argument("--epochs", type=_positive, default=30)
    fit.add_argument("--batches", type=_positive, default=400, help="of an epoch (default: 400)")

    anew = commands.add_parser(
        "limits",
        help="fit a trained network to another first one, or to its new thresholds",
        description="Lets the compiled device hear scenes of held-out voices and sets in "
        "VERIFIER/verifier.json what its wakes decide, as `train` does in the end: thresholds of "
        "the first of two looks, what that look weighs, and limits. The network stays as it is.",
    )
    _add_data(anew)
    _add_model(anew)
    _add_verifier(anew)
    _add_cuts(anew, "runs/verify/WORD-held-AMOUNT-DEVICE")

    whole = commands.add_parser(
        "measure",
        help="misses and false accepts with and without the second look",
        description="Streams a split through the compiled first network, as it ships and at "
        "the lower thresholds of the verifier's folder; asks the verifier about each wake of "
        "these.",
    )
    _add_data(whole)
    _add_model(whole)
    _add_verifier(whole)
    whole.add_argument("--split", default="dev", help="default: dev")
    whole.add_argument("--out", type=Path, help="JSON (default: build/WORD/verify.json)")

    table = commands.add_parser(
        "compare",
        help="networks of the second look and the DNN-HMM, at equal misses",
        description="Lets the compiled device hear a split at a low threshold, asks every run in "
        "FOLDER about each wake, cut as told and cut up to 0.5 s off, and counts the false accepts "
        "that are left where as many words are rejected. Intervals: bootstrap over speakers.",
    )
    _add_data(table)
    table.add_argument("folder", type=Path, help="with the runs of `train`")
    table.add_argument("--split", default="dev", help="default: dev")
    table.add_argument("--rate", type=float, default=20.0, metavar="FA/H",
                       help="of the first look, in each condition (default: 20)")  # fmt: skip
    table.add_argument("--out", type=Path, help="JSON (default: FOLDER/compare.json)")

    fuzzing = commands.add_parser(
        "fuzz",
        help="frames over a bad line: none wrong accepted, none whole refused",
        description="Writes frames, damages the stream and reads it again. Ends with 1 when a "
        "frame was accepted that is not as it was sent, or one that came whole was not.",
    )
    fuzzing.add_argument("--frames", type=_positive, default=100_000)
    fuzzing.add_argument("--seed", type=int, default=1)
    fuzzing.add_argument(
        "--codec", choices=["c", "python"], default="c",
        help="the firmware's, compiled here (default), or the one in Python, which is slower",
    )  # fmt: skip
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 1 or more")
    return number


def _amount(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: over 0, up to 100")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0 to 65535")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 60:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0 to 60")
    return number


def _add_served(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--word", default="alexa", help="words/WORD.toml (default: alexa)")
    _add_model(parser)
    _add_verifier(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="FOLDER",
                        help="the first network (default: models/WORD)")  # fmt: skip


def _add_verifier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verifier", type=Path, metavar="FOLDER", help="default: verifier in that of --model"
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--word", default="alexa", help="words/WORD.toml (default: alexa)")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--library", type=Path, help="default: build/host/WORD/libwakestate.so")


def _add_cuts(parser: argparse.ArgumentParser, where: str) -> None:
    parser.add_argument("--also", type=Path, action="append", default=[], metavar="FOLDER",
                        help="more data folders, whose train split is taken as well")  # fmt: skip
    parser.add_argument("--wakes", type=Path, metavar="FOLDER", help="what the device woke on, "
                        f"made once for all runs (default: {where})")  # fmt: skip
    parser.add_argument("--amount", type=_amount, default=1.0,
                        help="of 84,000 scenes, 12,000 of them held out (default: 1)")  # fmt: skip
