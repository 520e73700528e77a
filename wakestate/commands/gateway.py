# SPDX-License-Identifier: Apache-2.0
"""The gateway, which takes a device's wakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile, verifier_folder
from wakestate.tables import Printed

if TYPE_CHECKING:
    from wakestate.verify.gateway.posting import Service
    from wakestate.verify.protocol.sensitivity import Sensitivity

SECONDS = click.FloatRange(0, 60)
_key_file = click.option(
    "--key-file",
    type=options.FILE,
    metavar="FILE",
    help="Its first line is the key for the service.",
)


@click.group()
def gateway() -> None:
    """The gateway from a device's serial port to the service."""


def _service(post: str | None, key_file: Path | None) -> Service | None:
    """The verifier's service at a URL, if any; GatewayError."""
    from wakestate.verify.gateway.posting import Service, load_key

    if post is None:
        return None
    return Service(post, load_key(key_file) if key_file else None)


def sensitivity(word: WordFile, model: Path | None, verifier: Path | None) -> Sensitivity:
    """How much more readily a device wakes whose wakes are verified."""
    from wakestate.verify.service import detector

    folder = verifier_folder(word, model, verifier)
    return detector.sensitivity(word.load(), model or word.model, folder)


@gateway.command(
    epilog="Example: wakestate gateway run --from /dev/ttyACM0 "
    "--post http://127.0.0.1:8080 --two-stage"
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    metavar="PORT|FILE|-",
    help="A device (repeat it for several), or what the emulator's --uplink wrote; - is stdin.",
)
@click.option(
    "--post",
    metavar="URL",
    help="URL of the service: http://HOST:PORT, or https where a proxy is in front of it.",
)
@click.option(
    "--out",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Keep the utterances there, as "
    "OUT/NUMBER-WORD.wav with what the device reported in a .json.",
)
@_key_file
@click.option(
    "--follow",
    type=SECONDS,
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="For --out: how long to record after the word's end.",
)
@click.option(
    "--baud",
    type=options.POSITIVE,
    default=1_000_000,
    show_default=True,
    help="Baud rate of a port.",
)
@click.option(
    "--two-stage",
    is_flag=True,
    help="Let each device wake more readily on --word "
    "while its wakes are verified: at the thresholds in verifier.json.",
)
@options.word
@options.model
@options.verifier
@click.option("--quiet", is_flag=True, help="Do not show the device's lines.")
@options.needs("serve")
def run(
    word: WordFile,
    model: Path | None,
    verifier: Path | None,
    sources: Sequence[str],
    post: str | None,
    key_file: Path | None,
    two_stage: bool,
    **given: Any,
) -> int:
    """Take the sound of wakes from devices.

    To the service, or into a folder. Switches the uplink of a device on. With --post each wake's
    sound goes to the service while it comes in; the device is stopped when that is enough, and each
    verdict is a line of JSON on stdout. A service that is busy or away is retried for 15 s.
    """
    from wakestate.verify.gateway.taking import Taken, take

    if given["out"] is None and post is None:
        raise click.UsageError(
            "nowhere to take the utterances: give --post URL, --out FOLDER, or both"
        )
    if key_file is not None and post is None:
        raise click.UsageError(f"--key-file {key_file}: for which service? give --post URL")
    twice = [source for source, count in Counter(sources).items() if count > 1]
    if twice:
        raise click.UsageError(f"--from {twice[0]}: given twice; name each device once")
    service = _service(post, key_file)
    first = sensitivity(word, model, verifier) if two_stage else None
    return take(
        Taken(
            list(sources),
            given["baud"],
            given["out"],
            given["follow"],
            service,
            given["quiet"],
            first,
        )
    )


@gateway.command(epilog="Example: wakestate gateway fuzz --frames 1000000 --seed 1")
@click.option("--frames", type=options.POSITIVE, default=100_000, show_default=True)
@options.seed
@click.option(
    "--codec",
    type=click.Choice(["c", "python"]),
    default="c",
    show_default=True,
    help="The firmware's, compiled here, or the one in Python, which is slower.",
)
@options.table
def fuzz(frames: int, seed: int, codec: str) -> Printed:
    """Test frames over a bad line.

    No wrong one may be accepted, no good one refused. Writes frames, damages the stream and reads
    it again. Ends with 1 when a frame was accepted that is not as it was sent, or one that came
    whole was not.
    """
    from wakestate.verify.gateway import fuzz as fuzzing

    with options.progress(frames, "frames") as bar:
        counts = fuzzing.fuzz(frames, seed, codec, lambda done: bar.update(done - bar.pos))
    untouched = counts.sent - counts.touched
    lines = (
        f"sent                  {counts.sent:10} frames, {counts.sent_bytes} bytes",
        f"touched by damage     {counts.touched:10}",
        f"  accepted, as sent   {counts.accepted_touched:10}",
        f"came whole            {untouched:10}",
        f"  accepted            {counts.accepted - counts.accepted_touched:10}",
        f"  NOT accepted        {counts.whole_not_accepted:10}",
        f"refused pieces        {counts.refused:10}, which began as a frame",
        f"WRONG accepted        {counts.wrong:10}",
    )
    return Printed("\n".join(lines), asdict(counts), 0 if counts.good else 1)


@gateway.command(
    epilog="Example: wakestate gateway wyoming --word alexa --host 127.0.0.1 --port 10400"
)
@options.words
@options.model
@options.verifier
@options.state
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=10400, show_default=True)
@click.option(
    "--post",
    metavar="URL",
    help="URL of the verifier's service: only what it accepts is a detection.",
)
@_key_file
@click.option(
    "--two-stage",
    is_flag=True,
    help="Let the detector wake more readily on --word: at the thresholds in verifier.json.",
)
@options.needs("serve")
def wyoming(
    words: Sequence[WordFile],
    model: Path | None,
    verifier: Path | None,
    state: str | None,
    post: str | None,
    key_file: Path | None,
    two_stage: bool,
    host: str,
    port: int,
) -> None:
    """Detect words for clients of Wyoming.

    The protocol of Home Assistant and others. Processes each client's sound in an emulator of its
    own. The protocol has neither keys nor encryption: listen where all clients are trusted.
    """
    import asyncio

    from wakestate.commands.program import Programs
    from wakestate.verify.gateway import wyoming as service

    if post is None and (key_file is not None or two_stage):
        raise click.UsageError("--key-file and --two-stage need a verifier: give --post URL")
    if two_stage and len(words) > 1:
        raise click.UsageError("--two-stage: a verifier knows one word; give one --word")
    chosen = ["--state", state] if state is not None else []
    if two_stage:
        for text in sensitivity(words[0], model, verifier).texts():
            chosen += ["--sensitivity", text]
    programs = Programs("host", words, model)
    programs.build("emulator")
    loaded = [word.load() for word in words]
    engine = service.Engine(loaded, programs.emulator, chosen, _service(post, key_file))
    asyncio.run(service.serve(engine, host, port, lambda text: print(text, flush=True)))
