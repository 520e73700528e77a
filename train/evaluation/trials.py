# SPDX-License-Identifier: Apache-2.0
"""What is played to a detector that is measured: streams without the word, recordings with it.

All mixing is drawn from the seed. Conditions that differ only in the state given to the device, or
in a ratio, have the same sounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wakestate.train.acoustics.conditions import ALTERATIONS
from wakestate.train.acoustics.filters import Wave
from wakestate.train.acoustics.stage import Stage, active_rms, dbfs, rms, to_int16
from wakestate.train.data.corpus import PLAYBACK_KINDS, RATE, Clip, Corpus, DataError
from wakestate.train.data.halves import halves
from wakestate.train.evaluation.streams import Block, blocks, gap_samples, half_hours, thinned
from wakestate.words import Word, state_fields

Pcm = NDArray[np.int16]

LEVEL_DBFS = -30.0  # speech where something is mixed in; clean recordings stay as they are
TAIL = RATE  # silence, or what is mixed in, after a recording: time to answer
LEAD = RATE  # the same before it: a device has been on for a while
SETS = ("sound", "state")  # parts of the tables whose streams set thresholds
SHORT_HOURS = 3.0  # of every stream in a short evaluation; else all of it with the device silent
PART_HOURS = 9.0  # in playback, and for other engines
SAMPLE_HOURS = 1.5  # where nothing sets a threshold, and in playback for other engines
CHUNK_S = 30.0  # own sound is drawn again this often in long streams
GAINS_DBFS = (-50.0, -40.0, -30.0, -20.0, -15.0)

#: Signal-to-echo ratios at which states are measured, by the playback's volume.
SER_DB: dict[str, tuple[float, ...]] = {"low": (10.0,), "high": (0.0, -5.0)}


@dataclass(frozen=True)
class Sound:
    """What reaches the microphone with the recordings, or is done to them."""

    noise: str = ""  # kind mixed into the recordings: "noise" or "music"
    snr_db: float = 0.0
    plays: str = ""  # the device state whose own sound plays
    ser_db: float | None = None  # signal-to-echo ratio; None: the device is silent
    level_dbfs: float | None = None  # recordings scaled to this level, nothing added
    altered: str = ""  # what is done to it, by its name in ALTERATIONS

    @property
    def player(self) -> str:
        """What the device's own sound is; empty where there is none."""
        return state_fields(self.plays).get("player", "") if self.ser_db is not None else ""

    @property
    def stream(self) -> Sound:
        """What a stream without the word keeps of it: the device's own sound, a codec."""
        altered = self.altered if self.altered and ALTERATIONS[self.altered].stream else ""
        return Sound(plays=self.plays, ser_db=self.ser_db, altered=altered)


@dataclass(frozen=True)
class Condition:
    """One row of the tables: the given state to the device, and the sound it records."""

    name: str
    state: str
    noise: str = ""
    snr_db: float = 0.0
    ser_db: float | None = None
    level_dbfs: float | None = None
    plays: str = ""  # what the device plays, where that is not what it reports
    part: str = "sound"  # table it belongs to: sound, state, life, wrong-state or gain
    altered: str = ""

    @property
    def sound(self) -> Sound:
        """The sound alone: equal where two conditions differ only in the given state."""
        plays = "" if self.ser_db is None else self.plays or self.state
        return Sound(self.noise, self.snr_db, plays, self.ser_db, self.level_dbfs, self.altered)


