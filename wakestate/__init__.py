# SPDX-License-Identifier: Apache-2.0
"""Wakestate: from a wake word and a board to firmware.

The folders of the project are its subpackages and its data (`wakestate.train`,
`ROOT / "templates"`). In a checkout they are next to this one, which links to them; in a wheel they
are inside.
"""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"
ROOT = (Path(__file__).parent / "words").resolve().parent  # what has templates/, firmware/, words/
