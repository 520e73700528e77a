# SPDX-License-Identifier: Apache-2.0
"""Kokoro-82M by kokoro-onnx: voices close to people's, and blends of them."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wakestate.train.parcels import Files
from wakestate.train.synthesis.engine import ENGLISH, Engine, Speech, Spoken, to_int16_at
from wakestate.train.synthesis.language import SWITCH, dialects

MODEL, VOICES = "kokoro.onnx", "voices.bin"
#: Languages, as espeak-ng names them, whose sounds the model nearly all knows.
ACCENTS = (
    *("ca", "cs", "de", "es", "fi", "fr-fr", "hr", "hu", "id", "it", "nl", "pl", "pt", "pt-br"),
    *("ro", "sk", "tr"),
)
#: What the names of its voices of a language begin with. Those of Japanese and Chinese learned
#: from other phonemes than espeak-ng's, and are not asked to speak it.
OWN = {"es": "e", "fr": "f", "hi": "h", "it": "i", "pt": "p"}
OWN_SHARE = 0.5  # of the clips of such a language; by the others it is read with their color


def speaks(language: str) -> bool:
    """Whether it has voices of a language that are asked here to speak it."""
    return language.partition("-")[0] in (ENGLISH, *OWN)


class Kokoro(Engine):
    """A folder with kokoro.onnx and voices.bin, as `wakestate data voices` gathers them.

    A voice is a style vector for each length of text; a blend is their weighted mean. Where the
    model outputs durations (those of `wakestate data voices` do), words are timed.
    """

    name = "kokoro"
    source = "synthesized: Kokoro-82M"
    licence = "Apache-2.0 (model)"
    share = 4.0
    timed = True

    def __init__(self, folder: Path, language: str = ENGLISH) -> None:
        self.folder, self.language = folder, language
        self.accents = ACCENTS if language == ENGLISH else ()
        self.own = OWN.get(language.partition("-")[0], "")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"folder": Files(self.folder, (MODEL, VOICES))}

    def missing(self) -> str:
        """See Engine."""
        if not importlib.util.find_spec("kokoro_onnx"):
            return "kokoro: pip install kokoro-onnx"
        if not speaks(self.language):
            return f"kokoro: speaks {', '.join([ENGLISH, *OWN])} here, not '{self.language}'"
        lacks = [n for n in (MODEL, VOICES) if not (self.folder / n).is_file()]
        return (
            f"kokoro: {self.folder / lacks[0]} is not there: wakestate data voices" if lacks else ""
        )

    @cache  # noqa: B019
    def voices(self) -> list[str]:
        """Voices of all languages: they speak English and others too, with their own color."""
        with np.load(self.folder / VOICES) as file:
            names = sorted(file.files)
        mine = [n for n in names if self.own and n.startswith(self.own)]
        others = [n for n in names if n not in mine]
        return [*others[:2], *mine, *others[2:]]  # so that a second own one is for dev

    def draw(self, rng: np.random.Generator, voices: list[str]) -> str:
        """One voice, or two or three of them in parts of hundredths: "af_sky*0.40+am_adam*0.60".

        After "LANGUAGE/" where that is not English.
        """
        if self.language == ENGLISH:
            return self._blend(rng, voices)
        mine = [v for v in voices if v.startswith(self.own)]
        voices = mine if mine and rng.random() < OWN_SHARE else voices
        return f"{dialects(self.language)[0]}/{self._blend(rng, voices)}"

    def _blend(self, rng: np.random.Generator, voices: list[str]) -> str:
        count = min(int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])), len(voices))
        names = rng.choice(voices, count, replace=False)
        parts = np.maximum(1, np.floor(100 * rng.dirichlet([2.0] * count))).astype(int)
        parts[0] += 100 - parts.sum()
        if count == 1:
            return str(names[0])
        return "+".join(f"{n}*{p / 100:.2f}" for n, p in zip(names, parts, strict=True))

    @cache  # noqa: B019
    def _model(self) -> Any:
        import onnxruntime
        from kokoro_onnx import Kokoro as Model

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one process a core
        session = onnxruntime.InferenceSession(
            str(self.folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
        return Model.from_session(session, str(self.folder / VOICES))

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        """See Engine."""
        model = self._model()
        language, _, voice = voice.rpartition("/")
        parts = [p.partition("*") for p in voice.split("+")]
        style = sum(model.voices[name] * np.float32(part or 1) for name, _, part in parts)
        if language:  # without espeak-ng's marks of words of a third language
            text = SWITCH.sub("", model.tokenizer.phonemize(text, language))
        pcm, hertz, phones = model.create_timed(
            text,
            style,
            float(np.clip(speed, 0.5, 2.0)),
            "en-gb" if voice.startswith("b") else "en-us",
            is_phonemes=bool(language),
            trim=False,
            sentence_pause=0.0,
            clause_pause=0.0,
        )
        return Speech(to_int16_at(pcm, hertz), _words(phones) if model.has_timings else None)


def _words(phones: list[Any]) -> tuple[Spoken, ...]:
    """Phonemes grouped to words at spaces; marks belong to none."""
    words: list[Spoken] = []
    open_word = False
    for phone in phones:
        if not (phone.phoneme.isalpha() or phone.phoneme in "ˈˌː"):
            open_word = open_word and phone.phoneme != " "
        elif open_word:
            spelled, start, _ = words[-1]
            words[-1] = (spelled + phone.phoneme, start, phone.end)
        else:
            words.append((phone.phoneme, phone.start, phone.end))
            open_word = True
    return tuple(words)
