"""False rejects at fixed false accepts, on the device pipeline and on streams (docs/training.md).

FA/h: detections an hour on continuous audio without the wake word. FRR: share of recordings of
the word with no detection from the word's start to 1 s after its end. For a device state both
hold that state's own playback, at a signal-to-echo ratio that is given. Other engines hear the
very same sound and are counted by the same rules.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.convert.hostlib import Extractor
from wakestate.convert.manifest import never_fires
from wakestate.files import write_whole
from wakestate.train.artifacts import quiet, recalled
from wakestate.train.data.corpus import RATE, Clip, find_manifest, load_corpus, voice
from wakestate.train.evaluation.confusables import Near, recorded, spoken
from wakestate.train.evaluation.device import OURS, Device, fingerprint, wakes
from wakestate.train.evaluation.endpoints import Ends, endpoint_errors
from wakestate.train.evaluation.false_accepts import false_accepts
from wakestate.train.evaluation.metrics import Accepts, Heard, Scores, count_accepts, hear
from wakestate.train.evaluation.peers import find_peers
from wakestate.train.evaluation.statistics import miss_ratio
from wakestate.train.evaluation.streams import Block, half_hours
from wakestate.train.evaluation.thresholds import Counts, crossed
from wakestate.train.evaluation.trials import SETS, Condition, Pcm, Sound, Trials, conditions
from wakestate.words import Word

VERSION = 3  # of evaluate.json


@dataclass
class Result:
    """One listener in one condition."""

    hours: float  # of the stream, as far as it heard it
    at: dict[str, dict[str, float]] = field(default_factory=dict)  # by FA/h
    shipped: dict[str, float] = field(default_factory=dict)  # at the threshold it ships with
    crossed: dict[str, dict[str, Any]] = field(default_factory=dict)  # by FA/h; see Crossed
    curve: list[tuple[float, float, int]] = field(default_factory=list)  # FA/h, FRR, threshold
    band: list[tuple[float, float, float]] = field(default_factory=list)  # see Heard.band
    ratio: dict[str, dict[str, float] | None] = field(default_factory=dict)  # our misses / its


@dataclass
class Row:
    """One condition: ours in `at`, `shipped`, `crossed` and `curve`, the others by name."""

    condition: Condition
    clips: int
    speakers: int
    hours: float
    at: dict[str, dict[str, float]]
    shipped: dict[str, float]
    crossed: dict[str, dict[str, Any]]
    curve: list[tuple[float, float, int]]
    band: list[tuple[float, float, float]]
    others: dict[str, Result] = field(default_factory=dict)
    endpoints: dict[str, float] | None = None
    lfbe_db: list[float] = field(default_factory=list)  # mean of each band while the word is said


@dataclass
class Measured:
    """All that one evaluation found, and what it was made from."""

    about: dict[str, Any]
    states: list[dict[str, Any]]  # of each state its false accepts: thresholds.py
    rows: list[Row]
    near: list[Near]
    excerpts: list[dict[str, Any]]
    false_accepts: list[dict[str, Any]]  # train/evaluation/false_accepts.py
    thresholds: dict[str, int]  # of each state, at the word's false_accepts_per_hour


@dataclass(frozen=True)
class Options:
    """What is measured, and with what."""

    seed: int = 1
    draws: int = 3
    ser_db: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {"low": (10.0,), "high": (0.0, -5.0)}
    )
    rates: tuple[float, ...] = (0.5, 0.1)
    peers: bool = True
    keras: Path | None = None  # float model to hear as well
    also: tuple[Path, ...] = ()  # more data folders whose split is heard
    short: bool = False  # no wrong states, levels, near misses; of long streams the sample
    set_thresholds: bool = False  # ship what is found here, not what is compiled in


@dataclass
class Played:
    """Scores of one sound by listener and told state (-1: whatever the state)."""

    sound: Sound
    block: Block | None  # of a stream; None: the recordings
    scores: dict[tuple[str, int], list[Scores]]
    spans: list[tuple[int, int]] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)  # of the word, a trial each
    lfbe_db: list[float] = field(default_factory=list)
    ends: dict[int, list[Ends]] = field(default_factory=dict)


class Evaluation:
    """One split heard by the device and by others, in every condition."""

    def __init__(
        self, word: Word, device: Device, trials: Trials, data: Path, cache: Path, options: Options
    ) -> None:
        self.word, self.device, self.trials = word, device, trials
        self.data, self.cache, self.options = data, cache, options
        self.conditions = [
            c
            for c in conditions(word, options.ser_db)
            if not options.short
            or c.part in ("sound", "state")
            or (c.part == "life" and c.sound.stream == Sound())
        ]

    @cached_property
    def others(self) -> dict[str, Any]:
        """Peers and the float model, made where they are used: in each process anew."""
        found: dict[str, Any] = {}
        if self.options.peers:
            found |= {peer.name: peer for peer in find_peers(self.word, self.cache)[0]}
        if self.options.keras is not None:
            from wakestate.train.evaluation.float_baseline import WholeWindow

            found[WholeWindow.name] = WholeWindow(self.word, self.device, self.options.keras)
        return found

    def jobs(self) -> list[Job]:
        """What is to be heard; each sound once. Of streams a block a job, in all sounds that have
        the device's own sound in common.

        A block of the sample is heard in all streams; one of the part once in each state, at one of
        the state's ratios, which take turns; any other with the device silent.
        """
        streams: list[Job] = []
        turns = {
            s: list(
                dict.fromkeys(
                    c.sound.stream for c in self.conditions if c.part in SETS and c.state == s
                )
            )
            for s in self.word.states
        }
        for block in self.trials.blocks:
            told: dict[Sound, set[int]] = {}
            place = self.trials.part.get(block.number)
            for c in self.conditions:
                turn = Sound() if place is None else turns[c.state][place % len(turns[c.state])]
                if block.number in self.trials.sample or (
                    c.part in SETS and c.sound.stream == turn
                ):
                    told.setdefault(c.sound.stream, set()).add(self.word.states.index(c.state))
            groups: dict[tuple[str, str], list[tuple[Sound, tuple[int, ...]]]] = {}
            for sound, states in told.items():
                group = groups.setdefault((sound.player, sound.altered), [])
                group.append((sound, tuple(sorted(states))))
            streams += [
                Job(tuple(group), block.number, len(group) * block.samples / RATE / 3600)
                for group in groups.values()
            ]
        seconds = sum(clip.samples for clip in self.trials.positives) / RATE
        told = {}
        for c in self.conditions:
            told.setdefault(c.sound, set()).add(self.word.states.index(c.state))
        return [
            Job(((sound, tuple(sorted(states))),), None, seconds / 3600)
            for sound, states in told.items()
        ] + streams

    def play(self, sound: Sound, block: int | None, states: Sequence[int]) -> Played:
        """One sound to every listener, the device told each of the states."""
        if block is not None:
            played = Played(sound, self.trials.block(block), {})
            pcms = [self.trials.stream(sound, self.trials.block(block))]
        else:
            played = Played(sound, None, {})
            pcms, extract, total, hops = [], Extractor(self.word.frontend), 0.0, 0
            for clip, pcm, start, end in self.trials.recordings(sound):
                pcms.append(pcm)
                played.spans.append((start, end))
                played.clips.append(clip)
                features = extract.features(pcm[start:end])
                total, hops = total + features.sum(axis=0, dtype=np.int64), hops + len(features)
            f = self.word.frontend
            mean = np.asarray(total) / max(hops, 1) + 128
            played.lfbe_db = [round(float(v), 3) for v in f.floor_db + mean * f.db_per_step]
        for state in states:
            played.scores[OURS, state] = self._device_scores(pcms, state, played)
        others = block is None or self._others_hear(sound, block)
        for name, listener in self.others.items() if others else ():
            if deaf(listener):
                played.scores[name, -1] = listener.scores_of(pcms)
            else:
                for state in states:
                    played.scores[name, state] = [listener.scores(pcm, state) for pcm in pcms]
        return played

    def _device_scores(self, pcms: list[Pcm], state: int, played: Played) -> list[Scores]:
        steps = getattr(self.device, "steps", None)
        if played.block is not None or steps is None:
            return [self.device.scores(pcm, state) for pcm in pcms]
        found = [steps(pcm, state) for pcm in pcms]
        played.ends[state] = [(s.start, s.end) for s in found]
        return [s.scores for s in found]

    def listener(self, name: str) -> Any:
        """The device or another by its name."""
        return self.device if name == OURS else self.others[name]

    def _others_hear(self, sound: Sound, block: int) -> bool:
        """Other engines hear the part with the device silent, in playback the sample."""
        if sound == Sound() and block in self.trials.part:
            return True
        return block in self.trials.sample and not sound.altered

    def accepts(self, played: list[Played], sound: Sound, state: int, name: str) -> Accepts:
        """False accepts of one listener on one stream."""
        listener = self.listener(name)
        key = name, -1 if deaf(listener) else state
        heard = [
            (p.block, p.scores[key][0])
            for p in played
            if p.block is not None
            and p.sound == sound
            and key in p.scores
            and (name == OURS or self._others_hear(sound, p.block.number))
        ]
        highest = never_fires(self.word) if name == OURS else listener.highest
        parts = [(block.half, scores) for block, scores in heard]
        return count_accepts(listener, highest, parts, half_hours([b for b, _ in heard]))

    def heard(
        self, played: list[Played], condition: Condition, name: str, accepts: Accepts
    ) -> Heard:
        """One listener in one condition, at every threshold at which `accepts` was counted."""
        trials = _trials(played, condition.sound)
        listener = self.listener(name)
        key = name, -1 if deaf(listener) else self.word.states.index(condition.state)
        return hear(
            listener,
            accepts,
            trials.scores[key],
            trials.spans,
            [voice(clip) for clip in trials.clips],
        )

    def row(self, played: list[Played], condition: Condition, counts: Counts) -> Row:
        """One condition, counted; `counts`: false accepts on the streams of all conditions."""
        seed, rates, state = self.options.seed, self.options.rates, condition.state
        trials = _trials(played, condition.sound)
        halves = np.array([self.trials.half[clip] for clip in trials.clips])
        heard, results = {}, {}
        for name in (OURS, *self.others):
            accepts = counts.of(name, condition)
            found = heard[name] = self.heard(played, condition, name, accepts)
            results[name] = Result(
                found.hours,
                {f"{r:g}": found.at(accepts.threshold(r), seed) for r in rates},
                crossed={
                    f"{r:g}": asdict(crossed(found, counts.pooled(name, state), r, halves, seed))
                    for r in rates
                },
                curve=found.curve(),
                band=found.band(seed),
            )
            shipped = counts.shipped(name, state)
            if shipped is not None:
                results[name].shipped = found.at(shipped, seed)
        ours = heard[OURS]
        for name in self.others:
            theirs = heard[name]
            for rate in rates:
                results[name].ratio[f"{rate:g}"] = miss_ratio(
                    np.random.default_rng([seed, 5]),
                    ours.missed(ours.accepts.threshold(rate)),
                    theirs.missed(theirs.accepts.threshold(rate)),
                    ours.speakers,
                )
        own = results.pop(OURS)
        row = Row(
            condition,
            len(trials.clips),
            len(set(ours.speakers)),
            ours.hours,
            own.at,
            own.shipped,
            own.crossed,
            own.curve,
            own.band,
            results,
            None,
            trials.lfbe_db,
        )
        number = self.word.states.index(state)
        if number in trials.ends:
            row.endpoints = endpoint_errors(
                self.device,
                trials.scores[OURS, number],
                trials.ends[number],
                int(own.shipped["threshold"]),
                trials.spans,
            )
        return row

    def near(self) -> list[tuple[str, str, dict[str, list[Scores]]]]:
        """Scores of every near miss, and of the word said by the same voices; device idle."""
        if self.options.short:
            return []
        said = spoken(self.trials, (self.word.phrase, *self.word.data.near))
        sounds = [("synthetic", phrase, pcms) for phrase, pcms in said.items()]
        in_data = recorded(self.trials, self.data)
        sounds += [(source, phrase, pcms) for (source, phrase), pcms in in_data.items()]
        found = []
        for source, phrase, pcms in sounds:
            if not pcms:
                continue
            scores = {OURS: [self.device.scores(pcm, 0) for pcm in pcms]}
            for name, listener in self.others.items():
                scores[name] = [listener.scores(pcm, 0) for pcm in pcms]
            found.append((phrase, source, scores))
        return found

    def count_near(
        self, heard: list[tuple[str, str, dict[str, list[Scores]]]], clean: Row
    ) -> list[Near]:
        """How many fired: at the shipped threshold, and at those that clean sound was judged at."""
        limits: dict[str, dict[str, float]] = {}
        judged: dict[str, Row | Result] = {OURS: clean, **clean.others}
        for name, r in judged.items():
            limits[name] = {rate: at["threshold"] for rate, at in r.at.items()}
            if r.shipped:
                limits[name]["shipped"] = r.shipped["threshold"]
        out = []
        for phrase, source, scores in heard:
            item = Near(phrase, source, len(scores[OURS]))
            item.fired = {
                name: {
                    what: sum(bool((s >= t).any()) for s in scores[name])
                    for what, t in limits[name].items()
                }
                for name in scores
            }
            out.append(item)
        return out

    def excerpt(self, condition: Condition, row: Row) -> dict[str, Any]:
        """A short scene with the word in it: every listener's scores, thresholds and wakes."""
        pcm, spans = self.trials.scene(condition.sound)
        state = self.word.states.index(condition.state)
        frame = RATE // 50
        whole = pcm[: len(pcm) // frame * frame].astype(np.float64).reshape(-1, frame)
        level = 20 * np.log10(np.sqrt((whole**2).mean(axis=1)) / 32768 + 1e-5)
        listeners: dict[str, Any] = {}
        for name in (OURS, *self.others):
            listener = self.listener(name)
            shipped = row.shipped if name == OURS else row.others[name].shipped
            threshold = int((shipped or row.others[name].at["0.5"])["threshold"])
            scores = listener.scores(pcm, state)
            steps = wakes(scores, threshold, listener.refractory_steps)
            listeners[name] = {
                "first_s": listener.step_end(0) / RATE,
                "step_s": (listener.step_end(1) - listener.step_end(0)) / RATE,
                "scores": scores.tolist(),
                "threshold": threshold,
                "wakes_s": [round(listener.step_end(i) / RATE, 3) for i in steps],
            }
        return {
            "condition": condition.name,
            "level_dbfs": [round(float(v), 1) for v in level],
            "frame_s": frame / RATE,
            "words_s": [[a / RATE, b / RATE] for a, b in spans],
            "listeners": listeners,
        }


def deaf(listener: Any) -> bool:
    """Whether a listener knows nothing of the state, and so hears each sound once."""
    return hasattr(listener, "scores_of")


def _trials(played: list[Played], sound: Sound) -> Played:
    return next(p for p in played if p.block is None and p.sound == sound)


@dataclass(frozen=True)
class Job:
    """Sounds to be heard, each told some states, `hours` in all: blocks of streams, or the
    recordings."""

    sounds: tuple[tuple[Sound, tuple[int, ...]], ...]
    block: int | None
    hours: float

    def __call__(self) -> list[Played]:
        digest = hashlib.sha256(repr(self).encode()).hexdigest()[:16]
        return recalled(
            _kept / digest,
            lambda: [_evaluation.play(sound, self.block, states) for sound, states in self.sounds],
        )


# What worker processes inherit.
_evaluation: Evaluation
_played: list[Played]
_counts: Counts
_kept: Path  # what was heard before a kill


def _call(job: Callable[[], Any]) -> Any:
    return job()


def _near() -> list[tuple[str, str, dict[str, list[Scores]]]]:
    return recalled(_kept / "near", lambda: _evaluation.near())


def _accepts(given: tuple[Sound, int, str]) -> Accepts:
    return _evaluation.accepts(_played, *given)


def _row(condition: Condition) -> Row:
    return _evaluation.row(_played, condition, _counts)


def _parallel(
    function: Callable[[Any], Any], todo: list[Any], what: str, hours: list[float] | None = None
) -> list[Any]:
    """The results in order, under a progress bar with the time left; `hours` of sound of each."""
    workers = min(len(todo), os.cpu_count() or 1)
    each = hours or [1.0] * len(todo)
    count = "{n:.2f}/{total:.2f} h" if hours else "{n:.0f}/{total:.0f}"
    shape = "{desc}: {percentage:3.0f}%|{bar}| " + count + " [{elapsed}, {remaining} left]"
    with (
        multiprocessing.get_context("fork").Pool(workers, quiet) as team,
        tqdm(total=sum(each), desc=what, bar_format=shape) as bar,
    ):
        found = []
        for result, done in zip(team.imap(function, todo), each, strict=True):
            bar.update(done)
            found.append(result)
        return found


def evaluate(
    word: Word, library: Path, data: Path, split: str, cache: Path, options: Options, kept: Path
) -> Measured:
    """Every condition of the word on one split, a process on each core.

    Raises DeviceError and DataError. The same seed and data give the same figures. What was heard
    stays in the folder `kept`, where the same call after a kill finds it; to be removed at the end.
    """
    global _evaluation, _played, _kept, _counts
    absent = find_peers(word, cache)[1] if options.peers else "left out as asked"
    _kept = kept / _identity(word, library, data, split, options, absent)
    if _kept.is_dir():
        print(f"{_kept}: what was heard before a kill is not heard again", file=sys.stderr)
    device = Device(library, word)
    corpus = load_corpus(data, split, cache, word.data, options.also)
    trials = Trials(word, corpus, options.seed, options.draws, options.short)
    _evaluation = Evaluation(word, device, trials, data, cache, options)
    jobs = _evaluation.jobs()
    hours = sum(job.hours for job in jobs if job.block is not None)
    print(
        f"ahead: {hours:.0f} h of streams without the word, {trials.hours:.1f} h long, and "
        f"{sum(job.block is None for job in jobs)} sounds with it",
        flush=True,
    )
    heard = _parallel(_call, jobs, "listen", [job.hours for job in jobs])
    _played = [played for job in heard for played in job]
    (near,) = _parallel(_call, [_near], "near misses")
    names = [OURS, *_evaluation.others]
    keys = list(
        dict.fromkeys(
            (c.sound.stream, word.states.index(c.state), name)
            for c in _evaluation.conditions
            for name in names
            if name == OURS or not c.sound.stream.altered
        )
    )
    counted = _parallel(_accepts, keys, "false accepts")
    _counts = Counts(
        word,
        _evaluation.conditions,
        dict(zip(keys, counted, strict=True)),
        {name: _evaluation.listener(name) for name in names},
    )
    thresholds = _counts.thresholds(word.detector.false_accepts_per_hour)
    if options.set_thresholds:
        _counts.ships = thresholds
    rows: list[Row] = _parallel(_row, _evaluation.conditions, "misses")
    shown = [rows[0], *(r for r in rows if r.condition.ser_db == 0 and r.condition.part == "state")]
    about = {
        "version": VERSION,
        "word": word.name,
        "split": split,
        "seed": options.seed,
        "draws": options.draws,
        "signal_to_echo_db": {k: list(v) for k, v in options.ser_db.items()},
        "positives": len(trials.positives),
        "synthesized": sum(clip.kind == "tts" for clip in trials.positives),
        "negatives": len(trials.negatives),
        "half_hours": [round(hours, 4) for hours in trials.half_hours],
        "sample_hours": round(sum(b.hours for b in trials.blocks if b.number in trials.sample), 4),
        "peers_absent": absent,
        "fingerprint": fingerprint(device),
        "short": options.short,
        "band_hz": [round(float(hz)) for hz in _band_centres(word)],
        "voices": [voice(clip) for clip in trials.positives],
        "trials": hashlib.sha256("\n".join(c.path for c in trials.positives).encode()).hexdigest(),
    }
    excerpts = [_evaluation.excerpt(row.condition, row) for row in shown[:2]]
    near_misses = _evaluation.count_near(near, rows[0])
    states = _counts.states(options.rates)
    return Measured(
        about,
        states,
        rows,
        near_misses,
        excerpts,
        false_accepts(_evaluation, _played, _counts),
        thresholds,
    )


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
        word.data.near,
        word.data.near_recordings,
        str(data.resolve()),
        split,
        options.seed,
        options.draws,
        absent,
        options.short,
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _band_centres(word: Word) -> NDArray[np.float64]:
    """Centres of the front end's mel bands (HTK), Hz."""
    f = word.frontend
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (f.low_hz, f.high_hz))
    return np.asarray(700 * (10 ** (np.linspace(low, high, f.bands + 2)[1:-1] / 2595) - 1))


def write_json(measured: Measured, path: Path) -> None:
    """Everything in one file, replaced whole."""
    content = asdict(measured)
    head = {**content.pop("about"), "thresholds": content.pop("thresholds")}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, items in content.items():
        lines = ",\n  ".join(json.dumps(item) for item in items)
        parts.append(f'"{key}": [\n  {lines}\n ]')
    write_whole(path, "{\n " + ",\n ".join(parts) + "\n}\n")
