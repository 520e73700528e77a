# SPDX-License-Identifier: Apache-2.0
"""The engine's header as a page: what each comment says, above what it declares."""

from __future__ import annotations

import re

from wakestate import ROOT

HEADER = "firmware/include/wakestate/wakestate.h"


def api() -> str:
    """Markdown of the header, in its order."""
    text = (ROOT / HEADER).read_text(encoding="utf-8")
    _, opening, rest = re.split(r"^/\* SPDX.*\n|\n#ifndef", text, maxsplit=2, flags=re.MULTILINE)
    body = rest.partition("WS_BEGIN_C")[2].partition("WS_END_C")[0]
    parts = [
        "# C interface",
        f"This page is the header, `{HEADER}`, which all exports carry. "
        "[integrate.md](integrate.md) shows it in use.",
        _comment(opening),
    ]
    for block in re.split(r"\n\n+", body.strip()):
        found = re.match(r"/\*.*?\*/(?=\n|$)", block, re.DOTALL)
        comment, code = (found[0], block[found.end() :]) if found else ("", block)
        if comment and "private" in comment:
            continue
        named = re.search(r"(\w+)\(|\}\s*(\w+);", code)
        if named:
            parts.append(f"## {named[1] if '}' not in code else named[2] or named[1]}")
        parts.append(_comment(comment))
        if code.strip():
            parts.append(f"```c\n{code.strip()}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _comment(text: str) -> str:
    """A C comment as Markdown: what is indented by four is code."""
    lines = re.sub(r"^/\* ?| ?\*/$", "", text.strip()).splitlines()
    return "\n".join(re.sub(r"^ \* ?", "", line) for line in lines).strip()
