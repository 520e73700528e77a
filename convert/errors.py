"""The one error that conversion raises for wrong input."""

from __future__ import annotations


class ConvertError(Exception):
    """A file cannot be converted; the text names the file, what is wrong and the mend."""


def shown(text: str, most: int = 256) -> str:
    """Foreign text for one line: what does not print is escaped, what is long is cut."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return "".join(
        c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in cut
    )
