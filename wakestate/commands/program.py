# SPDX-License-Identifier: Apache-2.0
"""Programs of a word: built, emulated, flashed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile
from wakestate.errors import UserError
from wakestate.files import sha256, write_atomically
from wakestate.tables import Printed

_program = click.option(
    "--program",
    type=options.FILE,
    metavar="FILE",
    help="A built emulator.  [default: built here]",
)
_scores = click.option("--scores", is_flag=True, help="Print the score of each step as well.")
_elf = click.option(
    "--elf",
    type=options.FILE,
    metavar="FILE",
    help="A built image.  [default: built here]",
)
_port = click.option("--port", metavar="PORT", help="Serial port, as /dev/ttyACM0.")
_audio = click.argument("audio", required=False)


@dataclass(frozen=True)
class Programs:
    """What is built of words, the first with `model`, for a board."""

    board: str
    words: Sequence[WordFile]
    model: Path | None = None

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return Path("build") / self.board / "_".join(word.name for word in self.words)

    @property
    def emulator(self) -> Path:
        """The emulator."""
        return self.folder / ("wake-emulator" if self.board == "host" else "wakestate.elf")

    @property
    def device(self) -> Path:
        """The image with a microphone."""
        return self.folder / "device.elf"

    @property
    def library(self) -> Path:
        """For Python; of the host."""
        return self.folder / "libwakestate.so"

    def build(self, goal: str, *variables: str, then: Callable[[], None] = lambda: None) -> None:
        """Make a goal of firmware/build.mk, `then` call; messages go to stderr. UserError."""
        from wakestate.boards.building import build_verbosely, check_tools
        from wakestate.boards.schema import load_board

        check_tools(load_board(self.board))
        given = [f"BOARD={self.board}", f"WORD={' '.join(word.name for word in self.words)}"]
        for word, model in zip(self.words, [self.model, *[None] * len(self.words)], strict=False):
            model = model or word.model
            if not (model / "model.json").is_file():
                raise UserError(
                    f"{model / 'model.json'}: no such file; `wakestate train --word {word.path}` "
                    "makes a model"
                )
            if any(c.isspace() or c in "$#:%'\"" for path in (word.path, model) for c in str(path)):
                raise UserError(
                    f"{word.path}, {model}: make takes no blanks and signs in names; rename them"
                )
            given += [f"WORDFILE_{word.name}={word.path}", f"MODEL_{word.name}={model}"]
        build_verbosely("firmware/build.mk", goal, *given, *variables, then=then)


def built_library(word: WordFile, model: Path | None, given: Path | None) -> Path:
    """`--library`, or that of the model, built: a copy named by its hash, which stays as it is when
    another model of the word is built."""
    if given:
        return given
    programs = Programs("host", [word], model)
    copies: list[Path] = []

    def copy() -> None:
        name = f"libwakestate-{sha256(programs.library)[:16]}.so"
        copies.append(programs.library.with_name(name))
        write_atomically(copies[0], programs.library.read_bytes())

    programs.build("library", then=copy)
    return copies[0]


def _end_in_order() -> None:
    """On SIGTERM temporary files go, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@click.command(epilog="Example: wakestate run --board mps2-an385")
@options.words
@options.model
@options.board
@options.state
@click.argument("audio", nargs=-1)
def run(
    words: Sequence[WordFile],
    model: Path | None,
    board: str,
    state: str | None,
    audio: Sequence[str],
) -> int:
    """The sample, or AUDIO, on the host and in QEMU, side by side.

    Anything but a 16 kHz mono WAV is decoded first.
    """
    from wakestate.boards import sound, timeline
    from wakestate.boards.run import check_qemu
    from wakestate.boards.schema import load_board

    _need_qemu(board)
    audio = audio or [sample for word in words for sample in word.samples]
    if not audio:
        raise UserError(f"{words[0].name}: its model has no sample.wav; give a recording")
    check_qemu(load_board(board))
    both = [Programs(name, words, model) for name in ("host", board)]
    for programs in both:
        programs.build("emulator")
    with ExitStack() as stack:
        given = [stack.enter_context(sound.plain_wav(one)) for one in audio]
        return timeline.show([(load_board(p.board), p.emulator) for p in both], given, state)


def _need_qemu(board: str) -> None:
    if board == "host":
        raise click.UsageError(
            "--board host is this computer: take a board that QEMU has, or `wakestate emulate`"
        )


@click.command(epilog="Example: wakestate emulate --state player=music,volume=high kitchen.wav")
@options.words
@options.model
@options.state
@_scores
@_program
@_audio
def emulate(words: Sequence[WordFile], model: Path | None, **given: Any) -> int:
    """Process AUDIO, or the sample, in the host emulator.

    Anything but a 16 kHz mono WAV is decoded first.
    """
    return _emulate(Programs("host", words, model), **given)


@click.command(epilog="Example: wakestate qemu --board mps2-an385 --scores kitchen.wav")
@options.words
@options.model
@options.board
@options.state
@_scores
@_program
@_audio
def qemu(words: Sequence[WordFile], model: Path | None, board: str, **given: Any) -> int:
    """Process AUDIO, or the sample, in a board's firmware, in QEMU."""
    _need_qemu(board)
    return _emulate(Programs(board, words, model), **given)


