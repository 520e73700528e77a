# SPDX-License-Identifier: Apache-2.0
"""Boards, and what is generated from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from wakestate.commands import options
from wakestate.errors import UserError
from wakestate.tables import Printed


@click.group()
def board() -> None:
    """Boards: list, check, generate, and a new one."""


@board.command("list", epilog="Example: wakestate board list")
@options.table
def list_boards() -> Printed:
    """The names of all boards, with their cores."""
    from wakestate.boards.schema import board_names, load_board

    boards = [load_board(name) for name in board_names()]
    return Printed(
        "\n".join(
            f"{one.name:28} {one.core_title if one.kind != 'host' else 'this computer'}"
            for one in boards
        ),
        [{"name": one.name, "kind": one.kind, "core": one.core} for one in boards],
    )


@board.command(epilog="Example: wakestate board check")
def check() -> None:
    """Check every board.toml."""
    from wakestate.boards.schema import board_names, load_board

    for name in board_names():
        load_board(name)


@board.command(epilog="Example: wakestate board new mine --like b-l475e-iot01a")
@click.argument("name")
@click.option("--like", required=True, metavar="BOARD", help="The board to copy.")
def new(name: str, like: str) -> None:
    """Make boards/NAME from another board; it builds."""
    from wakestate import ROOT
    from wakestate.boards.new import new_board

    if not (ROOT / "pyproject.toml").is_file():
        raise UserError("boards are added to a checkout of the project: git clone it")
    print(new_board(name, like))


@board.command(epilog="Example: wakestate board generate mps2-an386")
@click.argument("name")
@options.out("build/boards/NAME")
def generate(name: str, out: Path | None) -> None:
    """Linker script, headers and make variables of a board."""
    from wakestate.boards.generate import generate as write

    write(name, out or Path("build/boards") / name)


@board.command(epilog="Example: wakestate board docs")
@options.out("docs")
def docs(out: Path | None) -> None:
    """Write docs/boards.md and docs/boards/."""
    from wakestate.boards import pages
    from wakestate.files import write_atomically

    for name, text in pages.pages().items():
        write_atomically((out or Path("docs")) / name, text)


@board.command(
    epilog="Example: wakestate board udev | sudo tee /etc/udev/rules.d/60-wakestate.rules"
)
def udev() -> None:
    """Rules that let every user open the boards' USB devices."""
    from wakestate.boards import flash

    print(flash.udev_rules(), end="")


@board.command(epilog="Example: wakestate board budget build/mps2-an386/alexa/device.elf")
@options.board
@click.argument("elf", type=options.FILE)
@options.table
def budget(board: str, elf: Path) -> Printed:
    """Flash and RAM of an image, against the board's budget."""
    from wakestate.boards.budget import within
    from wakestate.boards.schema import load_board

    return within(load_board(board), elf)


@board.command(epilog="Example: wakestate board connected --board b-l475e-iot01a")
@options.board
@click.option(
    "--to",
    type=click.Choice(["flash", "monitor", "debug"]),
    default="flash",
    show_default=True,
    help="The command that needs it.",
)
@click.option("--port", metavar="PORT", help="Serial port, as /dev/ttyACM0.")
def connected(board: str, to: str, port: str | None) -> None:
    """Fail with one line if a board is not plugged in."""
    from wakestate.boards import flash
    from wakestate.boards.schema import load_board

    flash.check(load_board(board), to, port)


@board.command(
    "run", epilog="Example: wakestate board run build/mps2-an386/alexa/wakestate.elf x.wav"
)
@options.board
@click.argument("elf", type=options.FILE)
@click.argument("arguments", nargs=-1)
def run_program(board: str, elf: Path, arguments: Sequence[str]) -> int:
    """Run a program built for a board in QEMU, with ARGUMENTS."""
    from wakestate.boards.run import run
    from wakestate.boards.schema import load_board

    return run(load_board(board), elf, arguments)


@board.command(epilog="Example: wakestate board pdm")
def pdm() -> None:
    """Print the filter taps of firmware/programs/device/pdm.c."""
    from wakestate.boards.pdm import table

    print(table(), end="")
