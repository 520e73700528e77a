# SPDX-License-Identifier: Apache-2.0
"""The worst stack of a linked image, computed from its instructions and the compiler's own word.

Two judges: the flow of every function's instructions, followed to see how deep the stack is at
each call; and gcc's .su files (-fstack-usage), which know nothing of assembly. Instructions that
take more than the compiler says are assembly's, and refused. Library functions have no .su file.
What cannot be bounded is refused by name: recursion, calls through a pointer whose targets are not
given, moves of sp by a register.

No interrupt is in it: who enables one adds its exception frame and its handler.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from wakestate.bench.rows import BenchError

#: What the engine calls by the pointers of ws_model and ws_lfbe.
POINTED = ("network_reset", "network_select", "network_run", "ws_frontend")
#: Knows the instructions of all cores in boards/; without it Helium's would pass as others.
_MACHINE = "armv8.1-m.main"
_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S+)(?:\t([^@;]*))?(?:[@;] \(?([0-9a-f]+))?")
_CONDITIONS = {
    *("eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl"),
    *("vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"),
}
#: All others are followed by the next instruction, and move sp only by writing back to it.
_JUMPS = {"b", "bl", "blx", "bx", "blxns", "bxns", "cbz", "cbnz", "le", "letp", "wls", "wlstp"}
_KNOWN = {*_JUMPS, "tbb", "tbh", "udf", "add", "addw", "sub", "subw", "mov", "ldr", "msr"}
_DOWN, _UP = {"push", "vpush", "stmdb", "vstmdb"}, {"pop", "vpop", "ldmia", "vldmia"}
_READS_SP = {"cmp", "cmn", "tst", "str", "stm", "stmia", "ldm", "ldmia", "vstmia", "vldmia"}
_TARGET = re.compile(r"([0-9a-f]+) <[^>]*>\s*$")
_WRITE_BACK = re.compile(r"\[sp, #(-?\d+)\]!|\[sp\], #(-?\d+)")


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly."""

    address: int
    name: str  # without condition and width
    conditional: bool
    operands: str
    literal: int | None  # the address that objdump works out for a load from near pc


@dataclass
class Function:
    """What one function does to the stack."""

    name: str
    frame: int = 0  # bytes at its deepest, callees not counted
    calls: list[tuple[int, int]] = field(default_factory=list)  # callee's address, bytes then
    broken: str = ""  # why it cannot be followed
    refusals: list[str] = field(default_factory=list)  # why what it calls has no bound


@dataclass(frozen=True)
class Worst:
    """The deepest calls from a function, and the bytes that each holds then."""

    calls: tuple[tuple[str, int], ...]

    @property
    def bytes(self) -> int:
        return sum(taken for _, taken in self.calls)

    def __str__(self) -> str:
        return ", ".join(f"{name} {taken}" for name, taken in self.calls)


class Stack:
    """The call graph of an image that was linked with a map file."""

    def __init__(self, elf: Path, prefix: str, pointed: Collection[str] = ()) -> None:
        """`pointed`: names of the functions that calls through a pointer may reach, each of them
        from every such call; without any such calls have no bound."""
        self._elf = elf
        listing = _disassembled(elf, f"{prefix}objdump")
        self._names, self._code, self._words = _read(listing)
        self._usage = read_usage(_usage_files(elf))
        self._pointed = [at for at, name in self._names.items() if _plain(name) in pointed]
        self._functions: dict[int, Function] = {}
        self._worst: dict[int, Worst] = {}

    @cached_property
    def _addresses(self) -> dict[str, int]:
        return {name: address for address, name in self._names.items()}

    def worst(self, entry: str) -> Worst:
        """The deepest calls from `entry`, a function's name, on."""
        return self._deepest(self._entry(entry), ())

    def way(self, start: str, entry: str) -> Worst:
        """The deepest calls from `start` to where `entry` begins, which holds nothing yet.

        Other calls on the way do not count, and may be what `worst` refuses.
        """
        found = self._lead(self._entry(start), self._entry(entry), ())
        if found is None:
            raise BenchError(f"{self._elf}: no call leads from {start} to {entry}")
        return found

    def _entry(self, name: str) -> int:
        if name not in self._addresses:
            raise BenchError(f"{self._elf}: no function {name}")
        return self._addresses[name]

    def _deepest(self, address: int, above: tuple[int, ...]) -> Worst:
        if address in self._worst:
            return self._worst[address]
        function = self._function(address, above)
        for reason in (function.broken, *function.refusals):
            if reason:
                raise BenchError(f"{self._elf}: {function.name}: {reason}")
        worst = Worst(((function.name, function.frame),))
        for callee, taken in function.calls:
            below = self._deepest(callee, (*above, address))
            if taken + below.bytes > worst.bytes:
                worst = Worst(((function.name, taken), *below.calls))
        self._worst[address] = worst
        return worst

    def _lead(self, address: int, end: int, above: tuple[int, ...]) -> Worst | None:
        if address == end:
            return Worst(())
        function, found = self._function(address, above), None
        for callee, taken in function.calls:
            rest = self._lead(callee, end, (*above, address))
            if rest is not None and function.broken:
                raise BenchError(f"{self._elf}: {function.name}: {function.broken}")
            if rest is not None and (found is None or taken + rest.bytes > found.bytes):
                found = Worst(((function.name, taken), *rest.calls))
        return found

    def _function(self, address: int, above: tuple[int, ...]) -> Function:
        if address in above:
            circle = [*above[above.index(address) :], address]
            names = " -> ".join(self._names[at] for at in circle)
            raise BenchError(f"{self._elf}: recursion has no bound: {names}")
        if address not in self._functions:
            self._functions[address] = self._follow(address)
        return self._functions[address]

    def _follow(self, start: int) -> Function:
        """Every way through a function, with the bytes on the stack at each instruction."""
        flow = _Flow(self._code, self._names, self._words, start, self._pointed)
        broken = ""
        try:
            flow.run()
        except BenchError as error:
            broken = str(error)
        name = self._names[start]
        reported = self._usage.get(_plain(name), flow.deepest)
        if flow.deepest > reported:
            broken = broken or (
                f"takes {flow.deepest} bytes, {reported} of them as the compiler reports; "
                "inline assembly must leave sp alone"
            )
        return Function(name, max(flow.deepest, reported), flow.calls, broken, flow.refusals)


