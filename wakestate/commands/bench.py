# SPDX-License-Identifier: Apache-2.0
"""What a word costs on every core, and against the baseline."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile
from wakestate.tables import Printed

if TYPE_CHECKING:
    from wakestate.bench.measure import Subject
    from wakestate.bench.rows import Report

_COUNTED = "`make bench`"
_COUNTS = "bench.json"
_ACCEPT = "`wakestate bench accept` accepts it"
_out = click.option(
    "--out",
    type=options.FOLDER,
    default="build",
    show_default=True,
    metavar="FOLDER",
    help="Where counts are: FOLDER/bench.json.",
)
_baseline = click.option(
    "--baseline",
    type=options.FILE,
    default="bench/baseline.json",
    show_default=True,
    metavar="FILE",
)


@click.group()
def bench() -> None:
    """Costs, counted in QEMU: run, diff, accept."""


def _subject(word: WordFile, model: Path | None) -> Subject:
    from wakestate.bench.measure import Subject

    return Subject(word.name, word.path, model or word.model)


@bench.command(epilog="Example: wakestate bench run --word alexa --board mps2-an386")
@options.word
@options.model
@click.option(
    "--board",
    "boards",
    type=options.BOARD,
    multiple=True,
    metavar="NAME",
    help="May be repeated.  [default: all that QEMU counts]",
)
@click.option(
    "--peers",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Folder of .tflite files to compile and count.",
)
@_out
@options.table
def run(
    word: WordFile, model: Path | None, boards: Sequence[str], peers: Path | None, out: Path
) -> Printed:
    """Build, count, and print the tables."""
    from wakestate.bench import measure, table
    from wakestate.bench.rows import merge, write_report
    from wakestate.boards.schema import load_board

    subject = _subject(word, model)
    models = measure.peers(peers) if peers and peers.is_dir() else []
    if peers and not models:
        print(f"{peers}: no models there; only {word.name} is counted", file=sys.stderr)
    jobs: list[tuple[str, measure.Subject | measure.Model]] = []
    for board in boards or measure.counting_boards():
        subjects: list[measure.Subject | measure.Model] = [subject, *models]
        # The price of weights as int16, and what it buys, on the core that is sold most.
        if load_board(board).core == "cortex-m4":
            subjects += [replace(one, wide=True) for one in subjects]
        jobs += [(board, one) for one in subjects]
    report: Report | None = None
    with options.progress(len(jobs), "count") as bar:
        for board, one in jobs:
            report = merge(report, measure.measure(one, board))
            bar.update(1)
    assert report is not None  # there is a board, or an error before
    write_report(out / _COUNTS, report)
    return table.printed(report)


@bench.command(epilog="Example: wakestate bench diff")
@_out
@_baseline
@options.table
def diff(out: Path, baseline: Path) -> Printed:
    """Fail if a count is worse than the baseline."""
    from wakestate.bench.rows import compare, read_report

    counted = read_report(out / _COUNTS, made_by=_COUNTED.strip("`"))
    found = compare(
        read_report(baseline, made_by="wakestate bench accept"), counted, update=_ACCEPT
    )
    worse = [difference for difference in found if difference.regression]
    for difference in worse:
        print(difference.text, file=sys.stderr)
    against = f"against {baseline}, {len(counted.measured)} cores"
    lines = [difference.text for difference in found if not difference.regression]
    if worse:
        print(f"{len(worse)} worse {against}; if meant, {_ACCEPT}", file=sys.stderr)
    else:
        lines.append(f"no regression {against}" + ("" if found else ": nothing changed"))
    return Printed("\n".join(lines), [one.model_dump() for one in found], 1 if worse else 0)


@bench.command(epilog="Example: wakestate bench accept")
@_out
@_baseline
@click.option(
    "--page",
    type=options.FILE,
    default="docs/performance.md",
    show_default=True,
    metavar="FILE",
    help="Page whose tables are written again.",
)
def accept(out: Path, baseline: Path, page: Path) -> None:
    """Make what was counted the baseline, and write the tables of a page."""
    from wakestate.bench import table
    from wakestate.bench.rows import merge, read_report, write_report

    counted = read_report(out / _COUNTS, made_by=_COUNTED.strip("`"))
    report = merge(read_report(baseline, made_by="") if baseline.exists() else None, counted)
    write_report(baseline, report)
    print(f"{baseline}: {len(counted.rows)} rows of {len(counted.measured)} cores written")
    if page.exists():
        table.fill(page, report)
        print(f"{page}: tables written")


@bench.command(epilog="Example: wakestate bench host --word alexa --hours 0.1")
@options.word
@click.option(
    "--program",
    type=options.FILE,
    metavar="FILE",
    help="A built emulator.  [default: built here]",
)
@options.data
@click.option(
    "--hours", type=float, default=0.1, show_default=True, help="Of audio; and ten times as many."
)
@options.table
def host(word: WordFile, program: Path | None, data: Path | None, hours: float) -> Printed:
    """Speed and memory of the host emulator.

    Times real time, on a data folder or the samples."""
    from wakestate.bench import host as timed
    from wakestate.commands.program import Programs

    programs = Programs("host", [word])
    if program is None:
        programs.build("emulator")
    sounds = timed.recordings(data, [Path(sample) for sample in word.samples])
    return timed.table(program or programs.emulator, sounds, hours)


@bench.command(epilog="Example: wakestate bench model kws.tflite --board mps2-an386")
@click.argument("tflite", type=options.FILE)
@options.board
@click.option("--stream", is_flag=True, help="Run it column by column.")
@options.table
def model(tflite: Path, board: str, stream: bool) -> Printed:
    """Compile one .tflite and count it."""
    return count_model(tflite, board, stream)


def count_model(tflite: Path, board: str, stream: bool) -> Printed:
    """What a .tflite costs on a board."""
    from wakestate.bench import table
    from wakestate.bench.measure import Model, measure

    return table.printed(measure(Model(tflite, stream), board))


@bench.command(epilog="Example: wakestate bench size --word alexa --board mps2-an386")
@options.word
@options.model
@options.board
@options.table
def size(word: WordFile, model: Path | None, board: str) -> Printed:
    """Flash, RAM and stack of the smallest image, by object."""
    from wakestate.bench import table
    from wakestate.bench.measure import build_image
    from wakestate.boards.schema import load_board

    facts = load_board(board)
    return table.sizes(build_image(_subject(word, model), facts), word.name, facts)


@bench.command(
    epilog="Example: wakestate bench stack --board mps2-an386 "
    "--elf build/mps2-an386/alexa/image.elf ws_push"
)
@options.board
@click.option(
    "--elf",
    type=options.FILE,
    required=True,
    metavar="FILE",
    help="The image, with ELF.map and .su files next to it.",
)
@click.argument("entries", nargs=-1, required=True, metavar="FUNCTION...")
@options.table
def stack(board: str, elf: Path, entries: Sequence[str]) -> Printed:
    """The worst stack of functions in an image.

    What calls them is not counted."""
    from wakestate.bench.stack import POINTED, Stack
    from wakestate.boards.schema import load_board

    image = Stack(elf, load_board(board).prefix, POINTED)
    found = {entry: image.worst(entry) for entry in entries}
    return Printed(
        "\n".join(f"{name}: {w.bytes:,} bytes of stack: {w}" for name, w in found.items()),
        [{"function": name, "bytes": w.bytes, "calls": str(w)} for name, w in found.items()],
    )
