# SPDX-License-Identifier: Apache-2.0
"""The emulator in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile


@click.group()
def web() -> None:
    """The emulator in the browser: build, serve; and the docs: site."""


def module(words: Sequence[WordFile], model: Path | None) -> Path:
    """The engine with the words as a .wasm file, built below build/web. UserError."""
    from wakestate.commands.program import Programs
    from wakestate.web.module import build_module, check_tools
    from wakestate.web.site import MODULE

    check_tools()
    names = [word.name for word in words]
    Programs("host", words, model).build("awake")  # of models that something can wake
    folders = [Path("build/generated") / name / "plain" for name in names]
    lists = folders[0] if len(names) == 1 else Path("build/generated") / "_".join(names)
    out = Path("build/web") / "_".join(names) / MODULE
    build_module(names, folders, lists, out)
    return out


def built(words: Sequence[WordFile], model: Path | None, out: Path | None) -> Path:
    """The folder of the words' page: `out`, or one below build/web."""
    from wakestate.web.site import Shown, write_site

    made = module(words, model)
    out = out or made.parent
    shown = [Shown(word.load(), next(map(Path, word.samples), None)) for word in words]
    write_site(shown, made, out)
    return out


@web.command(epilog="Example: wakestate web build --word alexa --word computer --out site")
@options.words
@options.model
@options.out("build/web/WORDS")
def build(words: Sequence[WordFile], model: Path | None, out: Path | None) -> None:
    """Write the page as a folder of static files, for any web server."""
    print(built(words, model, out))


@web.command(epilog="Example: wakestate web site --word alexa --out public")
@options.words
@options.model
@click.option(
    "--report",
    "reports",
    type=options.FILE,
    multiple=True,
    metavar="FILE",
    help="A page of `wakestate report` to have in the site as well (may be repeated).",
)
@options.out("build/site")
@options.needs("site")
def site(
    words: Sequence[WordFile], model: Path | None, reports: tuple[Path, ...], out: Path | None
) -> None:
    """Write the docs as pages, with the emulator.

    Static files for any web server; they need a checkout of the project.
    """
    from wakestate.web.docs import EMULATOR, write_docs

    folder = out or Path("build/site")
    built(words, model, folder / EMULATOR)
    write_docs(folder, reports)
    print(folder)


@web.command(epilog="Example: wakestate web serve --word alexa --word computer")
@options.words
@options.model
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="0: any that is free.",
)
@click.option("--open/--no-open", "open_browser", default=True, help="Open the browser.")
def serve(words: Sequence[WordFile], model: Path | None, port: int, open_browser: bool) -> None:
    """Build the page, serve it to this computer, and open it."""
    from wakestate.web import server

    server.serve(built(words, model, None), port, open_browser)
