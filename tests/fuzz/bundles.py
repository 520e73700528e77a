# SPDX-License-Identifier: Apache-2.0
"""Damages a bundle at random and opens it: each is taken or refused in one line.

    python -m tests.fuzz.bundles --count 100000 --seed 1 --page

Some damages are blind: bytes, pieces, cuts. Others know the format: names, flags and sizes of the
zip, fields of manifest.json, and changes of a file with its hash made right again. What is taken
must say in manifest.json what its files have. With `--page` the page's JavaScript, in node, judges
as well: it takes what Python takes, and of damaged zip files none. The same seed gives the same
bundles everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import re
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from wakestate.convert.bundle import MANIFEST, SIGNATURE, bundle_of, make_bundle, packed
from wakestate.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PATH = Path("damaged.wakestate")
HOSTILE = ["../x.tflite", "/etc/passwd", "a/b", "C:\\x", "..", ".hidden", "nul", "x" * 300]
HOSTILE += ["e\x1b[2J.json", "x\n"]
NAMES = [*HOSTILE, "MODEL.JSON", "model.json", "toy.toml", "extra.tflite", "verifier.npz"]
NAMES += ["page.wasm", SIGNATURE, MANIFEST]
VALUES = [None, True, -1, 0, 1, 10**30, 0.5, "", "x", "\x1b[2J", "x" * 100_000]
VALUES += [[], {}, [[]], {"a": 1}]
NUMBERS = [0, 1, 2, 8, 12, 20, 99, 0x7FFF, 0x8000, 0xFFFF]
Files = dict[str, bytes]


def toy() -> bytes:
    """The bundle of a small word."""
    word, folder = ROOT / "tests/toy/toy.toml", ROOT / "tests/toy"
    return make_bundle(word, folder, "Apache-2.0", module=b"\0asm\1\0\0\0")


def opened(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def blind(chance: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut off, moved, doubled."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        # Half of them where the zip's own fields are.
        end = chance.random() < 0.5
        at = len(made) - chance.randrange(1, 1200) if end else chance.randrange(len(made))
        at, kind = max(at, 0), chance.randrange(6)
        if kind <= 1:
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            made[at : at + 4] = struct.pack("<I", chance.choice((0, 1, 1 << 31, 0xFFFFFFFF)))
        elif kind == 3:
            del made[at : at + chance.choice((1, 4, 46, 1000))]
        elif kind == 4:
            made[at:at] = made[at : at + chance.choice((1, 46, 300))]
        else:
            del made[at:]
        if not made:
            return b""
    return bytes(made)


def headers(chance: random.Random, data: bytes) -> bytes:
    """A field of the zip's directory, of a file's header or of the end."""
    made = bytearray(data)
    mark = chance.choice((b"PK\1\2", b"PK\3\4", b"PK\5\6"))
    places = [found.start() for found in re.finditer(mark, made[:-46])]
    at = chance.choice(places) if places else len(made) - 22
    struct.pack_into("<H", made, at + 2 * chance.randrange(2, 11), chance.choice(NUMBERS))
    return bytes(made)


def entries(chance: random.Random, data: bytes) -> bytes:
    """A zip of other entries: hostile names, doubles, links, compression, a bomb, many of them."""
    files, made = opened(data), io.BytesIO()
    kind = chance.randrange(6)
    with zipfile.ZipFile(made, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            if kind == 0 and chance.random() < 0.3:
                entry.compress_type = chance.choice((8, 12, 14))
            if kind == 1 and chance.random() < 0.3:
                entry.external_attr = chance.choice((0o120777, 0o040755, 0o020666)) << 16
            if kind == 2 and chance.random() < 0.2:
                entry.extra, entry.comment = b"\1\0\2\0xx", b"c"
            archive.writestr(entry, content)
        if kind == 3:
            archive.writestr(chance.choice(NAMES), b"x")
        if kind == 4:
            archive.writestr("bomb.tflite", bytes(1 << 17), zipfile.ZIP_DEFLATED)
        for number in range(chance.choice((90, 300)) if kind == 5 else 0):
            archive.writestr(f"{number}.tflite", b"")
    return made.getvalue()


def _changed(chance: random.Random, value: Any) -> Any:
    """A JSON value with something in it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        kind = chance.randrange(8)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return value | {chance.choice([*NAMES, *value]): value[key]}
        return value | {key: _changed(chance, value[key])}
    if isinstance(value, int | float) and not isinstance(value, bool) and chance.random() < 0.5:
        return value + chance.choice((-1, 1, 0.5, 1000))
    return chance.choice(VALUES)


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice((100, 3000, 50_000))
    return b'{"a":' * depth + b"1" + b"}" * depth