def _emulate(
    programs: Programs, state: str | None, scores: bool, program: Path | None, audio: str | None
) -> int:
    from wakestate.boards import sound
    from wakestate.boards.run import check_qemu
    from wakestate.boards.schema import load_board

    _end_in_order()
    board = load_board(programs.board)
    if board.kind != "host":
        check_qemu(board)
    if program is None:
        programs.build("emulator")
    given = [*(["--state", state] if state is not None else []), *(["--scores"] if scores else [])]
    return sound.run_emulator(
        board, program or programs.emulator, given, audio or _sample(programs)
    )


def _sample(programs: Programs) -> str:
    samples = programs.words[0].samples
    if not samples:
        name = programs.words[0].name
        raise UserError(f"{name}: its model has no sample.wav; give a recording")
    return samples[0]


@click.command(epilog="Example: wakestate listen --word alexa --near 60 --out clips")
@options.words
@options.model
@options.state
@click.option(
    "--device", metavar="NAME|NUMBER", help="The microphone.  [default: that of the system]"
)
@click.option("--devices", is_flag=True, help="List the microphones, and exit.")
@click.option(
    "--sensitivity",
    "sensitivities",
    metavar="N",
    multiple=True,
    help='Offset, "N [WORD] [STATE]"; above 0 it wakes more easily.',
)
@click.option(
    "--near",
    type=options.POSITIVE,
    metavar="N",
    help="Show near misses as well: scores within N of the threshold.",
)
@click.option(
    "--out", type=options.FOLDER, metavar="FOLDER", help="Save clips there, for training."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after that many."
)
def listen(words: Sequence[WordFile], model: Path | None, devices: bool, **given: Any) -> None:
    """Detect words in the sound of this computer's microphone, live.

    Prints each wake: to a terminal, with a meter of level and probability, else as a line of JSON.
    Ctrl-C ends it. With --out the sound of each wake, and of near misses, is kept as a data
    folder: listen to each clip, set its kind and label in manifest.csv to the word's name, or its
    kind to speech or noise; then `wakestate train --also FOLDER` learns from them.
    """
    from wakestate.boards import listening

    if devices:
        print(listening.microphones())
        return
    programs = Programs("host", words, model)
    programs.build("emulator")
    chosen = [*(["--state", given["state"]] if given["state"] is not None else [])]
    for sensitivity in given["sensitivities"]:
        chosen += ["--sensitivity", sensitivity]
    chosen += ["--near", str(given["near"])] if given["near"] else []
    listening.listen(
        programs.emulator,
        chosen,
        given["device"],
        clips=given["out"],
        seconds=given["seconds"],
    )


@click.command(epilog="Example: wakestate build --board mps2-an386 --word alexa")
@options.words
@options.model
@options.board
def build(words: Sequence[WordFile], model: Path | None, board: str) -> None:
    """Build host emulator, library and the images of a board."""
    host, target = (Programs(name, words, model) for name in ("host", board))
    host.build("all")
    print(host.emulator)
    if board != "host":
        target.build("all")
        print(target.emulator, target.device, sep="\n")


@click.command(epilog="Example: wakestate size --board mps2-an386")
@options.word
@options.model
@options.board
@options.table
def size(word: WordFile, model: Path | None, board: str) -> Printed:
    """Flash, RAM and stack of a board's images, by object."""
    from wakestate.bench import table
    from wakestate.bench.measure import Subject, build_image
    from wakestate.boards import budget
    from wakestate.boards.schema import load_board

    programs, facts = Programs(board, [word], model), load_board(board)
    if board == "host":
        programs.build("emulator")
        return budget.host(programs.emulator)
    programs.build("device")
    device = budget.within(facts, programs.device)
    image = build_image(Subject(word.name, word.path, model or word.model), facts)
    smallest = table.sizes(image, word.name, facts)
    return Printed(
        f"{device.text}\n{smallest.text}", {"device": device.data, "smallest": smallest.data}
    )


def _on_board(
    verb: str,
    words: Sequence[WordFile],
    model: Path | None,
    board: str,
    elf: Path | None,
    port: str | None,
    audio: str | None,
) -> int:
    from wakestate.boards import flash, sound
    from wakestate.boards.schema import load_board

    _end_in_order()
    facts = load_board(board)
    flash.check(facts, verb, port)  # before anything is built
    programs = Programs(board, words, model)
    if elf is None:
        programs.build("device")
    image = elf or programs.device
    audio = audio or next(iter(words[0].samples), None)
    with sound.plain_wav(audio) if audio else nullcontext() as path:
        files = [path] if path else []
        if verb == "flash":
            return flash.flash(facts, image, files, port)
        if verb == "monitor":
            return flash.monitor(facts, image, files, port)
        return flash.debug(facts, image, files)


def _board_command(function: Any) -> Any:
    for option in (_audio, _port, _elf, options.board, options.model, options.words):
        function = option(function)
    return function


@click.command(epilog="Example: wakestate flash --board b-l475e-iot01a")
@_board_command
def flash(**given: Any) -> int:
    """Load the device image onto a board and start it.

    An emulated board is loaded by the gdb port.
    """
    return _on_board("flash", **given)


@click.command(epilog="Example: wakestate monitor --board b-l475e-iot01a --port /dev/ttyACM0")
@_board_command
def monitor(**given: Any) -> int:
    """The serial port of a board; an emulated one gets AUDIO."""
    return _on_board("monitor", **given)


@click.command(epilog="Example: wakestate debug --board mps2-an386")
@_board_command
def debug(**given: Any) -> int:
    """gdb on a board with the device image loaded."""
    return _on_board("debug", **given)
