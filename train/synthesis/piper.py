# SPDX-License-Identifier: Apache-2.0
"""Piper: VITS voices, one .onnx file each, some with hundreds of speakers."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.train.parcels import Files
from wakestate.train.synthesis.engine import ENGLISH, Engine, Speech, to_int16_at

SPEAKERS = 100  # taken of one file


class Piper(Engine):
    """A folder with voices: NAME.onnx and NAME.onnx.json. A voice is NAME or NAME#SPEAKER."""

    name = "piper"
    source = "synthesized: Piper"
    licence = "see the voice's MODEL_CARD"
    share = 1.0

    def __init__(self, folder: Path, language: str = ENGLISH) -> None:
        self.folder, self.language = folder, language

    def __getstate__(self) -> dict[str, Any]:
        names = tuple(path.name for path in sorted(self.folder.glob("*.onnx*")))
        return self.__dict__ | {"folder": Files(self.folder, names)}

    def missing(self) -> str:
        """See Engine."""
        if not importlib.util.find_spec("piper"):
            return "piper: pip install piper-tts"
        lacks = f"piper: no NAME.onnx with NAME.onnx.json of '{self.language}' in {self.folder}"
        return "" if self.voices() else lacks

    @cache  # noqa: B019
    def voices(self) -> list[str]:
        """Every file of the language, or the first hundred speakers of it."""
        names: list[str] = []
        for path in sorted(self.folder.glob("*.onnx.json")):
            if not path.with_suffix("").is_file():
                continue
            facts = json.loads(path.read_text(encoding="utf-8"))
            code = str(facts.get("language", {}).get("code", ENGLISH)).lower().replace("_", "-")
            if not f"{code}-".startswith(f"{self.language}-"):
                continue
            speakers = int(facts.get("num_speakers", 1))
            stem = path.name.removesuffix(".onnx.json")
            many = [f"{stem}#{i}" for i in range(min(speakers, SPEAKERS))]
            names += many if speakers > 1 else [stem]
        return names

    @cache  # noqa: B019
    def _voice(self, stem: str) -> Any:
        from piper import PiperVoice

        return PiperVoice.load(self.folder / f"{stem}.onnx")

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        """See Engine. Without the model's noise: the same call gives the same samples."""
        from piper.config import SynthesisConfig

        stem, _, speaker = voice.partition("#")
        config = SynthesisConfig(
            speaker_id=int(speaker) if speaker else None,
            length_scale=1 / speed,
            noise_scale=0.0,
            noise_w_scale=0.0,
        )
        chunks = list(self._voice(stem).synthesize(text, config))
        pcm = np.concatenate([c.audio_float_array for c in chunks])
        return Speech(to_int16_at(pcm, chunks[0].sample_rate))
