"""python -m boards: what boards there are, what is generated from them, and running on them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from boards import decode, generate, run, timeline
from boards.schema import Board, BoardError, board_names, load_board


def _build(text: str) -> tuple[Board, Path]:
    name, separator, program = text.partition("=")
    if not separator:
        raise BoardError(f"'{text}': given without '='; allowed: BOARD=PROGRAM")
    return load_board(name), Path(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m boards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    commands.add_parser("list", help="the names of all boards")
    commands.add_parser("check", help="check every board.toml")

    generate_parser = commands.add_parser("generate", help="linker script and make variables")
    generate_parser.add_argument("board")
    generate_parser.add_argument("--out", type=Path, help="default: build/boards/BOARD")

    docs_parser = commands.add_parser("docs", help="write docs/boards.md")
    docs_parser.add_argument("--out", type=Path, default=Path("docs/boards.md"))

    qemu_parser = commands.add_parser("qemu", help="run a program built for a board")
    qemu_parser.add_argument("--board", required=True)
    qemu_parser.add_argument("--elf", type=Path, required=True)
    qemu_parser.add_argument("arguments", nargs=argparse.REMAINDER, help="-- ARGUMENTS")

    decode_parser = commands.add_parser("decode", help="any recording to a 16-bit WAV")
    decode_parser.add_argument("audio", type=Path)
    decode_parser.add_argument("--out", type=Path, required=True)

    timeline_parser = commands.add_parser("timeline", help="builds side by side on one recording")
    timeline_parser.add_argument("--state")
    timeline_parser.add_argument(
        "--build", action="append", required=True, metavar="BOARD=PROGRAM", help="may be repeated"
    )
    timeline_parser.add_argument("audio", nargs="+")
    return parser


def main(arguments: list[str] | None = None) -> int:
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
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(generate.table(), encoding="utf-8")
        elif args.command == "qemu":
            rest = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
            return run.run(load_board(args.board), args.elf, rest)
        elif args.command == "decode":
            decode.decode(args.audio, args.out)
        else:
            builds = [_build(text) for text in args.build]
            return timeline.show(builds, args.audio, args.state)
    except BoardError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
