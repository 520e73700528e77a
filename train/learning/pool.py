# SPDX-License-Identifier: Apache-2.0
"""The training pool: rendered scenes as int8 features, in shards on disk.

A shard depends on the seed and its own number alone, so a killed rendering resumes where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.train.acoustics.filters import tempo
from wakestate.train.acoustics.stage import Stage, active_rms, resample
from wakestate.train.artifacts import Arrays, Make, make_shards
from wakestate.train.data.corpus import PLAYBACK_KINDS, RATE, Clip, Corpus, DataError, held_out
from wakestate.train.data.manifest import listed
from wakestate.words import Word, state_fields

STEPS = 48  # network steps in one clip
SHARD = 400  # clips in one shard
WANTED_S = (-0.03, 0.30)  # a window that ends this long after the word may, and must, fire


@dataclass
class Pool:
    """Rendered clips: features int8[n, hops, bands], labels int8[n, steps], states uint8[n] as
    the device reports them, words int32[n, 2]: first and last sample of the word, or -1;
    soft_targets float16[n, steps]: the teachers' logits (train/learning/distillation.py), NaN
    without any."""

    features: NDArray[np.int8]
    labels: NDArray[np.int8]
    states: NDArray[np.uint8]
    words: NDArray[np.int32]
    soft_targets: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.states)

    @cached_property
    def on_jax(self) -> tuple[Any, Any]:
        """Features and states where JAX computes."""
        return on_devices(self.features), on_devices(self.states)


def on_devices(array: NDArray[Any]) -> Any:
    """An array where JAX computes: whole on each device."""
    import jax
    import keras

    over = keras.distribution.distribution()
    if over is None:
        return jax.device_put(array)
    whole = keras.distribution.TensorLayout([None] * array.ndim, over.device_mesh)
    return keras.distribution.distribute_tensor(array, whole)


def clip_hops(word: Word, steps: int = STEPS) -> int:
    """Hops of a clip that gives that many outputs."""
    return word.model.receptive_hops + (steps - 1) * word.model.stride


def window_ends(word: Word, steps: int = STEPS) -> NDArray[np.float64]:
    """End of each step's window, seconds from the start of the clip."""
    f = word.frontend
    last = word.model.receptive_hops - 1 + np.arange(steps) * word.model.stride
    return np.asarray((last * f.hop_samples + f.window_samples) / f.sample_rate)


def check_parts(corpus: Corpus, word: Word) -> None:
    """A DataError where a part has no word or no other speech, before anything is rendered."""
    for part in ("train", "validation"):
        own = corpus.only([c for c in corpus.clips if held_out(c) == (part == "validation")])
        _check(corpus, word, part, bool(own.positives(word)), bool(own.negatives(word)))


def _check(corpus: Corpus, word: Word, part: str, words: bool, others: bool) -> None:
    if not words:
        meant = ", ".join(f"'{label}'" for label in word.data.positive)
        there = listed(sorted({f"'{c.label}'" for c in corpus.clips if c.label}), 10)
        raise DataError(
            f"no recording of the word for {part}: at least 2 with the label {meant} are needed, "
            f"better of 2 speakers; labels in the data: {there or 'none'}"
        )
    if not others:
        raise DataError(
            f"no speech without the word for {part}: at least 2 recordings of kind speech are "
            "needed, better of 2 speakers"
        )


