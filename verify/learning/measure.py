# SPDX-License-Identifier: Apache-2.0
"""The whole system, with and without the verifier: wakestate verifier measure.

Detector alone: the device as it ships, counted as in train/evaluation/evaluate.py. With the
verifier the detector wakes from the lower thresholds on that the verifier was made for: the window
is where the device reports the word's start, and the verifier's answer counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.tables import Printed, pipe
from wakestate.train.artifacts import write_json
from wakestate.train.data.corpus import RATE, load_corpus, voice
from wakestate.train.evaluation.device import Device, Steps
from wakestate.train.evaluation.statistics import bootstrap
from wakestate.train.evaluation.trials import SER_DB, Condition, Pcm, Trials, conditions
from wakestate.train.parallel import in_parallel
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import FeatureWindow, needed
from wakestate.verify.service.detector import TrainedVerifier
from wakestate.words import Word

SYSTEMS = ("detector", "lowered detector", "both")


@dataclass(frozen=True)
class Row:
    """One condition; false accepts, misses and FRR with its interval of each of SYSTEMS."""

    condition: str
    thresholds: tuple[int, int]  # of the detector alone, and of the lowered detector
    hours: float
    trials: int
    accepts: tuple[int, int, int]
    misses: tuple[int, int, int]
    frr: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Trialled:
    """Of each trial: which of SYSTEMS missed the word, bool[3, trials], and who spoke."""

    missed: NDArray[np.bool_]
    speakers: list[str]


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
    ) -> None:
        self.word, self.verifier = word, verifier
        self.device = Device(library, word)
        self.trials = Trials(word, load_corpus(data, split, cache, word.data), seed=1, draws=3)
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

    def row(self, condition: Condition) -> tuple[Row, Trialled]:
        """All that one condition counts."""
        device, state = self.device, self.word.states.index(condition.state)
        shipped, low = device.threshold(state), self.verifier.wakes[state]
        false = (0, 0, 0)
        for block in self.trials.blocks:
            stream = self.trials.stream(condition.sound.stream, block)
            steps = device.steps(stream, state)
            once = device.detections(steps.scores, shipped)
            found = device.detections(steps.scores, low)
            passed = int(self.accepted(stream, steps, found, state).sum())
            false = (false[0] + len(once), false[1] + len(found), false[2] + passed)
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
        each = np.array(missed).T
        frr = tuple(
            (float(m.mean()), *bootstrap(np.random.default_rng([1, 3]), m, speakers)) for m in each
        )
        one, first, both = (int(m.sum()) for m in each)
        row = Row(
            condition.name,
            (shipped, low),
            self.trials.hours,
            len(speakers),
            false,
            (one, first, both),
            frr,
        )
        return row, Trialled(each, speakers)


_system: System


def _row(condition: Condition) -> tuple[Row, Trialled]:
    return _system.row(condition)


def measure(system: System, out: Path) -> Printed:
    """Every condition; writes JSON to `out`, returns Markdown."""
    global _system
    _system = system
    todo = [c for c in conditions(system.word, SER_DB) if c.part in ("sound", "state")]
    found = in_parallel(_row, todo, "measure", "conditions")
    rows = [row for row, _ in found]
    write_json(out, [asdict(row) for row in rows])
    head = ["condition", *(h for s in SYSTEMS for h in (f"{s}: false accepts", "misses %"))]
    shown = []
    for row in rows:
        cells = [row.condition]
        for accepts, (m, a, b) in zip(row.accepts, row.frr, strict=True):
            cells += [str(accepts), f"{100 * m:.1f} [{100 * a:.1f}, {100 * b:.1f}]"]
        shown.append([*cells, str(row.trials)])
    # Conditions that differ in the recordings alone have one stream: it counts once.
    streams = {(c.sound.stream, c.state): row for c, row in zip(todo, rows, strict=True)}.values()
    hours, trials = sum(row.hours for row in streams), sum(row.trials for row in rows)
    cells = [f"**all**, {hours:.1f} h"]
    for i in range(len(SYSTEMS)):
        accepts = sum(row.accepts[i] for row in streams)
        misses = 100 * sum(row.misses[i] for row in rows) / trials
        cells += [f"{accepts}, {accepts / hours:.2f}/h", f"{misses:.1f}"]
    shown.append([*cells, str(trials)])
    missed = np.concatenate([trialled.missed for _, trialled in found], axis=1)
    speakers = [who for _, trialled in found for who in trialled.speakers]
    more = missed[2].astype(np.int8) - missed[0].astype(np.int8)
    low, high = bootstrap(np.random.default_rng([1, 4]), more, speakers)
    text = (
        f"Both miss {100 * more.mean():+.1f} points more than the detector alone "
        f"[{100 * low:+.1f}, {100 * high:+.1f}]."
    )
    return Printed(f"{pipe([*head, 'trials'], shown)}\n\n{text}", [asdict(row) for row in rows])
