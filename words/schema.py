# SPDX-License-Identifier: Apache-2.0
"""The schema of words/*.toml, the only place of a wake word's facts.

`load_word` reads and checks one file. Every error names the file, the key, what was given and
what is allowed.
"""

from __future__ import annotations

import itertools
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from wakestate.audio import RATE
from wakestate.errors import UserError
from wakestate.explain import explain, one_line
from wakestate.schema_page import reference
from wakestate.words.sizes import SIZES, Size

_DOTS_MAX = 512  # of a line of a word file


def _ascending(given: tuple[float, float]) -> tuple[float, float]:
    if given[0] > given[1]:
        raise ValueError(f"given {list(given)}; allowed: [lowest, highest]")
    return given


def _printable(given: str) -> str:
    if not given.isprintable() or not given.strip():
        raise ValueError(f"given '{given}'; allowed: one line, no control characters")
    return given


def _with_phrase(given: str) -> str:
    _printable(given)
    if given.count("{") != 1 or [w.strip(",.?!") for w in given.split()].count("{}") != 1:
        raise ValueError(f"given '{given}'; allowed: a sentence with {{}} in it once")
    return given


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Text = Annotated[str, AfterValidator(_printable)]
Carrier = Annotated[str, AfterValidator(_with_phrase)]
CARRIERS = (
    "{}, what time is it?",
    "{}, play some music.",
    "{}, stop.",
    "{}, turn on the lights.",
    "{}, set a timer for ten minutes.",
    "{}, how is the weather today?",
    "{} turn the volume down.",
    "Good morning, {}.",
    "Be quiet, {}.",
    "Tell me a story, {}.",
)


