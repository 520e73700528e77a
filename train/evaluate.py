"""False rejects at fixed false accepts, on the device pipeline and on streams (docs/training.md).

FA/h: detections an hour on continuous audio without the wake word. FRR: share of recordings of
the word with no detection from the word's start to 1 s after its end. For a device state both
hold that state's own playback, at a signal-to-echo ratio that is given.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.manifest import never_fires
from train.acoustics import Stage, Wave, active_rms, dbfs, rms, to_int16
from train.data import PLAYBACK_KINDS, RATE, Clip, Corpus, DataError, load_corpus, voice
from train.device import Device
from words import Word

LEVEL_DBFS = -30.0  # speech where something is mixed in; clean recordings stay as they are
TAIL = RATE  # silence, or what is mixed in, after a recording: time to answer
LEAD = RATE  # the same before it, where something is mixed in
CHUNK_S = 30.0  # own sound is drawn anew this often in long streams


@dataclass(frozen=True)
class Condition:
    """One row of the table: the state told to the device, and what is mixed into the sound."""

    name: str
    state: str
    noise: str = ""  # kind mixed into the recordings: "noise" or "music"
    snr_db: float = 0.0
    ser_db: float | None = None  # own playback


@dataclass
class Row:
    """Results of one condition."""

    condition: Condition
    clips: int
    speakers: int
    hours: float
    at: dict[str, dict[str, float]] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)  # FA/h, FRR


def conditions(word: Word, ser_db: dict[str, float]) -> list[Condition]:
    """Clean, noise and music in the default state; then every other state at its SER."""
    default = word.states[0]
    rows = [
        Condition("clean", default),
        Condition("noise 10 dB", default, "noise", 10.0),
        Condition("noise 0 dB", default, "noise", 0.0),
        Condition("music 0 dB", default, "music", 0.0),
    ]
    for state in word.states[1:]:
        values = dict(part.split("=") for part in state.split(","))
        idle = values.get("player") not in PLAYBACK_KINDS
        ser = None if idle else ser_db.get(values.get("volume", ""), 0.0)
        name = state if ser is None else f"{state} SER {ser:g} dB"
        rows.append(Condition(name, state, ser_db=ser))
    return rows


class Evaluation:
    """Scores of one split through the device; all mixing is drawn from the seed."""

    def __init__(self, word: Word, device: Device, corpus: Corpus, seed: int, draws: int) -> None:
        self.word, self.device, self.corpus = word, device, corpus
        self.stage = Stage(corpus, word)
        self.seed, self.draws = seed, draws
        self.positives = corpus.positives(word)
        sounds = corpus.of("music", "noise")
        self.negatives = corpus.negatives(word) + sounds
        for what, clips in {
            f"recording labelled {' or '.join(word.data.positive)}": self.positives,
            "recording without the word": self.negatives,
            "noise": corpus.of("noise"),
            "music": corpus.of("music"),
        }.items():
            if not clips:
                raise DataError(f"the split has no {what}; evaluation needs it")

    def speech_stream(self, state: str, ser_db: float | None) -> NDArray[np.int16]:
        """All audio without the word, one after the other; with own playback where given."""
        if ser_db is None:
            return np.concatenate([self.corpus.audio(c) for c in self.negatives])
        level = dbfs(LEVEL_DBFS)
        parts = []
        for clip in self.negatives:
            x = self.corpus.audio(clip).astype(np.float32)
            parts.append(x * np.float32(level / max(active_rms(x), 1.0)))
        x = np.concatenate(parts)
        rng = np.random.default_rng([self.seed, 1, self.word.states.index(state)])
        return to_int16(x + self._own(rng, state, len(x)) * np.float32(level * _gain(ser_db)))

    def trials(self, condition: Condition) -> Iterator[tuple[Clip, NDArray[np.int16], int, int]]:
        """Recordings as the microphone hears them, with start and end of the word (samples)."""
        mixed = bool(condition.noise) or condition.ser_db is not None
        state = self.word.states.index(condition.state)
        rng = np.random.default_rng([self.seed, 2, state, len(condition.noise)])
        for _ in range(self.draws if mixed else 1):
            for clip in self.positives:
                x = self.corpus.audio(clip)
                if not mixed:
                    x = np.concatenate([x, np.zeros(TAIL, np.int16)])
                    yield clip, x, clip.start, clip.end
                    continue
                level = dbfs(LEVEL_DBFS)
                y = x.astype(np.float32)
                y = y * np.float32(level / max(active_rms(y[clip.start : clip.end]), 1.0))
                y = np.pad(y, (LEAD, TAIL))
                if condition.noise:
                    other = self.stage.stretch(rng, self.corpus.of(condition.noise), len(y))
                    y = y + other * np.float32(level * _gain(condition.snr_db) / rms(other))
                if condition.ser_db is not None:
                    own = self._own(rng, condition.state, len(y))
                    y = y + own * np.float32(level * _gain(condition.ser_db))
                yield clip, to_int16(y), clip.start + LEAD, clip.end + LEAD

    def _own(self, rng: np.random.Generator, state: str, samples: int) -> Wave:
        parts, have = [], 0
        while have < samples:
            part = self.stage.own_sound(rng, state, min(samples, int(CHUNK_S * RATE)))
            if part is None:
                return np.zeros(samples, np.float32)
            parts.append(part)
            have += len(part)
        return np.concatenate(parts)[:samples]

    def run(self, condition: Condition, rates: tuple[float, ...]) -> Row:
        """One condition: its stream, its trials, its curve, FRR at the given FA/h."""
        device, state = self.device, self.word.states.index(condition.state)
        stream = self.speech_stream(condition.state, condition.ser_db)
        hours = len(stream) / RATE / 3600
        scores = device.scores(stream, state)
        if not len(scores):
            raise DataError("the split has too little sound without the word")
        # No threshold may lie so low that silence itself wakes.
        thresholds = np.arange(int(np.median(scores)) + 1, never_fires(self.word) + 1)
        accepts = np.array([len(device.detections(scores, int(t))) for t in thresholds])
        heard, speakers = [], []
        for clip, pcm, start, end in self.trials(condition):
            own = device.scores(pcm, state)
            heard.append([_caught(device, own, int(t), start, end) for t in thresholds])
            speakers.append(voice(clip))
        caught = np.array(heard, bool)
        frr = 1.0 - caught.mean(axis=0)
        row = Row(condition, len(caught), len(set(speakers)), hours)
        row.curve = [(float(a / hours), float(f)) for a, f in zip(accepts, frr, strict=True)]
        rng = np.random.default_rng([self.seed, 3])
        for rate in rates:
            # The lowest threshold from which on the rate holds: the highest never fires.
            i = _last(accepts / hours > rate) + 1
            low, high = bootstrap(rng, ~caught[:, i], speakers)
            row.at[f"{rate:g}"] = {
                "threshold": int(thresholds[i]), "false_accepts": int(accepts[i]),
                "misses": int((~caught[:, i]).sum()), "frr": float(frr[i]),
                "frr_low": low, "frr_high": high,
            }  # fmt: skip
        return row


def _gain(ratio_db: float) -> float:
    return float(10 ** (-ratio_db / 20))


def _caught(
    device: Device, scores: NDArray[np.int16], threshold: int, start: int, end: int
) -> bool:
    return any(
        start <= device.step_end(step) <= end + RATE
        for step in device.detections(scores, threshold)
    )


def _last(true: NDArray[np.bool_]) -> int:
    """Index of the last true value; -1 when there is none."""
    return int(np.flatnonzero(true)[-1]) if true.any() else -1


def bootstrap(
    rng: np.random.Generator, missed: NDArray[np.bool_], speakers: list[str]
) -> tuple[float, float]:
    """95 % interval of the miss rate, speakers drawn with replacement (1,000 times)."""
    groups: dict[str, list[bool]] = {}
    for m, speaker in zip(missed.tolist(), speakers, strict=True):
        groups.setdefault(speaker, []).append(m)
    misses = np.array([sum(g) for g in groups.values()])
    counts = np.array([len(g) for g in groups.values()])
    pick = rng.integers(len(counts), size=(1000, len(counts)))
    rates = misses[pick].sum(axis=1) / counts[pick].sum(axis=1)
    return float(np.quantile(rates, 0.025)), float(np.quantile(rates, 0.975))


_evaluation: Evaluation
_rates: tuple[float, ...]


def _run(condition: Condition) -> Row:
    return _evaluation.run(condition, _rates)


def evaluate(
    word: Word, library: Path, data: Path, split: str, cache: Path, *, seed: int, draws: int,
    ser_db: dict[str, float], rates: tuple[float, ...] = (1.0, 0.5),
) -> list[Row]:  # fmt: skip
    """Every condition of the word on one split; two processes on two cores."""
    global _evaluation, _rates
    device = Device(library, word)
    _evaluation = Evaluation(
        word, device, load_corpus(data, split, cache, word.data.stressed_core), seed, draws
    )
    _rates = rates
    todo = conditions(word, ser_db)
    workers = min(len(todo), os.cpu_count() or 1)
    with multiprocessing.get_context("fork").Pool(workers) as team:
        return list(tqdm(team.imap(_run, todo), total=len(todo), desc="evaluate", unit="row"))


def table(rows: list[Row]) -> str:
    """The result as Markdown, FRR in percent with its 95 % interval over speakers."""
    rates = list(rows[0].at)
    lines = [
        "| condition | " + " | ".join(f"FRR % at {r} FA/h" for r in rates)
        + " | recordings | speakers | FA hours |",
        "|---|" + "---|" * (len(rates) + 3),
    ]  # fmt: skip
    for row in rows:
        cells = [
            f"{100 * a['frr']:.1f} [{100 * a['frr_low']:.1f}, {100 * a['frr_high']:.1f}]"
            for a in row.at.values()
        ]
        lines.append(
            f"| {row.condition.name} | " + " | ".join(cells)
            + f" | {row.clips} | {row.speakers} | {row.hours:.2f} |"
        )  # fmt: skip
    return "\n".join(lines)


def write_json(rows: list[Row], path: Path, about: dict[str, object]) -> None:
    """Everything in one file, replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=1) + "\n")
    partial.replace(path)


def plot_det(rows: list[Row], path: Path, title: str) -> None:
    """Detection error trade-off: FRR over FA/h, one line a condition."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for i, row in enumerate(rows):
        rate, frr = np.array(row.curve).T
        style = "-" if row.condition.ser_db is None else "--"  # own playback: dashed
        axes.step(np.maximum(rate, 0.1), 100 * frr, style, where="post", color=f"C{i % 10}",
                  label=row.condition.name)  # fmt: skip
    worst = max((f for row in rows for rate, f in row.curve if rate > 0), default=0.0) or 1.0
    axes.set(xscale="log", xlim=(0.1, 50), ylim=(0, min(105, 115 * worst)), title=title)
    axes.set(xlabel="false accepts per hour (0.1: none heard)", ylabel="false rejects, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    partial = path.with_suffix(".partial")
    figure.savefig(partial, dpi=120, format="png")
    partial.replace(path)
    pyplot.close(figure)
