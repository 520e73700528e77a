# SPDX-License-Identifier: Apache-2.0
"""Words as a library for other build systems."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from wakestate import ROOT
from wakestate.commands import options
from wakestate.commands.options import WordFile

# As in convert/library/forms.py, which takes pydantic's time to load.
ESPHOME = "esphome"  # convert/esphome.py
FORMS = ("plain", "cmake", "zephyr", "arduino", "platformio", "esp-idf", "cmsis-pack")


@click.command(epilog="Example: wakestate export --word alexa --as cmake --out ../wakestate-lib")
@options.words
@options.model
@click.option(
    "--as",
    "form",
    type=click.Choice([*FORMS, ESPHOME]),
    default="plain",
    show_default=True,
    help="The build system; plain: C for any; esphome: a model for its micro_wake_word.",
)
@options.kernels
@click.option(
    "--sample",
    type=options.FILE,
    metavar="FILE",
    help="Recording for the example.  [default: sample.wav of the model, if there]",
)
@click.option("--author", default="unknown", show_default=True, help="Of an esphome manifest.")
@click.option("--website", metavar="ADDRESS", help="The author's, of an esphome manifest.")
@options.c_out
def export(
    words: Sequence[WordFile],
    model: Path | None,
    form: str,
    kernels: Any,
    sample: Path | None,
    author: str,
    website: str | None,
    out: Path,
) -> None:
    """Write a library to drop into other firmware.

    Sources and headers, with license, README, an example and a test. An earlier export in the
    folder is replaced.

    For ESPHome, of a word with kind = "micro" in [frontend]: a manifest of microWakeWord and the
    streaming .tflite of the first device state.
    """
    if form == ESPHOME:
        if sample:
            raise click.UsageError("--as esphome: its example needs no --sample")
        _export_esphome(words, model, out, author, website)
        return
    from wakestate import __version__
    from wakestate.boards.sound import plain_wav
    from wakestate.convert.library.files import Given, Library
    from wakestate.files import write_folder
    from wakestate.web.site import costs

    models = [model or words[0].model, *(word.model for word in words[1:])]
    given = [Given(word.path, folder) for word, folder in zip(words, models, strict=True)]
    shipped = len(words) == 1 and models[0].resolve() == (ROOT / "models" / words[0].name).resolve()
    counted = costs([words[0].name]) if shipped else []
    found = [str(sample)] if sample else [path for word in words for path in word.samples]
    with plain_wav(found[0]) if found else nullcontext() as path:
        library = Library(given, form, kernels, Path(path) if path else None, counted)
        facts = {"wakestate": __version__, "command": library.command}
        write_folder(out, library.files(), "export.json", facts)
    print(f"{out}: {form}; {out / 'README.md'} says how to use it")


def _export_esphome(
    words: Sequence[WordFile], model: Path | None, out: Path, author: str, website: str | None
) -> None:
    if len(words) > 1:
        raise click.UsageError("--as esphome: a manifest has one word; export each alone")
    from wakestate import __version__
    from wakestate.convert.esphome import About, esphome_files
    from wakestate.files import write_folder

    (word,) = words
    command = f"wakestate export --word {word.name} --as esphome --out DIR"
    files = esphome_files(word.path, model or word.model, About(author, website), command)
    write_folder(out, files, "export.json", {"wakestate": __version__, "command": command})
    print(f"{out}: esphome; {out / 'README.md'} says how to use it")
