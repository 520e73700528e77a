# SPDX-License-Identifier: Apache-2.0
"""flite: small unit-selection and statistical voices, with the time of every phone."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import soundfile

from wakestate.train.synthesis.engine import (
    ENGLISH,
    Engine,
    Speech,
    Spoken,
    run_program,
    to_int16_at,
)

PAUSE = "pau"


class Flite(Engine):
    """Debian package `flite`."""

    name = "flite"
    source = "synthesized: flite"
    licence = "BSD-like (CMU)"
    share = 1.0
    timed = True

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language

    def missing(self) -> str:
        """See Engine."""
        if self.language != ENGLISH:
            return f"flite: speaks English alone, not '{self.language}'"
        return "" if shutil.which("flite") else "flite: apt-get install flite"

    @cache  # noqa: B019  (one engine lives as long as the program)
    def voices(self) -> list[str]:
        """Those built in, but the one that only speaks times of day and the one at 8 kHz."""
        listed = run_program(["flite", "-lv"]).removeprefix("Voices available:").split()
        return sorted(set(listed) - {"awb_time", "kal"})

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        """See Engine."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            printed = run_program(
                [
                    "flite",
                    "-psdur",
                    "-voice",
                    voice,
                    "--setf",
                    f"duration_stretch={1 / speed:.4f}",
                    "-t",
                    text,
                    "-o",
                    str(path),
                ]
            )
            pcm, hertz = soundfile.read(path, dtype="float32")
        return Speech(to_int16_at(pcm, hertz), _words(text, printed))


def _words(text: str, printed: str) -> tuple[Spoken, ...] | None:
    """Phones grouped to words; None where the sentence has other phones than its words alone."""
    ends = [(p, float(end)) for p, end in (item.split(":") for item in printed.split())]
    starts = [0.0, *(end for _, end in ends)]
    phones = [(p, s, e) for (p, e), s in zip(ends, starts, strict=False) if p != PAUSE]
    alone = [(word, len(phones_of(word))) for word in text.split()]
    if sum(count for _, count in alone) != len(phones):
        return None
    words, at = [], 0
    for word, count in alone:
        if count:
            words.append((word, phones[at][1], phones[at + count - 1][2]))
        at += count
    return tuple(words)


@cache
def phones_of(text: str) -> tuple[str, ...]:
    """How flite pronounces a text: its phones, "ax l eh k s ax"."""
    output = run_program(["flite", "-ps", "-t", text, "-o", "none"]).split()
    return tuple(phone for phone in output if phone != PAUSE)
