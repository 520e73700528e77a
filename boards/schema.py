# SPDX-License-Identifier: Apache-2.0
"""The schema of boards/*/board.toml, the only place of a board's facts.

`load_board` reads and checks one. Every error names the file, the key, what was given and what
is allowed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wakestate import ROOT
from wakestate.contract.kernels import Kernels
from wakestate.errors import UserError
from wakestate.explain import explain

FOLDER = ROOT / "boards"

PinName = Annotated[
    str,
    Field(
        pattern=r"^(P[A-K]([0-9]|1[0-5])|P[01]\.(0?[0-9]|[12][0-9]|3[01]))$",
        description="a pin: PA3, P0.26",
    ),
]
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


class BoardError(UserError):
    """A board cannot be used; the message names the key and what is allowed."""

    several_lines = True


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Section):
    """A piece of memory, in bytes."""

    origin: int = Field(ge=0, lt=2**32, description="its first address")
    length: int = Field(ge=1024, lt=2**32, description="a multiple of 8")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.origin % 8 or self.length % 8:
            raise ValueError("origin and length must be multiples of 8")
        if self.origin + self.length > 2**32:
            raise ValueError("origin + length must not exceed 4 GiB")
        return self


class Memory(_Section):
    """Where the program is, vectors first, and where its data."""

    code: Region
    ram: Region

    @model_validator(mode="after")
    def _apart(self) -> Self:
        first, second = sorted((self.code, self.ram), key=lambda region: region.origin)
        if first.origin + first.length > second.origin:
            raise ValueError("code and ram overlap")
        return self


class Budget(_Section):
    """What the device image of the default word may take at most, in bytes; RAM with the stack."""

    flash_bytes: int = Field(ge=1024)
    ram_bytes: int = Field(ge=1024)


class Qemu(_Section):
    """How qemu-system-arm emulates the board, or the nearest that it has to it."""

    machine: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str = Field("7.2", pattern=r"^\d+\.\d+$", description="the first that has it")
    serial: int = Field(0, ge=0, le=7, description="which of its serial ports the board uses")
    counts: bool = Field(False, description="bench counts the core's instructions on it")


class Chip(_Section):
    """The microcontroller: its registers, and the C that knows them."""

    part: str = Field(min_length=1, max_length=40)
    svd: str = Field(pattern=r"^[\w.-]+\.svd$", description="the vendor's, as pyocd ships it")


class Clock(_Section):
    """The core's clock, in Hz: source / m * n / divide; the source itself without m, n, divide."""

    source: Literal["hse", "hsi", "msi", "hfxo"]
    source_hz: int = Field(ge=1_000_000, le=64_000_000)
    m: int | None = Field(None, ge=1, le=63)
    n: int | None = Field(None, ge=8, le=432)
    divide: int | None = Field(None, ge=2, le=8, multiple_of=2)
    flash_wait_states: int = Field(0, ge=0, le=15)
    apb1_divide: Literal[1, 2, 4, 8, 16] = 1
    apb2_divide: Literal[1, 2, 4, 8, 16] = 1

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = {key for key in ("m", "n", "divide") if getattr(self, key) is not None}
        if given and len(given) < 3:
            missing = ", ".join(sorted({"m", "n", "divide"} - given))
            raise ValueError(f"{missing}: missing; a PLL needs m, n and divide")
        return self

    @property
    def hz(self) -> float:
        if self.m is None or self.n is None or self.divide is None:
            return self.source_hz
        return self.source_hz / self.m * self.n / self.divide


class Microphone(_Section):
    """The board's microphone, and how its bits come in."""

    kind: Literal["pdm", "dfsdm", "i2s-pdm", "semihosting"]
    part: str = Field(min_length=1, max_length=60)
    clock_hz: int | None = Field(None, ge=1_000_000, le=3_250_000, description="of its PDM bits")
    clock: PinName | None = None
    data: PinName | None = None
    power: PinName | None = None
    gain_db: Literal[0, 6, 12, 18] = 0
    ua: int = Field(0, ge=0, description="what it draws, typical")

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        for key in ("clock_hz", "clock", "data"):
            if (getattr(self, key) is None) != (self.kind == "semihosting"):
                requirement = "takes none" if self.kind == "semihosting" else "needs it"
                raise ValueError(f"{key}: microphone.kind = '{self.kind}' {requirement}")
        return self


class Led(_Section):
    """What lights on a wake."""

    pin: PinName
    lit: Literal["high", "low"]


class Uart(_Section):
    """The serial port of events and commands, 8 data bits, no parity."""

    peripheral: str = Field(pattern=r"^[A-Z][A-Z0-9]*$")
    base: int | None = Field(None, ge=0, lt=2**32, description="where no SVD has it")
    tx: PinName | None = None
    rx: PinName | None = None
    function: int | None = Field(None, ge=0, le=15, description="the pins' alternate function")
    enable: str | None = Field(None, pattern=r"^RCC_[A-Z0-9]+_[A-Z0-9]+$", description="its clock")
    baud: Literal[115200, 1_000_000] = 1_000_000
    where: str = Field(min_length=1, description="where a person plugs in")


