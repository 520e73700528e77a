# SPDX-License-Identifier: Apache-2.0
"""The HTTP service that verifies wakes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wakestate.commands import gateway, options
from wakestate.commands.options import WordFile, trained_verifier, verifier_folder
from wakestate.commands.program import Programs
from wakestate.tables import Printed


@click.group()
def service() -> None:
    """The HTTP service that verifies wakes: serve, bench, demo."""


def _own_service(word: WordFile, model: Path | None, verifier: Path | None) -> list[str]:
    """What starts it; GatewayError where there is nothing to serve."""
    from wakestate.verify.service.child import call

    folder = trained_verifier(word, model, verifier)
    return call(str(word.path), "--model", str(model or word.model), "--verifier", str(folder))


@service.command(epilog="Example: wakestate service serve --word alexa --port 8080")
@options.word
@options.model
@options.verifier
@click.option("--host", default="127.0.0.1", show_default=True, help="Address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0: any that is free.",
)
@click.option(
    "--keys",
    type=options.FILE,
    metavar="FILE",
    help="Keys that may ask, one a line; "
    "else those in $WAKESTATE_KEYS, with commas between. Needed on every address but "
    "this computer's own.",
)
@click.option(
    "--streams",
    type=options.POSITIVE,
    default=200,
    show_default=True,
    help="Uploads at a time; more get a 429.",
)
@click.option(
    "--seconds",
    type=gateway.SECONDS,
    default=15.0,
    show_default=True,
    help="Longest sound in an upload.",
)
@click.option(
    "--patience",
    type=gateway.SECONDS,
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How far an upload may fall behind real time.",
)
@click.option(
    "--batch",
    type=options.POSITIVE,
    default=8,
    show_default=True,
    help="Utterances that go through the network together, at most.",
)
@click.option("--access-log", is_flag=True, help="Log a line for each request.")
@options.needs("serve")
def serve(word: WordFile, model: Path | None, verifier: Path | None, **given: Any) -> None:
    """Serve POST /v1/verify for one word.

    The sound of a wake in, accept or reject out; /docs is its page, docs/verifier.md describes it.
    On SIGTERM it takes no more requests, answers those it has, and exits.
    """
    from wakestate.verify.protocol.api import Settings
    from wakestate.verify.service import serving

    loaded = word.load()
    settings = Settings(
        loaded,
        keys=serving.load_keys(given["keys"]),
        streams=given["streams"],
        seconds=given["seconds"],
        patience_s=given["patience"],
        batch=given["batch"],
    )
    network = serving.load_verifier(
        loaded, verifier_folder(word, model, verifier), model or word.model
    )
    serving.serve(network, settings, given["host"], given["port"], access_log=given["access_log"])


@service.command(epilog="Example: wakestate service bench --streams 50 --rounds 10")
@options.word
@options.model
@options.verifier
@options.seed
@click.option("--url", help="A running service: http://HOST:PORT.  [default: started here]")
@click.option("--key-file", type=options.FILE, metavar="FILE", help="Its first line is the key.")
@click.option("--streams", type=options.POSITIVE, default=50, show_default=True)
@click.option(
    "--rounds", type=options.POSITIVE, default=10, show_default=True, help="Uploads of each stream."
)
@click.option(
    "--piece-ms",
    type=options.POSITIVE,
    default=50,
    show_default=True,
    help="Sound in each chunk.",
)
@click.option("--together", is_flag=True, help="All streams end at the same time.")
@click.option(
    "--whole",
    is_flag=True,
    help="Each sound at once, not in real time, and the next as soon as it is answered: how many "
    "requests a second there can be.",
)
@click.option(
    "--processes",
    type=options.POSITIVE,
    default=1,
    show_default=True,
    help="Services to start, each for its share of the streams.",
)
@click.option("--audio", type=options.FILE, metavar="FILE", help="WAV.  [default: the sample]")
@options.table
@options.needs("serve")
def bench(
    word: WordFile,
    model: Path | None,
    verifier: Path | None,
    url: str | None,
    key_file: Path | None,
    audio: Path | None,
    **given: Any,
) -> Printed:
    """Measure how fast the service answers.

    How long after the sound's end, and how often. Uploads sound in real time, many streams at once,
    and prints answers a second and percentiles of the time from the sound's end to the answer.
    """
    import asyncio

    from wakestate.verify.gateway.posting import load_key
    from wakestate.verify.service import bench as timing
    from wakestate.verify.service.child import running

    key = load_key(key_file) if key_file else None
    streams, rounds, piece, seed = (given[k] for k in ("streams", "rounds", "piece_ms", "seed"))
    load = timing.Load(streams, rounds, piece / 1000, given["together"], seed, given["whole"])
    pieces = timing.sounds(audio or word.model / "sample.wav", word.load(), 4 * streams, seed)

    with contextlib.ExitStack() as stack:
        call = [] if url else _own_service(word, model, verifier)
        count = 0 if url else given["processes"]
        urls = [stack.enter_context(running(call)) for _ in range(count)] or [url or ""]
        bar = stack.enter_context(options.progress(streams * rounds, "uploads"))
        moved = lambda done: bar.update(done - bar.pos)  # noqa: E731
        outcomes = asyncio.run(timing.run(urls, word.load(), key, load, pieces, moved))
    how = "all together" if given["together"] else "begun at random"
    each = "whole" if given["whole"] else f"{piece} ms a chunk"
    text = f"{streams} streams, {how}, {rounds} uploads each, {each}, {len(urls)} services"
    return Printed(
        f"{text}\n{timing.report(outcomes)}",
        [asdict(outcome) for outcome in outcomes],
        1 if any(outcome.problem for outcome in outcomes) else 0,
    )


@service.command(epilog="Example: wakestate service demo --word alexa kitchen.wav")
@options.word
@options.model
@options.verifier
@options.board
@click.argument("audio", nargs=-1)
@options.needs("serve")
def demo(
    word: WordFile, model: Path | None, verifier: Path | None, board: str, audio: Sequence[str]
) -> int:
    """Device, gateway and service on this computer.

    On AUDIO, or the samples. Shows each wake with the service's verdict.
    """
    from wakestate.boards import sound
    from wakestate.boards.schema import load_board
    from wakestate.verify.gateway import demo as demonstration

    own = _own_service(word, model, verifier)
    first = gateway.sensitivity(word, model, verifier)
    programs = Programs(board, [word], model)
    programs.build("emulator" if board == "host" else "device")
    program = programs.emulator if board == "host" else programs.device
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(sound.plain_wav(one)) for one in audio or word.samples]
        return demonstration.demo(load_board(board), program, files, own, first)
