# SPDX-License-Identifier: Apache-2.0
"""`wakestate data synthesize`: the whole data folder, in as many processes as there are cores.

Every finished clip and package is a file of its own, so a killed run resumes where it was; the
manifest and train/tts/words.csv are written last, and what they do not name is removed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import socket
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.files import replaced, write_atomically
from wakestate.tables import Printed
from wakestate.train.costs import CLIP_S, RECORDED_HOUR_S, RECORDED_HOURS, cores
from wakestate.train.data.corpus import RATE, DataError
from wakestate.train.data.locate import PHRASE
from wakestate.train.parallel import in_parallel
from wakestate.train.synthesis.confusables import confusables
from wakestate.train.synthesis.engine import ENGLISH, Engine, PhraseError, Speech, Spoken
from wakestate.train.synthesis.espeak import Espeak
from wakestate.train.synthesis.flite import Flite
from wakestate.train.synthesis.gather import claim, finish, summary, take_recorded
from wakestate.train.synthesis.kokoro import Kokoro
from wakestate.train.synthesis.language import check_language, check_letters
from wakestate.train.synthesis.piper import Piper
from wakestate.train.synthesis.recorded import as_opus, download, megabytes, sources
from wakestate.train.synthesis.script import Cast, Counts, Line, write_script
from wakestate.words import Word

CONFUSABLES = 200
# train.data assumes that timings are late by this much, as Kokoro's are; exact ones are moved.
LATE_S = 0.065


@dataclass(frozen=True)
class SynthesisConfig:
    """What to make: how much, with which engines, with or without recorded sound."""

    counts: Counts
    seed: int = 1
    engines: tuple[str, ...] = ("espeak", "flite", "kokoro", "piper")
    downloads: Path = Path("downloads")
    recorded: str = "yes"  # "some", "few": of some packages alone; "no"


def engines(config: SynthesisConfig, language: str = ENGLISH) -> list[Engine]:
    """The engines asked for that can speak here; a line on stdout for each that cannot."""
    every: dict[str, Engine] = {
        e.name: e
        for e in (
            Espeak(language),
            Flite(language),
            Kokoro(config.downloads / "voices/kokoro", language),
            Piper(config.downloads / "voices/piper", language),
        )
    }
    unknown = [name for name in config.engines if name not in every]
    if unknown:
        raise DataError(f"--engines: given '{unknown[0]}'; allowed: {', '.join(every)}")
    able = []
    for name in config.engines:
        missing = every[name].missing()
        if missing:
            print(f"without {missing}")
        else:
            able.append(every[name])
    if not able:
        package = "flite" if language == ENGLISH else "espeak-ng"
        raise DataError(
            f"no speech engine of '{language}' is here; at the least: apt-get install {package}"
        )
    return able


def make_data(word: Word, data: Path, config: SynthesisConfig) -> Printed:
    """Fill the folder `data` with manifest.csv and all it names."""
    began = time.monotonic()
    speech = speakable(word)
    claim(data)
    language = word.data.language
    cast = Cast(engines(config, language))
    phrases = []
    if config.counts.confusables:
        phrases = [n.text for n in confusables(speech, CONFUSABLES, language)]
    phrases = list(word.data.confusables) + [
        text for text in phrases if text not in word.data.confusables
    ]
    lines = list(dict.fromkeys(write_script(word, cast, phrases, config.counts, config.seed)))
    taken = sources(config.recorded) if config.recorded != "no" else []
    print(expected(cast, lines, {s.package for s in taken}, config), flush=True)
    debs = download(sorted({s.package for s in taken}), config.downloads / "packages")
    taken = [source for source in taken if source.package in debs]
    rows = take_recorded(taken, debs, data)
    missing = [line for line in lines if not _record(data, line).is_file()]

    def keep(line: Line, said: tuple[bytes, str]) -> None:
        write_atomically(data / _clip_path(line), said[0])
        write_atomically(_record(data, line), said[1])

    speakers = Speakers(cast.engines)
    in_parallel(
        _speak, missing, "speak", "clips", shared=speakers, keep=keep, at_once=4, stored=True
    )
    rows = _spoken_rows(word, data, lines, {e.name: e for e in cast.engines}) + rows
    spoken = {data / _clip_path(line) for line in lines} | {_record(data, line) for line in lines}
    spoken |= {data / split / "tts/words.csv" for split in ("train", "dev")}
    finish(data, rows, taken, spoken)
    made = summary(rows, time.monotonic() - began)
    text = f"{data / 'manifest.csv'}: wakestate train --word {word.name} --data {data}"
    return Printed(f"{made.text}\n\n{text}", {"manifest": str(data / "manifest.csv")} | made.data)


def speakable(word: Word) -> str:
    """What is said for the phrase: itself, or where that cannot be said, the first of [data] say;
    PhraseError where the voices lack letters of anything that they are to say."""
    language = word.data.language
    check_language("data.language", language)
    it = "it" if language == ENGLISH else (*word.data.say, word.phrase)[0]
    for text in word.data.say:
        check_letters("data.say", text, language)
    for text in word.data.confusables:
        check_letters("data.confusables", text, language)
    for text in word.data.spoken_carriers:
        check_letters("data.carriers", text.format(it), language)
    try:
        check_letters("phrase", word.phrase, language)
    except PhraseError:
        if not word.data.say:
            raise
        return word.data.say[0]
    return word.phrase


def expected(cast: Cast, lines: list[Line], packages: set[str], config: SynthesisConfig) -> str:
    """What is to be done, in a line: downloads, clips, disk, minutes."""
    there = {p.name.partition("_")[0] for p in (config.downloads / "packages").glob("*.deb")}
    amount = config.recorded if packages else "few"
    to_download = megabytes(amount) * len(packages - there) // max(len(packages), 1)
    seconds = sum(CLIP_S.get(line.engine, 0.1) for line in lines)
    seconds += RECORDED_HOURS[config.recorded] * RECORDED_HOUR_S
    return (
        f"to do: {len(lines)} clips by {', '.join(e.name for e in cast.engines)}; "
        f"{len(packages)} packages of recorded sound, {to_download} MB of them to download; "
        f"{0.02 * len(lines) / 1000 + 0.007 * len(packages):.1f} GB on disk; "
        f"about {max(1, round(seconds / cores() / 60))} minutes on {cores()} cores"
    )


class Speakers:
    """The engines, by name. On another machine they have to speak as here, sample by sample."""

    def __init__(self, engines: list[Engine]) -> None:
        self.of = {engine.name: engine for engine in engines}

    def __getstate__(self) -> dict[str, Any]:
        return {"of": self.of, "proofs": {name: _proof(e) for name, e in self.of.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.of = state["of"]
        for name, proof in state["proofs"].items():
            problem = self.of[name].missing()
            if not problem and _proof(self.of[name]) != proof:
                problem = f"{name}: speaks otherwise there; install the same version"
            if problem:
                raise DataError(f"{socket.gethostname()}: without {problem}")


def _proof(engine: Engine) -> str:
    """A hash of its voices, and of what one of them says."""
    voices = engine.voices()
    voice = engine.draw(np.random.default_rng(0), voices)
    said = engine.synthesize("One, two.", voice, 1.0).pcm
    return hashlib.sha256(json.dumps(voices).encode() + said.tobytes()).hexdigest()


def _record(data: Path, line: Line) -> Path:
    return data / "made" / line.engine / f"{line.stem}.json"


def _clip_path(line: Line) -> str:
    return f"{line.split}/tts/{line.stem}.opus"


def _speak(speakers: Speakers, line: Line) -> tuple[bytes, str]:
    """One clip, and as JSON how long it is and where its words are."""
    engine = speakers.of[line.engine]
    speech = engine.speak(line.text, line.voice, line.speed, line.pitch)
    speech = speech.cut(line.lead_s, line.trail_s)
    if not len(speech.pcm):
        raise DataError(f"{engine.name}: said nothing: {line.text!r}, voice {line.voice}")
    record = {"seconds": len(speech.pcm) / RATE, "groups": groups(line, speech)}
    return as_opus(speech.pcm), json.dumps(record)


def groups(line: Line, speech: Speech) -> list[Spoken] | None:
    """The words of a clip, the phrase as one named ""; None where that is unknown.

    An engine may join words ("of the" as one), so the phrase at the start or the end of a text is
    counted from there, and one in the middle needs equal counts.
    """
    total, words = len(line.text.split()), speech.words
    if line.at < 0 or line.words == total:
        return []  # no phrase, or nothing else: loudness finds it
    if not words or len(words) < line.words:
        return None
    at = line.at
    if at and len(words) != total:
        if at + line.words != total:
            return None
        at = len(words) - line.words
    phrase = words[at : at + line.words]
    return [*words[:at], ("", phrase[0][1], phrase[-1][2]), *words[at + line.words :]]


def _spoken_rows(
    word: Word, data: Path, lines: list[Line], cast: dict[str, Engine]
) -> list[dict[str, str]]:
    """Manifest rows of the synthesized clips; writes SPLIT/tts/words.csv."""
    rows, timed = [], defaultdict(list)
    for line in lines:
        record = json.loads(_record(data, line).read_text(encoding="utf-8"))
        if record["groups"] is None:
            continue  # where the word is, is not known
        engine = cast[line.engine]
        rows.append(
            {
                "path": _clip_path(line),
                "split": line.split,
                "kind": "tts",
                "label": line.label,
                "speaker": f"{line.engine}:{line.voice}",
                "seconds": f"{record['seconds']:.3f}",
                "text": line.text,
                "source": engine.source,
                "licence": engine.licence,
            }
        )
        if record["groups"]:
            late = 0.0 if engine.name == "kokoro" else LATE_S
            named = []
            for speech, start, end in record["groups"]:
                named.append([speech or PHRASE, round(start, 3) + late, round(end, 3)])
            timed[line.split].append((line, named))
    for split, found in timed.items():
        with (
            replaced(data / split / "tts/words.csv") as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            out = csv.writer(file)
            out.writerow(["path", "label", "text", "voice", "speed", "words"])
            for line, named in found:
                out.writerow(
                    [
                        f"{line.stem}.opus",
                        line.label,
                        line.text,
                        line.voice,
                        line.speed,
                        json.dumps(named, ensure_ascii=False),
                    ]
                )
    return rows
