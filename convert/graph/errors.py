# SPDX-License-Identifier: Apache-2.0
"""The one error that conversion raises for wrong input."""

from __future__ import annotations

from wakestate.errors import UserError
from wakestate.explain import one_line


class ConvertError(UserError):
    """A file cannot be converted; the text names the file, what is wrong and what to do."""


def shown(text: str, limit: int = 256) -> str:
    """Foreign text for one line: escaped so that it stays unique, and cut where it is long."""
    shortened = text if len(text) <= limit else f"{text[:limit]}..."
    return one_line(shortened.replace("\\", "\\\\"))