class _Flow:
    """Follows one function's instructions."""

    def __init__(
        self,
        code: dict[int, tuple[Instruction, int]],
        names: dict[int, str],
        words: dict[int, int],
        start: int,
        pointed: Sequence[int],
    ) -> None:
        self._code, self._names, self._words, self._start = code, names, words, start
        self._pointed = pointed
        self._depth: dict[int, int] = {}
        self._work: list[tuple[int, int]] = [(start, 0)]
        self._switches: list[int] = []  # depths at jumps by a table
        self.calls: list[tuple[int, int]] = []
        self.refusals: list[str] = []
        self.deepest = 0

    def run(self) -> None:
        while self._work or self._switch():
            address, depth = self._work.pop()
            if address in self._depth:
                if self._depth[address] != depth:
                    raise BenchError(f"two ways lead to {address:#x} with the stack at two depths")
                continue
            if address not in self._code:
                raise BenchError(f"runs into data at {address:#x}")
            self._depth[address] = depth
            self._step(*self._code[address], depth)

    def _switch(self) -> bool:
        """Continue with what nothing leads to but a jump's table, which itself is not read."""
        if not self._switches:
            return False
        if len(set(self._switches)) > 1:
            raise BenchError("switches by table with the stack at two depths")
        end = min((name for name in self._names if name > self._start), default=-1)
        for address, (at, _) in self._code.items():
            inside = self._start <= address and (address < end or end < 0)
            if inside and address not in self._depth and at.name != "nop":
                self._work.append((address, self._switches[0]))
                return True
        return False

    def _step(self, at: Instruction, following: int, depth: int) -> None:
        after = self._moved(at, depth)
        self.deepest = max(self.deepest, after)
        ends = not at.conditional
        target = _target(at.operands)
        if at.name in ("bl", "blx", "blxns"):
            self._call(at, target, depth)
            ends = self._never_returns(following)
        elif at.name in ("bx", "bxns"):
            if at.operands != "lr":
                self._call(at, None, depth)
        elif at.name in _JUMPS:
            ends &= at.name == "b"
            assert target is not None, at
            if self._leaves(target):
                self._call(at, target, depth)
            else:
                self._work.append((target, depth))
        elif at.name in ("tbb", "tbh"):
            self._switches.append(depth)
        elif (at.name in _UP and "pc" in at.operands) or at.operands.startswith("pc, [sp]"):
            pass  # a return
        elif at.operands.startswith("pc,"):
            veneer = at.name == "ldr" and at.literal in self._words
            to = self._words[at.literal] & ~1 if veneer and at.literal is not None else None
            if at.operands != "pc, lr":
                self._call(at, to, depth)
        elif at.name != "udf":
            ends = False
            if at.conditional and after != depth:
                raise BenchError(f"moves sp in one case and not in another at {at.address:#x}")
        if not ends:
            self._work.append((following, depth if at.conditional else after))

    def _never_returns(self, following: int) -> bool:
        """Of a call: after it there is the end, data or another function, and at most nops."""
        while following in self._code and following not in self._names:
            at, after = self._code[following]
            if at.name != "nop":
                return False
            following = after
        return True

    def _leaves(self, target: int) -> bool:
        """A jump to another function; gcc puts unlikely parts of one in NAME.cold."""
        name = self._names.get(target)
        return (
            target != self._start
            and name is not None
            and name != f"{self._names[self._start]}.cold"
        )

    def _call(self, at: Instruction, target: int | None, depth: int) -> None:
        if target is None and self._pointed:
            self.calls += [(pointed, depth) for pointed in self._pointed]
        elif target is None:
            self.refusals.append(f"calls through a pointer at {at.address:#x}")
        elif target not in self._names:
            self.refusals.append(f"calls {target:#x}, which is no function's begin")
        else:
            self.calls.append((target, depth))

    @staticmethod
    def _moved(at: Instruction, depth: int) -> int:
        """The depth after an instruction."""
        first, _, rest = at.operands.partition(", ")
        lists = at.name in ("push", "pop", "vpush", "vpop") or first == "sp!"
        if lists and at.name in _DOWN | _UP:
            size = _list_bytes(at.operands)
            depth += size if at.name in _DOWN else -size
        elif back := _WRITE_BACK.search(at.operands):
            depth -= int(back[1] or back[2])
        elif first == "sp" and at.name in ("add", "addw", "sub", "subw"):
            amount = re.fullmatch(r"(?:sp, )?#(\d+)", rest)
            if amount is None:
                raise BenchError(f"moves sp by a register at {at.address:#x}")
            depth += int(amount[1]) if at.name.startswith("sub") else -int(amount[1])
        elif (
            (first == "sp" and at.name not in _READS_SP)
            or first == "sp!"
            or (at.name == "msr" and first.lower() in ("msp", "psp", "control"))
        ):
            raise BenchError(f"sets sp at {at.address:#x}")
        if depth < 0:
            raise BenchError(f"frees stack that it has not taken at {at.address:#x}")
        return depth


