# SPDX-License-Identifier: Apache-2.0
"""verifier.json and verifier.npz as they are read: what they may hold is checked here, once."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate.files import FileError, plain, reading, shown, sized

Floats = NDArray[np.float32]
_BYTES_MAX = 64 << 20  # of all arrays
_ARRAYS_MAX = 100
_CHANNELS_MAX = 1024
STRIDES = ((2, 2), (2, 2), (1, 2))
Threshold = Annotated[int, Field(ge=-(2**15), le=2**15)]
VerifierThreshold = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Facts(BaseModel):
    """What else is in the file is for people."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Shape(_Facts):
    """Of verifier.json: what the network is; columns of its input, and which it sees."""

    kind: Literal["cra", "cnn76", "cnn100", "cnn195"]
    frames: int = Field(ge=1, le=1000)
    bands: int = Field(ge=8, le=80)
    first_column: int = Field(ge=0, le=1000)
    seen: int = Field(ge=1, le=1000)
    preroll_frames: int = Field(ge=0, le=1000)
    frames_per_unit: int = Field(ge=1, le=1000)


class Decision(_Facts):
    """Of verifier.json: what decides, by device state; `detector`: hash of the detector."""

    weight: float = Field(ge=0, le=1000)
    detector: str = Field(pattern="^[0-9a-f]{64}$")
    shipped: dict[str, Threshold]
    wakes: dict[str, Threshold]
    thresholds: dict[str, VerifierThreshold]


T = TypeVar("T", bound=_Facts)


def checked(kind: type[T], facts: Any) -> T:
    """The part of verifier.json that `kind` names. FileError names in one line what is wrong."""
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        item = error.errors()[0]
        field = plain(".".join(map(str, item["loc"])), 200)
        if item["type"] == "missing":
            raise FileError(f"'{field}' is missing") from None
        raise FileError(
            f"cannot be read: {field}: given {shown(item['input'])}; {item['msg']}"
        ) from None


def read_arrays(path: Path) -> dict[str, Floats]:
    """The arrays of an .npz file, all of floats. FileError."""
    with reading(sized(path, _BYTES_MAX)), warnings.catch_warnings(action="ignore"):
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if len(members) > _ARRAYS_MAX or sum(m.file_size for m in members) > _BYTES_MAX:
                    raise ValueError(f"allowed: {_ARRAYS_MAX} arrays, {_BYTES_MAX} bytes")
                return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
        except Exception as error:  # a damaged file may raise anything
            why = plain(error, 300) or type(error).__name__
            raise FileError(f"{plain(path)}: is damaged: {why}") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Floats:
    with archive.open(member) as file:
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, fortran, dtype = read[np.lib.format.read_magic(file)](file)
        data = file.read()
    if dtype.kind != "f" or len(shape) > 4 or len(data) != dtype.itemsize * np.prod(shape):
        raise ValueError(f"{shown(member.filename)} is {dtype} {shape} in {len(data)} bytes")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{shown(member.filename)} holds what is no finite number")
    return array


def check_weights(shape: Shape, weights: dict[str, Floats]) -> None:
    """Each layer is there and fits the one before it. FileError."""
    if shape.first_column + shape.seen > shape.frames:
        raise FileError(f"seen: given {shape.seen}; allowed: up to the last of {shape.frames}")
    left = dict(weights)

    def take(name: str, *wanted: int) -> tuple[int, ...]:
        """Of that shape; 0: any reasonable size."""
        array = left.pop(name, None)
        if array is None:
            raise FileError(f"{name}: is missing")
        fits = len(array.shape) == len(wanted) and all(
            1 <= size <= _CHANNELS_MAX if want == 0 else size == want
            for size, want in zip(array.shape, wanted, strict=True)
        )
        if not fits:
            sizes = " x ".join(str(size or "n") for size in wanted)
            raise FileError(f"{name}: is {array.shape}; allowed: {sizes}")
        return array.shape

    time, bands, channels = shape.seen, shape.bands, 1
    for i, (step, band_step) in enumerate(STRIDES):
        height, width, _, out = take(f"conv{i}.kernel", 0, 0, channels, 0)
        take(f"conv{i}.bias", out)
        if height > time or width > bands:
            raise FileError(f"conv{i}.kernel: is larger than its input, {time} x {bands}")
        time, bands, channels = (time - height) // step + 1, (bands - width) // band_step + 1, out

    def dense(name: str, inputs: int, outputs: int = 0) -> int:
        size = take(f"{name}.kernel", inputs, outputs)[1]
        take(f"{name}.bias", size)
        return size

    size = dense("column", bands * channels)
    if shape.kind == "cra":
        units = take("gru.kernel", size, 0)[1] // 3
        take("gru.recurrent", units, 3 * units)
        take("gru.bias", 2, 3 * units)
        dense("attention", dense("attend", units), 1)
        size = units
    else:
        size *= time
    dense("outputs", dense("last", size), 3)
    if left:
        raise FileError(f"{shown(next(iter(left)))}: unknown for kind {shape.kind}")