def conditions(word: Word, ser_db: dict[str, tuple[float, ...]]) -> list[Condition]:
    """Every row: noise and music, each device state, real life, wrong device states, input levels.

    `ser_db`: signal-to-echo ratios by volume; a word without volumes takes all of them.
    """
    default = word.states[0]
    rows = [
        Condition("clean", default),
        Condition("noise 10 dB", default, "noise", 10.0),
        Condition("noise 0 dB", default, "noise", 0.0),
        Condition("music 0 dB", default, "music", 0.0),
    ]
    every = tuple(sorted({ratio for ratios in ser_db.values() for ratio in ratios}, reverse=True))
    for state in word.states[1:]:
        if state_fields(state).get("player") not in PLAYBACK_KINDS:
            rows.append(Condition(state, state, part="state"))
            continue
        named = ser_db.get(state_fields(state).get("volume", ""), (0.0,))
        for ratio in named if "volume" in word.metadata else every:
            name = f"{state} SER {ratio:g} dB"
            rows.append(Condition(name, state, ser_db=ratio, part="state"))
    rows += [Condition(name, default, altered=name, part="life") for name in ALTERATIONS]
    loudest: dict[str, Condition] = {}  # of each player, the least ratio that is not below 0 dB
    for row in rows:
        if row.ser_db is not None and row.ser_db >= 0:
            player = state_fields(row.state)["player"]
            if player not in loudest or row.ser_db < (loudest[player].ser_db or 0.0):
                loudest[player] = row
    for player, row in loudest.items():
        rows.append(
            replace(
                row,
                name=f"{player} plays, state {default}, SER {row.ser_db:g} dB",
                state=default,
                plays=row.state,
                part="wrong-state",
            )
        )
        rows.append(Condition(f"nothing plays, state {row.state}", row.state, part="wrong-state"))
    for level in GAINS_DBFS:
        rows.append(Condition(f"{level:g} dBFS", default, level_dbfs=level, part="gain"))
    return rows


