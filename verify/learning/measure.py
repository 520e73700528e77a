# SPDX-License-Identifier: Apache-2.0
"""The whole system, with and without the verifier: wakestate verifier measure.

Detector alone: the device as it ships, counted as in train/evaluation/evaluate.py. With the
verifier the detector wakes from the lower thresholds on that the verifier was made for: the window
is where the device reports the word's start, and the verifier's answer counts. Streams are used as
docs/benchmark.md says: all hours with the device silent, in playback a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.tables import Printed, pipe
from wakestate.train.artifacts import write_json
from wakestate.train.data.corpus import RATE, load_corpus, voice
from wakestate.train.evaluation.device import Device, Steps
from wakestate.train.evaluation.statistics import bootstrap
from wakestate.train.evaluation.trials import (
    SER_DB,
    SETS,
    Condition,
    Pcm,
    Sound,
    Trials,
    conditions,
)
from wakestate.train.parallel import in_parallel
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import FeatureWindow, needed
from wakestate.verify.service.detector import TrainedVerifier
from wakestate.words import Word

SYSTEMS = ("detector", "lowered detector", "both")
Stream: TypeAlias = tuple[Sound, str]  # the device's own sound, and its state


@dataclass(frozen=True)
class Row:
    """One condition; false accepts, misses and FRR with its interval of each of SYSTEMS."""

    condition: str
    thresholds: tuple[int, int]  # of the detector alone, and of the lowered detector
    hours: float
    trials: int
    accepts: tuple[int, ...]
    misses: tuple[int, ...]
    frr: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Trialled:
    """Of each trial: which of SYSTEMS missed the word, bool[3, trials], and who spoke."""

    missed: NDArray[np.bool_]
    speakers: list[str]


@dataclass(frozen=True)
class Part:
    """A block without the word, in streams that have the device's own sound in common."""

    block: int
    streams: tuple[Stream, ...]


@dataclass(frozen=True)
class Accepted:
    """False accepts of SYSTEMS in one block of each stream."""

    counts: dict[Stream, tuple[int, ...]]


class System:
    """Device and verifier, and their input."""

    def __init__(
        self,
        word: Word,
        library: Path,
        verifier: TrainedVerifier,
        data: Path,
        split: str,
        cache: Path,
        also: Sequence[Path] = (),
    ) -> None:
        self.word, self.verifier = word, verifier
        self.device = Device(library, word)
        corpus = load_corpus(data, split, cache, word.data, also)
        self.trials = Trials(word, corpus, seed=1, draws=3)
        self.extract = Extractor(word.frontend)

    def accepted(self, pcm: Pcm, steps: Steps, at: list[int], state: int) -> NDArray[np.bool_]:
        """The verifier's verdicts on the wakes at some steps."""
        if not at:
            return np.zeros(0, np.bool_)
        windows = []
        for step in at:
            begin = max(0, int(steps.start[step]) - PREROLL)
            start = int(steps.start[step]) - begin
            window = FeatureWindow(self.extract, start, self.verifier.frames)
            window.feed(
                pcm[begin : begin + needed(self.word.frontend, start, self.verifier.frames)]
            )
            windows.append(window.features())
        states = np.full(len(windows), state)
        return self.verifier.score(np.stack(windows), states)[0] >= self.verifier.threshold

    def parts(self, todo: Sequence[Condition]) -> list[Part]:
        """What is to be processed of the streams of these conditions, each stream once."""
        streams = list(dict.fromkeys((c.sound.stream, c.state) for c in todo))
        found = []
        for block in self.trials.blocks:
            of_player: dict[str, list[Stream]] = {}
            for sound, state in streams:
                ratios = [other for other, its in streams if its == state]
                if self.trials.uses(block, sound, ratios):
                    of_player.setdefault(sound.player, []).append((sound, state))
            found += [Part(block.number, tuple(own)) for own in of_player.values()]
        return found

    def false_accepts(self, part: Part) -> Accepted:
        """Wakes of each system in a part."""
        device, block = self.device, self.trials.block(part.block)
        counts: dict[Stream, tuple[int, ...]] = {}
        for sound, of in part.streams:
            state = self.word.states.index(of)
            pcm = self.trials.stream(sound, block)
            steps = device.steps(pcm, state)
            once = device.detections(steps.scores, device.threshold(state))
            found = device.detections(steps.scores, self.verifier.wakes[state])
            passed = int(self.accepted(pcm, steps, found, state).sum())
            counts[sound, of] = len(once), len(found), passed
        return Accepted(counts)

    def trialled(self, condition: Condition) -> Trialled:
        """The recordings of the word in one condition."""
        device, state = self.device, self.word.states.index(condition.state)
        shipped, low = device.threshold(state), self.verifier.wakes[state]
        missed: list[tuple[bool, bool, bool]] = []
        speakers = []
        for clip, pcm, start, end in self.trials.recordings(condition.sound):
            steps = device.steps(pcm, state)
            once, found = (
                [
                    i
                    for i in device.detections(steps.scores, threshold)
                    if start <= device.step_end(i) <= end + RATE
                ]
                for threshold in (shipped, low)
            )
            accepted = self.accepted(pcm, steps, found, state).any()
            missed.append((not once, not found, not accepted))
            speakers.append(voice(clip))
        return Trialled(np.array(missed).T, speakers)

    def row(self, condition: Condition, trialled: Trialled, done: Mapping[Part, Accepted]) -> Row:
        """All that one condition counts."""
        stream, state = (condition.sound.stream, condition.state), condition.state
        own = {p: a.counts[stream] for p, a in done.items() if stream in a.counts}
        number = self.word.states.index(state)
        frr = tuple(
            (float(m.mean()), *bootstrap(np.random.default_rng([1, 3]), m, trialled.speakers))
            for m in trialled.missed
        )
        return Row(
            condition.name,
            (self.device.threshold(number), self.verifier.wakes[number]),
            sum(self.trials.block(part.block).hours for part in own),
            len(trialled.speakers),
            tuple(sum(counts) for counts in zip(*own.values(), strict=True)),
            tuple(int(m.sum()) for m in trialled.missed),
            frr,
        )


