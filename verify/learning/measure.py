# SPDX-License-Identifier: Apache-2.0
"""The whole system, with and without the verifier: wakestate verifier measure.

Detector alone: the device as it ships, counted as in train/evaluation/evaluate.py. With the
verifier the detector wakes from the lower thresholds on that the verifier was made for: the window
is where the device reports the word's start, and the verifier's answer counts. Streams are used as
docs/benchmark.md says: all hours with the device silent, in playback a part.
"""

from __future__ import annotations

from collections.abc import Sequence
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
RATES = (0.5, 0.1)  # FA/h that thresholds from the other half are set for


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
    """Of each trial: which of SYSTEMS missed the word, bool[3, trials]; the verifier's highest
    logit, -inf where the lowered detector did not wake; who spoke; and the half."""

    missed: NDArray[np.bool_]
    logits: NDArray[np.float64]
    speakers: list[str]
    halves: list[int]


@dataclass(frozen=True)
class Part:
    """A block without the word, in streams that have the device's own sound in common."""

    block: int
    streams: tuple[Stream, ...]


@dataclass(frozen=True)
class Accepted:
    """In one block of each stream: how often the detector woke, and the verifier's logit of each
    wake of the lowered detector."""

    alone: dict[Stream, int]
    logits: dict[Stream, NDArray[np.float64]]


@dataclass(frozen=True)
class Crossed:
    """Both at the verifier's thresholds from the other half, one for all states."""

    meant: float  # FA/h
    thresholds: tuple[float, ...]  # logits, of either half
    accepts: int
    hours: float
    misses: int
    trials: int


Done: TypeAlias = Sequence[tuple[Part, Accepted]]


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

    def logits(self, pcm: Pcm, steps: Steps, at: list[int], state: int) -> NDArray[np.float64]:
        """The verifier's logits of the wakes at some steps."""
        if not at:
            return np.zeros(0)
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
        return np.asarray(self.verifier.score(np.stack(windows), states)[0], np.float64)

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
        """The wakes in a part."""
        device, block = self.device, self.trials.block(part.block)
        alone: dict[Stream, int] = {}
        logits: dict[Stream, NDArray[np.float64]] = {}
        for sound, of in part.streams:
            state = self.word.states.index(of)
            pcm = self.trials.stream(sound, block)
            steps = device.steps(pcm, state)
            found = device.detections(steps.scores, self.verifier.wakes[state])
            alone[sound, of] = len(device.detections(steps.scores, device.threshold(state)))
            logits[sound, of] = self.logits(pcm, steps, found, state)
        return Accepted(alone, logits)

    def trialled(self, condition: Condition) -> Trialled:
        """The recordings of the word in one condition."""
        device, state = self.device, self.word.states.index(condition.state)
        shipped, low = device.threshold(state), self.verifier.wakes[state]
        missed: list[tuple[bool, bool, bool]] = []
        logits, speakers, halves = [], [], []
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
            highest = self.logits(pcm, steps, found, state).max(initial=-np.inf)
            missed.append((not once, not found, bool(highest < self.verifier.threshold)))
            logits.append(highest)
            speakers.append(voice(clip))
            halves.append(self.trials.half[clip])
        return Trialled(np.array(missed).T, np.array(logits), speakers, halves)

    def row(self, condition: Condition, trialled: Trialled, done: Done) -> Row:
        """All that one condition counts."""
        stream, state = (condition.sound.stream, condition.state), condition.state
        own = [(p, a.alone[stream], a.logits[stream]) for p, a in done if stream in a.alone]
        passed = sum(int((logits >= self.verifier.threshold).sum()) for *_, logits in own)
        low = sum(len(logits) for *_, logits in own)
        number = self.word.states.index(state)
        frr = tuple(
            (float(m.mean()), *bootstrap(np.random.default_rng([1, 3]), m, trialled.speakers))
            for m in trialled.missed
        )
        return Row(
            condition.name,
            (self.device.threshold(number), self.verifier.wakes[number]),
            sum(self.trials.block(part.block).hours for part, *_ in own),
            len(trialled.speakers),
            (sum(alone for _, alone, _ in own), low, passed),
            tuple(int(m.sum()) for m in trialled.missed),
            frr,
        )

    def crossed(self, done: Done, trialled: Sequence[Trialled], meant: float) -> Crossed:
        """All conditions together, at the verifier's thresholds from the other half."""
        hours, logits = [0.0, 0.0], [np.zeros(0), np.zeros(0)]
        for part, one in done:
            block = self.trials.block(part.block)
            hours[block.half] += block.hours * len(part.streams)
            logits[block.half] = np.concatenate([logits[block.half], *one.logits.values()])
        thresholds = [
            _threshold(found, meant * of) for found, of in zip(logits, hours, strict=True)
        ][::-1]
        misses = sum(int(np.sum(one.logits < np.take(thresholds, one.halves))) for one in trialled)
        accepts = [int((a >= t).sum()) for a, t in zip(logits, thresholds, strict=True)]
        trials = sum(len(one.halves) for one in trialled)
        return Crossed(meant, tuple(thresholds), sum(accepts), sum(hours), misses, trials)


