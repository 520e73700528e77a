"""The whole system, with and without the second look: python -m verify measure.

A first look at which the FA/h are as asked, counted as in train/evaluate.py; then each of its wakes
is cut where the device tells the word's start, and the verifier's answer counts.
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.hostlib import Extractor
from train.count import bootstrap, first_within, sweep
from train.data import RATE, load_corpus, voice
from train.device import Device, Steps, wakes
from train.kept import write_json
from train.trials import Condition, Pcm, Trials, conditions
from verify.cut import Cut, needed
from verify.frames import PREROLL
from verify.infer import Verifier
from words import Word

NEVER = 32767  # above all scores
SER_DB = {"low": (10.0,), "high": (0.0, -5.0)}


@dataclass(frozen=True)
class Row:
    """One condition at one threshold of the first look; FRR of either with its interval."""

    condition: str
    threshold: int
    hours: float
    trials: int
    accepts: tuple[int, int]  # false, by the first look alone and by both
    misses: tuple[int, int]
    frr: tuple[tuple[float, float, float], tuple[float, float, float]]


class System:
    """Device and verifier, and what they hear."""

    def __init__(self, word: Word, library: Path, verifier: Verifier, data: Path, split: str,
                 cache: Path, rate: float) -> None:  # fmt: skip
        self.word, self.verifier, self.rate = word, verifier, rate
        self.device = Device(library, word)
        self.trials = Trials(word, load_corpus(data, split, cache, word.data), seed=1, draws=3)
        self.extract = Extractor(word.frontend)

    def accepted(self, pcm: Pcm, steps: Steps, at: list[int]) -> NDArray[np.bool_]:
        """What the second look says of the wakes at some steps."""
        if not at:
            return np.zeros(0, np.bool_)
        cuts = []
        for step in at:
            begin = max(0, int(steps.start[step]) - PREROLL)
            start = int(steps.start[step]) - begin
            cut = Cut(self.extract, start, self.verifier.frames)
            cut.feed(pcm[begin : begin + needed(self.word.frontend, start, self.verifier.frames)])
            cuts.append(cut.features())
        return self.verifier.score(np.stack(cuts))[0] >= self.verifier.threshold

    def row(self, condition: Condition) -> Row:
        """Of the lowest threshold at which the first look keeps to the rate."""
        device, state = self.device, self.word.states.index(condition.state)
        stream = self.trials.stream(condition.sound.stream)
        hours = len(stream) / RATE / 3600
        steps = device.steps(stream, state)
        threshold = device.threshold(state)
        if self.rate:
            threshold = lowest(device, steps.scores, hours, self.rate)
        found = wakes(steps.scores, threshold, device.refractory_steps)
        false = (len(found), int(self.accepted(stream, steps, found).sum()))
        missed: tuple[list[bool], list[bool]] = ([], [])
        speakers = []
        for clip, pcm, start, end in self.trials.recordings(condition.sound):
            steps = device.steps(pcm, state)
            inside = [i for i in wakes(steps.scores, threshold, device.refractory_steps)
                      if start <= device.step_end(i) <= end + RATE]  # fmt: skip
            missed[0].append(not inside)
            missed[1].append(not self.accepted(pcm, steps, inside).any())
            speakers.append(voice(clip))
        frr = tuple(
            (float(np.mean(m)), *bootstrap(np.random.default_rng([1, 3]), np.array(m), speakers))
            for m in missed
        )
        return Row(condition.name, threshold, hours, len(speakers), false,
                   (sum(missed[0]), sum(missed[1])), frr)  # type: ignore[arg-type]  # fmt: skip


def lowest(device: Device, scores: NDArray[np.int16], hours: float, rate: float) -> int:
    """The lowest threshold from which on a stream wakes the device at most `rate` times an hour."""
    thresholds = sweep(scores, NEVER)
    thresholds = thresholds[thresholds <= int(scores.max()) + 1]
    counts = [len(wakes(scores, int(t), device.refractory_steps)) for t in thresholds]
    return int(thresholds[first_within(np.array(counts) / hours, rate)])


_system: System


def _row(condition: Condition) -> Row:
    return _system.row(condition)


def measure(system: System, out: Path) -> str:
    """Every condition; writes JSON to `out`, returns Markdown."""
    global _system
    _system = system
    todo = [c for c in conditions(system.word, SER_DB) if c.part in ("sound", "state")]
    workers = min(len(todo), os.cpu_count() or 1)
    with multiprocessing.get_context("fork").Pool(workers) as team:
        rows = list(tqdm(team.imap(_row, todo), total=len(todo), desc="measure", unit="condition"))
    write_json(out, [asdict(row) for row in rows])
    lines = [
        "| condition | false accepts, one look | both | misses %, one look | both | trials |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        frr = [f"{100 * m:.1f} [{100 * a:.1f}, {100 * b:.1f}]" for m, a, b in row.frr]
        lines.append(f"| {row.condition} | {row.accepts[0]} | {row.accepts[1]} | {frr[0]} | "
                     f"{frr[1]} | {row.trials} |")  # fmt: skip
    # Conditions that differ in the recordings alone hear one stream: it counts once.
    streams = {(c.sound.stream, c.state): row for c, row in zip(todo, rows, strict=True)}.values()
    hours = sum(row.hours for row in streams)
    one, both = (sum(row.accepts[i] for row in streams) for i in (0, 1))
    misses = [100 * sum(row.misses[i] for row in rows) / sum(row.trials for row in rows)
              for i in (0, 1)]  # fmt: skip
    lines.append(f"| **all**, {hours:.1f} h | {one}, {one / hours:.2f}/h | "
                 f"{both}, {both / hours:.2f}/h | {misses[0]:.1f} | {misses[1]:.1f} | "
                 f"{sum(row.trials for row in rows)} |")  # fmt: skip
    return "\n".join(lines)
