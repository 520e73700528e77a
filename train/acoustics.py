"""How sound reaches the microphone: rooms, noise, level, and the device's own playback.

All functions take and give float32 samples at 16 kHz, int16-scaled (full scale 32768), and draw
every random choice from the generator they are given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from train.data import PLAYBACK_KINDS, RATE, SPEECH_KINDS, Clip, Corpus
from words import Word

Wave = NDArray[np.float32]
FULL_SCALE = 32768.0


def dbfs(level: float) -> float:
    """RMS amplitude (int16 scale) of a level in dBFS."""
    return float(FULL_SCALE * 10 ** (level / 20))


def rms(x: Wave) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-6)) if len(x) else 1e-3


def active_rms(x: Wave) -> float:
    """RMS over the 10 ms frames within 30 dB of the loudest: pauses do not count."""
    frames = len(x) // 160
    if frames == 0:
        return rms(x)
    power = np.square(x[: frames * 160]).reshape(frames, 160).mean(axis=1)
    loud = power[power >= power.max() * 1e-3]
    return float(np.sqrt(loud.mean() + 1e-6))


@dataclass
class Stage:
    """The sounds of one split that everything is mixed from."""

    corpus: Corpus
    word: Word

    def __post_init__(self) -> None:
        corpus = self.corpus
        self.rooms = [self._room(c) for c in corpus.of("rir")]
        self.noise = corpus.of("noise")
        self.music = corpus.of("music")
        barred = set(self.word.data.positive)
        self.talk = [c for c in corpus.of(*SPEECH_KINDS) if c.label not in barred]
        self.playback = {
            state: corpus.of(kind) or self.music for state, kind in PLAYBACK_KINDS.items()
        }

    def _room(self, clip: Clip) -> Wave:
        """A room impulse response from its direct sound on, unit energy."""
        h = self.corpus.audio(clip).astype(np.float32)
        h = h[max(0, int(np.argmax(np.abs(h))) - 8) :][: RATE // 2]
        return np.asarray(h / np.sqrt(np.sum(h**2) + 1e-9), np.float32)

    def stretch(self, rng: np.random.Generator, clips: list[Clip], samples: int) -> Wave:
        """`samples` of sound from the clips, joined with short gaps when they are too short."""
        parts: list[Wave] = []
        have = 0
        while have < samples:
            x = self.corpus.audio(clips[rng.integers(len(clips))]).astype(np.float32)
            if len(x) > samples:
                first = rng.integers(len(x) - samples + 1)
                x = x[first : first + samples]
            parts += [x, np.zeros(int(rng.integers(0, RATE // 4)), np.float32)]
            have += len(parts[-2]) + len(parts[-1])
        return np.concatenate(parts)[:samples]

    def room(self, rng: np.random.Generator, x: Wave) -> Wave:
        """x in a random room: a recorded response, or an exponential tail."""
        if self.rooms and rng.random() < 0.6:
            h = self.rooms[rng.integers(len(self.rooms))]
        else:
            rt60 = rng.uniform(0.1, 0.7)
            n = int(rt60 * RATE)
            tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
            tail *= 10 ** (rng.uniform(-15, 0) / 20) / np.sqrt(np.sum(tail**2))
            tail[0] = 1.0
            h = tail.astype(np.float32)
        return np.asarray(fftconvolve(x, h)[: len(x)], np.float32)

    def background(self, rng: np.random.Generator, samples: int) -> Wave:
        """Sound from elsewhere in the room, RMS 1: noise, music, talk, or a coloured hiss."""
        kind = rng.random()
        if kind < 0.4 and self.noise:
            x = self.stretch(rng, self.noise, samples)
        elif kind < 0.65 and self.music:
            x = self.stretch(rng, self.music, samples)
        elif kind < 0.8 and self.talk:
            x = self.stretch(rng, self.talk, samples)
            if rng.random() < 0.5:
                x = x + self.stretch(rng, self.talk, samples) * rng.uniform(0.3, 1.0)
        else:
            x = hiss(rng, samples)
        return np.asarray(x / rms(x), np.float32)

    def own_sound(self, rng: np.random.Generator, state: str, samples: int) -> Wave | None:
        """What is left at the microphone of the device's own sound, RMS 1; None when idle.

        Loudspeaker (band limit, soft clipping), a short device-to-microphone response, and a
        canceller's residual: an uneven spectrum whose depth drifts.
        """
        player = dict(part.split("=") for part in state.split(",")).get("player", "idle")
        if player not in self.playback or not self.playback[player]:
            return None
        x = self.stretch(rng, self.playback[player], samples)
        x = x / rms(x)
        sos = butter(2, [rng.uniform(80, 300), rng.uniform(5000, 7500)], "band", fs=RATE,
                     output="sos")  # fmt: skip
        drive = rng.uniform(0.3, 1.5)
        x = np.tanh(sosfilt(sos, x) * drive)
        taps = rng.standard_normal(400) * np.exp(-np.arange(400) / rng.uniform(20, 120))
        taps[0] += 3.0
        x = fftconvolve(x, taps)[:samples]
        if rng.random() < 0.5:
            drift = np.interp(np.arange(samples), np.linspace(0, samples, 6),
                              10 ** (rng.uniform(-6, 6, 6) / 20))  # fmt: skip
            x = x * drift
        x = np.asarray(x, np.float32)
        return np.asarray(x / rms(x), np.float32)

    def to_microphone(
        self, rng: np.random.Generator, speech: Wave | None, samples: int, state: str,
        active: float = 0.0,
    ) -> NDArray[np.int16]:  # fmt: skip
        """Mix one training scene: speech (or none) with all else, as int16[samples].

        `active` is the speech's RMS while speaking; levels come from the word's [data] section.
        """
        data = self.word.data
        level = dbfs(rng.uniform(*data.level_dbfs))
        mix = np.zeros(samples, np.float32)
        if speech is not None and active > 0:
            if rng.random() < 0.5:
                wet = self.room(rng, speech)
                speech = wet * (active / max(active_rms(wet), 1e-3))
            mix += tilt(rng, speech) * (level / active)
        if rng.random() > 0.2:
            snr = rng.uniform(*data.noise_snr_db)
            mix += self.background(rng, samples) * (level * 10 ** (-snr / 20))
        volume = dict(part.split("=") for part in state.split(",")).get("volume", "")
        own = self.own_sound(rng, state, samples)
        if own is not None:
            ranges = data.signal_to_echo_db
            low, high = ranges.get(volume, next(iter(ranges.values())))
            mix += own * (level * 10 ** (-rng.uniform(low, high) / 20))
        if rng.random() < 0.7:  # microphone and converter noise; else digital silence stays
            mix += rng.standard_normal(samples).astype(np.float32) * rng.uniform(0.3, 6.0)
        return to_int16(mix)


def hiss(rng: np.random.Generator, samples: int) -> Wave:
    """Noise between white and brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.maximum(np.arange(len(spectrum)), 8) ** rng.uniform(0.0, 1.0)
    return np.asarray(np.fft.irfft(spectrum, samples), np.float32)


def tilt(rng: np.random.Generator, x: Wave) -> Wave:
    """A microphone's first-order colour: +-6 dB from low to high."""
    a = np.float32(rng.uniform(-0.4, 0.4))
    y = x.copy()
    y[1:] += a * x[:-1]
    return np.asarray(y * (rms(x) / rms(y)), np.float32)


def to_int16(x: Wave) -> NDArray[np.int16]:
    """Round and clip to int16."""
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


def resample(x: Wave, speed: float) -> Wave:
    """x played `speed` times as fast (pitch follows)."""
    n = int(len(x) / speed)
    return np.interp(np.arange(n) * speed, np.arange(len(x)), x).astype(np.float32)
