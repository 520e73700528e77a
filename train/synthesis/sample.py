# SPDX-License-Identifier: Apache-2.0
"""The bundled sample: a short scene spoken by flite's voices (Debian package `flite`)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wakestate.train.acoustics.stage import active_rms, dbfs, hiss, rms, to_int16
from wakestate.train.artifacts import write_wav
from wakestate.train.data.corpus import RATE, DataError
from wakestate.train.synthesis.engine import ENGLISH

# (seconds of pause before, flite voice, text, noise SNR in dB)
SCENE = (
    (1.0, "slt", "{phrase}.", 30.0),
    (1.5, "rms", "The election is on Monday.", 30.0),
    (1.0, "awb", "{phrase}, what time is it?", 30.0),
    (1.5, "slt", "My uncle was late again.", 20.0),
    (1.0, "awb", "{phrase}, play some music.", 10.0),
)
VARIANTS = {"slt": "f2", "awb": "m3"}  # of espeak-ng, in the place of these in other languages
LEVEL_DBFS = -26.0


def write_sample(phrase: str, path: Path, language: str = ENGLISH, seed: int = 1) -> None:
    """Speak the scene into a 16 kHz WAV; DataError when flite is not installed.

    In another language than English: the phrase alone, by voices of espeak-ng that judge.
    """
    rng = np.random.default_rng(seed)
    parts = []
    level = dbfs(LEVEL_DBFS)
    for pause, voice, text, snr in SCENE:
        if language == ENGLISH:
            x = _by_flite(text.format(phrase=phrase), voice)
        elif "{phrase}" in text:
            x = _by_espeak(phrase, VARIANTS[voice], language)
        else:
            continue
        x = np.pad(x * 32768, (int(pause * RATE), RATE // 4))
        x *= level / active_rms(x)
        noise = hiss(rng, len(x))
        parts.append(x + noise * (level * 10 ** (-snr / 20) / rms(noise)))
    write_wav(path, to_int16(np.concatenate(parts)))


def _by_flite(text: str, voice: str) -> NDArray[np.float32]:
    flite = shutil.which("flite")
    if flite is None:
        raise DataError("flite: not found; install it with `apt-get install flite`")
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run([flite, "-voice", voice, "-t", text, "-o", spoken], check=True)
        x, rate = soundfile.read(spoken, dtype="float32")
    if rate != RATE:
        raise DataError(f"flite: voice {voice} speaks at {rate} Hz; {RATE} Hz is needed")
    return np.asarray(x)


def _by_espeak(text: str, variant: str, language: str) -> NDArray[np.float32]:
    from wakestate.train.synthesis.espeak import Espeak
    from wakestate.train.synthesis.language import check_language, dialects

    check_language("data.language", language)
    speech = Espeak(language).synthesize(text, f"{dialects(language)[0]}+{variant}", 1.0)
    return speech.pcm.astype(np.float32) / np.float32(32768)