def manifest(chance: random.Random, data: bytes) -> bytes:
    """Another manifest.json."""
    files = opened(data)
    if chance.random() < 0.02:
        return packed(files | {MANIFEST: _deep(chance)})
    made = json.dumps(_changed(chance, json.loads(files[MANIFEST])))
    return packed(files | {MANIFEST: made.encode(errors="surrogatepass")})


def consistent(chance: random.Random, data: bytes) -> bytes:
    """A file is changed, added or left out, and its hash in manifest.json is right."""
    files = opened(data)
    name = chance.choice([n for n in files if n != MANIFEST])
    kind, content = chance.randrange(7), files[name]
    if kind == 0:
        files[chance.choice([n for n in NAMES if n != MANIFEST])] = content
    elif kind == 1:
        del files[name]
    elif name.endswith(".json") and kind < 6:
        files[name] = json.dumps(_changed(chance, json.loads(content))).encode()
    elif name.endswith(".toml") and kind < 6:
        lines = content.split(b"\n")
        at = chance.randrange(len(lines))
        line = (b"x = [" * 400, b"a." * 5000 + b"b = 1", b"name = 3", b"[model]", lines[at][::-1])
        lines[at] = chance.choice(line)
        files[name] = b"\n".join(lines)
    else:
        files[name] = blind(chance, content)
    return packed(rehashed(files))


def rehashed(files: Files) -> Files:
    """With the hashes of its files in manifest.json."""
    facts = json.loads(files[MANIFEST])
    facts["files"] = {
        n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n not in (MANIFEST, SIGNATURE)
    }
    return files | {MANIFEST: json.dumps(facts).encode()}


KINDS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(blind, headers, entries, manifest, consistent),
)


def judged(data: bytes) -> str:
    """ "taken", "refused", or what is wrong with how it was."""
    begin = time.process_time()
    try:
        found = bundle_of(data, PATH)
    except UserError as error:
        text = str(error)
        if not text.isprintable() or len(text) > 2000 or not text.startswith(str(PATH)):
            return f"not one printable line: {text[:300]!r}"
        outcome = "refused"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    else:
        outcome = "taken"
        if found.contents.word != found.word.name or not found.files:
            return "taken, but not what it says"
    seconds = time.process_time() - begin
    return outcome if seconds < 5 else f"{seconds:.0f} s of the processor"


class Page:
    """web/page/bundle.js in node."""

    def __init__(self) -> None:
        call = ["node", "--experimental-default-type=module", str(ROOT / "tests/fuzz/bundles.mjs")]
        self._node = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def judged(self, data: bytes) -> str:
        """As `judged`."""
        assert self._node.stdin and self._node.stdout
        self._node.stdin.write(struct.pack("<I", len(data)) + data)
        self._node.stdin.flush()
        return page_outcome(json.loads(self._node.stdout.readline()))


def page_outcome(verdict: str) -> str:
    """Of what the page says: nothing, or how its error reads. Last it asks for the module."""
    if not verdict or "holds no page.wasm: made with --no-page" in verdict:
        return "taken"
    right = verdict.startswith("Error: ") and verdict.isprintable() and len(verdict) < 1000
    return "refused" if right else f"page: {verdict[:300]!r}"


def together(kind: str, own: str, page: str) -> str:
    """The outcome of both: what the page does not read, it cannot refuse."""
    if own == page or own not in ("taken", "refused") or page not in ("taken", "refused"):
        return page if own in ("taken", "refused") else own
    allowed = own == "refused" and kind in ("manifest", "consistent")
    return "refused, not by the page" if allowed else f"{own}, but the page says {page}"


class Judge(Protocol):
    """The page, wherever it runs."""

    def judged(self, data: bytes) -> str: ...


def run(count: int, seed: int, page: Judge | None = None) -> tuple[Counter[str], list[str]]:
    """Outcomes by kind of that many bundles, and a line for each fault."""
    good, outcomes, faults = toy(), Counter[str](), []
    assert judged(good) == "taken"
    for number in range(count):
        chance = random.Random(f"{seed}.{number}")
        kind = chance.choice(KINDS)
        data = kind(chance, good)
        outcome = judged(data) if data != good else "the same"
        if page and data != good:
            outcome = together(kind.__name__, outcome, page.judged(data))
        if outcome not in ("taken", "refused", "the same", "refused, not by the page"):
            faults.append(f"--seed {seed}, number {number}, {kind.__name__}: {outcome}")
            outcome = "fault"
        outcomes[f"{kind.__name__:12} {outcome}"] += 1
    return outcomes, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.bundles", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="the page as well; needs node")
    given = parser.parse_args()
    outcomes, faults = run(given.count, given.seed, Page() if given.page else None)
    for name, times in sorted(outcomes.items()):
        print(f"{name:38} {times:>8}")
    print(*faults[:20], sep="\n")
    print(f"{given.count} bundles, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
