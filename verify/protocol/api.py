# SPDX-License-Identifier: Apache-2.0
"""What goes over HTTP to the verifier's service and back, and the service's settings."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from wakestate.verify.protocol.frames import PREROLL
from wakestate.words import Word

PATH = "/v1/verify"
SOUND = "application/octet-stream"


@dataclass(frozen=True)
class Settings:
    """What one service serves, and its limits.

    `streams`: uploads at a time, and so what may wait for the network; `seconds`: of sound in an
    upload; `patience_s`: how far an upload may fall behind real time; `batch`: utterances that go
    through the network together. Without `keys` everybody may ask.
    """

    word: Word
    keys: tuple[str, ...] = ()
    streams: int = 200
    seconds: float = 15.0
    patience_s: float = 5.0
    batch: int = 8

    @property
    def samples(self) -> int:
        return round(self.seconds * self.word.frontend.sample_rate)


class About(BaseModel):
    """What the device reports. Indices count samples, as its START message does."""

    model_config = ConfigDict(extra="forbid")

    word: str = Field(description="the wake word's name", max_length=80, examples=["alexa"])
    start: int = Field(
        alias="startIndexInSamples",
        ge=0,
        le=2**53,
        examples=[PREROLL],
        description="the word's first sample, as the device found it",
    )
    end: int = Field(
        alias="endIndexInSamples",
        ge=1,
        le=2**53,
        examples=[17600],
        description="the first sample behind the word",
    )
    preroll: int | None = Field(
        None,
        ge=0,
        examples=[PREROLL],
        description="samples before the word that the sound begins with, where indices count from "
        "elsewhere than its first sample; else startIndexInSamples",
    )
    state: str | None = Field(
        None,
        max_length=200,
        examples=["player=idle,volume=low"],
        description="the device's state when it woke; not given: its first",
    )

    @property
    def origin(self) -> int:
        """The index of the sound's first sample."""
        return 0 if self.preroll is None else self.start - self.preroll


class Answer(BaseModel):
    """The verifier's answer."""

    accept: bool = Field(description="the word was said: score is at least threshold")
    score: float = Field(description="how sure, about log odds")
    threshold: float
    start: int = Field(
        serialization_alias="startIndexInSamples",
        description="the word's first sample, refined; of no meaning when it was not said",
    )
    end: int = Field(
        serialization_alias="endIndexInSamples", description="the first sample behind it, refined"
    )
    milliseconds: float = Field(
        description="from the last of the sound that it needed to this answer"
    )


class Health(BaseModel):
    ready: bool = Field(description="it answers")
    word: str
    streams: int = Field(description="uploads in progress")


class Problem(BaseModel):
    field: str = Field(description="query parameter, header or 'body'")
    problem: str
    hint: str


class Problems(BaseModel):
    """Why a request was refused."""

    errors: list[Problem]


class RefusedError(Exception):
    """A request cannot be answered."""

    def __init__(self, status: int, field: str, problem: str, hint: str, **headers: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = Problem(field=field, problem=problem, hint=hint)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
