"""python -m wakestate.verify: the gateway that takes wakes, the service that verifies."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from wakestate import ROOT
from wakestate.boards.schema import BoardError, load_board
from wakestate.verify.gateway.gateway import GatewayError, Sensitivity
from wakestate.verify.gateway.posting import Service, load_key
from wakestate.verify.gateway.taking import Taken, take
from wakestate.verify.options import parser
from wakestate.words import Word, WordError, load_word
from wakestate.words.files import FileError

CACHE = Path("build/cache")


def _fuzz(args: argparse.Namespace) -> int:
    from wakestate.verify.gateway import fuzz

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == args.frames else ""
            print(f"\r{done} of {args.frames} frames", end=end, file=sys.stderr, flush=True)

    counts = fuzz.fuzz(args.frames, args.seed, args.codec, progress)
    untouched = counts.sent - counts.touched
    print(f"sent                  {counts.sent:10} frames, {counts.sent_bytes} bytes")
    print(f"touched by damage     {counts.touched:10}")
    print(f"  accepted, as sent   {counts.accepted_touched:10}")
    print(f"came whole            {untouched:10}")
    print(f"  accepted            {counts.accepted - counts.accepted_touched:10}")
    print(f"  NOT accepted        {counts.whole_not_accepted:10}")
    print(f"refused pieces        {counts.refused:10}, which began as a frame")
    print(f"WRONG accepted        {counts.wrong:10}")
    return 0 if counts.good else 1


@contextlib.contextmanager
def _learning(args: argparse.Namespace) -> Iterator[tuple[Word, Path]]:
    """The word and its compiled device; what training says is wrong becomes one line."""
    from wakestate.train.data.corpus import DataError  # the extra `train`
    from wakestate.train.evaluation.device import DeviceError

    word = load_word(ROOT / "words" / f"{args.word}.toml")
    try:
        yield word, args.library or Path("build/host") / args.word / "libwakestate.so"
    except (DataError, DeviceError) as error:
        raise GatewayError(str(error)) from None


def _train(args: argparse.Namespace) -> int:
    with _learning(args) as (word, library):
        from wakestate.verify.learning.examples import Amounts
        from wakestate.verify.learning.fit import train
        from wakestate.verify.learning.fitter import Recipe

        recipe = Recipe(args.kind, args.cuts, args.seed, args.epochs, args.batches)
        run = args.run or Path("runs/verify") / word.name
        wakes = args.wakes or Path("runs/verify") / f"{word.name}-wakes-{args.amount:g}"
        amounts = Amounts().times(args.amount)
        print(train(word, args.data, args.also, CACHE, library, _model(args), wakes, run, recipe,
                    amounts))  # fmt: skip
    return 0


def _limits(args: argparse.Namespace) -> int:
    with _learning(args) as (word, library):
        from wakestate.train.evaluation.device import library_hash
        from wakestate.verify.learning.examples import Amounts
        from wakestate.verify.learning.thresholds import decide_anew

        kept = f"{word.name}-held-{args.amount:g}-{library_hash(library)[:8]}"
        wakes = args.wakes or Path("runs/verify") / kept
        decide_anew(word, args.data, args.also, CACHE, library, _model(args), wakes, _folder(args),
                    Amounts().times(args.amount))  # fmt: skip
        print(_folder(args))
    return 0


def _compare(args: argparse.Namespace) -> int:
    with _learning(args) as (word, library):
        from wakestate.verify.learning.compare import compare

        out = args.out or args.folder / "compare.json"
        print(compare(word, args.data, args.split, CACHE, library, args.folder, args.rate, out))
    return 0


def _measure(args: argparse.Namespace) -> int:
    with _learning(args) as (word, library):
        from wakestate.verify.learning.measure import System, measure
        from wakestate.verify.service.detector import SecondLook

        verifier = SecondLook.load(_folder(args), word, _model(args))
        system = System(word, library, verifier, args.data, args.split, CACHE)
        print(measure(system, args.out or Path("build") / word.name / "verify.json"))
    return 0


def _gateway(args: argparse.Namespace) -> int:
    if args.out is None and args.post is None:
        raise GatewayError("nowhere to take the utterances: give --post URL, --out FOLDER, or both")
    if args.key_file is not None and args.post is None:
        raise GatewayError(f"--key-file {args.key_file}: for which service? give --post URL")
    twice = [source for source, count in Counter(args.sources).items() if count > 1]
    if twice:
        raise GatewayError(f"--from {twice[0]}: given twice; name each device once")
    key = load_key(args.key_file) if args.key_file else None
    service = Service(args.post, key) if args.post is not None else None
    first = _sensitivity(args) if args.first_of_two else None
    return take(Taken(args.sources, args.baud, args.out, args.follow, service, args.quiet, first))


def _sensitivity(args: argparse.Namespace) -> Sensitivity:
    from wakestate.verify.service.detector import sensitivity

    word = load_word(ROOT / "words" / f"{args.word}.toml")
    return sensitivity(word, _model(args), _folder(args))


def _serve(args: argparse.Namespace) -> int:
    from wakestate.verify.service.api import (
        Settings,  # the extra `serve`, which the gateway does without
    )
    from wakestate.verify.service.serving import load_keys, load_verifier, serve

    word = load_word(ROOT / "words" / f"{args.word}.toml")
    settings = Settings(
        word,
        keys=load_keys(args.keys),
        streams=args.streams,
        seconds=args.seconds,
        patience_s=args.patience,
        batch=args.batch,
    )
    verifier = load_verifier(word, _folder(args), _model(args))
    serve(verifier, settings, args.host, args.port, access_log=args.access_log)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from wakestate.verify.gateway.demo import demo

    service = _own_service(args)
    return demo(load_board(args.board), args.program, args.audio, service, _sensitivity(args))


def _bench(args: argparse.Namespace) -> int:
    import asyncio

    from wakestate.verify.service import bench
    from wakestate.verify.service.child import running

    word = load_word(ROOT / "words" / f"{args.word}.toml")
    key = load_key(args.key_file) if args.key_file else None
    load = bench.Load(args.streams, args.rounds, args.piece_ms / 1000, args.together, args.seed)
    audio = args.audio or ROOT / "models" / args.word / "sample.wav"
    pieces = bench.sounds(audio, word, 4 * args.streams, args.seed)

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            total = args.streams * args.rounds
            print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        url = args.url or stack.enter_context(running(_own_service(args)))
        outcomes = asyncio.run(bench.run(url, word, key, load, pieces, progress))
    how = "all together" if args.together else "begun at random"
    print(f"{args.streams} streams, {how}, {args.rounds} uploads each, {args.piece_ms} ms a chunk")
    print(bench.report(outcomes))
    return 1 if any(outcome.problem for outcome in outcomes) else 0


def _model(args: argparse.Namespace) -> Path:
    return args.model or Path("models") / args.word


def _folder(args: argparse.Namespace) -> Path:
    return args.verifier or _model(args) / "verifier"


def _own_service(args: argparse.Namespace) -> list[str]:
    """What starts it; GatewayError, in one line, where there is nothing to serve."""
    from wakestate.verify.service.child import call
    from wakestate.verify.service.serving import missing

    problem = missing(args.word, _folder(args))
    if problem:
        raise GatewayError(problem)
    return call(args.word, "--model", str(_model(args)), "--verifier", str(_folder(args)))


_COMMANDS = {
    "gateway": _gateway,
    "serve": _serve,
    "demo": _demo,
    "bench-service": _bench,
    "train": _train,
    "limits": _limits,
    "measure": _measure,
    "compare": _compare,
    "fuzz": _fuzz,
}
_SERVE = ("fastapi", "uvicorn", "prometheus_client", "httptools", "starlette", "threadpoolctl")


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        return _COMMANDS[args.command](args)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _SERVE:
            raise
        print(f"{error.name} is not installed: pip install -e '.[serve]'", file=sys.stderr)
        return 2
    except (GatewayError, BoardError, FileError, WordError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
