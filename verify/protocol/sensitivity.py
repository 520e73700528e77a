# SPDX-License-Identifier: Apache-2.0
"""The thresholds that a gateway sets in a device for the verifier behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sensitivity:
    """How readily a device shall wake on a word: what is taken off the threshold of each state."""

    word: str
    offsets: Mapping[str, int]

    def texts(self) -> list[str]:
        """As the device's command and the emulator's option take them, a state each."""
        return [f"{offset} {self.word} {state}" for state, offset in self.offsets.items()]

    def missing(self, reported: Any) -> str | None:
        """The first of these that is not so where the device has `reported`; None: all are."""
        known = (
            reported if isinstance(reported, list) and len(reported) == len(self.offsets) else None
        )
        for i, (text, offset) in enumerate(zip(self.texts(), self.offsets.values(), strict=True)):
            if known is None or known[i] != offset:
                return text
        return None
