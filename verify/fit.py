"""Training of the second look, on the wakes of the first: python -m verify train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from train.augment import augment
from train.data import DataError, load_corpus
from train.device import Device
from train.kept import keep_config, save_arrays, write_json
from verify.cut import FRAMES
from verify.cuts import SCENE_S, SHIPPED, Amounts, Cuts, between, mine, seen
from verify.first import FirstLook
from verify.fitter import Fitter, Recipe, draw, moved
from verify.infer import FACTS, SCALE, STRIDES, WEIGHTS
from verify.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame
from words import Word

TRIED, KEPT = 3, 8  # an epoch tries a third of what is no word, and keeps an eighth of that as hard
AT_ONCE = 500
FIRST_RATE = 20.0  # times an hour that held-out scenes without the word wake the first of two looks
FEW = 30
WEIGHTS_OF_FIRST = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
JUDGED_AT = (0.9, 1.0, 1.1)  # shares of the words one look accepts, at which a weight is judged
MORE_WORDS = (1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.07, 1.1)  # of those, what both may accept
FEWER = 10  # times fewer false accepts than by one look: what is won beyond goes into words
PLACE_WEIGHT = 0.1
HMM = "dnn-hmm"


@keras.saving.register_keras_serializable("wakestate")
def verify_loss(targets: Any, outputs: Any) -> Any:
    """float[batch]: cross entropy; for words the mean absolute error of the place beside it."""
    label, place = targets[:, 0], targets[:, 1:]
    known = ops.logical_not(ops.isnan(place))
    wanted = (ops.where(known, place, 0.0) - PREROLL_FRAMES) / PER_UNIT
    off = ops.abs(ops.where(known, outputs[:, 1:] - wanted, 0.0))
    z = outputs[:, 0]
    return ops.softplus(z) - label * z + PLACE_WEIGHT * ops.mean(off, axis=1)


def train(
    word: Word, data: Path, also: Sequence[Path], cache: Path, library: Path, model: Path,
    cuts: Path, run: Path, recipe: Recipe, amounts: Amounts,
) -> Path:  # fmt: skip
    """Train in the folder `run` on wakes of the compiled device `library`, of the first network in
    the folder `model`, which `cuts` keeps for several runs; returns the folder of what was trained.

    Each epoch ends with a checkpoint; the same call goes on after a kill. DataError.
    """
    first = FirstLook(word, model)
    device = Device(library, word)
    if first.thresholds != [device.threshold(state) for state in range(len(word.states))]:
        raise DataError(f"{library}: compiled of another model than {model}; "
                        f"`make verify-train MODEL={model}` compiles it")  # fmt: skip
    lows = [low for low, _ in between(device)]
    corpus = load_corpus(data, "train", cache, word.data, also)
    mined = mine(corpus, word, library, cuts, 1, amounts)
    config = {"recipe": asdict(recipe), "word": word.model_dump(mode="json"),
              "cuts": json.loads((cuts / "config.json").read_text())}  # fmt: skip
    keep_config(run / "config.json", config, "this run was started")
    keras.utils.set_random_seed(recipe.seed)
    fitter: Fitter
    if recipe.kind == HMM:
        from verify.hmm import HmmFitter

        fitter = HmmFitter(word, run, recipe)
    else:
        fitter = VerifierFitter(word, run, recipe, first, lows)
    fitter.run_epochs(mined["train"])
    return fitter.export(mined["train"], mined["held"])


class VerifierFitter(Fitter):
    """Trains a network of verify/networks.py; `first`: beside which it decides; `lows`: the least
    thresholds by state at which cuts were made."""

    def __init__(
        self, word: Word, run: Path, recipe: Recipe, first: FirstLook, lows: Sequence[float]
    ) -> None:
        super().__init__(word, run, recipe)
        self.first, self.lows = first, lows

    def build(self) -> tuple[keras.Model, Any]:
        return build(self.recipe.kind, self.word.frontend.bands), verify_loss

    def begin(self, cuts: Cuts) -> None:
        """From the second epoch on the hard ones are those that it takes for words itself."""
        hard = None
        if self.epoch:
            rng = np.random.default_rng([self.recipe.seed, self.epoch, 6])
            others = np.flatnonzero(~cuts.is_word)
            tried = rng.permutation(others)[: -(-len(others) // TRIED)]
            logit = self.logits(cuts, tried, moved(rng, self.recipe, len(tried)))
            hard = tried[np.argsort(-logit, kind="stable")[: -(-len(tried) // KEPT)]]
        self._pick = draw(cuts, hard)

    def logits(
        self, cuts: Cuts, pick: NDArray[np.intp], off: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Of some cuts whose starts are off by so many columns, float32[n]."""
        parts = np.array_split(np.arange(len(pick)), -(-len(pick) // AT_ONCE))
        return np.concatenate([
            np.asarray(self.model.predict_on_batch(
                seen(cuts, pick[rows], off[rows])[0].astype(np.float32) * SCALE))[:, 0]
            for rows in parts
        ])  # fmt: skip

    def batch(self, rng: np.random.Generator, cuts: Cuts) -> tuple[Any, Any]:
        pick = self._pick(rng, self.recipe.batch)
        features, targets = seen(cuts, pick, moved(rng, self.recipe, len(pick)))
        x = features.astype(np.float32) * SCALE
        return augment(rng, x, self.word.frontend), targets

    def export(self, train: Cuts, held: Cuts) -> Path:
        """Write `run`/verifier; what the first look weighs, and limits, from held-out cuts, at the
        starts that the device tells."""
        off = np.zeros(len(held))
        every = np.arange(len(held))
        logit = self.logits(held, every, off)
        sure = np.concatenate([
            self.first.sureness(seen(held, rows, off[rows])[0], held.state[rows])
            for rows in np.array_split(every, -(-len(held) // AT_ONCE))
        ])  # fmt: skip
        states = self.word.states
        wakes = lowered(held, self.first.thresholds, self.lows)
        asked = held.best >= np.array(wakes)[held.state]
        once = held.woke == SHIPPED

        def passing(weight: float, share: float) -> int:
            """What else passes where both accept a share of the words that one look does."""
            score = logit + weight * sure
            limit = limits(held, score, asked, len(states), share)
            return int((score >= limit[held.state])[asked & ~held.is_word].sum())

        judged = {w: [passing(w, share) for share in JUDGED_AT] for w in WEIGHTS_OF_FIRST}
        weight = heaviest({w: float(np.mean(counts)) for w, counts in judged.items()})
        allowed = int((once & ~held.is_word).sum()) / FEWER
        share = most_words({s: passing(weight, s) for s in MORE_WORDS}, allowed)
        limit = limits(held, logit + weight * sure, asked, len(states), share)
        accepted = asked & (logit + weight * sure >= limit[held.state])
        counts = {
            name: {"asked": int((rows & asked).sum()), "one look": int((rows & once).sum()),
                   "both": int((rows & accepted).sum())}
            for name, rows in (("words", held.is_word), ("others", ~held.is_word))
        }  # fmt: skip
        out = self.run / "verifier"
        out.mkdir(exist_ok=True)
        kind, bands = self.recipe.kind, self.word.frontend.bands

        def named(values: Sequence[float]) -> dict[str, float]:
            return dict(zip(states, values, strict=True))

        facts = {
            "word": self.word.name, "kind": kind, "frames": FRAMES, "bands": bands,
            "first_column": first_frame(KINDS[kind]), "seen": KINDS[kind],
            "preroll_frames": PREROLL_FRAMES, "frames_per_unit": PER_UNIT,
            "first": self.first.identity, "shipped": named(self.first.thresholds),
            "wakes": named(wakes), "weight": weight, "limits": named(limit.tolist()),
            "held_out": counts, "recipe": asdict(self.recipe),
        }  # fmt: skip
        save_arrays(out / WEIGHTS, folded(self.model))
        write_json(out / FACTS, facts)
        for name, count in counts.items():
            print(f"held out, {name}: " + ", ".join(f"{k} {n}" for k, n in count.items()))
        return out


def heaviest(passing: dict[float, float]) -> float:
    """The largest weight at which no more passes than at the best one, but for chance (a standard
    deviation): what is new to the second look's network is best judged by both."""
    fewest = min(passing.values())
    return max(weight for weight, count in passing.items() if count <= fewest + fewest**0.5)


def most_words(passing: dict[float, int], allowed: float) -> float:
    """The largest share of words at which no more than allowed passes; if none is, the least."""
    return max((s for s, count in passing.items() if count <= allowed), default=min(passing))


def lowered(cuts: Cuts, shipped: Sequence[int], lows: Sequence[float]) -> list[int]:
    """The threshold of each state from which on the device asks for a second look: where it wakes
    FIRST_RATE times an hour in scenes without the word; from `lows` up to the shipped one."""
    out = []
    for state, (low, high) in enumerate(zip(lows, shipped, strict=True)):
        best = np.sort(cuts.best[(cuts.where == "negative") & (cuts.state == state)])[::-1]
        allowed = int(FIRST_RATE * len(best) * SCENE_S / 3600)
        over = int(best[allowed]) + 1 if allowed < len(best) else high
        out.append(int(np.clip(over, np.ceil(low), high)))
    return out


def limits(
    cuts: Cuts, score: NDArray[np.floating], asked: NDArray[np.bool_], states: int,
    share: float = 1.0,
) -> NDArray[np.float64]:  # fmt: skip
    """What the score must reach in each state, float64[states], so that of the words asked about
    as many are accepted as wake the device as it ships, times `share`; they may be others. A state
    with fewer than FEW words has the limit of all."""
    words = cuts.is_word & asked
    out = np.empty(states)
    for state in range(states):
        here = words & (cuts.state == state)
        here = here if here.sum() >= FEW else words
        wanted = round(share * int((cuts.woke[here] == SHIPPED).sum()))
        out[state] = np.sort(score[here])[::-1][np.clip(wanted, 1, here.sum()) - 1]
    return np.floor(out * 1e4) / 1e4  # as written, and no word below it


def folded(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Weights as verify/infer.py names them, each norm folded into the convolution before it."""
    out: dict[str, NDArray[np.float32]] = {}
    for i in range(len(STRIDES)):
        (kernel,) = model.get_layer(f"conv{i}").get_weights()
        norm = model.get_layer(f"norm{i}")
        gamma, beta, mean, variance = norm.get_weights()
        gain = gamma / np.sqrt(variance + norm.epsilon)
        out[f"conv{i}.kernel"] = kernel * gain
        out[f"conv{i}.bias"] = beta - mean * gain
    names = {layer.name for layer in model.layers}
    for name in ("column", "attend", "attention", "last", "outputs"):
        if name in names:
            out[f"{name}.kernel"], out[f"{name}.bias"] = model.get_layer(name).get_weights()
    if "gru" in names:
        kernel, recurrent, bias = model.get_layer("gru").get_weights()
        out |= {"gru.kernel": kernel, "gru.recurrent": recurrent, "gru.bias": bias}
    return {name: np.asarray(value, np.float32) for name, value in out.items()}
