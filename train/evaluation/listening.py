# SPDX-License-Identifier: Apache-2.0
"""One split processed by the device and by other engines, and counted, condition by condition."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.convert.hostlib import Extractor
from wakestate.convert.manifest import never_fires
from wakestate.train.data.corpus import RATE, Clip, DataError, voice
from wakestate.train.evaluation.confusables import recorded, spoken
from wakestate.train.evaluation.device import OURS, Device, wakes
from wakestate.train.evaluation.document import (
    Confusable,
    Excerpt,
    ExcerptScores,
    Other,
    Ratio,
    Result,
    Row,
)
from wakestate.train.evaluation.endpoints import Ends, endpoint_errors
from wakestate.train.evaluation.metrics import (
    Accepts,
    DetectionResult,
    Scores,
    count_accepts,
    count_misses,
)
from wakestate.train.evaluation.peers import find_peers
from wakestate.train.evaluation.statistics import miss_ratio
from wakestate.train.evaluation.streams import Block, half_hours
from wakestate.train.evaluation.thresholds import Counts, ScoreScale, crossed
from wakestate.train.evaluation.trials import (
    SER_DB,
    SETS,
    Condition,
    Pcm,
    Sound,
    Trials,
    conditions,
)
from wakestate.words import Word


@dataclass(frozen=True)
class Options:
    """What is measured, and with what."""

    seed: int = 1
    draws: int = 3
    ser_db: dict[str, tuple[float, ...]] = field(default_factory=lambda: dict(SER_DB))
    rates: tuple[float, ...] = (0.5, 0.1)
    peers: bool = True
    keras: Path | None = None  # float model to evaluate as well
    also: tuple[Path, ...] = ()  # more data folders whose split is used
    short: bool = False  # no wrong states, levels, confusables; of long streams the sample
    set_thresholds: bool = False  # ship what is found here, not what is compiled in
    scale: ScoreScale | None = None  # of its scores, where few hours may be extrapolated
    confusables: bool = False  # though it is short


@dataclass
class Played:
    """Scores of one sound by listener and given state (-1: whatever the state)."""

    sound: Sound
    block: Block | None  # of a stream; None: the recordings
    scores: dict[tuple[str, int], list[Scores]]
    spans: list[tuple[int, int]] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)  # of the word, a trial each
    lfbe_db: list[float] = field(default_factory=list)
    ends: dict[int, list[Ends]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Sounds to process, each in some states, `hours` in all: blocks of streams, or the
    recordings."""

    sounds: tuple[tuple[Sound, tuple[int, ...]], ...]
    block: int | None
    hours: float


