"""python -m verify: what a device sends after a wake, on the server's side."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from boards.schema import BoardError
from boards.serial import open_port
from verify import fuzz
from verify.gateway import Folder, Gateway, GatewayError
from verify.native import NativeError

BAUD = 1_000_000
TICK_S = 0.5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    gateway = commands.add_parser(
        "gateway",
        help="take the utterances from a device, or from a file, into a folder",
        description="Switches the uplink of a device on and keeps the sound of each wake as "
        "OUT/NUMBER-WORD.wav, with what the device said of it in a .json beside. A file is what "
        "the emulator's --uplink wrote, or what was recorded from a port; - is stdin.",
        epilog="Example: build/host/alexa/wake-emulator --uplink - x.wav | "
        "python -m verify gateway --from - --out utterances",
    )
    gateway.add_argument("--from", dest="source", required=True, metavar="PORT|FILE|-")
    gateway.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    gateway.add_argument(
        "--follow", type=_seconds, default=2.0, metavar="SECONDS",
        help="after the word's end, then the device is told to stop (default: 2)",
    )  # fmt: skip
    gateway.add_argument("--baud", type=int, default=BAUD, help=f"of a port (default: {BAUD})")
    gateway.add_argument("--quiet", action="store_true", help="do not show the device's lines")

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


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 60:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0 to 60")
    return number


def _fuzz(args: argparse.Namespace) -> int:
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


def _gateway(args: argparse.Namespace) -> int:
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def quiet(text: str) -> None:
        pass

    lines = quiet if args.quiet else say
    with _opened(args.source, args.baud) as (file, port):
        sink = Folder(args.out, args.follow if port else None, say)
        reply = (lambda data: _write(file, args.source, data)) if port else None
        gateway = Gateway(sink, reply, lines)
        try:
            gateway.open()
            _pass_on(file, args.source, gateway)
        finally:
            gateway.close()
    reader = gateway.reader
    if reader.damaged or reader.lost:
        say(f"{args.source}: {reader.damaged} frames damaged, {reader.lost} missing")
    if gateway.utterances == 0:
        say(f"{args.source}: no utterance in it")
    return 0


@contextlib.contextmanager
def _opened(source: str, baud: int) -> Iterator[tuple[int, bool]]:
    """The file descriptor, and whether it is a port."""
    if source == "-":
        yield sys.stdin.fileno(), False
        return
    try:
        port = stat.S_ISCHR(Path(source).stat().st_mode)
        file = open_port(source, baud) if port else os.open(source, os.O_RDONLY)
    except OSError as error:
        raise GatewayError(f"{source}: cannot be opened: {error.strerror}") from None
    try:
        yield file, port
    finally:
        os.close(file)


def _write(file: int, source: str, data: bytes) -> None:
    try:
        os.write(file, data)
    except OSError as error:
        raise GatewayError(f"{source}: lost: {error.strerror}; plug it in again") from None


def _pass_on(file: int, source: str, gateway: Gateway) -> None:
    """Until the source ends."""
    ticked = time.monotonic()
    while True:
        ready, _, _ = select.select([file], [], [], TICK_S)
        if time.monotonic() - ticked >= TICK_S:
            ticked = time.monotonic()
            gateway.tick()
        if not ready:
            continue
        try:
            data = os.read(file, 65536)
        except OSError as error:
            raise GatewayError(f"{source}: lost: {error.strerror}; plug it in again") from None
        if not data:
            return
        gateway.feed(data)


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        return _fuzz(args) if args.command == "fuzz" else _gateway(args)
    except (GatewayError, NativeError, BoardError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
