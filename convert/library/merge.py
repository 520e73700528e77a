# SPDX-License-Identifier: Apache-2.0
"""C files with the headers that they include in them: few files, which lie in any layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

_INCLUDE = re.compile(r'#include "([\w/.-]+)"')
_LICENSE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Merger:
    """Texts in which headers stand instead of their `#include "..."`.

    `folders` are searched for headers as a compiler does, `texts` has headers that are in no folder
    yet, by their names; `public` names those that remain included, and as what.
    """

    def __init__(
        self,
        folders: list[Path],
        texts: Mapping[str, str],
        public: Callable[[str], str | None],
    ) -> None:
        self._folders = folders
        self._texts = texts
        self._public = public

    def merged(self, *names: str) -> str:
        """The files `names`, one after the other, each header once where that is enough."""
        seen: set[str] = set()
        return "\n".join("".join(self._lines(name, seen)) for name in names)

    def _read(self, name: str) -> str:
        if name in self._texts:
            return self._texts[name]
        return next(f / name for f in self._folders if (f / name).is_file()).read_text("utf-8")

    def _find(self, name: str, beside: str) -> str:
        """What `#include "name"` means in the file `beside`."""
        near = str(PurePosixPath(beside).parent / name)
        there = near in self._texts or any((folder / near).is_file() for folder in self._folders)
        return near if there else name

    def _lines(self, name: str, seen: set[str]) -> list[str]:
        text = self._read(name).removeprefix(_LICENSE)
        guarded = re.search(r"^#ifndef (\w+)\n#define \1$", text, re.MULTILINE)
        if guarded:
            seen.add(name)
        lines: list[str] = []
        outside: list[set[str]] = []  # what was seen before each #if that is open
        for number, line in enumerate(text.splitlines(keepends=True)):
            guard = guarded is not None and number == text[: guarded.start()].count("\n")
            if re.match(r"#if", line) and not guard:
                outside.append(set(seen))
            elif re.match(r"#el", line) and outside:
                _reset(seen, outside[-1])
            elif line.startswith("#endif") and outside:
                _reset(seen, outside.pop())
            lines += self._included(line, name, seen) or [line]
        return lines

    def _included(self, line: str, name: str, seen: set[str]) -> list[str] | None:
        """What stands instead of a line; None: it stays."""
        match = _INCLUDE.match(line)
        if match is None:
            return None
        found = self._find(match[1], name)
        public = self._public(found)
        if public is not None:
            line = f'#include "{public}"\n'
            known = line in seen
            seen.add(line)
            return [""] if known else [line]
        if found in seen:
            return [""]
        return [f"/* {found} */\n", *self._lines(found, seen)]


def _reset(seen: set[str], to: set[str]) -> None:
    seen.clear()
    seen.update(to)
