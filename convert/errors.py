"""The one error that conversion raises for wrong input."""

from __future__ import annotations


class ConvertError(Exception):
    """A file cannot be converted; the text names the file, what is wrong and the mend."""