def _threshold(logits: NDArray[np.float64], allowed: float) -> float:
    """The lowest that no more than `allowed` reach; the lowest of all where that is all of them."""
    ordered, over = np.sort(logits)[::-1], int(allowed)
    if len(ordered) > over:
        return float(np.nextafter(ordered[over], np.inf))
    return float(ordered[-1]) if len(ordered) else 0.0


def _done(system: System, job: Part | Condition) -> Accepted | Trialled:
    return system.false_accepts(job) if isinstance(job, Part) else system.trialled(job)


def measure(system: System, out: Path) -> Printed:
    """Every condition; writes JSON to `out`, returns Markdown."""
    todo = [c for c in conditions(system.word, SER_DB) if c.part in SETS]
    parts = system.parts(todo)
    jobs: list[Part | Condition] = [*todo, *parts]
    found = in_parallel(_done, jobs, "measure", "parts", shared=system)
    trialled = [one for one in found if isinstance(one, Trialled)]
    accepted = [one for one in found if isinstance(one, Accepted)]
    done = list(zip(parts, accepted, strict=True))
    rows = [system.row(c, own, done) for c, own in zip(todo, trialled, strict=True)]
    crossed = [system.crossed(done, trialled, rate) for rate in RATES]
    results = {"rows": [asdict(r) for r in rows], "crossed": [asdict(c) for c in crossed]}
    write_json(out, results)
    streams = {(c.sound.stream, c.state): row for c, row in zip(todo, rows, strict=True)}
    text = [_table(rows, list(streams.values())), "", _compared(trialled)]
    for c in crossed:
        text.append(
            f"Both, at the verifier's thresholds from the other half, {c.meant:g} FA/h meant: "
            f"{c.accepts / c.hours:.2f} FA/h ({c.accepts}), "
            f"{100 * c.misses / c.trials:.1f} % missed."
        )
    return Printed("\n".join(text), results)


def _table(rows: list[Row], streams: list[Row]) -> str:
    """All rows. `streams`: one for each stream, as conditions that differ in the recordings alone
    have one: its false accepts count once."""
    names = (h for s in SYSTEMS for h in (f"{s}: false accepts", "misses %"))
    head = ["condition", *names, "trials", "hours"]
    shown = []
    for row in rows:
        cells = [row.condition]
        for accepts, (m, a, b) in zip(row.accepts, row.frr, strict=True):
            cells += [str(accepts), f"{100 * m:.1f} [{100 * a:.1f}, {100 * b:.1f}]"]
        shown.append([*cells, str(row.trials), f"{row.hours:.1f}"])
    hours, trials = sum(row.hours for row in streams), sum(row.trials for row in rows)
    cells = ["**all**"]
    for i in range(len(SYSTEMS)):
        accepts = sum(row.accepts[i] for row in streams)
        misses = 100 * sum(row.misses[i] for row in rows) / trials
        cells += [f"{accepts}, {accepts / hours:.2f}/h", f"{misses:.1f}"]
    return pipe(head, [*shown, [*cells, str(trials), f"{hours:.1f}"]])


def _compared(trialled: Sequence[Trialled]) -> str:
    """How many more words both miss than the detector alone."""
    missed = np.concatenate([one.missed for one in trialled], axis=1)
    speakers = [who for one in trialled for who in one.speakers]
    more = missed[2].astype(np.int8) - missed[0].astype(np.int8)
    low, high = bootstrap(np.random.default_rng([1, 4]), more, speakers)
    return (
        f"Both miss {100 * more.mean():+.1f} points more than the detector alone "
        f"[{100 * low:+.1f}, {100 * high:+.1f}]."
    )
