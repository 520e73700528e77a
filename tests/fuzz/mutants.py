# SPDX-License-Identifier: Apache-2.0
"""Damages .tflite files at random and compiles them: each is taken or refused in one line.

    python -m tests.fuzz.mutants --count 10000 --sample 500 ../shared/peers/*.tflite

Without files it takes the project's own small models. Of the mutants that were taken a sample is
built with the address and undefined-behavior sanitizers and run. The same seed gives the same
mutants everywhere. docs/fuzzing.md says more.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tflite

from tests.fuzz.targets import ROOT
from tests.support.models import folds, moves, networks, operators, sequences, tables, weights
from tests.support.tflite_maker import Maker
from wakestate.__main__ import main as wakestate
from wakestate.contract.kernels import KERNELS

#: Where faults and accepted mutants are kept until the next run.
OUT = ROOT / "build/mutants"
#: Of one mutant: seconds of the processor, and bytes.
SECONDS, MAX_BYTES = 30, 1 << 30
FAULTS = ("traceback", "several lines", "hang", "over 1 GB", "died")
INTEGERS = [
    n + d for n in (0, 4, 8, 16, 127, 255, 1000, 32768, 65536, 1 << 24, 1 << 30) for d in (-1, 0, 1)
] + [-2, -128, -129, -(1 << 31), (1 << 31) - 1]
FLOATS = [0.0, float("nan"), float("inf"), 1e-45, 1e-38, 1e-10, 0.5, 1.0, -1.0, 1e10, 3e38]
SHORTS = [0, 1, 2, 4, 6, 8, 255, 256, 32768, 65535]
SANITIZED = ["cc", "-g", "-O1", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow"]
SANITIZED += ["-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@dataclass(frozen=True)
class Mutant:
    """One, and what became of it: accepted, refused or a fault."""

    number: int
    model: str
    options: tuple[str, ...]  # of the compiler
    outcome: str
    messages: str


def frame_of(data: bytes) -> list[int]:
    """The offsets that are not inside large constants: what makes up the graph."""
    model, inside = tflite.Model.GetRootAsModel(data, 0), np.ones(len(data), bool)
    for i in range(model.BuffersLength()):
        if (length := model.Buffers(i).DataLength()) > 64:
            view = model.Buffers(i).DataAsNumpy()
            start = view.__array_interface__["data"][0]
            start -= np.frombuffer(data, np.uint8).__array_interface__["data"][0]
            inside[start : start + length] = False
    return [int(offset) for offset in np.flatnonzero(inside)]


def mutate(chance: random.Random, data: bytes, frame: Sequence[int]) -> bytes:
    """One to six damages: odd numbers, flipped bits, moved pieces, a cut."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.choice(frame) if chance.random() < 0.95 else chance.randrange(len(data))
        if at + 8 > len(made):
            continue
        word, kind = at & ~3, chance.randrange(9)
        if kind <= 2:
            struct.pack_into("<i", made, word, chance.choice(INTEGERS))
        elif kind == 3:
            struct.pack_into("<f", made, word, chance.choice(FLOATS))
        elif kind == 4:
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 5:
            (old,) = struct.unpack_from("<I", made, word)
            step = chance.choice((-4, -1, 1, 4, 256, 65536))
            struct.pack_into("<I", made, word, (old + step) & 0xFFFFFFFF)
        elif kind == 6:
            source, length = chance.choice(frame), chance.choice((4, 8, 16, 40))
            made[at : at + length] = made[source : source + length]
        elif kind == 7:
            struct.pack_into("<H", made, at & ~1, chance.choice(SHORTS))
        elif chance.random() < 0.3:
            del made[chance.randrange(8, len(made)) :]
        else:
            made[at] = chance.randrange(256)
    return bytes(made)


