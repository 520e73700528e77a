# SPDX-License-Identifier: Apache-2.0
"""The plain C of firmware/ that generated files include, by its path there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from wakestate import ROOT

FIRMWARE = ROOT / "firmware"
#: The engine: every .c file of its folder, as firmware/build.mk takes them, too.
ENGINE = sorted(path.relative_to(FIRMWARE).as_posix() for path in FIRMWARE.glob("engine/*.c"))
_INCLUDE = re.compile(r'^#include "((?:\w+/)?\w+\.h)"$', re.MULTILINE)


def included(texts: Iterable[str]) -> dict[str, str]:
    """The text of each header of firmware/kernels and firmware/frontend that `texts` include, and
    that those include, by its path below firmware/."""
    waiting = [
        name
        for text in texts
        for name in _INCLUDE.findall(text)
        if name.startswith(("kernels/", "frontend/"))
    ]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (FIRMWARE / name).read_text(encoding="utf-8")
            folder = PurePosixPath(name).parent
            waiting += [str(folder / other) for other in _INCLUDE.findall(found[name])]
    return dict(sorted(found.items()))
