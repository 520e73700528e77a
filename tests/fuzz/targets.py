# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets: how each is built, and how it is run for some seconds."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import seeds

ROOT = Path(__file__).resolve().parents[2]
#: What was built, the inputs that reach new code (kept from run to run), and the findings.
FOLDER = ROOT / "build/fuzz"
FINDINGS = FOLDER / "findings"

SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-std=c11", "-g", "-O2", "-Wall", "-Wextra", "-Werror", *SANITIZERS]
LIMITS = ["-timeout=60", "-rss_limit_mb=1024"]


class FuzzError(Exception):
    """A target cannot be built or run; the message has the reason."""


@dataclass(frozen=True)
class Result:
    """What a target did: inputs run, program edges they reached, and the files of its findings."""

    executions: int
    coverage: int
    findings: tuple[Path, ...]
    log: str = ""


#: Runs a target for that many seconds.
Run = Callable[[float], Result]


def _build(name: str, sources: list[str], includes: list[str]) -> Path:
    """Compile tests/fuzz/NAME.c with `sources`, by clang."""
    program = FOLDER / "bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    folders = [*includes, "firmware/include", "firmware"]
    call = ["clang", *FLAGS, *(f"-I{folder}" for folder in folders)]
    call += [f"tests/fuzz/{name}.c", *sources, "-o", str(program)]
    try:
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FuzzError("clang is not installed; `sh tools/setup.sh fuzz` installs it") from None
    if done.returncode != 0:
        raise FuzzError(f"{name}: clang failed:\n{done.stderr}")
    return program


def _fuzz(name: str, program: list[str], seconds: float, max_length: int) -> Result:
    """Run what takes libFuzzer's options, from inputs of tests/fuzz/seeds.py on."""
    corpus, seeded = FOLDER / "corpus" / name, FOLDER / "seeds" / name
    for folder in (corpus, seeded, FINDINGS):
        folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(getattr(seeds, name)()):
        (seeded / f"{index:02}").write_bytes(seed)
    before = set(FINDINGS.glob(f"{name}-*"))
    call = [
        *program,
        f"-max_total_time={max(1, round(seconds))}",
        *LIMITS,
        f"-max_len={max_length}",
    ]
    call += ["-print_final_stats=1", f"-artifact_prefix={FINDINGS}/{name}-"]
    done = subprocess.run(
        [*call, str(corpus), str(seeded)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    executions = re.search(r"stat::number_of_executed_units: *(\d+)", done.stderr)
    coverage = re.findall(r" cov: (\d+)", done.stderr)
    found = tuple(sorted(set(FINDINGS.glob(f"{name}-*")) - before))
    if done.returncode != 0 and not found:
        found = (FINDINGS / f"{name}-log",)
        found[0].write_text(done.stderr)
    return Result(
        int(executions[1]) if executions else 0,
        int(coverage[-1]) if coverage else 0,
        found,
        done.stdout + done.stderr,
    )


def loader(seconds: float) -> Result:
    """The model loader, in Python."""
    if importlib.util.find_spec("atheris") is None:
        raise FuzzError(
            f"loader: atheris is not installed: {sys.executable} -m pip install -e '.[dev]'"
        )
    return _fuzz("loader", [sys.executable, "-m", "tests.fuzz.loader"], seconds, 5000)


def libfuzzer(
    name: str, sources: list[str], includes: list[str] | None = None, *, max_length: int = 4096
) -> Run:
    """A target in C: tests/fuzz/NAME.c and `sources`, from inputs of tests/fuzz/seeds.py on; inputs
    of at most `max_length` bytes."""

    def run(seconds: float) -> Result:
        program = _build(name, sources, includes or [])
        return _fuzz(name, [str(program)], seconds, max_length)

    return run


BOARD = "build/boards/mps2-an386"
ALEXA = "build/generated/alexa/plain"
NETWORK = [f"{ALEXA}/{name}.c" for name in ("ws_words", "ws_alexa", "ws_frontend")]
#: A network that does as the samples say: tests/scripted/ws_scripted.h.
SCRIPTED = [f"tests/scripted/{name}.c" for name in ("ws_words", "ws_scripted", "ws_frontend")]
ENGINE = [f"firmware/engine/{name}.c" for name in ("engine", "word", "detector")]
UPLINK = [f"firmware/uplink/{name}.c" for name in ("frame", "uplink")]
DEVICE = [*ENGINE, *UPLINK]
DEVICE += [f"firmware/programs/common/{name}.c" for name in ("text", "words")]

#: By name. A target in another language is a function like those that `libfuzzer` makes.
TARGETS: dict[str, Run] = {
    "wav": libfuzzer("wav", ["firmware/programs/common/wav.c", "firmware/programs/common/text.c"]),
    "frame": libfuzzer("frame", ["firmware/uplink/frame.c"]),
    "command": libfuzzer(
        "command", [*DEVICE, *SCRIPTED], [BOARD, "tests/scripted"], max_length=500
    ),
    "uplink": libfuzzer("uplink", [*UPLINK, *SCRIPTED], ["tests/scripted"], max_length=150),
    "engine": libfuzzer("engine", [*ENGINE, *NETWORK], [ALEXA], max_length=100),
    "loader": loader,
}