class Trials:
    """The sounds of one split, mixed as conditions ask."""

    def __init__(
        self, word: Word, corpus: Corpus, seed: int, draws: int, short: bool = False
    ) -> None:
        """`short`: of every stream SHORT_HOURS are used."""
        self.word, self.corpus = word, corpus
        self.stage = Stage(corpus, word)
        self.seed, self.draws = seed, draws
        self.positives = corpus.positives(word)
        # Recordings of a kind that is named like their label are among the first as well.
        others = corpus.negatives(word) + corpus.of("music", "noise")
        self.negatives = list(dict.fromkeys(others))
        self.half = halves(self.positives, self.negatives)
        # Clips of confusable phrases are counted by phrase: nobody says them one after the other.
        spoken = [c for c in self.negatives if (c.kind, c.label) != ("tts", "near")]
        every = blocks(spoken or self.negatives, self.half, gap_samples(word))
        self.blocks = thinned(every, SHORT_HOURS) if short else every
        sample = self.blocks if short else thinned(every, SAMPLE_HOURS)
        self.sample = {block.number for block in sample}
        #: Place of each block that is used in playback and by others, besides the sample.
        self.part = {b.number: i for i, b in enumerate(thinned(every, PART_HOURS))}
        self.half_hours = half_hours(self.blocks)
        self._own: tuple[tuple[str, int], Wave] | None = None  # of the last block
        for what, clips in {
            f"recording labeled {' or '.join(word.data.positive)}": self.positives,
            "recording without the word": self.negatives,
            "noise": corpus.of("noise"),
            "music": corpus.of("music"),
        }.items():
            if not clips:
                raise DataError(f"the split has no {what}; evaluation needs it")

    @property
    def hours(self) -> float:
        """Of the sound without the word."""
        return sum(self.half_hours)

    def block(self, number: int) -> Block:
        """One of `blocks`, by its number."""
        return next(block for block in self.blocks if block.number == number)

    def uses(self, block: Block, stream: Sound, ratios: Sequence[Sound]) -> bool:
        """Whether a block is processed in a stream. One of the sample is in all streams, one of
        the part once in each state, at one of the state's `ratios`, which take turns; any other
        with the device silent. `ratios`: none where the stream sets no threshold."""
        if not ratios or block.number in self.sample:
            return block.number in self.sample
        place = self.part.get(block.number)
        return stream == (Sound() if place is None else ratios[place % len(ratios)])

    def stream(self, sound: Sound, block: Block) -> Pcm:
        """A block of sound without the word; with own sound, gaps too, where there is any."""
        out = np.zeros(block.samples, np.float32)
        level = dbfs(LEVEL_DBFS)
        for clip, at in zip(block.clips, block.starts, strict=True):
            x = self.corpus.audio(clip).astype(np.float32)
            if sound.ser_db is not None:
                x *= np.float32(level / max(active_rms(x), 1.0))
            out[at : at + len(x)] = x
        if sound.ser_db is not None:
            out += self._own_sound(sound.player, block) * np.float32(level * gain(sound.ser_db))
        if sound.altered:
            rng = np.random.default_rng([self.seed, 9, block.number])
            out = ALTERATIONS[sound.altered].change(out, rng)
        return to_int16(out)

    def _own_sound(self, player: str, block: Block) -> Wave:
        """The device's own sound through a block, RMS 1; the same at every volume."""
        key = player, block.number
        if self._own is None or self._own[0] != key:
            state = next(s for s in self.word.states if state_fields(s)["player"] == player)
            rng = np.random.default_rng([self.seed, 1, self.word.states.index(state), block.number])
            own = np.zeros(block.samples, np.float32)
            self._add_own(rng, own, state, 1.0)
            self._own = key, own
        return self._own[1]

    def recordings(self, sound: Sound) -> Iterator[tuple[Clip, Pcm, int, int]]:
        """Recordings as the microphone records them, with start and end of the word (samples)."""
        mixed = bool(sound.noise) or sound.ser_db is not None
        state = self.word.states.index(sound.plays) if sound.plays else 0
        rng = np.random.default_rng([self.seed, 2, state, len(sound.noise)])
        level = dbfs(LEVEL_DBFS)
        altered = ALTERATIONS[sound.altered] if sound.altered else None
        mixed_level = mixed or (altered is not None and altered.level)
        tempo = altered.tempo if altered is not None else 1.0
        for _ in range(self.draws if mixed else 1):
            for clip in self.positives:
                y = self.corpus.audio(clip).astype(np.float32)
                spoken = LEVEL_DBFS if mixed_level else sound.level_dbfs
                if spoken is not None:
                    y = _at_level(y, clip, spoken)
                y = np.pad(y, (LEAD, TAIL))
                if sound.noise:
                    other = self.stage.stretch(rng, self.corpus.of(sound.noise), len(y))
                    y = y + other * np.float32(level * gain(sound.snr_db) / rms(other))
                if sound.ser_db is not None:
                    self._add_own(rng, y, sound.plays, level * gain(sound.ser_db))
                if altered is not None:
                    y = altered.change(y, rng)
                start, end = (round((at + LEAD) / tempo) for at in (clip.start, clip.end))
                yield clip, to_int16(y), start, end

    def scene(self, sound: Sound, words: int = 3) -> tuple[Pcm, list[tuple[int, int]]]:
        """The word said between other speech, all at LEVEL_DBFS, and where it was said."""
        rng = np.random.default_rng([self.seed, 6])
        speech = [c for c in self.stage.talk if 1.5 < c.samples / RATE < 4.0] or self.stage.talk
        speech = speech or self.negatives
        parts: list[Wave] = []
        spans, at = [], 0
        for i in range(2 * words + 1):
            clips = self.positives if i % 2 else speech
            clip = clips[rng.integers(len(clips))]
            x = self.corpus.audio(clip)[: 5 * RATE].astype(np.float32)
            spoken = x[clip.start : clip.end] if i % 2 else x
            if i % 2:
                spans.append((at + clip.start, at + clip.end))
            parts.append(x * np.float32(dbfs(LEVEL_DBFS) / max(active_rms(spoken), 1.0)))
            at += len(x)
        y = np.concatenate(parts)
        if sound.ser_db is not None:
            self._add_own(rng, y, sound.plays, dbfs(LEVEL_DBFS) * gain(sound.ser_db))
        return to_int16(y), spans

    def _add_own(self, rng: np.random.Generator, x: Wave, state: str, level: float) -> None:
        """Adds the device's own sound in place, drawn again every CHUNK_S."""
        at = 0
        while at < len(x):
            part = self.stage.own_sound(rng, state, min(len(x), int(CHUNK_S * RATE)))
            if part is None:
                return
            part = part[: len(x) - at]
            x[at : at + len(part)] += part * np.float32(level)
            at += len(part)


def gain(ratio_db: float) -> float:
    """Amplitude of what is `ratio_db` below."""
    return float(10 ** (-ratio_db / 20))


def _at_level(x: Wave, clip: Clip, level_dbfs: float) -> Wave:
    """The recording with its word at a level, dBFS RMS while speaking."""
    level = dbfs(level_dbfs) / max(active_rms(x[clip.start : clip.end]), 1.0)
    return np.asarray(x * np.float32(level), np.float32)
