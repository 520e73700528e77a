# SPDX-License-Identifier: Apache-2.0
"""The bundled sample: a short scene spoken by flite's voices (Debian package `flite`)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from wakestate.train.acoustics.stage import active_rms, dbfs, hiss, rms, to_int16
from wakestate.train.artifacts import write_wav
from wakestate.train.data.corpus import RATE, DataError

# (seconds of pause before, flite voice, text, noise SNR in dB)
SCENE = (
    (1.0, "slt", "{phrase}.", 30.0),
    (1.5, "rms", "The election is on Monday.", 30.0),
    (1.0, "awb", "{phrase}, what time is it?", 30.0),
    (1.5, "slt", "My uncle was late again.", 20.0),
    (1.0, "awb", "{phrase}, play some music.", 10.0),
)
LEVEL_DBFS = -26.0


def write_sample(phrase: str, path: Path, seed: int = 1) -> None:
    """Speak the scene into a 16 kHz WAV; DataError when flite is not installed."""
    flite = shutil.which("flite")
    if flite is None:
        raise DataError("flite: not found; install it with `apt-get install flite`")
    rng = np.random.default_rng(seed)
    parts = []
    level = dbfs(LEVEL_DBFS)
    with tempfile.TemporaryDirectory() as folder:
        for pause, voice, text, snr in SCENE:
            spoken = Path(folder) / "spoken.wav"
            sentence = text.format(phrase=phrase)
            subprocess.run([flite, "-voice", voice, "-t", sentence, "-o", spoken], check=True)
            x, rate = soundfile.read(spoken, dtype="float32")
            if rate != RATE:
                raise DataError(f"flite: voice {voice} speaks at {rate} Hz; {RATE} Hz is needed")
            x = np.pad(x * 32768, (int(pause * RATE), RATE // 4))
            x *= level / active_rms(x)
            noise = hiss(rng, len(x))
            parts.append(x + noise * (level * 10 ** (-snr / 20) / rms(noise)))
    write_wav(path, to_int16(np.concatenate(parts)))