def read_usage(paths: Iterable[Path]) -> dict[str, int]:
    """Bytes by function of .su files; of functions with one name, the most."""
    found: dict[str, int] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise BenchError(f"{path}: no such file; build again, with -fstack-usage") from None
        for line in text.splitlines():
            place, size, kind = line.split("\t")
            name = place.split(":", 3)[3]
            if kind != "static":
                raise BenchError(f"{path}: {name}: its stack is {kind}; give its arrays a size")
            found[name] = max(found.get(name, 0), int(size))
    return found


def _usage_files(elf: Path) -> list[Path]:
    """Of the objects that were linked; archives are the library's and have none."""
    path = elf.with_name(elf.name + ".map")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BenchError(f"{path}: no such file; link with -Wl,-Map={path}") from None
    objects = re.findall(r"^LOAD (\S+\.o)$", text, flags=re.MULTILINE)
    return [Path(name).with_suffix(".su") for name in objects]


def _read(
    listing: str,
) -> tuple[dict[int, str], dict[int, tuple[Instruction, int]], dict[int, int]]:
    """Names by address; instructions with the next's address; data, word by word."""
    names: dict[int, str] = {}
    lines: list[Instruction] = []
    words: dict[int, int] = {}
    begins: list[int] = []
    for line in listing.splitlines():
        if head := _FUNCTION.match(line):
            names[int(head[1], 16)] = head[2]
        elif found := _INSTRUCTION.match(line):
            address, operands = int(found[1], 16), (found[3] or "").strip()
            begins.append(address)
            if found[2].startswith("."):  # also constants, shown as text
                if operands.startswith("0x"):
                    words[address] = int(operands, 16)
            else:
                name, conditional = _root(found[2])
                literal = int(found[4], 16) if found[4] else None
                lines.append(Instruction(address, name, conditional, operands, literal))
    after = dict(pairwise(begins))
    return names, {at.address: (at, after.get(at.address, -1)) for at in lines}, words


def _disassembled(elf: Path, objdump: str) -> str:
    command = (objdump, "-m", _MACHINE, "-d", "--no-show-raw-insn", str(elf))
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise BenchError(
            f"{objdump} is not installed; apt-get install binutils-arm-none-eabi"
        ) from None
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{' '.join(command)}: {error.stderr.strip()}") from None


def _root(mnemonic: str) -> tuple[str, bool]:
    """The name without width and condition, and whether there was one."""
    name = mnemonic.partition(".")[0]
    known = _KNOWN | _DOWN | _UP
    if name not in known and name[-2:] in _CONDITIONS and name[:-2] in known:
        return name[:-2], True
    return name, False


def _plain(name: str) -> str:
    """gcc numbers its clones in the symbol and not in the .su file."""
    return re.sub(r"\.\d+$", "", name)


def _target(operands: str) -> int | None:
    found = _TARGET.search(operands)
    return int(found[1], 16) if found else None


def _list_bytes(operands: str) -> int:
    """Of a register list: {r4, r5, lr}, {d8-d15}."""
    size = 0
    for register in re.split(r", *", operands[operands.index("{") + 1 : operands.index("}")]):
        ends = [int(number) for number in re.findall(r"[rsd](\d+)", register)]
        count = ends[1] - ends[0] + 1 if len(ends) == 2 else 1
        size += count * (8 if re.match(r"d\d", register) else 4)
    return size