_system: System


def _done(job: Part | Condition) -> Accepted | Trialled:
    return _system.false_accepts(job) if isinstance(job, Part) else _system.trialled(job)


def measure(system: System, out: Path) -> Printed:
    """Every condition; writes JSON to `out`, returns Markdown."""
    global _system
    _system = system
    todo = [c for c in conditions(system.word, SER_DB) if c.part in SETS]
    parts = system.parts(todo)
    jobs: list[Part | Condition] = [*todo, *parts]
    found = in_parallel(_done, jobs, "measure", "parts")
    trialled = [one for one in found if isinstance(one, Trialled)]
    accepted = [one for one in found if isinstance(one, Accepted)]
    done = dict(zip(parts, accepted, strict=True))
    rows = [system.row(c, own, done) for c, own in zip(todo, trialled, strict=True)]
    write_json(out, [asdict(row) for row in rows])
    names = (h for s in SYSTEMS for h in (f"{s}: false accepts", "misses %"))
    head = ["condition", *names, "trials", "hours"]
    shown = []
    for row in rows:
        cells = [row.condition]
        for accepts, (m, a, b) in zip(row.accepts, row.frr, strict=True):
            cells += [str(accepts), f"{100 * m:.1f} [{100 * a:.1f}, {100 * b:.1f}]"]
        shown.append([*cells, str(row.trials), f"{row.hours:.1f}"])
    # Conditions that differ in the recordings alone have one stream: it counts once.
    streams = {(c.sound.stream, c.state): row for c, row in zip(todo, rows, strict=True)}.values()
    hours, trials = sum(row.hours for row in streams), sum(row.trials for row in rows)
    cells = ["**all**"]
    for i in range(len(SYSTEMS)):
        accepts = sum(row.accepts[i] for row in streams)
        misses = 100 * sum(row.misses[i] for row in rows) / trials
        cells += [f"{accepts}, {accepts / hours:.2f}/h", f"{misses:.1f}"]
    shown.append([*cells, str(trials), f"{hours:.1f}"])
    missed = np.concatenate([one.missed for one in trialled], axis=1)
    speakers = [who for one in trialled for who in one.speakers]
    more = missed[2].astype(np.int8) - missed[0].astype(np.int8)
    low, high = bootstrap(np.random.default_rng([1, 4]), more, speakers)
    text = (
        f"Both miss {100 * more.mean():+.1f} points more than the detector alone "
        f"[{100 * low:+.1f}, {100 * high:+.1f}]."
    )
    return Printed(f"{pipe(head, shown)}\n\n{text}", [asdict(row) for row in rows])