class WordError(UserError):
    """A word file cannot be used; the message names the key and what is allowed."""

    several_lines = True


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FrontEnd(_Section):
    """LFBE: windowed FFT, mel bands, log energy, int8.

    An int8 step is `db_per_step` decibels of band energy; -128 is `floor_db` and below, in dB
    over the energy of one squared LSB of the windowed int16 input.

    `kind = "micro"` is that of microWakeWord, whose settings are fixed; an int8 step is
    `feature_scale` of its features, -128 is 0. A word for ESPHome needs it.
    """

    kind: Literal["lfbe", "micro"] = Field("lfbe", description="ours, or microWakeWord's")
    feature_scale: float | None = Field(
        None,
        gt=0.01,
        le=1.0,
        description="of micro: the scale of the network's input. Default: ESPHome's",
    )
    sample_rate: Literal[16000] = Field(RATE, description="Hz")
    window_samples: int = Field(400, ge=32, le=512, description="Hann window, samples")
    hop_samples: int = Field(160, ge=16, le=512, description="hop, samples")
    fft_size: Literal[512] = Field(512, description="points")
    bands: int = Field(64, ge=8, le=80, description="mel bands")
    low_hz: float = Field(60.0, ge=0.0, le=4000.0, description="of the lowest band, Hz")
    high_hz: float = Field(7800.0, ge=1000.0, le=8000.0, description="of the highest band, Hz")
    floor_db: float = Field(10.0, ge=-20.0, le=60.0, description="what -128 stands for")
    db_per_step: float = Field(0.5, ge=0.1, le=1.0, description="decibels of an int8 step")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.feature_scale is not None) != (self.kind == "micro"):
            needed = "a number" if self.kind == "micro" else 'none without kind = "micro"'
            raise ValueError(f"feature_scale: given {self.feature_scale}; allowed: {needed}")
        for key, value in MICRO.items() if self.kind == "micro" else ():
            if key != "feature_scale" and getattr(self, key) != value:
                raise ValueError(
                    f'{key}: given {getattr(self, key):g}; allowed with kind = "micro": {value:g}'
                )
        if self.hop_samples > self.window_samples:
            raise ValueError(
                f"hop_samples: given {self.hop_samples}; "
                f"allowed: up to window_samples, {self.window_samples}"
            )
        if self.low_hz >= self.high_hz:
            raise ValueError(
                f"low_hz: given {self.low_hz:g}; allowed: below high_hz, {self.high_hz:g}"
            )
        return self

    @model_serializer(mode="wrap")
    def _own(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what only the other kind has: hashes of it stay as they are."""
        found = dump(self)
        given = {"kind", "feature_scale"} if self.kind == "lfbe" else {"floor_db", "db_per_step"}
        return {key: value for key, value in found.items() if key not in given}


#: What `kind = "micro"` sets in [frontend]. ESPHome makes an int8 step of 666 / 256 units of 64
#: natural logarithms, of which microWakeWord's features have 10 / 256.
MICRO: dict[str, float] = {
    "feature_scale": 666 / 256 * 10 / 256,
    "window_samples": 480,
    "hop_samples": 160,
    "bands": 40,
    "low_hz": 125.0,
    "high_hz": 7500.0,
}


class Block(_Section):
    """One depthwise-separable block: `kernel` steps in time (dilated), then 1x1 to `channels`."""

    kernel: int = Field(ge=1, le=32, description="network steps, `dilation` apart")
    channels: int = Field(ge=4, le=256, multiple_of=4, description="outputs of the 1x1")
    dilation: int = Field(1, ge=1, le=8, description="steps between a kernel's inputs")


BLOCKS = tuple(Block(kernel=kernel, channels=56) for kernel in (5, 7, 9, 9))


class Model(_Section):
    """The metadata-conditioned CNN. Time is never padded. The defaults are alexa's network.

    `size` sets the keys that the file does not.
    """

    size: Size = Field("small", exclude=True, description="small: as the defaults; words/sizes.py")
    network: Literal["own", "microwakeword"] = Field(
        "own",
        exclude=True,
        description="microwakeword: an imported one, of which only stride and sees_hops count",
    )
    sees_hops: int = Field(
        0, ge=0, le=4096, exclude=True, description="of an imported one: hops that an output sees"
    )
    first_kernel: int = Field(5, ge=1, le=32, description="hops seen by the first convolution")
    stride: int = Field(3, ge=1, le=8, description="hops per network step")
    first_channels: int = Field(
        40, ge=4, le=256, multiple_of=4, description="outputs of the first convolution"
    )
    blocks: tuple[Block, ...] = Field(
        BLOCKS, min_length=1, max_length=12, description="after the first convolution, in order"
    )
    head_steps: int = Field(6, ge=1, le=64, description="last steps flattened for the dense layers")
    dense: int = Field(24, ge=4, le=256, description="units of the dense layers")
    embedding: int = Field(8, ge=1, le=64, description="length of the metadata embedding")
    metadata_dense: int = Field(8, ge=1, le=64, description="metadata units joined before the end")
    conditioning: Literal["both", "norm", "join", "none"] = Field(
        "both", description="where the metadata goes: conditional norm, last dense layers"
    )

    @property
    def receptive_hops(self) -> int:
        """Feature columns (hops) that one output depends on."""
        if self.network == "microwakeword":
            return self.sees_hops
        steps = self.head_steps + sum((b.kernel - 1) * b.dilation for b in self.blocks)
        return (steps - 1) * self.stride + self.first_kernel


class Detector(_Section):
    """What turns scores into wake events; thresholds are the model's, set by training."""

    smoothing_steps: int = Field(3, ge=1, le=16, description="network steps averaged")
    refractory_s: float = Field(
        1.0, ge=0.0, le=10.0, description="after a wake, in which there is no other"
    )
    shortest_s: float = Field(
        0.0, ge=0.0, le=10.0, description="what the network places in less time is not the word"
    )
    false_accepts_per_hour: float = Field(
        0.5, gt=0.0, le=100.0, description="where training sets the shipped thresholds"
    )


class Data(_Section):
    """Labels of the manifest that hold the word or sound close to it."""

    positive: tuple[str, ...] = Field(min_length=1, description="manifest labels with the word")
    exclude: tuple[str, ...] = Field(
        default=(), description="manifest labels never used as negatives"
    )
    stressed_core: str = Field(
        default="",
        description="phonemes that find the word in the timings of clips synthesized elsewhere "
        "(`make data` marks it); for a phrase a part for each word, with spaces between",
    )
    places: dict[str, Range] = Field(
        default={},
        description="start and end of the word, s, by file name without ending, where its energy "
        "alone does not find it (train/data/locate.py)",
    )
    # What synthesis speaks (`make data`). Not dumped: it changes the data, not the training on it.
    language: str = Field(
        default="en",
        pattern=r"^[a-z]{2,3}(-[a-z0-9]{1,8})*$",
        exclude=True,
        description="of the phrase: es, pt-br, ...; what `espeak-ng --voices` lists",
    )
    say: tuple[Text, ...] = Field(
        default=(), exclude=True, description="spellings said in the phrase's place"
    )
    carriers: tuple[Carrier, ...] = Field(
        default=CARRIERS,
        min_length=1,
        exclude=True,
        description="sentences around the phrase; the default ones are of English alone",
    )
    confusables: tuple[Text, ...] = Field(
        default=(),
        exclude=True,
        description="phrases that must not wake: spoken in addition to those found by phonetic "
        "distance, and measured",
    )
    confusable_recordings: dict[str, str] = Field(
        default={},
        exclude=True,
        description="recordings, by file name without ending, in which such a phrase is said",
    )

    @property
    def spoken_carriers(self) -> tuple[str, ...]:
        """The carriers; in another language than theirs the phrase alone."""
        return ("{}",) if self.language != "en" and self.carriers == CARRIERS else self.carriers


class Acoustics(_Section):
    """How sound is mixed for training (train/acoustics/stage.py): ranges are drawn from evenly,
    `tempo` and `band_hz` evenly by ratio."""

    level_dbfs: Range = Field(
        (-50.0, -15.0), description="speech level range, dBFS RMS while speaking"
    )
    noise_snr_db: Range = Field((-5.0, 30.0), description="speech over background noise")
    distance_m: Range = Field((0.5, 5.0), description="from the speaker to the microphone")
    rt60_s: Range = Field((0.15, 0.8), description="reverberation time of simulated rooms")
    signal_to_echo_db: dict[str, Range] = Field(
        default={"low": (0.0, 15.0), "high": (-10.0, 5.0)},
        min_length=1,
        description="signal-to-echo ratio range per volume",
    )
    loudspeaker_low_hz: Range = Field((80.0, 300.0), description="lower band limit")
    loudspeaker_high_hz: Range = Field((5000.0, 7500.0), description="upper band limit")
    loudspeaker_drive: Range = Field((0.3, 1.5), description="RMS into the soft clipping")
    canceller_share: Share = Field(0.8, description="share of devices with an echo canceller")
    canceller_tail_ms: Range = Field((20.0, 80.0), description="echo path that it models")
    canceller_error_db: Range = Field((-25.0, -10.0), description="misalignment of its filter")
    tempo: Range = Field((0.75, 1.55), description="times as fast as recorded, at the same pitch")
    tempo_share: Share = Field(0.4, description="how often speech has another tempo")
    band_hz: Range = Field((3200.0, 7500.0), description="upper band limit of a line or a source")
    band_limited: Share = Field(0.3, description="how often speech has such a limit")
    partial_playback: Share = Field(0.25, description="how often playback starts or ends midway")
    wrong_state: Share = Field(0.05, description="how often the device reports another state")


class Word(_Section):
    """One wake word."""

    name: Name = Field(description="of files and C symbols: small letters, digits, `_`")
    phrase: Text = Field(min_length=1, max_length=80, description="as it is said")
    frontend: FrontEnd = FrontEnd()
    metadata: dict[Name, tuple[Name, ...]] = Field(
        default={"player": ("idle", "music", "speech", "alarm"), "volume": ("low", "high")},
        min_length=1,
        description="metadata vocabulary: field -> values; the first value is the default",
    )
    model: Model = Model()
    detector: Detector = Detector()
    data: Data
    acoustics: Acoustics = Acoustics()

    @model_validator(mode="after")
    def _imported(self) -> Self:
        imported = self.model.network == "microwakeword"
        if imported and self.frontend.kind != "micro":
            raise ValueError(
                'model.network: given "microwakeword"; allowed with frontend.kind = "lfbe": "own"'
            )
        if imported and (self.model.sees_hops % self.model.stride or not self.model.sees_hops):
            raise ValueError(
                f"model.sees_hops: given {self.model.sees_hops}; allowed: a multiple of stride"
            )
        if imported and len(self.states) > 1:
            raise ValueError(
                f"metadata: given {len(self.states)} states; an imported network has 1"
            )
        return self

    @model_validator(mode="after")
    def _vocabulary(self) -> Self:
        for field, values in self.metadata.items():
            if not values or len(set(values)) != len(values):
                raise ValueError(
                    f"metadata.{field}: given {list(values)}; "
                    "allowed: at least one value, each only once"
                )
        if len(self.states) > 64:
            raise ValueError(f"metadata gives {len(self.states)} states; at most 64 are allowed")
        receptive_s = (
            self.model.receptive_hops * self.frontend.hop_samples / self.frontend.sample_rate
        )
        if self.detector.shortest_s >= receptive_s:
            raise ValueError(
                f"detector.shortest_s: given {self.detector.shortest_s:g}; allowed: below the "
                f"{receptive_s:g} s that the network sees"
            )
        if "volume" in self.metadata:
            volumes = self.metadata["volume"]
            given = self.acoustics.signal_to_echo_db
            if set(given) != set(volumes):
                raise ValueError(
                    f"acoustics.signal_to_echo_db: given {', '.join(given)}; allowed: a range for "
                    f"each of metadata.volume: {', '.join(volumes)}"
                )
        return self

    @property
    def states(self) -> tuple[str, ...]:
        """Every device state in table order, as text: "player=music,volume=high"."""
        fields = list(self.metadata)
        return tuple(
            ",".join(f"{f}={v}" for f, v in zip(fields, values, strict=True))
            for values in itertools.product(*self.metadata.values())
        )


def state_fields(state: str) -> dict[str, str]:
    """{"player": "music", "volume": "high"} of "player=music,volume=high"; empty of ""."""
    return dict(part.split("=") for part in state.split(",") if part)


def load_word(path: Path) -> Word:
    """Read and check one word file; WordError names file, key, value given and what is allowed."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml"))) or "none"
        raise WordError(f"{path}: no such word file (in this folder: {known})") from None
    except OSError as error:
        raise WordError(one_line(f"{path}: cannot be read: {error.strerror}")) from None
    return word_of(data, path)


def _check_depth(data: bytes) -> None:
    """ValueError where a key has so many parts that tomllib, whose time is their square, hangs."""
    for number, line in enumerate(data.splitlines(), 1):
        if line.count(b".") > _DOTS_MAX:
            raise ValueError(f"line {number} has more than {_DOTS_MAX} dots")


def word_of(data: bytes, path: Path) -> Word:
    """The same of the content of a word file, which `path` names."""
    try:
        _check_depth(data)
        raw = tomllib.loads(data.decode("utf-8"))
        json.dumps(raw, default=str)  # nested too deeply?
    except (ValueError, RecursionError) as error:
        raise WordError(one_line(f"{path}: not valid TOML: {error}")) from None
    frontend = raw.get("frontend")
    if isinstance(frontend, dict) and frontend.get("kind") == "micro":
        raw["frontend"] = MICRO | frontend
    model = raw.get("model")
    if isinstance(model, dict) and isinstance(model.get("size"), str):
        raw["model"] = SIZES.get(model["size"], {}) | model
    try:
        # As JSON, since only there strict means: "64" is no number, but an array is a tuple.
        word = Word.model_validate_json(json.dumps(raw, default=str), strict=True)
    except ValidationError as error:
        raise WordError(explain(path, Word, error)) from None
    if word.name != path.stem:
        raise WordError(
            one_line(f"{path}: name: given '{word.name}'; allowed: '{path.stem}', as the file")
        )
    return word


def page() -> str:
    """docs/words.md, every key of a word file."""
    return reference(
        Word,
        "Word files, key by key",
        "All that a `words/NAME.toml` may hold, from the schema that checks it "
        "(`words/schema.py`); `wakestate word docs` writes this page. Three keys are required; "
        "[training.md](training.md#step-by-step) begins with them.",
    )
