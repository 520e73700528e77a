# SPDX-License-Identifier: Apache-2.0
"""What a new word takes: its word file, its stages, and what they download, need and last."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wakestate.train.artifacts import keep_config
from wakestate.train.costs import (
    DEV_HOURS,
    LOADING_S,
    RECORDED_HOURS,
    VOICES_MB,
    cores,
    listening_s,
    synthesis_s,
    training_s,
)
from wakestate.train.newword.phrase import Phrase
from wakestate.train.newword.stages import Stage, minutes
from wakestate.train.synthesis.benchmark import MINUTES, TABLE
from wakestate.train.synthesis.engine import ENGLISH
from wakestate.train.synthesis.kokoro import speaks
from wakestate.train.synthesis.recorded import Source, megabytes, sources
from wakestate.words import load_word

SCENES = 170_000  # of amount 1
SCENE_BYTES = 240 * 64
KOKORO_SHARE = 0.8  # of the clips, beside espeak-ng; sentences need an engine that reports timings


@dataclass(frozen=True)
class Plan:
    """All that is to be done for one word."""

    stages: tuple[Stage, ...]
    download_mb: int
    disk_gb: float
    lacks: str = ""  # what to install for voices like people's

    def lines(self) -> list[str]:
        """For people, before it begins."""
        each = ", ".join(f"{s.name} {minutes(s.seconds)}" for s in self.stages)
        total = minutes(sum(stage.seconds for stage in self.stages))
        return [
            f"to download  {self.download_mb} MB; on disk {self.disk_gb:.1f} GB",
            f"to do        about {total} on {cores()} free cores: {each}",
            *([f"voices       few, and none like people's: {self.lacks}"] if self.lacks else []),
        ]


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def word_file(phrase: Phrase, name: str, size: str) -> str:
    """The text of words/NAME.toml: only what differs from the defaults."""
    near = [c.text for c in phrase.nearest]
    spoken, language = _toml(phrase.text.lower()), _toml(phrase.language)
    lines = [
        "# Written by `wakestate word new`; words/schema.py explains and checks every key.",
        f"name = {json.dumps(name)}",
        f"phrase = {spoken}",
        *(["", "[model]", f"size = {json.dumps(size)}"] if size != "small" else []),
        "",
        "[detector]",
        "smoothing_steps = 5    # docs/experiments/detector.md, 10",
        "",
        "[data]",
        f"positive = [{spoken}]",
        *([f"language = {language}"] if phrase.language != ENGLISH else []),
        *([f"confusables = {_toml(near)}    # the nearest by phones"] if near else []),
    ]
    return "\n".join(lines) + "\n"


VOICES = "voices/kokoro/voices.bin"  # in the folder of downloads


def without_kokoro(downloads: Path) -> str:
    """What Kokoro's voices, close to people's, lack here; empty where they can speak."""
    if not all(importlib.util.find_spec(name) for name in ("kokoro_onnx", "onnx")):
        return "pip install 'wakestate[voices]'"
    if not (downloads / VOICES).is_file() and not shutil.which("npm"):
        return "apt-get install npm"
    return ""


@dataclass(frozen=True)
class Task:
    """A word file, a recipe's values by their names, and the folders."""

    path: Path  # of the word file
    size: str  # of the network
    run: Path
    data: Path
    downloads: Path
    given: Mapping[str, Any]

    @property
    def of(self) -> str:
        """The option of every stage."""
        return f"--word={self.path}"

    @property
    def kokoro(self) -> bool:
        """Whether Kokoro speaks."""
        asked = "kokoro" in self.given["engines"].split(",") and speaks(self.given["lang"])
        return asked and not without_kokoro(self.downloads)

    def beside(self, what: str) -> Path:
        """A data folder of recordings."""
        return self.data.with_name(f"{self.data.name}-{what}")

    def options(self, *names: str) -> list[str]:
        """As they are given to a stage."""
        return [f"--{name.replace('_', '-')}={self.given[name]}" for name in names]


