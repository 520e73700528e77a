# SPDX-License-Identifier: Apache-2.0
"""What sounds like the word and is not: confusable phrases by synthetic voices, and recordings.

Every phrase is spoken as a person would be recorded: at LEVEL_DBFS while speaking, in a room, in
noise 20 dB below, with a second of the same before and after. The wake phrase itself, said by
the same voices in the same rooms, shows how far these voices can be understood at all.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from wakestate.train.acoustics.filters import Wave
from wakestate.train.acoustics.stage import active_rms, dbfs, rms, to_int16
from wakestate.train.data.corpus import RATE, Clip
from wakestate.train.evaluation.trials import LEAD, LEVEL_DBFS, TAIL, Pcm, Trials, gain
from wakestate.train.synthesis.judges import ESPEAK, FESTIVAL, FLITE, RHVOICE
from wakestate.words import Word

NOISE_SNR_DB = 20.0
RHVOICE_FOLDERS = (Path("/usr/share/RHVoice/voices"), Path("/usr/local/share/RHVoice/voices"))


def voices(language: str = "en") -> list[tuple[str, str]]:
    """(engine, voice) of every voice of a language that this machine has."""
    if language != "en":  # the same variants, kept from training
        from wakestate.train.synthesis.language import dialects

        variants = dict.fromkeys(v.partition("+")[2] for v in ESPEAK)
        return [
            ("espeak-ng", f"{code}+{v}".strip("+")) for code in dialects(language) for v in variants
        ]
    found = [("flite", v) for v in FLITE] if shutil.which("flite") else []
    if shutil.which("text2wave"):
        found += [("festival", v) for v in FESTIVAL]
    if shutil.which("RHVoice-test"):
        found += [("rhvoice", v) for v in RHVOICE if any((f / v).is_dir() for f in RHVOICE_FOLDERS)]
    if shutil.which("espeak-ng"):
        found += [("espeak-ng", v) for v in ESPEAK]
    return found


def speak(engine: str, voice: str, text: str) -> Wave | None:
    """float32[samples] at 16 kHz, int16-scaled; None when the engine lacks the voice."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "spoken.wav"
        command = {
            "flite": ["flite", "-voice", voice, "-t", text, "-o", str(out)],
            "festival": ["text2wave", "-eval", f"(voice_{voice})", "-o", str(out)],
            "rhvoice": ["RHVoice-test", "-p", voice, "-o", str(out)],
            "espeak-ng": ["espeak-ng", "-v", voice, "-w", str(out), text],
        }[engine]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not out.is_file():
            return None
        x, rate = soundfile.read(out, dtype="float32", always_2d=True)
    y = resample_poly(x[:, 0], RATE, rate) if rate != RATE else x[:, 0]
    return np.asarray(y * 32768, np.float32) if y.any() else None


def spoken(trials: Trials, phrases: tuple[str, ...]) -> dict[str, list[Pcm]]:
    """Each phrase by each voice, in as many rooms as mixes are drawn."""
    rng = np.random.default_rng([trials.seed, 4])
    noise = trials.corpus.of("noise")
    level = dbfs(LEVEL_DBFS)
    recordings: dict[str, list[Pcm]] = {phrase: [] for phrase in phrases}
    for engine, voice in voices(trials.word.data.language):
        for phrase in phrases:
            x = speak(engine, voice, phrase)
            if x is None:
                continue
            for _ in range(trials.draws):
                y = trials.stage.room(rng, np.pad(x, (LEAD, TAIL)))
                y = y * np.float32(level / max(active_rms(y), 1.0))
                other = trials.stage.stretch(rng, noise, len(y))
                y = y + other * np.float32(level * gain(NOISE_SNR_DB) / rms(other))
                recordings[phrase].append(to_int16(y))
    return recordings


def recorded(trials: Trials) -> dict[tuple[str, str], list[Pcm]]:
    """Recordings without the word in whose text, or by the word file, a confusable phrase is
    said; by source (see Near) and phrase."""
    clips = {clip.path: clip for clip in trials.negatives}
    recordings: dict[tuple[str, str], list[Pcm]] = {}
    for clip in clips.values():
        source = "clip" if clip.kind == "tts" else "recorded"
        for phrase in _phrases_in(trials.word, clip):
            recordings.setdefault((source, phrase), []).append(trials.corpus.audio(clip))
    return recordings


def _phrases_in(word: Word, clip: Clip) -> Iterator[str]:
    text = "" if clip.folder else clip.text  # of --also, by the word file alone
    listed = word.data.confusable_recordings.get(Path(clip.path).stem)
    if listed:
        yield listed
    for phrase in word.data.confusables:
        # The longest that fits: "Alexander" is not counted as "Alex" again.
        longer = [
            p for p in word.data.confusables if p != phrase and p.lower().startswith(phrase.lower())
        ]
        if not listed and _has(phrase, text) and not any(_has(p, text) for p in longer):
            yield phrase


def _has(phrase: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) is not None
