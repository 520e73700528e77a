# SPDX-License-Identifier: Apache-2.0
"""Data folders: made, gathered, looked at."""

from __future__ import annotations

from pathlib import Path

import click

from wakestate.commands import options
from wakestate.commands.new_word import recordings
from wakestate.commands.options import WordFile, data_folder
from wakestate.commands.word import need_synthesis, warn_of_copies
from wakestate.tables import Printed

_downloads = click.option(
    "--downloads",
    type=options.FOLDER,
    default="downloads",
    show_default=True,
    metavar="FOLDER",
    help="Has, or gets: packages/, voices/kokoro/; your own "
    "voices/piper/NAME.onnx and NAME.onnx.json.",
)


@click.group()
def data() -> None:
    """Data to train and measure on: synthesize, gather, listen."""


@data.command(epilog="Example: wakestate data synthesize --word alexa --positives 3000")
@options.word
@options.data
@options.seed
@click.option(
    "--positives",
    type=options.POSITIVE,
    default=3000,
    show_default=True,
    help="Clips with the phrase.",
)
@click.option(
    "--confusables",
    "--near-misses",
    type=options.NATURAL,
    help="Clips of confusable phrases.  [default: two thirds of the positives]",
)
@click.option(
    "--general",
    type=options.NATURAL,
    help="Clips of other sentences.  [default: a third of the positives]",
)
@click.option(
    "--engines",
    default="espeak,flite,kokoro,piper",
    show_default=True,
    metavar="NAME,...",
    help="Speech engines to use, where installed.",
)
@_downloads
@click.option(
    "--recorded",
    type=click.Choice(["yes", "some", "few", "no"]),
    default="yes",
    show_default=True,
    help="Take sound from Debian packages (train/synthesis/recorded.toml); some: of those with "
    "the most hours for their size; few: a little of the smallest.",
)
@options.executor
@options.table
@options.needs("synth")
def synthesize(
    word: WordFile,
    data: Path | None,
    seed: int,
    positives: int,
    confusables: int | None,
    general: int | None,
    engines: str,
    downloads: Path,
    recorded: str,
) -> Printed:
    """Make a data folder to train a word on, from nothing.

    The phrase, confusable ones and sentences spoken by every engine that is here, and recorded
    speech, music, alarms and noises that Debian packages carry (downloaded, not installed). No
    voice is in both splits. The same command resumes after a kill; with other counts it makes what
    is missing and removes what is too many.
    """
    need_synthesis()
    from wakestate.train.synthesis.make import SynthesisConfig, make_data
    from wakestate.train.synthesis.script import Counts

    confusables = 2 * positives // 3 if confusables is None else confusables
    counts = Counts(positives, confusables, positives // 3 if general is None else general)
    config = SynthesisConfig(counts, seed, tuple(engines.split(",")), downloads, recorded)
    loaded = word.load()
    warn_of_copies(word, loaded)
    return make_data(loaded, data_folder(data, word), config)


@data.command(epilog="Example: wakestate data benchmark")
@click.option(
    "--data",
    type=options.FOLDER,
    default="data/benchmark",
    show_default=True,
    metavar="FOLDER",
    help="Folder to fill.",
)
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="A part: of this package alone (may be repeated).  [default: all 2 GB]",
)
@_downloads
@options.executor
@options.table
@options.needs("synth")
def benchmark(data: Path, packages: tuple[str, ...], downloads: Path) -> Printed:
    """Hours of recorded sound to count false accepts in.

    What Debian packages carry of acted dialogue, prompts, music and noise that no training reads
    (train/synthesis/benchmark.toml), as a dev split. The manifest has each file's license and hash.
    """
    need_synthesis()
    from wakestate.train.synthesis.benchmark import make_benchmark

    return make_benchmark(data, downloads, packages)


@data.command(epilog="Example: wakestate data voices")
@_downloads
@options.needs("voices")
def voices(downloads: Path) -> None:
    """Kokoro's voices, close to people's, for synthesize (130 MB)."""
    from wakestate.train.synthesis.voices import gather

    gather(downloads / "voices/kokoro")


@data.command(epilog="Example: wakestate data scenes --word alexa --data data/alexa")
@options.word
@options.data
@click.option("--split", default="train", show_default=True, help="Split of the manifest.")
@options.out("build/WORD/scenes")
@options.seed
@click.option("--count", type=options.POSITIVE, default=16, show_default=True)
@options.needs("train")
def scenes(
    word: WordFile, data: Path | None, split: str, out: Path | None, seed: int, count: int
) -> None:
    """Examples of the training scenes, as WAV and PNG.

    Scenes, a picture of their features, and a stream in which the device goes through its states.
    """
    from wakestate.train.data.corpus import load_corpus
    from wakestate.train.learning.scenes import write_scenes

    loaded = word.load()
    corpus = load_corpus(data_folder(data, word), split, options.CACHE, loaded.data)
    place = out or Path("build") / word.name / "scenes"
    for path in write_scenes(corpus, loaded, place, count, seed):
        print(path)


@data.command(epilog="Example: wakestate data sample --word alexa --out models/alexa")
@options.word
@options.out("build/WORD")
def sample(word: WordFile, out: Path | None) -> None:
    """Speak the sample of a word, OUT/sample.wav.

    By flite, or in another language by espeak-ng."""
    from wakestate.train.synthesis.sample import write_sample

    path = (out or Path("build") / word.name) / "sample.wav"
    loaded = word.load()
    write_sample(loaded.phrase, path, loaded.data.language)
    print(path)


@data.command(hidden=True, epilog="Example: wakestate data plain x.wav")
@click.argument("audio")
def plain(audio: str) -> int:
    """Fail if a recording must be decoded for the emulator."""
    from wakestate.boards import sound

    return 0 if sound.is_plain(audio) or not Path(audio).is_file() else 1


data.add_command(recordings)
