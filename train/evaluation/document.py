# SPDX-License-Identifier: Apache-2.0
"""evaluate.json: what one evaluation found; `wakestate evaluate` writes it, all else reads it.

A change of what a field means, or of which there are, raises SCHEMA_VERSION; older files are then
refused, not guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate.explain import explain
from wakestate.files import FileError, read_json, shown, write_atomically
from wakestate.train.data.manifest import DataError
from wakestate.train.evaluation.trials import Condition

SCHEMA_VERSION: Final = 4
MAX_BYTES = 1 << 28
HINT = "remove it, and `wakestate evaluate` makes it again"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MissRate(_Part):
    """Misses of a condition's trials, as a share, and its 95 % interval over voices."""

    misses: int
    frr: float
    frr_low: float
    frr_high: float


class At(MissRate):
    """One listener in one condition at one threshold."""

    threshold: int
    false_accepts: int


class Crossed(MissRate):
    """One listener in one condition, each half at the threshold that the other half set."""

    thresholds: tuple[int, int] = Field(description="of the first half, and of the second")
    false_accepts: int
    missed: str = Field(description='"1" for each trial that was')


class Ratio(_Part):
    """Our misses over another's, 95 % interval; none where its draws are not known."""

    ratio: float
    low: float | None
    high: float | None


class Result(_Part):
    """One listener in one condition."""

    hours: float = Field(description="of the stream, as far as it was processed")
    at: dict[str, At] = Field({}, description="by FA/h")
    shipped: At | None = Field(None, description="at the threshold it ships with, if it does")
    crossed: dict[str, Crossed] = Field({}, description="by FA/h")
    curve: list[tuple[float, float, int]] = Field([], description="FA/h, FRR, threshold")
    band: list[tuple[float, float, float]] = Field(
        [], description="the FRR's interval along the curve: FA/h, lowest, highest"
    )

    @property
    def ships(self) -> At:
        """`shipped`, where it has one: the device always does."""
        assert self.shipped is not None
        return self.shipped


class Other(Result):
    """Another engine, or another model, in one condition."""

    ratio: dict[str, Ratio | None] = Field({}, description="our misses over its, by FA/h")


class Endpoints(_Part):
    """Predicted minus true start and end of the word, ms, of the words caught."""

    wakes: int
    start_bias_ms: float
    end_bias_ms: float
    start_standard_error_ms: float
    end_standard_error_ms: float


class _Trials(_Part):
    condition: Condition
    clips: int
    speakers: int


class Row(Result, _Trials):  # in this order a row begins with its condition
    """One condition: ours, and the others by name."""

    others: dict[str, Other] = {}
    endpoints: Endpoints | None = None
    lfbe_db: list[float] = Field([], description="mean of each band while the word is said")


class State(_Part):
    """False accepts of one listener in one device state: thresholds.py."""

    listener: str
    state: str
    rate: str = Field(description='FA/h that the threshold is set for, or "shipped"')
    halves: list[tuple[int, int, float]] = Field(
        description="threshold, false accepts and hours of the first half, and of the second"
    )
    false_accepts: int
    hours: float
    low: float
    high: float


class Confusable(_Part):
    """How often a phrase set a listener off."""

    phrase: str
    source: Literal["synthetic", "recorded", "clip"]
    tries: int = 0
    fired: dict[str, dict[str, int]] = Field({}, description="by listener, then by threshold")


class ExcerptScores(_Part):
    """One listener's scores of an excerpt."""

    first_s: float
    step_s: float
    scores: list[int]
    threshold: int
    wakes_s: list[float]


class Excerpt(_Part):
    """A short scene with the word in it."""

    condition: str
    level_dbfs: list[float]
    frame_s: float
    words_s: list[tuple[float, float]]
    listeners: dict[str, ExcerptScores]


class FalseAccept(_Part):
    """One of the device's false accepts by its name: false_accepts.py."""

    file: str
    folder: int
    at_s: float
    score: int
    state: str
    plays: str
    ser_db: float | None
    altered: str
    kind: str
    half: int
    text: str
    block: int
    sample: int


class Evaluated(_Part):
    """The whole file: what was measured, with what, and all that it found."""

    schema_version: Literal[4] = SCHEMA_VERSION
    word: str
    split: str
    seed: int
    draws: int
    signal_to_echo_db: dict[str, list[float]]
    positives: int
    synthesized: int = 0
    negatives: int
    half_hours: list[float] = []
    sample_hours: float = 0.0
    peers_absent: str
    fingerprint: str
    short: bool = False
    band_hz: list[float]
    voices: list[str]
    trials: str = Field(description="SHA-256 of the paths of the recordings of the word")
    thresholds: dict[str, int] = Field(
        description="of each state, at the word's false_accepts_per_hour"
    )
    states: list[State]
    rows: list[Row] = Field(min_length=1)
    confusables: list[Confusable]
    excerpts: list[Excerpt]
    false_accepts: list[FalseAccept]

    def of(self, *parts: str) -> list[Row]:
        """The rows of some parts of the tables, in order."""
        return [row for row in self.rows if row.condition.part in parts]


def read(path: Path) -> Evaluated:
    """An evaluate.json. DataError, one line, when it is none of this version."""
    try:
        content: Any = read_json(path, MAX_BYTES)
    except FileError as error:
        raise DataError(f"{error}; {HINT}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is no JSON object; {HINT}")
    version = content.get("schema_version", content.get("version"))
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version: given {shown(version)}; this version reads "
            f"{SCHEMA_VERSION}; {HINT}"
        )
    try:
        return Evaluated.model_validate(content)
    except ValidationError as error:
        first, *more = explain(path, Evaluated, error).splitlines()
        raise DataError(f"{first}{f' (and {len(more)} more)' if more else ''}; {HINT}") from None


def write(evaluated: Evaluated, path: Path) -> None:
    """The same, replaced whole: a line for each fact and each element of a list. FileError."""
    parts = []
    for key, value in evaluated.model_dump(mode="json").items():
        if value and isinstance(value, Sequence) and isinstance(value[0], dict):
            lines = ",\n  ".join(json.dumps(item) for item in value)
            parts.append(f'"{key}": [\n  {lines}\n ]')
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    write_atomically(path, "{\n " + ",\n ".join(parts) + "\n}\n")