class Renderer:
    """Makes clips of one kind from one part ("train", "validation").

    "positive": the word is in it; "negative": it is not; "near": a confusable phrase is. A clip
    has `steps` network steps. `ends_s`: from and to where the word may end, seconds; default:
    anywhere.
    """

    def __init__(
        self,
        corpus: Corpus,
        word: Word,
        part: str,
        steps: int = STEPS,
        ends_s: tuple[float, float] | None = None,
    ) -> None:
        own = corpus.only([c for c in corpus.clips if held_out(c) == (part == "validation")])
        self.stage = Stage(own if part == "train" else _with_sounds(corpus, own), word)
        self.stage.simulate_rooms()
        self.word = word
        self.extract = Extractor(word.frontend)
        positives = own.positives(word)
        self.real = [c for c in positives if c.kind == c.label]
        self.synthetic = [c for c in positives if c.kind == "tts"]
        self.negative = own.negatives(word)
        _check(corpus, word, part, bool(positives), bool(self.negative))
        self.confusable = [c for c in self.negative if c.label == "near"]
        weights = np.array([max(c.samples / RATE, 2.0) for c in self.negative])
        weights[[c.label == "near" for c in self.negative]] *= 2.0
        self.negative_p = weights / weights.sum()
        # States that play nothing; all, when there is no such state.
        players = [state_fields(s).get("player") for s in word.states]
        idle = [i for i, player in enumerate(players) if player not in PLAYBACK_KINDS]
        self.idle = idle or list(range(len(players)))
        f = word.frontend
        self.samples = (clip_hops(word, steps) - 1) * f.hop_samples + f.window_samples
        self.windows = window_ends(word, steps)
        self.ends_s = ends_s or (self.windows[0] + 0.05, self.windows[-1] - 0.15)

    def clip(
        self, rng: np.random.Generator, kind: str
    ) -> tuple[NDArray[np.int8], NDArray[np.int8], int, tuple[int, int]]:
        """One clip: features, labels, the device state, and the word's place."""
        pcm, labels, state, place = self.scene(rng, kind)
        return self.extract.features(pcm), labels, state, place

    def scene(
        self, rng: np.random.Generator, kind: str
    ) -> tuple[NDArray[np.int16], NDArray[np.int8], int, tuple[int, int]]:
        """One clip as the microphone records it, int16[samples]; else as `clip`."""
        state = int(rng.integers(len(self.word.states)))
        if rng.random() < 0.35:
            state = self.idle[rng.integers(len(self.idle))]  # what the device mostly is
        labels = np.zeros(len(self.windows), np.int8)
        place = (-1, -1)
        if kind == "positive":
            speech, start, end = self._positive(rng)
            after = self.windows - end / RATE
            labels[:] = -1
            labels[(after >= WANTED_S[0]) & (after <= WANTED_S[1])] = 1
            labels[self.windows < (start + 0.4 * (end - start)) / RATE] = 0
            labels[after > 1.2] = 0
            active = active_rms(speech[start:end])
            place = (start, end)
        else:
            speech = np.zeros(self.samples, np.float32)
            talk = kind == "near" or rng.random() < 0.93
            if talk:
                speech = self._negative(rng, kind == "near")
            active = active_rms(speech) if talk else 0.0
        pcm = self.stage.to_microphone(
            rng, speech, self.samples, self.word.states[state], max(active, 1.0)
        )
        if rng.random() < self.word.acoustics.wrong_state:
            state = int(rng.integers(len(self.word.states)))
        return pcm, labels, state, place

    def _positive(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], int, int]:
        real = bool(self.real) and (rng.random() < 0.5 or not self.synthetic)
        source = self.real if real else self.synthetic
        clip = source[rng.integers(len(source))]
        speed = rng.uniform(0.85, 1.2)
        x = resample(self.stage.corpus.audio(clip).astype(np.float32), speed)
        start, end = int(clip.start / speed), min(int(clip.end / speed), len(x))
        x, times = self._tempo(rng, x)
        start, end = int(start / times), min(int(end / times), len(x))
        if rng.random() < 0.3:  # the word alone, cut out
            x = x[max(0, start - 800) : end + 800]
            start, end = min(start, 800), min(start, 800) + end - start
        at = int(rng.uniform(*self.ends_s) * RATE)
        out = np.zeros(self.samples, np.float32)
        shift = at - end
        first, last = max(0, shift), min(self.samples, shift + len(x))
        out[first:last] = x[first - shift : last - shift]
        level = active_rms(x[start:end])
        if rng.random() < 0.3 and self.negative:  # other words right before
            before = max(0, start + shift - int(rng.uniform(0, 0.3) * RATE))
            if before > RATE // 4:
                out[:before] = self._talk(rng, before, level)
        if rng.random() < 0.3 and self.negative:  # and right after
            after = min(self.samples, at + int(rng.uniform(0.05, 0.5) * RATE))
            if self.samples - after > RATE // 4:
                out[after:] = self._talk(rng, self.samples - after, level)
        return out, max(0, start + shift), at

    def _tempo(
        self, rng: np.random.Generator, x: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float]:
        """x spoken faster or slower, and how many times as fast; mostly as it is."""
        a = self.word.acoustics
        if rng.random() >= a.tempo_share or len(x) < RATE // 10:
            return x, 1.0
        times = float(np.exp(rng.uniform(*np.log(a.tempo))))
        return tempo(times, x), times

    def _talk(self, rng: np.random.Generator, samples: int, level: float) -> NDArray[np.float32]:
        """Speech without the word at the RMS `level`."""
        talk = self._negative(rng)[:samples]
        return np.asarray(talk * (level / max(active_rms(talk), 1.0)), np.float32)

    def _negative(self, rng: np.random.Generator, confusable: bool = False) -> NDArray[np.float32]:
        """Speech without the word; `confusable`: such a phrase first, anywhere in the clip."""
        out = np.zeros(self.samples, np.float32)
        filled = int(rng.integers(self.samples * 2 // 3)) if confusable else 0
        lead = filled
        while filled < self.samples - RATE // 2:
            if confusable and filled == lead:
                clip = self.confusable[rng.integers(len(self.confusable))]
            else:
                clip = self.negative[rng.choice(len(self.negative), p=self.negative_p)]
            x = self.stage.corpus.audio(clip)
            need = int((self.samples - filled) * 1.15 * self.word.acoustics.tempo[1])
            if len(x) > need:
                first = int(rng.integers(len(x) - need + 1))
                x = x[first : first + need]
            y = resample(x.astype(np.float32), rng.uniform(0.9, 1.12))
            y = self._tempo(rng, y)[0][: self.samples - filled]
            if filled > lead:
                y = y * (active_rms(out[:filled]) / max(active_rms(y), 1.0))
            out[filled : filled + len(y)] = y
            filled += len(y) + int(rng.integers(0, RATE // 3))
        return out


def _with_sounds(corpus: Corpus, part: Corpus) -> Corpus:
    """A held-out part keeps its own voices but needs rooms and sounds: it lends train's."""
    sounds: list[Clip] = corpus.of("rir", "noise", "music", "alarms")
    borrowed = set(sounds)
    return corpus.only([c for c in part.clips if c not in borrowed] + sounds)


@dataclass(frozen=True)
class _Scenes:
    """Makes a shard."""

    renderer: Renderer
    kind: str
    clips: int

    def __call__(self, rng: np.random.Generator) -> Arrays:
        features, labels, states, words = zip(
            *(self.renderer.clip(rng, self.kind) for _ in range(self.clips)), strict=True
        )
        return {
            "features": np.stack(features),
            "labels": np.stack(labels),
            "states": np.array(states, np.uint8),
            "words": np.array(words, np.int32),
        }


def render_pool(
    corpus: Corpus, word: Word, folder: Path, kind: str, part: str, clips: int, seed: int
) -> Pool:
    """Render (or read what is already rendered of) `clips` clips into `folder`."""

    def begin() -> Make:
        return _Scenes(Renderer(corpus, word, part), kind, SHARD)

    return read_pool(
        word, make_shards(folder, part, kind, -(-clips // SHARD), seed, begin, "render"), clips
    )


def read_pool(word: Word, paths: Sequence[Path], clips: int) -> Pool:
    """The first `clips` clips of shards."""
    pool = Pool(
        np.empty((clips, clip_hops(word), word.frontend.bands), np.int8),
        np.empty((clips, STEPS), np.int8),
        np.empty(clips, np.uint8),
        np.empty((clips, 2), np.int32),
        np.full((clips, STEPS), np.nan, np.float16),
    )
    for i, path in enumerate(paths):  # one open file and one copy at a time
        part_of = slice(i * SHARD, min((i + 1) * SHARD, clips))
        with np.load(path) as shard:
            count = part_of.stop - part_of.start
            pool.features[part_of] = shard["features"][:count]
            pool.labels[part_of] = shard["labels"][:count]
            pool.states[part_of] = shard["states"][:count]
            pool.words[part_of] = shard["words"][:count]
    return pool
