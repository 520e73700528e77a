# SPDX-License-Identifier: Apache-2.0
"""espeak-ng: formant synthesis, hundreds of voices that sound little like people."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from wakestate.train.synthesis.engine import ENGLISH, Engine, Speech, run_program, to_int16_at
from wakestate.train.synthesis.judges import ESPEAK
from wakestate.train.synthesis.language import dialects

ACCENTS = (
    "en-us",
    "en-us-nyc",
    "en-gb",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
NOT_HUMAN = re.compile(r"robo|Robot|croak|Demonic|Storm|fast|Tweaky|whisper|Anxious|kaukovalta")
JUDGES = {voice.partition("+")[2] for voice in ESPEAK}  # not for training: judges.py
WORDS_A_MINUTE = 165


class Espeak(Engine):
    """Debian package `espeak-ng`. A voice is a variant, spoken with any accent of the language."""

    name = "espeak"
    source = "synthesized: espeak-ng"
    licence = "GPL-3+ (program)"
    share = 1.5

    def __init__(self, language: str = ENGLISH) -> None:
        self.dialects = ACCENTS if language == ENGLISH else dialects(language)

    def missing(self) -> str:
        """See Engine."""
        if not shutil.which("espeak-ng"):
            return "espeak-ng: apt-get install espeak-ng"
        return "" if self.dialects else "espeak-ng: has no voice of the language"

    @cache  # noqa: B019  (one engine lives as long as the program)
    def voices(self) -> list[str]:
        """The voice variants but robots, whispers and those that measure confusable phrases."""
        lines = run_program(["espeak-ng", "--voices=variant"]).splitlines()
        names = re.findall(r"!v/(\S+)", "\n".join(lines))
        return sorted(n for n in set(names) - JUDGES if not NOT_HUMAN.search(n))

    def draw(self, rng: np.random.Generator, voices: list[str]) -> str:
        """An accent and a variant: "en-gb+f3"."""
        return f"{self.dialects[int(rng.integers(len(self.dialects)))]}+{super().draw(rng, voices)}"

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        """See Engine; the engine reports no timings on its command line."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            rate = str(int(np.clip(WORDS_A_MINUTE * speed, 80, 450)))
            run_program(["espeak-ng", "-v", voice, "-s", rate, "-w", str(path), "--", text])
            pcm, hertz = soundfile.read(path, dtype="float32")
        return Speech(to_int16_at(pcm, hertz))
