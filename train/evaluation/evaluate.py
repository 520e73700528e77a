# SPDX-License-Identifier: Apache-2.0
"""False rejects at fixed false accepts, on the device pipeline and on streams (docs/training.md).

FA/h: detections an hour on continuous audio without the wake word. FRR: share of recordings of
the word with no detection from the word's start to 1 s after its end. For a device state both
hold that state's own playback, at a signal-to-echo ratio that is given. Other engines get the
very same sound and are counted by the same rules.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.audio import hertz, mel
from wakestate.train.artifacts import recalled_in_parallel
from wakestate.train.data.corpus import find_manifest, load_corpus, voice
from wakestate.train.evaluation.device import OURS, Device, fingerprint
from wakestate.train.evaluation.document import Evaluated, Row
from wakestate.train.evaluation.false_accepts import false_accepts
from wakestate.train.evaluation.listening import Evaluation, Job, Options, Played
from wakestate.train.evaluation.metrics import Accepts, Scores
from wakestate.train.evaluation.peers import find_peers
from wakestate.train.evaluation.thresholds import Counts
from wakestate.train.evaluation.trials import Condition, Sound, Trials
from wakestate.train.parallel import in_parallel
from wakestate.words import Word


def _play(evaluation: Evaluation, job: Job) -> list[Played]:
    return [evaluation.play(sound, job.block, states) for sound, states in job.sounds]


def _confusables(
    evaluation: Evaluation, _: object
) -> list[tuple[str, str, dict[str, list[Scores]]]]:
    return evaluation.confusables()


def _accepts(shared: tuple[Evaluation, list[Played]], given: tuple[Sound, int, str]) -> Accepts:
    evaluation, played = shared
    return evaluation.accepts(played, *given)


def _row(shared: tuple[Evaluation, list[Played], Counts], condition: Condition) -> Row:
    evaluation, played, counts = shared
    return evaluation.row(played, condition, counts)


def evaluate(
    word: Word,
    library: Path,
    data: Path,
    split: str,
    cache: Path,
    options: Options,
    resume_folder: Path,
) -> Evaluated:
    """Every condition of the word on one split, a process on each core, or on a cluster.

    Raises DeviceError and DataError. The same seed and data give the same figures. What is done
    stays in the folder `resume_folder`, where the same call after a kill finds it; to be removed at
    the end.
    """
    absent = find_peers(word, cache)[1] if options.peers else "left out as asked"
    done = resume_folder / _identity(word, library, data, split, options, absent)
    if done.is_dir():
        print(f"{done}: resuming; finished parts are not repeated", file=sys.stderr)
    device = Device(library, word)
    corpus = load_corpus(data, split, cache, word.data, options.also)
    trials = Trials(word, corpus, options.seed, options.draws, options.short)
    evaluation = Evaluation(word, device, trials, cache, options)
    played, confusables = _played(evaluation, done)
    counts = _count(evaluation, played)
    thresholds = counts.thresholds(word.detector.false_accepts_per_hour, options.scale)
    if options.set_thresholds:
        counts.ships = thresholds
    rows = in_parallel(
        _row,
        evaluation.conditions,
        "misses",
        "conditions",
        shared=(evaluation, played, counts),
        here=True,
    )
    shown = [rows[0], *(r for r in rows if r.condition.ser_db == 0 and r.condition.part == "state")]
    return Evaluated(
        split=split,
        peers_absent=absent,
        **_about(evaluation),
        thresholds=thresholds,
        states=counts.states(options.rates),
        rows=rows,
        confusables=evaluation.count_confusables(confusables, rows[0]),
        excerpts=[evaluation.excerpt(row.condition, row) for row in shown[:2]],
        false_accepts=false_accepts(evaluation, played, counts),
    )


def _played(
    evaluation: Evaluation, done: Path
) -> tuple[list[Played], list[tuple[str, str, dict[str, list[Scores]]]]]:
    """Every sound played to every listener, and every confusable phrase; finished parts are in the
    folder `done`."""
    jobs, trials = evaluation.jobs(), evaluation.trials
    hours = sum(job.hours for job in jobs if job.block is not None)
    print(
        f"to do: {hours:.0f} h of streams without the word, {trials.hours:.1f} h long, and "
        f"{sum(job.block is None for job in jobs)} sounds with it",
        file=sys.stderr,
    )
    detected = recalled_in_parallel(
        _play,
        jobs,
        [done / hashlib.sha256(repr(job).encode()).hexdigest()[:16] for job in jobs],
        "listen",
        "sounds",
        [job.hours for job in jobs],
        shared=evaluation,
    )
    (confusables,) = recalled_in_parallel(  # here: by the voices of this machine
        _confusables,
        [None],
        [done / "confusables"],
        "confusables",
        "time",
        shared=evaluation,
        here=True,
    )
    return [one for job in detected for one in job], confusables


def _count(evaluation: Evaluation, played: list[Played]) -> Counts:
    """False accepts of every listener on every stream, in every state."""
    word, names = evaluation.word, [OURS, *evaluation.others]
    keys = list(
        dict.fromkeys(
            (c.sound.stream, word.states.index(c.state), name)
            for c in evaluation.conditions
            for name in names
            if name == OURS or not c.sound.stream.altered
        )
    )
    counted = in_parallel(
        _accepts, keys, "false accepts", "streams", shared=(evaluation, played), here=True
    )
    listeners = {name: evaluation.listener(name) for name in names}
    return Counts(word, evaluation.conditions, dict(zip(keys, counted, strict=True)), listeners)


def _about(evaluation: Evaluation) -> dict[str, Any]:
    """What was measured, and on what."""
    trials, options = evaluation.trials, evaluation.options
    return {
        "word": evaluation.word.name,
        "seed": options.seed,
        "draws": options.draws,
        "signal_to_echo_db": {k: list(v) for k, v in options.ser_db.items()},
        "positives": len(trials.positives),
        "synthesized": sum(clip.kind == "tts" for clip in trials.positives),
        "negatives": len(trials.negatives),
        "half_hours": [round(hours, 4) for hours in trials.half_hours],
        "sample_hours": round(sum(b.hours for b in trials.blocks if b.number in trials.sample), 4),
        "fingerprint": fingerprint(evaluation.device),
        "short": options.short,
        "band_hz": [round(float(hz)) for hz in _band_centers(evaluation.word)],
        "voices": [voice(clip) for clip in trials.positives],
        "trials": hashlib.sha256("\n".join(c.path for c in trials.positives).encode()).hexdigest(),
    }


def _identity(
    word: Word, library: Path, data: Path, split: str, options: Options, absent: str
) -> str:
    """Of all that the scores come from: names the folder in which they are kept."""
    train = Path(__file__).parents[1]
    files = [
        library,
        *(find_manifest(folder) for folder in (data, *options.also)),
        *sorted(train.rglob("*.py")),
        *([options.keras] if options.keras else []),
    ]
    facts = [
        word.model_dump(mode="json"),
        word.data.confusables,
        word.data.confusable_recordings,
        str(data.resolve()),
        split,
        options.seed,
        options.draws,
        absent,
        options.short,
        options.confusables,
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _band_centers(word: Word) -> NDArray[np.float64]:
    """Centers of the front end's mel bands (HTK), Hz."""
    f = word.frontend
    return hertz(np.linspace(mel(f.low_hz), mel(f.high_hz), f.bands + 2)[1:-1])