class Evaluation:
    """One split processed by the device and by others, in every condition."""

    def __init__(
        self, word: Word, device: Device, trials: Trials, cache: Path, options: Options
    ) -> None:
        self.word, self.device, self.trials = word, device, trials
        self.cache, self.options = cache, options
        self._other_names: list[str] | None = None  # as they are where this was made
        self.conditions = [
            c
            for c in conditions(word, options.ser_db)
            if not options.short
            or c.part in ("sound", "state")
            or (c.part == "life" and c.sound.stream == Sound())
        ]

    @cached_property
    def others(self) -> dict[str, Any]:
        """Peers and the float model, made where they are used: in each process again."""
        found: dict[str, Any] = {}
        if self.options.peers:
            found |= {peer.name: peer for peer in find_peers(self.word, self.cache)[0]}
        if self.options.keras is not None:
            from wakestate.train.evaluation.float_baseline import FloatBaseline

            found[FloatBaseline.name] = FloatBaseline(self.word, self.device, self.options.keras)
        for name in self._other_names or ():
            if name not in found:
                raise DataError(
                    f"{socket.gethostname()}: lacks {name}; pip install 'wakestate[peers]' there"
                )
        return found

    def __getstate__(self) -> dict[str, Any]:
        """For another machine, which makes its own `others`: the same ones."""
        names = [*self.others]
        state = {key: value for key, value in self.__dict__.items() if key != "others"}
        return state | {"_other_names": names}

    def jobs(self) -> list[Job]:
        """What is to be processed; each sound once. Of streams a block a job, in all sounds that
        have the device's own sound in common.
        """
        streams: list[Job] = []
        ratios_of = {
            s: list(
                dict.fromkeys(
                    c.sound.stream for c in self.conditions if c.part in SETS and c.state == s
                )
            )
            for s in self.word.states
        }
        for block in self.trials.blocks:
            states_of: dict[Sound, set[int]] = {}
            for c in self.conditions:
                stream, ratios = c.sound.stream, ratios_of[c.state] if c.part in SETS else []
                if self.trials.uses(block, stream, ratios):
                    states_of.setdefault(c.sound.stream, set()).add(self.word.states.index(c.state))
            groups: dict[tuple[str, str], list[tuple[Sound, tuple[int, ...]]]] = {}
            for sound, states in states_of.items():
                group = groups.setdefault((sound.player, sound.altered), [])
                group.append((sound, tuple(sorted(states))))
            streams += [
                Job(tuple(group), block.number, len(group) * block.samples / RATE / 3600)
                for group in groups.values()
            ]
        seconds = sum(clip.samples for clip in self.trials.positives) / RATE
        states_of = {}
        for c in self.conditions:
            states_of.setdefault(c.sound, set()).add(self.word.states.index(c.state))
        return [
            Job(((sound, tuple(sorted(states))),), None, seconds / 3600)
            for sound, states in states_of.items()
        ] + streams

    def play(self, sound: Sound, block: int | None, states: Sequence[int]) -> Played:
        """One sound to every listener, the device in each of the states."""
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
            if f.kind == "lfbe":  # steps of the other are no decibels
                played.lfbe_db = [round(float(v), 3) for v in f.floor_db + mean * f.db_per_step]
        for state in states:
            played.scores[OURS, state] = self._device_scores(pcms, state, played)
        others = block is None or self._others_run(sound, block)
        for name, listener in self.others.items() if others else ():
            if ignores_state(listener):
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

    def _others_run(self, sound: Sound, block: int) -> bool:
        """Other engines get the part with the device silent, in playback the sample."""
        if sound == Sound() and block in self.trials.part:
            return True
        return block in self.trials.sample and not sound.altered

    def accepts(self, played: list[Played], sound: Sound, state: int, name: str) -> Accepts:
        """False accepts of one listener on one stream."""
        listener = self.listener(name)
        key = name, -1 if ignores_state(listener) else state
        detected = [
            (p.block, p.scores[key][0])
            for p in played
            if p.block is not None
            and p.sound == sound
            and key in p.scores
            and (name == OURS or self._others_run(sound, p.block.number))
        ]
        highest = never_fires(self.word) if name == OURS else listener.highest
        parts = [(block.half, scores) for block, scores in detected]
        return count_accepts(listener, highest, parts, half_hours([b for b, _ in detected]))

    def detected(
        self, played: list[Played], condition: Condition, name: str, accepts: Accepts
    ) -> DetectionResult:
        """One listener in one condition, at every threshold at which `accepts` was counted."""
        trials = _trials(played, condition.sound)
        listener = self.listener(name)
        key = name, -1 if ignores_state(listener) else self.word.states.index(condition.state)
        return count_misses(
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
        detected: dict[str, DetectionResult] = {}
        results: dict[str, Other] = {}
        for name in (OURS, *self.others):
            accepts = counts.of(name, condition)
            found = detected[name] = self.detected(played, condition, name, accepts)
            results[name] = Other(
                hours=found.hours,
                at={f"{r:g}": found.at(accepts.threshold(r), seed) for r in rates},
                crossed={
                    f"{r:g}": crossed(found, counts.pooled(name, state), r, halves, seed)
                    for r in rates
                },
                curve=found.curve(),
                band=found.band(seed),
            )
            shipped = counts.shipped(name, state)
            if shipped is not None:
                results[name].shipped = found.at(shipped, seed)
        ours = detected[OURS]
        for name in self.others:
            theirs = detected[name]
            for rate in rates:
                ratio = miss_ratio(
                    np.random.default_rng([seed, 5]),
                    ours.missed(ours.accepts.threshold(rate)),
                    theirs.missed(theirs.accepts.threshold(rate)),
                    ours.speakers,
                )
                results[name].ratio[f"{rate:g}"] = None if ratio is None else Ratio(**ratio)
        own = results.pop(OURS)
        row = Row(
            condition=condition,
            clips=len(trials.clips),
            speakers=len(set(ours.speakers)),
            others=results,
            lfbe_db=trials.lfbe_db,
            **own.model_dump(exclude={"ratio"}),
        )
        number = self.word.states.index(state)
        if number in trials.ends:
            row.endpoints = endpoint_errors(
                self.device,
                trials.scores[OURS, number],
                trials.ends[number],
                row.ships.threshold,
                trials.spans,
            )
        return row

    def confusables(self) -> list[tuple[str, str, dict[str, list[Scores]]]]:
        """Scores of every confusable phrase, and of the word by the same voices; device idle."""
        if self.options.short and not self.options.confusables:
            return []
        recordings = spoken(self.trials, (self.word.phrase, *self.word.data.confusables))
        sounds = [("synthetic", phrase, pcms) for phrase, pcms in recordings.items()]
        in_data = recorded(self.trials)
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

    def count_confusables(
        self, detected: list[tuple[str, str, dict[str, list[Scores]]]], clean: Row
    ) -> list[Confusable]:
        """How many fired: at the shipped threshold, and at those that clean sound was judged at."""
        limits: dict[str, dict[str, int]] = {}
        results_of: dict[str, Result] = {OURS: clean, **clean.others}
        for name, r in results_of.items():
            limits[name] = {rate: at.threshold for rate, at in r.at.items()}
            if r.shipped:
                limits[name]["shipped"] = r.shipped.threshold
        out = []
        for phrase, source, scores in detected:
            item = Confusable(phrase=phrase, source=source, tries=len(scores[OURS]))
            item.fired = {
                name: {
                    what: sum(bool((s >= t).any()) for s in scores[name])
                    for what, t in limits[name].items()
                }
                for name in scores
            }
            out.append(item)
        return out

    def excerpt(self, condition: Condition, row: Row) -> Excerpt:
        """A short scene with the word in it: every listener's scores, thresholds and wakes."""
        pcm, spans = self.trials.scene(condition.sound)
        state = self.word.states.index(condition.state)
        frame = RATE // 50
        frames = pcm[: len(pcm) // frame * frame].astype(np.float64).reshape(-1, frame)
        level = 20 * np.log10(np.sqrt((frames**2).mean(axis=1)) / 32768 + 1e-5)
        listeners: dict[str, ExcerptScores] = {}
        for name in (OURS, *self.others):
            listener = self.listener(name)
            result = row if name == OURS else row.others[name]
            threshold = (result.shipped or result.at["0.5"]).threshold
            scores = listener.scores(pcm, state)
            steps = wakes(scores, threshold, listener.refractory_steps)
            listeners[name] = ExcerptScores(
                first_s=listener.step_end(0) / RATE,
                step_s=(listener.step_end(1) - listener.step_end(0)) / RATE,
                scores=scores.tolist(),
                threshold=threshold,
                wakes_s=[round(listener.step_end(i) / RATE, 3) for i in steps],
            )
        return Excerpt(
            condition=condition.name,
            level_dbfs=[round(float(v), 1) for v in level],
            frame_s=frame / RATE,
            words_s=[(a / RATE, b / RATE) for a, b in spans],
            listeners=listeners,
        )


def ignores_state(listener: Any) -> bool:
    """Whether a listener knows nothing of the state, and so gets each sound once."""
    return hasattr(listener, "scores_of")


def _trials(played: list[Played], sound: Sound) -> Played:
    return next(p for p in played if p.block is None and p.sound == sound)
