"""The schema of boards/*/board.toml, the only place where the facts of a board stand.

`load_board` reads and checks one. Every error names the file, the key, what was given and what
is allowed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convert.kernels import Kernels
from words.explain import explain

FOLDER = Path(__file__).parent

Core = Literal["host", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
Fpu = Literal["none", "fpv4-sp-d16", "fpv5-sp-d16", "fpv5-d16"]

CORE_FPUS: dict[Core, tuple[Fpu, ...]] = {
    "host": ("none",),
    "cortex-m3": ("none",),
    "cortex-m4": ("none", "fpv4-sp-d16"),
    "cortex-m7": ("none", "fpv5-sp-d16", "fpv5-d16"),
    "cortex-m33": ("none", "fpv5-sp-d16"),
    "cortex-m55": ("none", "fpv5-d16"),
}


class BoardError(Exception):
    """A board cannot be used; the text says which key, and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Section):
    """A piece of memory, in bytes."""

    origin: int = Field(ge=0, lt=2**32)
    length: int = Field(ge=1024, lt=2**32)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.origin % 8 or self.length % 8:
            raise ValueError("origin and length must be multiples of 8")
        if self.origin + self.length > 2**32:
            raise ValueError("origin + length must not exceed 4 GiB")
        return self


class Memory(_Section):
    """Where the program lies, vectors first, and where its data."""

    code: Region
    ram: Region

    @model_validator(mode="after")
    def _apart(self) -> Self:
        first, second = sorted((self.code, self.ram), key=lambda region: region.origin)
        if first.origin + first.length > second.origin:
            raise ValueError("code and ram overlap")
        return self


class Qemu(_Section):
    """How qemu-system-arm emulates the board."""

    machine: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")


class Board(_Section):
    """One board, or the host."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: str = Field(min_length=1, max_length=80)
    core: Core
    fpu: Fpu = "none"
    dsp: bool = Field(True, description="a core that may lack its DSP instructions has them")
    clock_hz: int | None = Field(None, ge=1_000_000, le=2_000_000_000)
    stack_bytes: int = Field(8192, ge=1024, le=1 << 20, multiple_of=8)
    memory: Memory | None = None
    qemu: Qemu | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.fpu != "none" and not self.dsp:
            raise ValueError("dsp: given false; allowed with an FPU: true")
        if self.fpu not in CORE_FPUS[self.core]:
            allowed = ", ".join(CORE_FPUS[self.core])
            raise ValueError(f"fpu: given '{self.fpu}'; allowed with {self.core}: {allowed}")
        if not self.dsp and self.core != "cortex-m33":
            raise ValueError(f"dsp: given false; allowed with {self.core}: true")
        device_keys = {"memory": self.memory, "clock_hz": self.clock_hz}
        for key, value in device_keys.items():
            if self.core == "host" and value is not None:
                raise ValueError(f"{key}: the host has none; take it out")
            if self.core != "host" and value is None:
                raise ValueError(f"{key}: missing; a {self.core} needs it")
        return self

    @property
    def kind(self) -> Literal["host", "cortex-m"]:
        return "host" if self.core == "host" else "cortex-m"

    @property
    def core_title(self) -> str:
        return self.core.replace("cortex-m", "Cortex-M") + ("" if self.fpu == "none" else "F")

    @property
    def kernels(self) -> Kernels:
        """The kernel set that the core runs fastest."""
        if self.core == "cortex-m55":
            return "mve"
        return "dsp" if self.core not in ("host", "cortex-m3") and self.dsp else "plain"

    @property
    def prefix(self) -> str:
        """What stands before the names of the compiler and its tools."""
        return "" if self.kind == "host" else "arm-none-eabi-"

    @property
    def cflags(self) -> list[str]:
        if self.kind == "host":
            return []
        if self.fpu == "none":
            # The device code has no float: an FPU would only widen the choice of libraries.
            plain = "+nofp" if self.core in ("cortex-m33", "cortex-m55") else ""
            plain += "" if self.dsp else "+nodsp"
            return [f"-mcpu={self.core}{plain}", "-mthumb", "-mfloat-abi=soft"]
        # The M55's FPU and Helium come with the core's name; -mfpu cannot say them.
        fpu = "auto" if self.core == "cortex-m55" else self.fpu
        return [
            f"-mcpu={self.core}",
            "-mthumb",
            "-mfloat-abi=hard",
            f"-mfpu={fpu}",
            "-DBOARD_HAS_FPU",
        ]

    @property
    def ldflags(self) -> list[str]:
        if self.kind == "host":
            return []
        # Without nosys.specs anything that needs an operating system, or a heap, does not link.
        return ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-Wl,--fatal-warnings"]


def board_names(folder: Path = FOLDER) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/board.toml"))


def load_board(name: str, folder: Path = FOLDER) -> Board:
    """Read and check boards/NAME/board.toml."""
    path = folder / name / "board.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        known = ", ".join(board_names(folder)) or "none"
        raise BoardError(f"{path}: no such board; there are: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(f"{path}: not valid TOML: {error}") from None
    try:
        board = Board.model_validate(raw)
    except ValidationError as error:
        raise BoardError(explain(path, Board, error)) from None
    if board.name != name:
        raise BoardError(f"{path}: name: given '{board.name}'; allowed: '{name}', as the folder")
    return board
