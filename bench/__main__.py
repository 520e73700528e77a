"""python -m wakestate.bench: what a word costs on every core, and against the baseline."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from wakestate.bench import host, table
from wakestate.bench.measure import Model, Subject, build_image, counting_boards, measure, peers
from wakestate.bench.rows import BenchError, Report, compare, merge, read_report, write_report
from wakestate.bench.stack import POINTED, Stack
from wakestate.boards.schema import BoardError, load_board
from wakestate.words.files import FileError

BASELINE = Path("bench/baseline.json")
OUT = Path("build/bench.json")
PAGE = Path("docs/performance.md")
MAKE_BASELINE = "`make bench-baseline` accepts it"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wakestate.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="build, count, and print the tables")
    run.add_argument("--board", action="append", help="may be repeated; default: all that can")
    run.add_argument("--peers", type=Path, help="a folder of .tflite files to compile and count")

    model = commands.add_parser("model", help="compile one .tflite and count it")
    model.add_argument("--tflite", type=Path, required=True)
    model.add_argument("--board", required=True)
    model.add_argument("--stream", action="store_true", help="column by column")

    size = commands.add_parser("size", help="flash, RAM and stack of the least image, by object")
    size.add_argument("--board", required=True)
    for command in (run, size):
        command.add_argument("--word", default="alexa")
        command.add_argument("--wordfile", type=Path, help="default: words/WORD.toml")
        command.add_argument("--model", type=Path, help="default: models/WORD")

    stack = commands.add_parser("stack", help="the worst stack of a function in a linked image")
    stack.add_argument("--board", required=True, help="whose compiler made it")
    stack.add_argument("--elf", type=Path, required=True, help="with ELF.map and .su files")
    stack.add_argument("entry", nargs="+", help="as ws_push; what calls it is not counted")

    host_run = commands.add_parser("host", help="time the host emulator; a ratio, and memory")
    host_run.add_argument("--word", default="alexa")
    host_run.add_argument("--program", type=Path, help="default: build/host/WORD/wake-emulator")
    host_run.add_argument("--data", type=Path, help="recordings to hear; default: the samples")
    host_run.add_argument("--hours", type=float, default=0.1, help="and ten times as many")

    diff = commands.add_parser(
        "diff", help="fail where what was counted is worse than the baseline"
    )
    accept = commands.add_parser("accept", help="make what was counted the baseline")
    accept.add_argument("--page", type=Path, default=PAGE, help="its tables are made anew")
    for command in (run, diff, accept):
        command.add_argument("--out", type=Path, default=OUT, help=f"default: {OUT}")
        command.add_argument("--baseline", type=Path, default=BASELINE, help=str(BASELINE))
    return parser


def _subject(args: argparse.Namespace) -> Subject:
    wordfile = args.wordfile or Path("words") / f"{args.word}.toml"
    return Subject(args.word, wordfile, args.model or Path("models") / args.word)


def _run(args: argparse.Namespace) -> None:
    models = peers(args.peers) if args.peers and args.peers.is_dir() else []
    if args.peers and not models:
        print(f"{args.peers}: no models there; only {args.word} is counted", file=sys.stderr)
    report: Report | None = None
    for board in args.board or counting_boards():
        report = merge(report, measure(_subject(args), board))
        for peer in models:
            report = merge(report, measure(peer, board))
        # The price of weights as int16, and what it buys, on the core that is sold most.
        if load_board(board).core == "cortex-m4":
            report = merge(report, measure(replace(_subject(args), wide=True), board))
            for peer in models:
                report = merge(report, measure(replace(peer, wide=True), board))
    assert report is not None  # there is a board, or an error before
    write_report(args.out, report)
    print(table.text(report))


def _model(args: argparse.Namespace) -> None:
    print(table.text(measure(Model(args.tflite, args.stream), args.board)))


def _size(args: argparse.Namespace) -> None:
    board = load_board(args.board)
    print(table.sizes(build_image(_subject(args), board), args.word, board))


def _stack(args: argparse.Namespace) -> None:
    image = Stack(args.elf, load_board(args.board).prefix, POINTED)
    for entry in args.entry:
        worst = image.worst(entry)
        print(f"{entry}: {worst.bytes:,} bytes of stack: {worst}")


def _host(args: argparse.Namespace) -> None:
    samples = sorted((Path("models") / args.word).glob("sample*.wav"))
    program = args.program or Path("build/host") / args.word / "wake-emulator"
    print(host.table(program, host.recordings(args.data, samples), args.hours))


def _diff(args: argparse.Namespace) -> int:
    given = read_report(args.out, made_by="make bench")
    baseline = read_report(args.baseline, made_by="make bench-baseline")
    found = compare(baseline, given, update=MAKE_BASELINE)
    worse = [difference for difference in found if difference.regression]
    for difference in found:
        print(difference.text, file=sys.stderr if difference.regression else sys.stdout)
    against = f"against {args.baseline}, {len(given.measured)} cores"
    if worse:
        print(f"{len(worse)} worse {against}; if meant, {MAKE_BASELINE}", file=sys.stderr)
        return 1
    print(f"no regression {against}" + ("" if found else ": nothing changed"))
    return 0


def _accept(args: argparse.Namespace) -> None:
    given = read_report(args.out, made_by="make bench")
    old = read_report(args.baseline, made_by="") if args.baseline.exists() else None
    report = merge(old, given)
    write_report(args.baseline, report)
    print(f"{args.baseline}: {len(given.rows)} rows of {len(given.measured)} cores written")
    if args.page.exists():
        table.fill(args.page, report)
        print(f"{args.page}: tables made anew")


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        if args.command == "run":
            _run(args)
        elif args.command == "model":
            _model(args)
        elif args.command == "stack":
            _stack(args)
        elif args.command == "size":
            _size(args)
        elif args.command == "host":
            _host(args)
        elif args.command == "diff":
            return _diff(args)
        else:
            _accept(args)
    except (BenchError, BoardError, FileError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
