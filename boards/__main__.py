"""python -m wakestate.boards: boards, what is generated from them, and running on them."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

from wakestate.boards import budget, flash, generate, new, pages, pdm, run, sound, timeline
from wakestate.boards.schema import Board, BoardError, board_names, load_board
from wakestate.words.explain import one_line
from wakestate.words.files import FileError, write_whole


def _build(text: str) -> tuple[Board, Path]:
    name, separator, program = text.partition("=")
    if not separator:
        raise BoardError(f"'{text}': given without '='; allowed: BOARD=PROGRAM")
    return load_board(name), Path(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wakestate.boards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    commands.add_parser("list", help="the names of all boards")
    commands.add_parser("check", help="check every board.toml")

    generate_parser = commands.add_parser("generate", help="linker script and make variables")
    generate_parser.add_argument("board")
    generate_parser.add_argument("--out", type=Path, help="default: build/boards/BOARD")

    docs_parser = commands.add_parser("docs", help="write docs/boards.md and docs/boards/")
    docs_parser.add_argument("--out", type=Path, default=Path("docs"))

    qemu_parser = commands.add_parser("qemu", help="run a program built for a board")
    qemu_parser.add_argument("--board", required=True)
    qemu_parser.add_argument("--elf", type=Path, required=True)
    qemu_parser.add_argument("arguments", nargs=argparse.REMAINDER, help="-- ARGUMENTS")

    plain_parser = commands.add_parser(
        "plain", help="fail where a file is there and must be decoded"
    )
    plain_parser.add_argument("audio")

    hear_parser = commands.add_parser(
        "hear", help="the emulator, built for a board, on any recording; decodes it where it must"
    )
    hear_parser.add_argument("--board", required=True)
    hear_parser.add_argument("--program", type=Path, required=True)
    hear_parser.add_argument("--state")
    hear_parser.add_argument("--scores", action="store_true")
    hear_parser.add_argument("audio")

    new_parser = commands.add_parser("new", help="a board like another, that builds")
    new_parser.add_argument("name")
    new_parser.add_argument("--like", required=True, metavar="BOARD")

    budget_parser = commands.add_parser("budget", help="what an image takes, against the budget")
    budget_parser.add_argument("--board", required=True)
    budget_parser.add_argument("elf", type=Path)

    commands.add_parser("pdm", help="print the taps of firmware/programs/device/pdm.c")

    commands.add_parser("udev", help="rules that let every user have the boards' USB devices")
    plugged_parser = commands.add_parser("plugged", help="fail, with a line, when it is not there")
    plugged_parser.add_argument("--board", required=True)
    plugged_parser.add_argument("--to", choices=["flash", "monitor", "debug"], default="flash")
    plugged_parser.add_argument("--port", help="serial port, as /dev/ttyACM0")
    for name, text in (
        ("flash", "load a program and start it"),
        ("monitor", "the serial port on this terminal"),
        ("debug", "gdb, with the program loaded"),
    ):
        on_board = commands.add_parser(name, help=text)
        on_board.add_argument("--board", required=True)
        on_board.add_argument("--elf", type=Path, required=True)
        on_board.add_argument("--port", help="serial port, as /dev/ttyACM0")
        on_board.add_argument("audio", nargs="?", help="a WAV that an emulated board hears")

    timeline_parser = commands.add_parser("timeline", help="builds side by side on one recording")
    timeline_parser.add_argument("--state")
    timeline_parser.add_argument(
        "--build", action="append", required=True, metavar="BOARD=PROGRAM", help="may be repeated"
    )
    timeline_parser.add_argument("audio", nargs="+")
    return parser


def _on_board(args: argparse.Namespace) -> int:
    with sound.plain_wav(args.audio) if args.audio else nullcontext() as path:
        return _on_board_hearing(args, [path] if path else [])


def _on_board_hearing(args: argparse.Namespace, audio: list[str]) -> int:
    board = load_board(args.board)
    if args.command == "flash":
        return flash.flash(board, args.elf, audio, args.port)
    if args.command == "monitor":
        return flash.monitor(board, args.elf, audio, args.port)
    return flash.debug(board, args.elf, audio)


def _hear(args: argparse.Namespace) -> int:
    options = ["--state", args.state] if args.state is not None else []
    options += ["--scores"] if args.scores else []
    try:
        return sound.hear(load_board(args.board), args.program, options, args.audio)
    except sound.SoundError as error:
        print(one_line(str(error)), file=sys.stderr)
        return 1


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what cannot be done is one line on stderr and status 2."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # temporary files go, too
    args = _parser().parse_args(arguments)
    try:
        if args.command == "list":
            print("\n".join(board_names()))
        elif args.command == "check":
            for name in board_names():
                load_board(name)
        elif args.command == "generate":
            generate.generate(args.board, args.out or Path("build/boards") / args.board)
        elif args.command == "docs":
            for name, text in pages.pages().items():
                write_whole(args.out / name, text)
        elif args.command == "qemu":
            rest = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
            return run.run(load_board(args.board), args.elf, rest)
        elif args.command == "new":
            print(new.new_board(args.name, args.like))
        elif args.command == "budget":
            print(budget.within(load_board(args.board), args.elf))
        elif args.command == "pdm":
            print(pdm.table(), end="")
        elif args.command == "udev":
            print(flash.udev_rules(), end="")
        elif args.command == "plugged":
            flash.check(load_board(args.board), args.to, args.port)
        elif args.command in ("flash", "monitor", "debug"):
            return _on_board(args)
        elif args.command == "plain":
            return 0 if sound.is_plain(args.audio) or not Path(args.audio).is_file() else 1
        elif args.command == "hear":
            return _hear(args)
        else:
            builds = [_build(text) for text in args.build]
            return timeline.show(builds, args.audio, args.state)
    except (BoardError, FileError) as error:
        print("\n".join(map(one_line, str(error).split("\n"))), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
