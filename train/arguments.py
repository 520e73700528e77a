"""Types of the command line's arguments, for argparse."""

from __future__ import annotations

import argparse
from pathlib import Path


def named(text: str) -> tuple[str, Path]:
    """argparse type: NAME=FILE."""
    name, sign, path = text.partition("=")
    if not (name and sign and Path(path).is_file()):
        raise argparse.ArgumentTypeError(f"given {text}; allowed: NAME=FILE, the file existing")
    return name, Path(path)


def natural(text: str) -> int:
    """argparse type: 0, 1, 2 ..."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0 or more")
    return number


def positive(text: str) -> int:
    """argparse type: 1, 2, 3 ..."""
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("given 0; allowed: 1 or more")
    return int(text)


def amount(text: str) -> float:
    """argparse type: a share of the usual scenes."""
    number = float(text)
    if not 0.001 <= number <= 100:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: 0.001 to 100")
    return number


def rate(text: str) -> float:
    """argparse type: a learning rate."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"given {text}; allowed: above 0, up to 1")
    return number
