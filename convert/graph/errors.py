"""The one error that conversion raises for wrong input."""

from __future__ import annotations

from wakestate.errors import UserError
from wakestate.explain import one_line


class ConvertError(UserError):
    """A file cannot be converted; the text names the file, what is wrong and what to do."""


def shown(text: str, most: int = 256) -> str:
    """Foreign text for one line: escaped so that it stays unique, and cut where it is long."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return one_line(cut.replace("\\", "\\\\"))