def plan(task: Task) -> Plan:
    """The stages, in order."""
    given, stages = task.given, []
    if task.kokoro and not (task.downloads / VOICES).is_file():
        stages.append(Stage("voices", ("data", "voices", f"--downloads={task.downloads}"), 60))
    recorded = sources(given["recorded"])
    lacks = _lacks(task.downloads, recorded)
    mb = megabytes(given["recorded"]) * len(lacks) // len({s.package for s in recorded})
    mb += VOICES_MB * (len(stages) > 0)
    stages.append(_synthesize(task))
    if given["recordings"]:
        stages.append(_import(task, "recordings"))
    if given["judge"]:
        stages.append(_import(task, "judge", "--dev", f"--others={task.data}"))
    hours = DEV_HOURS[given["recorded"]]
    if given["benchmark"]:
        command = ("data", "benchmark", f"--downloads={task.downloads}")
        stages.append(Stage("benchmark", command, 60 * MINUTES / cores()))
        mb += megabytes(table=TABLE) * bool(_lacks(task.downloads, sources(table=TABLE)))
        hours += DEV_HOURS["benchmark"]
    stages += [_train(task), _convert(task), _measure(task, hours)]
    stages.append(Stage("sample", ("data", "sample", task.of, f"--out={task.run}"), 3))
    sound = 2 * 16000 * 3600 * (hours + RECORDED_HOURS[given["recorded"]]) / 1e9  # decoded
    disk = sound + given["amount"] * SCENES * SCENE_BYTES / 1e9 + 1.2 * mb / 1000
    return Plan(tuple(stages), mb, disk, _few_voices(task))


def _few_voices(task: Task) -> str:
    """Why no voice like people's speaks; empty where Kokoro does."""
    if not speaks(task.given["lang"]):
        return f"Kokoro has none of '{task.given['lang']}'; Piper's may be put into downloads"
    return "" if task.kokoro else without_kokoro(task.downloads)


def _lacks(downloads: Path, wanted: list[Source]) -> set[str]:
    """Packages that are to be downloaded."""
    there = {p.name.partition("_")[0] for p in (downloads / "packages").glob("*.deb")}
    return {source.package for source in wanted} - there


def _synthesize(task: Task) -> Stage:
    share = KOKORO_SHARE if task.kokoro else 0.0
    return Stage(
        "synthesize",
        (
            "data",
            "synthesize",
            task.of,
            f"--data={task.data}",
            f"--downloads={task.downloads}",
            *task.options("positives", "engines", "recorded", "seed"),
        ),
        synthesis_s(2 * task.given["positives"], share, task.given["recorded"]) / cores(),
    )


def _import(task: Task, what: str, *more: str) -> Stage:
    out, folder = f"--data={task.beside(what)}", str(task.given[what])
    return Stage(what, ("data", "recordings", task.of, out, *more, "--", folder), 10)


def _train(task: Task) -> Stage:
    given = task.given
    also = [f"--also={task.beside('recordings')}"] if given["recordings"] else []
    named = ("rounds", "batches", "amount", "quantization_aware", "confusables", "seed")
    seconds = LOADING_S + training_s(
        given["amount"] * SCENES, given["rounds"] * given["batches"], task.size
    )
    return Stage(
        "train",
        (
            "train",
            task.of,
            f"--data={task.data}",
            *also,
            f"--out={task.run}",
            *task.options(*named),
            *([f"--rate={given['rate']}"] if given["rate"] else []),
            *(f"--teacher={path}" for path in given["teacher"]),
            "--only-train",
        ),
        seconds / cores(),
    )


def _convert(task: Task) -> Stage:
    keras, calibration = task.run / "model.keras", task.run / "calibration.npy"
    files = f"--keras={keras}", f"--calibration={calibration}", f"--out={task.run / 'model'}"
    return Stage("convert", ("model", "convert", task.of, *files), LOADING_S)


def _measure(task: Task, hours: float) -> Stage:
    given = task.given
    seconds = LOADING_S + listening_s(hours, task.size, given["short"])
    return Stage(
        "measure",
        (
            "evaluate",
            task.of,
            f"--model={task.run / 'model'}",
            f"--out={task.run}",
            *measuring(task),
            "--set-thresholds",
        ),
        seconds / cores(),
    )


def measuring(task: Task) -> tuple[str, ...]:
    """What is measured, as `wakestate evaluate` and `report` take it."""
    given = task.given
    return (
        f"--data={task.beside('judge') if given['judge'] else task.data}",
        *(["--also=data/benchmark"] if given["benchmark"] else []),
        *task.options("draws", "seed"),
        *(["--short", "--confusables"] if given["short"] else ["--no-peers", "--no-float"]),
    )


def keep(task: Task) -> None:
    """Note how the run was begun; DataError where that was with other values."""
    values = {k: str(v) for k, v in task.given.items() if k not in ("only_plan", "out")}
    keep_config(
        task.run / "new.json",
        {"word": load_word(task.path).model_dump(mode="json"), "given": values},
        "this word was begun",
    )
