# SPDX-License-Identifier: Apache-2.0
"""What detector and verifier together must reach, set on wakes by voices that no network learned
from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.train.artifacts import write_json
from wakestate.train.data.corpus import DataError, load_corpus
from wakestate.train.evaluation.device import Device
from wakestate.verify.learning.examples import (
    SCENE_S,
    SHIPPED,
    Amounts,
    Examples,
    between,
    mine,
    seen,
)
from wakestate.verify.service.detector import DetectorReplay
from wakestate.verify.service.infer import FACTS, Network
from wakestate.words import Word

DETECTOR_RATE = 20.0  # wakes per hour of the lowered detector on held-out scenes without the word
FEW = 30  # words of a state
DETECTOR_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
JUDGED_SHARES = (0.9, 1.0, 1.1)  # of the words that the detector alone accepts
AT_ONCE = 500

Logits = Callable[[NDArray[np.int8]], NDArray[np.float32]]


def load_detector(word: Word, model: Path, library: Path) -> tuple[DetectorReplay, list[float]]:
    """The detector in the folder `model`, and the lowest threshold of each state at which its
    compiled device, `library`, makes examples. DataError where that is of another model."""
    detector, device = DetectorReplay(word, model), Device(library, word)
    if detector.thresholds != [device.threshold(state) for state in range(len(word.states))]:
        raise DataError(
            f"{library}: compiled of another model than {model}; "
            f"`wakestate verifier train --model {model}` builds it"
        )
    return detector, [low for low, _ in between(device)]


def recalibrate_thresholds(
    word: Word,
    data: Path,
    also: Sequence[Path],
    cache: Path,
    library: Path,
    model: Path,
    examples: Path,
    verifier: Path,
    amounts: Amounts,
) -> None:
    """Fit the folder `verifier` to the detector and the thresholds in `model`: as training
    ends, without training. `examples` keeps the held-out wakes. DataError, GatewayError."""
    detector, lows = load_detector(word, model, library)
    network = Network.load(verifier)
    corpus = load_corpus(data, "train", cache, word.data, also)
    validation = mine(corpus, word, library, examples, 1, amounts.validation())["validation"]

    def logits(features: NDArray[np.int8]) -> NDArray[np.float32]:
        return network.score(features.astype(np.float32))[0]

    write_json(verifier / FACTS, network.facts | decision_facts(validation, logits, detector, lows))


def decision_facts(
    validation: Examples, logits: Logits, detector: DetectorReplay, lows: Sequence[float]
) -> dict[str, Any]:
    """For verifier.json: for which detector, the thresholds of the lowered detector, what
    that detector's weight, and thresholds by state; all at the starts that the device reports.

    `logits`: of int8[n, FRAMES, bands]; `lows`: the lowest thresholds by state at which examples
    were made.
    """
    parts = np.array_split(np.arange(len(validation)), -(-len(validation) // AT_ONCE))
    windows = [
        (seen(validation, rows, np.zeros(len(rows)))[0], validation.state[rows]) for rows in parts
    ]
    logit = np.concatenate([logits(features) for features, _ in windows])
    confidence = np.concatenate(
        [detector.confidence(features, state) for features, state in windows]
    )
    states = detector.states
    wakes = lowered(validation, detector.thresholds, lows)
    asked = validation.best >= np.array(wakes)[validation.state]
    once = validation.woke == SHIPPED

    def passing(weight: float, share: float) -> int:
        """What else passes where both accept a share of the words that the detector alone does."""
        score = logit + weight * confidence
        thresholds = thresholds_of(validation, score, asked, len(states), share)
        return int((score >= thresholds[validation.state])[asked & ~validation.is_word].sum())

    passing_by_weight = {
        w: [passing(w, share) for share in JUDGED_SHARES] for w in DETECTOR_WEIGHTS
    }
    weight = heaviest({w: float(np.mean(counts)) for w, counts in passing_by_weight.items()})
    thresholds = thresholds_of(validation, logit + weight * confidence, asked, len(states))
    accepted = asked & (logit + weight * confidence >= thresholds[validation.state])
    counts = {
        name: {
            "asked": int((rows & asked).sum()),
            "detector": int((rows & once).sum()),
            "both": int((rows & accepted).sum()),
        }
        for name, rows in (("words", validation.is_word), ("others", ~validation.is_word))
    }
    for name, count in counts.items():
        print(f"held out, {name}: " + ", ".join(f"{k} {n}" for k, n in count.items()))

    def named(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(states, values, strict=True))

    return {
        "detector": detector.identity,
        "shipped": named(detector.thresholds),
        "wakes": named(wakes),
        "weight": weight,
        "thresholds": named(thresholds.tolist()),
        "held_out": counts,
    }


def heaviest(passing: dict[float, float]) -> float:
    """The largest weight at which no more passes than at the best one, but for chance (a standard
    deviation): what is new to the verifier's network is best judged by both."""
    fewest = min(passing.values())
    return max(weight for weight, count in passing.items() if count <= fewest + fewest**0.5)


def lowered(examples: Examples, shipped: Sequence[int], lows: Sequence[float]) -> list[int]:
    """The threshold of each state from which on the device asks for the verifier: where it wakes
    DETECTOR_RATE times an hour in scenes without the word; from `lows` up to the shipped one."""
    out = []
    for state, (low, high) in enumerate(zip(lows, shipped, strict=True)):
        best = np.sort(examples.best[(examples.where == "negative") & (examples.state == state)])[
            ::-1
        ]
        allowed = int(DETECTOR_RATE * len(best) * SCENE_S / 3600)
        over = int(best[allowed]) + 1 if allowed < len(best) else high
        out.append(int(np.clip(over, np.ceil(low), high)))
    return out


def thresholds_of(
    examples: Examples,
    score: NDArray[np.floating],
    asked: NDArray[np.bool_],
    states: int,
    share: float = 1.0,
) -> NDArray[np.float64]:
    """What the score must reach in each state, float64[states], so that of the words asked about
    as many are accepted as wake the device as it ships, times `share`; they may be others. No state
    has a laxer limit than all states together, which those with fewer than FEW words have: where
    nearly every word wakes the device, the last of them would let anything pass."""
    words = examples.is_word & asked

    def minimum(here: NDArray[np.bool_]) -> float:
        wanted = round(share * int((examples.woke[here] == SHIPPED).sum()))
        return float(np.sort(score[here])[::-1][np.clip(wanted, 1, here.sum()) - 1])

    of_all = minimum(words)
    each = (words & (examples.state == state) for state in range(states))
    out = np.array([max(of_all, minimum(here)) if here.sum() >= FEW else of_all for here in each])
    return np.floor(out * 1e4) / 1e4  # as written, and no word below it