def attempt(path: Path, options: Sequence[str], out: Path) -> tuple[str, str]:
    """Compile in a process of its own: its outcome, and what was said."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        # Beside what the parent has mapped, which is gigabytes where it has loaded TensorFlow.
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        maximum = pages * resource.getpagesize() + 3 * MAX_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (maximum, maximum))
        os.write(writes, json.dumps(_compile(path, options, out)).encode()[:60000])
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return "hang", f"more than {SECONDS} s of the processor"
    if not answer:
        return "died", f"status {status}"
    outcome, messages = json.loads(answer)
    return outcome, messages


def _compile(path: Path, options: Sequence[str], out: Path) -> tuple[str, str]:
    messages = io.StringIO()
    call = ["model", "compile", str(path), "--name", "k", "--out", str(out), *options]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(messages):
            status = wakestate(call)
    except BaseException:
        return "traceback", traceback.format_exc()[-2000:]
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if maximum > MAX_BYTES:
        return "over 1 GB", f"{maximum} bytes"
    text = messages.getvalue()
    if status and len(text.splitlines()) != 1:
        return "several lines", text[:2000]
    return "refused" if status else "accepted", text[:2000]


def _share(files: Sequence[Path], numbers: Sequence[int], seed: int, out: Path) -> list[Mutant]:
    """Some of all mutants, one after another; faults and what is accepted stay in `out`."""
    base = [(path, path.read_bytes()) for path in files]
    frames = [frame_of(data) for _, data in base]
    found = []
    for number in numbers:
        chance, which = random.Random(f"{seed} {number}"), number % len(base)
        folder = out / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "mutant.tflite"
        path.write_bytes(mutate(chance, base[which][1], frames[which]))
        options = ["--kernels", chance.choice(KERNELS)]
        options += ["--stream"] if chance.random() < 0.2 else []
        outcome, messages = attempt(path, options, folder / "c")
        if outcome == "refused":
            shutil.rmtree(folder)
        found.append(Mutant(number, base[which][0].name, tuple(options), outcome, messages))
    return found


def compile_mutants(
    files: Sequence[Path], count: int, seed: int, out: Path, jobs: int = 1
) -> list[Mutant]:
    """Make and compile `count` mutants, in `jobs` processes."""
    shares = [range(job, count, jobs) for job in range(jobs)]
    with get_context("fork").Pool(jobs) as pool:
        done = pool.starmap(_share, [(files, share, seed, out) for share in shares], chunksize=1)
    return sorted((m for share in done for m in share), key=lambda m: m.number)


def sample(mutants: Sequence[Mutant], maximum: int, out: Path) -> list[tuple[Mutant, Path]]:
    """Accepted ones whose C differs and runs on this machine, each with its folder."""
    different: dict[bytes, tuple[Mutant, Path]] = {}
    for mutant in mutants:
        folder = out / str(mutant.number) / "c"
        if mutant.outcome == "accepted" and "mve" not in mutant.options:
            body = (folder / "k.c").read_bytes().split(b"*/", 1)[1]
            different.setdefault(hashlib.sha256(body).digest(), (mutant, folder))
    chosen = list(different.values())
    random.Random(1).shuffle(chosen)
    return chosen[:maximum]


def run_sanitized(folder: Path) -> str:
    """Build generated C with sanitizers and run it: "", or what is wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        program = f"{temporary}/mutant"
        call = [*SANITIZED, f"-I{folder}", str(ROOT / "tests/fuzz/mutant.c"), str(folder / "k.c")]
        built = subprocess.run([*call, "-o", program], capture_output=True, text=True, check=False)
        if built.returncode:
            return f"does not build: {built.stderr[:2000]}"
        try:
            ran = subprocess.run(
                [program], capture_output=True, text=True, check=False, timeout=300
            )
        except subprocess.TimeoutExpired:
            return "does not end within 300 s"
        return "" if ran.returncode == 0 else ran.stderr[:2000] or f"status {ran.returncode}"


def own_models(folder: Path) -> list[Path]:
    """Small models with all operators, from the tests' own makers."""
    kinds = dict(operators.KINDS)
    for module, names in (
        (networks, "golden_model feedback float_ends random_network"),
        (folds, "flattened dilated"),
        (moves, "reductions moves floats"),
        (sequences, "svdfs keyword lstms"),
        (tables, "alone with_constants conditions meetings channels pairs"),
        (weights, "zero_scales products matmuls batches transposed"),
    ):
        for name in names.split():
            kinds[f"{module.__name__.split('.')[-1]}_{name}"] = getattr(module, name)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, make in kinds.items():
        maker = Maker(seed=len(name))
        make(maker)
        made.append(maker.write(folder / f"{name}.tflite"))
    return made


def report(mutants: Sequence[Mutant], ran: Sequence[tuple[Mutant, Path, str]], out: Path) -> int:
    """Print counts and faults; returns the exit status."""
    counts = Counter(mutant.outcome for mutant in mutants)
    outcomes = ", ".join(f"{kind} {counts[kind]}" for kind in ("accepted", "refused", *FAULTS))
    for mutant in mutants:
        if mutant.outcome in FAULTS:
            where = out / str(mutant.number) / "mutant.tflite"
            last = mutant.messages.strip().splitlines()[-1:]
            print(f"FAULT {mutant.outcome}: {where} {' '.join(mutant.options)}: {last}")
    findings = [(folder, messages) for _, folder, messages in ran if messages]
    for folder, messages in findings:
        wrong = [line for line in messages.splitlines() if "error" in line.lower()] or [messages]
        print(f"FAULT finding: {folder}: {wrong[0]}")
    print(f"{len(mutants)} mutants: {outcomes}")
    print(f"{len(ran)} accepted ones built with sanitizers and run: {len(findings)} findings")
    return int(bool(findings) or any(counts[kind] for kind in FAULTS))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", type=Path, help="default: the project's own models")
    parser.add_argument("--count", type=int, default=10000, help="mutants (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--sample", type=int, default=500, help="accepted ones that are run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    given = parser.parse_args(arguments)
    for path in given.files:
        if not path.is_file():
            parser.error(f"{path}: no such file")
    if given.count < 1 or given.jobs < 1 or given.sample < 0:
        parser.error("--count and --jobs must be 1 or more, --sample 0 or more")
    shutil.rmtree(OUT, ignore_errors=True)
    files = given.files or own_models(OUT / "models")
    mutants = compile_mutants(files, given.count, given.seed, OUT, given.jobs)
    chosen = sample(mutants, given.sample, OUT)
    with ThreadPoolExecutor(given.jobs) as pool:
        messages = pool.map(lambda pair: run_sanitized(pair[1]), chosen)
        ran = [
            (mutant, folder, text) for (mutant, folder), text in zip(chosen, messages, strict=True)
        ]
    return report(mutants, ran, OUT)


if __name__ == "__main__":
    sys.exit(main())
