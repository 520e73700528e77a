# SPDX-License-Identifier: Apache-2.0
"""A chip's registers for a driver that runs on the host: they start with the SVD's reset values.

Every write is logged by name; an access to what the SVD does not have is an error. Hardware that
answers (a PLL that locks, an event after a task) is a rule of the test.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.firmware_build import ROOT
from wakestate.boards.generate import generate
from wakestate.boards.schema import load_board
from wakestate.boards.svd import load_chip

FLAGS = ["-std=c11", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
FLAGS += ["-fPIC", "-shared"]
_CORE = re.compile(r"^#define (\w+) (0xE000E\w+)u", re.MULTILINE)

Rule = Callable[["Registers", int], None]


class Registers:
    """The driver of one board, and the registers it sees."""

    def __init__(self, board_name: str, folder: Path) -> None:
        board = load_board(board_name)
        assert board.chip is not None
        self.chip = load_chip(board.chip.svd)
        generate(board_name, folder)
        core = _CORE.findall(
            (ROOT / "firmware/platform/cortex-m/registers.h").read_text(encoding="utf-8")
        )
        self.names = {**self.chip.names, **{int(address, 16): name for name, address in core}}
        self.names.update({0xE000E104: "NVIC_ISER1"})
        self.names.update({0xE000E400 + 4 * n: f"NVIC_IPR{n}" for n in range(24)})
        self.addresses = {name: address for address, name in self.names.items()}
        self.addresses.update({name: r.address for name, r in self.chip.registers.items()})
        self.values = {r.address: r.reset for r in reversed(self.chip.registers.values())}
        self.log: list[tuple[str, int]] = []
        self.on_barrier: Callable[[], None] | None = None
        self.rules: dict[str, Rule] = {}
        self.driver = self._build(board.sources, folder)

    def __getitem__(self, name: str) -> int:
        return self.values.get(self.addresses[name], 0)

    def __setitem__(self, name: str, value: int) -> None:
        self.values[self.addresses[name]] = value

    def bits(self, name: str) -> int:
        """The mask of REGISTER.FIELD."""
        register, field = name.split(".")
        low, width = self.chip.registers[register].fields[field]
        return ((1 << width) - 1) << low

    def pointer(self, value: int) -> int:
        """The whole of an address of the driver's data, of which a register holds 32 bits."""
        base_address = ctypes.cast(self.driver.ws_driver_start, ctypes.c_void_p).value
        assert base_address is not None
        high = base_address & ~0xFFFFFFFF
        candidates = (high - (1 << 32), high, high + (1 << 32))
        return min((c + value for c in candidates), key=lambda address: abs(address - base_address))

    def written(self, *names: str) -> list[tuple[str, int]]:
        """What was written to these registers, in order; to all when none is named."""
        return [item for item in self.log if not names or item[0] in names]

    def _build(self, sources: tuple[str, ...], folder: Path) -> ctypes.CDLL:
        library = folder / "driver.so"
        files = [*sources, "firmware/programs/device/pdm.c", "tests/native/registers.c"]
        includes = [f"-I{folder}", "-Itests/scripted", "-Ifirmware/include", "-Ifirmware"]
        call = ["gcc", *FLAGS, "-DWS_REGISTERS_MOCKED", *includes, *files, "-o", str(library)]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        driver = ctypes.CDLL(str(library))
        driver.ws_driver_start.restype = ctypes.c_char_p
        driver.ws_driver_reset_reason.restype = ctypes.c_char_p
        reader = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
        writer = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)
        self._hooks = reader(self._read), writer(self._write), ctypes.CFUNCTYPE(None)(self._barrier)
        driver.mock_registers(*self._hooks)
        return driver

    def _read(self, address: int) -> int:
        if address not in self.names:
            self.log.append((f"read of {address:#x}, which the SVD does not have", 0))
        return self.values.get(address, 0)

    def _barrier(self) -> None:
        if self.on_barrier is not None:
            self.on_barrier()

    def _write(self, address: int, value: int) -> None:
        name = self.names.get(address, f"{address:#x}, which the SVD does not have")
        self.log.append((name, value))
        self.values[address] = value
        if name in self.rules:
            self.rules[name](self, value)