class Interrupts(_Section):
    """Priorities of the driver's interrupts: 0 is the most urgent."""

    priority_bits: int = Field(ge=2, le=8, description="that the chip has, as its manual says")
    uart: int = Field(ge=0)
    microphone: int = Field(ge=0)

    @model_validator(mode="after")
    def _order(self) -> Self:
        lowest = 2**self.priority_bits - 1
        for key in ("uart", "microphone"):
            if getattr(self, key) > lowest:
                raise ValueError(f"{key}: given {getattr(self, key)}; allowed: 0 to {lowest}")
        if self.uart >= self.microphone:
            raise ValueError(
                f"uart: given {self.uart}; allowed: less than microphone, {self.microphone}: "
                "bytes come in while the microphone's interrupt filters a hop"
            )
        return self


class Flash(_Section):
    """How a program comes onto the board."""

    tool: Literal["pyocd", "openocd", "bossac", "qemu"]
    target: str = Field(min_length=1, description="what the tool calls the board or chip")
    usb: tuple[str, ...] = Field((), description="VENDOR:PRODUCT of what must be plugged in")
    plug: str = Field(min_length=1, description="what to plug in, as said when it is not there")
    install: str = Field("", description="how a person gets the tool")
    debug_server: str = Field("", description="a command that serves gdb on port 3333")
    debug_probe: str = Field("", description="what it needs, where that is not what flashes")

    @model_validator(mode="after")
    def _usb(self) -> Self:
        for name in self.usb:
            if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", name):
                raise ValueError(f"usb: given '{name}'; allowed: VENDOR:PRODUCT in small hex")
        if (self.tool == "qemu") == bool(self.usb):
            raise ValueError("usb: needed for every tool but qemu")
        return self


class Power(_Section):
    """What the current is estimated from."""

    run_ua_per_mhz: float = Field(gt=0, le=1000)
    filter_instructions: int = Field(
        0, ge=0, description="a second, of what our own code does to the microphone's bits"
    )
    source: str = Field(min_length=1)


class Links(_Section):
    """Where the vendor says it."""

    board: str = Field(pattern=r"^https://")
    chip: str = Field(pattern=r"^https://")


class Board(_Section):
    """One board, or the host."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="its folder: a-z, 0-9, -")
    title: str = Field(min_length=1, max_length=80, description="as the vendor calls it")
    core: Core
    fpu: Fpu = "none"
    dsp: bool = Field(True, description="a core that may lack its DSP instructions has them")
    clock_hz: int | None = Field(None, ge=1_000_000, le=2_000_000_000, description="of the core")
    stack_bytes: int = Field(8192, ge=1024, le=1 << 20, multiple_of=8)
    memory: Memory | None = None
    sources: tuple[str, ...] = Field((), description="its driver, from the project's folder")
    budget: Budget | None = None
    qemu: Qemu | None = None
    chip: Chip | None = None
    clock: Clock | None = None
    microphone: Microphone | None = None
    led: Led | None = None
    uart: Uart | None = None
    interrupts: Interrupts | None = None
    state_pins: tuple[PinName, ...] = Field(
        (), max_length=4, description="inputs that give the device state, lowest bit first"
    )
    pin_names: dict[PinName, str] = Field({}, description="as printed on the board")
    flash: Flash | None = None
    power: Power | None = None
    links: Links | None = None

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if self.fpu != "none" and not self.dsp:
            raise ValueError("dsp: given false; allowed with an FPU: true")
        if self.fpu not in CORE_FPUS[self.core]:
            allowed = ", ".join(CORE_FPUS[self.core])
            raise ValueError(f"fpu: given '{self.fpu}'; allowed with {self.core}: {allowed}")
        if not self.dsp and self.core != "cortex-m33":
            raise ValueError(f"dsp: given false; allowed with {self.core}: true")
        for key in ("memory", "clock_hz", "budget", "microphone", "uart", "flash"):
            value = getattr(self, key)
            if self.core == "host" and value is not None:
                raise ValueError(f"{key}: the host has none; take it out")
            if self.core != "host" and value is None:
                raise ValueError(f"{key}: missing; a {self.core} needs it")
        self._check_chip()
        return self

    def _check_chip(self) -> None:
        if self.core != "host" and not self.sources:
            raise ValueError("sources: missing; the C files of its driver")
        for key in ("clock", "led", "interrupts"):
            if self.chip is not None and getattr(self, key) is None:
                raise ValueError(f"{key}: missing; a board with [chip] needs it")
            if self.chip is None and getattr(self, key) is not None:
                raise ValueError(f"{key}: only with [chip], whose registers set it up")
        if self.clock is not None and self.clock_hz != self.clock.hz:
            raise ValueError(
                f"clock_hz: given {self.clock_hz}; allowed: what [clock] makes, {self.clock.hz:.0f}"
            )
        if self.qemu is None and self.flash is not None and self.flash.tool == "qemu":
            raise ValueError("flash.tool: 'qemu' needs [qemu]")

    @property
    def emulated(self) -> bool:
        """It is there in QEMU only, not on a desk."""
        return self.flash is not None and self.flash.tool == "qemu"

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
        """What precedes the names of the compiler and its tools."""
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
