# SPDX-License-Identifier: Apache-2.0
"""Thresholds that transfer: of each device state, pooled over its streams, set on one half of the
sound without the word and reported on the other, and the reverse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.manifest import Logit
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import Crossed, State
from wakestate.train.evaluation.metrics import Accepts, DetectionResult, miss_rate, pooled
from wakestate.train.evaluation.statistics import poisson
from wakestate.train.evaluation.trials import SETS, Condition, Sound
from wakestate.words import Word

#: Where fewer false accepts than this are to be expected in all hours, single sounds would set a
#: threshold; then it is extrapolated from the one with that many, by what other words have.
FEW, REFERENCE = 1.0, 8
#: Logits in which false accepts fall to 1/e, from 5 to 0.5 an hour: the median of the states of
#: "alexa" on 27 h; and where a threshold is put unless the sound itself needs a higher one
#: (docs/benchmark.md).
TAIL_LOGITS, USUAL_LOGITS = 1.8, (3.5, 8.5)


@dataclass(frozen=True)
class ScoreScale:
    """What a score, the sum of the last steps' int8 logits, is as a logit."""

    logit: Logit
    steps: int

    def score(self, logit: float) -> int:
        """The score that a mean logit gives."""
        return round((logit / self.logit.scale + self.logit.zero_point) * self.steps)

    @property
    def never(self) -> int:
        """The threshold that no score reaches, as of a network that has learned little."""
        return 127 * self.steps + 1


def extrapolated(accepts: Accepts, rate: float, scale: ScoreScale) -> int:
    """The lowest threshold within `rate` FA/h, or where the hours are few, that of the tail."""
    hours, within = max(sum(accepts.hours), 1e-9), accepts.threshold(rate)
    if hours * rate >= FEW:
        return within
    more = TAIL_LOGITS * math.log(REFERENCE / (rate * hours))
    found = accepts.threshold(REFERENCE / hours) + scale.score(more) - scale.score(0.0)
    lowest, highest = (scale.score(logit) for logit in USUAL_LOGITS)
    return min(max(found, lowest), max(highest, within), scale.never)


def crossed(
    result: DetectionResult, of_state: Accepts, rate: float, halves: NDArray[np.int64], seed: int
) -> Crossed:
    """`of_state`: false accepts on all streams of the state; `halves`: of each trial."""
    limits = of_state.threshold(rate, 1), of_state.threshold(rate, 0)
    accepts = sum(result.accepts.at(limit)[half] for half, limit in enumerate(limits))
    missed = np.where(halves == 0, *(result.missed(limit) for limit in limits))
    text = "".join("1" if m else "0" for m in missed)
    return Crossed(
        thresholds=limits,
        false_accepts=accepts,
        missed=text,
        **miss_rate(missed, result.speakers, seed).model_dump(),
    )


class Counts:
    """False accepts of every listener on every stream, in every state."""

    def __init__(
        self,
        word: Word,
        conditions: Sequence[Condition],
        counted: dict[tuple[Sound, int, str], Accepts],
        listeners: dict[str, Any],
    ) -> None:
        self.word, self.conditions, self.counted = word, conditions, counted
        self.listeners = listeners
        #: What each state of ours ships with.
        self.ships = {s: listeners[OURS].threshold(i) for i, s in enumerate(word.states)}
        self._pooled: dict[tuple[str, str], Accepts] = {}

    def of(self, name: str, condition: Condition) -> Accepts:
        """Of one listener in one condition; where it did not process an altered stream, of that as
        recorded."""
        state, sound = self.word.states.index(condition.state), condition.sound.stream
        return self.counted.get((sound, state, name)) or self.counted[Sound(), state, name]

    def pooled(self, name: str, state: str) -> Accepts:
        """Of one listener over all streams of a state that is right state, each once."""
        if (name, state) not in self._pooled:
            streams = {
                c.sound.stream: self.of(name, c)
                for c in self.conditions
                if c.state == state and c.part in SETS
            }
            self._pooled[name, state] = pooled(list(streams.values()))
        return self._pooled[name, state]

    def shipped(self, name: str, state: str) -> int | None:
        """The threshold that a listener comes with, if it does."""
        if name == OURS:
            return self.ships[state]
        return getattr(self.listeners[name], "shipped", None)

    def thresholds(self, rate: float, scale: ScoreScale | None = None) -> dict[str, int]:
        """What each state would ship with: the lowest threshold from which on the false accepts
        over all its streams, both halves, are within the rate; `scale`: as `extrapolated` has it.
        """
        of_state = {s: self.pooled(OURS, s) for s in self.word.states}
        if scale is None:
            return {s: accepts.threshold(rate) for s, accepts in of_state.items()}
        return {s: extrapolated(accepts, rate, scale) for s, accepts in of_state.items()}

    def states(self, rates: Sequence[float]) -> list[State]:
        """False accepts of each state on the half that did not set its threshold; and as shipped.

        `halves`: [threshold, false accepts, hours] of the first half, and of the second. The
        interval is of both: exact for independent events, so too narrow where a state has several
        streams, which repeat the same recordings.
        """
        found = []
        for name in self.listeners:
            for state in self.word.states:
                of_state = self.pooled(name, state)
                ships = self.shipped(name, state)
                limits = {
                    f"{r:g}": (of_state.threshold(r, 1), of_state.threshold(r, 0)) for r in rates
                }
                if ships is not None:
                    limits["shipped"] = (ships, ships)
                for rate, pair in limits.items():
                    halves = [
                        (limit, of_state.at(limit)[half], of_state.hours[half])
                        for half, limit in enumerate(pair)
                    ]
                    accepts = sum(count for _, count, _ in halves)
                    hours = sum(of_state.hours)
                    low, high = poisson(accepts, hours)
                    found.append(
                        State(
                            listener=name,
                            state=state,
                            rate=rate,
                            halves=halves,
                            false_accepts=accepts,
                            hours=hours,
                            low=low,
                            high=high,
                        )
                    )
        return found
