"""What both looks together must reach, set on wakes by voices that no network learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.train.artifacts import write_json
from wakestate.train.data.corpus import DataError, load_corpus
from wakestate.train.evaluation.device import Device
from wakestate.verify.learning.examples import SCENE_S, SHIPPED, Amounts, Cuts, between, mine, seen
from wakestate.verify.service.detector import FirstLook
from wakestate.verify.service.infer import FACTS, Network
from wakestate.words import Word

FIRST_RATE = 20.0  # times an hour that held-out scenes without the word wake the first of two looks
FEW = 30  # words of a state
WEIGHTS_OF_FIRST = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
JUDGED_AT = (0.9, 1.0, 1.1)  # shares of the words one look accepts, at which a weight is judged
AT_ONCE = 500

Logits = Callable[[NDArray[np.int8]], NDArray[np.float32]]


def first_look(word: Word, model: Path, library: Path) -> tuple[FirstLook, list[float]]:
    """The first network in the folder `model`, and the least threshold of each state at which its
    compiled device, `library`, makes cuts. DataError where that is of another model."""
    first, device = FirstLook(word, model), Device(library, word)
    if first.thresholds != [device.threshold(state) for state in range(len(word.states))]:
        raise DataError(
            f"{library}: compiled of another model than {model}; "
            f"`wakestate verifier train --model {model}` builds it"
        )
    return first, [low for low, _ in between(device)]


def decide_anew(
    word: Word,
    data: Path,
    also: Sequence[Path],
    cache: Path,
    library: Path,
    model: Path,
    cuts: Path,
    verifier: Path,
    amounts: Amounts,
) -> None:
    """Fit the folder `verifier` to the first network and the thresholds in `model`: as training
    ends, without training. `cuts` keeps the held-out wakes. DataError, GatewayError."""
    first, lows = first_look(word, model, library)
    network = Network.load(verifier)
    corpus = load_corpus(data, "train", cache, word.data, also)
    held = mine(corpus, word, library, cuts, 1, amounts.held())["held"]

    def logits(features: NDArray[np.int8]) -> NDArray[np.float32]:
        return network.score(features.astype(np.float32))[0]

    write_json(verifier / FACTS, network.facts | decided(held, logits, first, lows))


def decided(held: Cuts, logits: Logits, first: FirstLook, lows: Sequence[float]) -> dict[str, Any]:
    """For verifier.json: beside which first network, the thresholds of the first of two looks, what
    that look weighs, and limits by state; all at the starts that the device tells.

    `logits`: of int8[n, FRAMES, bands]; `lows`: the least thresholds by state at which cuts were
    made.
    """
    parts = np.array_split(np.arange(len(held)), -(-len(held) // AT_ONCE))
    looks = [(seen(held, rows, np.zeros(len(rows)))[0], held.state[rows]) for rows in parts]
    logit = np.concatenate([logits(features) for features, _ in looks])
    sure = np.concatenate([first.sureness(features, state) for features, state in looks])
    states = first.states
    wakes = lowered(held, first.thresholds, lows)
    asked = held.best >= np.array(wakes)[held.state]
    once = held.woke == SHIPPED

    def passing(weight: float, share: float) -> int:
        """What else passes where both accept a share of the words that one look does."""
        score = logit + weight * sure
        limit = limits(held, score, asked, len(states), share)
        return int((score >= limit[held.state])[asked & ~held.is_word].sum())

    judged = {w: [passing(w, share) for share in JUDGED_AT] for w in WEIGHTS_OF_FIRST}
    weight = heaviest({w: float(np.mean(counts)) for w, counts in judged.items()})
    limit = limits(held, logit + weight * sure, asked, len(states))
    accepted = asked & (logit + weight * sure >= limit[held.state])
    counts = {
        name: {
            "asked": int((rows & asked).sum()),
            "one look": int((rows & once).sum()),
            "both": int((rows & accepted).sum()),
        }
        for name, rows in (("words", held.is_word), ("others", ~held.is_word))
    }
    for name, count in counts.items():
        print(f"held out, {name}: " + ", ".join(f"{k} {n}" for k, n in count.items()))

    def named(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(states, values, strict=True))

    return {
        "first": first.identity,
        "shipped": named(first.thresholds),
        "wakes": named(wakes),
        "weight": weight,
        "limits": named(limit.tolist()),
        "held_out": counts,
    }


def heaviest(passing: dict[float, float]) -> float:
    """The largest weight at which no more passes than at the best one, but for chance (a standard
    deviation): what is new to the second look's network is best judged by both."""
    fewest = min(passing.values())
    return max(weight for weight, count in passing.items() if count <= fewest + fewest**0.5)


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
    cuts: Cuts,
    score: NDArray[np.floating],
    asked: NDArray[np.bool_],
    states: int,
    share: float = 1.0,
) -> NDArray[np.float64]:
    """What the score must reach in each state, float64[states], so that of the words asked about
    as many are accepted as wake the device as it ships, times `share`; they may be others. No state
    has a laxer limit than all states together, which those with fewer than FEW words have: where
    nearly every word wakes the device, the last of them would let anything pass."""
    words = cuts.is_word & asked

    def least(here: NDArray[np.bool_]) -> float:
        wanted = round(share * int((cuts.woke[here] == SHIPPED).sum()))
        return float(np.sort(score[here])[::-1][np.clip(wanted, 1, here.sum()) - 1])

    of_all = least(words)
    each = (words & (cuts.state == state) for state in range(states))
    out = np.array([max(of_all, least(here)) if here.sum() >= FEW else of_all for here in each])
    return np.floor(out * 1e4) / 1e4  # as written, and no word below it
