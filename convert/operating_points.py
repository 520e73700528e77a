# SPDX-License-Identifier: Apache-2.0
"""MODEL/operating_points.json: what other thresholds of a model would give, in each device state.

`wakestate evaluate --set-thresholds` writes it next to the thresholds, `wakestate word sensitivity`
shows it and sets others.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.manifest import Manifest
from wakestate.files import FileError, plain, sized, write_atomically

NAME: Final = "operating_points.json"
_BYTES_MAX = 4 << 20
_AGAIN = "`wakestate evaluate --set-thresholds` writes it again"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Point(_Part):
    """One threshold, and those above it up to the next point."""

    threshold: int
    false_accepts: int = Field(ge=0)
    low: float = Field(ge=0, description="95 % interval of the false accepts an hour")
    high: float = Field(ge=0)
    missed: tuple[float, ...] = Field(description="share of the trials, in each condition")


class StateCurve(_Part):
    """One device state: points from the lowest threshold up."""

    hours: float = Field(gt=0, description="without the word")
    conditions: tuple[str, ...]
    points: tuple[Point, ...] = Field(min_length=1)

    def within(self, rate: float) -> Point:
        """The lowest threshold from which on the false accepts an hour are within `rate`; the
        highest point where none is."""
        found = self.points[-1]
        for point in reversed(self.points):
            if point.false_accepts > rate * self.hours:
                break
            found = point
        return found

    def at(self, threshold: int) -> Point:
        """The point of any threshold."""
        below = [point for point in self.points if point.threshold <= threshold]
        return below[-1] if below else self.points[0]


class OperatingPoints(_Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    word: str
    model: str = Field(description="`identity` of the model folder that was measured")
    split: str
    seed: int
    clips: int = Field(description="recordings of the word")
    states: dict[str, StateCurve]


def identity(manifest: Manifest) -> str:
    """A hash of a model's networks."""
    return hashlib.sha256(" ".join(sorted(manifest.files.values())).encode()).hexdigest()


def write(folder: Path, points: OperatingPoints) -> None:
    """Write it into a model folder. FileError."""
    write_atomically(folder / NAME, text_of(points))


def text_of(points: OperatingPoints) -> str:
    """The file's text, a line for each point."""
    states = []
    for state, curve in points.states.items():
        lines = ",\n   ".join(json.dumps(p.model_dump(mode="json")) for p in curve.points)
        head = json.dumps(curve.model_dump(mode="json", exclude={"points"}))[:-1]
        states.append(f'{json.dumps(state)}: {head}, "points": [\n   {lines}]}}')
    head = json.dumps(points.model_dump(mode="json", exclude={"states"}))[:-1]
    joined = ",\n  ".join(states)
    return f'{head}, "states": {{\n  {joined}}}}}\n'


def read(folder: Path, manifest: Manifest) -> OperatingPoints:
    """That of a model folder; ConvertError where it is missing, damaged or of other networks."""
    path = folder / NAME
    if not path.is_file():
        raise ConvertError(f"{plain(path)}: no such file; {_AGAIN}")
    try:
        data = sized(path, _BYTES_MAX).read_bytes()
    except (FileError, OSError) as error:
        raise ConvertError(plain(error)) from None
    return points_of(data, path, manifest)


def points_of(data: bytes, path: Path, manifest: Manifest) -> OperatingPoints:
    """The same of the content of a file, which `path` names."""
    try:
        found = OperatingPoints.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise ConvertError(
            f"{plain(path)}: {plain(field, 200)}: {plain(first['msg'], 200)}; {_AGAIN}"
        ) from None
    if found.model != identity(manifest):
        raise ConvertError(f"{plain(path)}: model: is of other networks than those here; {_AGAIN}")
    if set(found.states) != set(manifest.thresholds):
        raise ConvertError(f"{plain(path)}: states: not those of model.json; {_AGAIN}")
    return found
