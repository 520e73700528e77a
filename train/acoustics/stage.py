# SPDX-License-Identifier: Apache-2.0
"""How sound reaches the microphone: rooms, noise, level, and the device's own playback.

All functions take and give float32 samples at 16 kHz, int16-scaled (full scale 32768), and draw
every random choice from the generator they are given.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from wakestate.train.acoustics import rooms
from wakestate.train.acoustics.filters import FULL_SCALE, Wave, band
from wakestate.train.data.corpus import PLAYBACK_KINDS, RATE, SPEECH_KINDS, Clip, Corpus
from wakestate.words import Word, state_fields

SPEAKER_ROOMS, DEVICE_ROOMS = 64, 24  # simulated responses that one stage draws from
DEVICE_M = (0.03, 0.15)  # from the device's loudspeaker to its microphone


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


@cache
def _simulated(
    split: int,
    number: int,
    count: int,
    distance_m: tuple[float, float],
    rt60_s: tuple[float, float],
) -> tuple[Wave, ...]:
    """Responses, float32[samples] each, that follow from these numbers alone."""
    rng = np.random.default_rng([split, number])
    return tuple(
        rooms.response(rng, rng.uniform(*distance_m), rng.uniform(*rt60_s)) for _ in range(count)
    )


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

    @property
    def _rooms_of_split(self) -> int:
        """A seed: no split has the rooms of another. Measured models know those of two."""
        split = self.corpus.split
        return {"train": 5, "dev": 3}.get(split) or zlib.crc32(split.encode())

    @property
    def _speaker_rooms(self) -> tuple[Wave, ...]:
        """Simulated responses from a speaker."""
        a = self.word.acoustics
        return _simulated(self._rooms_of_split, 1, SPEAKER_ROOMS, a.distance_m, a.rt60_s)

    @property
    def _device_rooms(self) -> tuple[Wave, ...]:
        """Simulated responses from the device's loudspeaker to its microphone."""
        rt60_s = self.word.acoustics.rt60_s
        return _simulated(self._rooms_of_split, 2, DEVICE_ROOMS, DEVICE_M, rt60_s)

    def simulate_rooms(self) -> None:
        """Ahead of use, so that the processes that are forked then have the responses."""
        _ = self._speaker_rooms, self._device_rooms

    def room(self, rng: np.random.Generator, x: Wave) -> Wave:
        """x in a room: a recorded response, or a simulated one."""
        recorded = self.rooms and rng.random() < 0.4
        pick = self.rooms if recorded else self._speaker_rooms
        h = pick[rng.integers(len(pick))]
        return np.asarray(fftconvolve(x, h)[: len(x)], np.float32)

    def background(self, rng: np.random.Generator, samples: int) -> Wave:
        """Sound from elsewhere in the room, RMS 1: noise, music, talk, or a colored hiss."""
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

        The loudspeaker limits the band and clips softly; its sound reaches the microphone by the
        room; the canceller takes off what a linear filter of limited length, never quite right,
        can predict: what stays is distortion, late reverberation and the filter's error.
        """
        a = self.word.acoustics
        player = state_fields(state).get("player", "idle")
        if player not in self.playback or not self.playback[player]:
            return None
        x = self.stretch(rng, self.playback[player], samples)
        band = [rng.uniform(*a.loudspeaker_low_hz), rng.uniform(*a.loudspeaker_high_hz)]
        x = sosfilt(butter(2, band, "band", fs=RATE, output="sos"), x / rms(x))
        drive = rng.uniform(*a.loudspeaker_drive)
        played = np.tanh(x * drive)
        h = self._device_rooms[rng.integers(len(self._device_rooms))]
        left = fftconvolve(played, h)[:samples]
        if rng.random() < a.canceller_share:
            linear = x * (np.dot(played, x) / (np.dot(x, x) + 1e-9))
            taps = min(len(h), int(rng.uniform(*a.canceller_tail_ms) * RATE / 1000))
            known = h[:taps] + _misalignment(rng, h[:taps], rng.uniform(*a.canceller_error_db))
            left = left - fftconvolve(linear, known)[:samples]
            # It adapts all the time, so that what it leaves comes and goes.
            left = left * np.interp(
                np.arange(samples), np.linspace(0, samples, 6), 10 ** (rng.uniform(-5, 5, 6) / 20)
            )
        left = np.asarray(left, np.float32)
        return np.asarray(left / rms(left), np.float32)

    def to_microphone(
        self,
        rng: np.random.Generator,
        speech: Wave | None,
        samples: int,
        state: str,
        active: float = 0.0,
    ) -> NDArray[np.int16]:
        """Mix one training scene: speech (or none) with all else, as int16[samples].

        `active` is the speech's RMS while speaking; levels come from the word's [data] section.
        """
        a = self.word.acoustics
        level = dbfs(rng.uniform(*a.level_dbfs))
        limit = float(np.exp(rng.uniform(*np.log(a.band_hz)))) * (rng.random() < a.band_limited)
        at_device = rng.random() < 0.4  # which limits all that it records; else the speech alone
        mix = np.zeros(samples, np.float32)
        if speech is not None and active > 0:
            if limit and not at_device:
                narrow = band(limit, speech)
                speech = narrow * (active / max(active_rms(narrow), 1e-3))
            if rng.random() < 0.5:
                wet = self.room(rng, speech)
                speech = wet * (active / max(active_rms(wet), 1e-3))
            mix += tilt(rng, speech) * (level / active)
        if rng.random() > 0.2:
            snr = rng.uniform(*a.noise_snr_db)
            mix += self.background(rng, samples) * (level * 10 ** (-snr / 20))
        volume = state_fields(state).get("volume", "")
        own = self.own_sound(rng, state, samples)
        if own is not None:
            ranges = a.signal_to_echo_db
            low, high = ranges.get(volume, next(iter(ranges.values())))
            own = own * (level * 10 ** (-rng.uniform(low, high) / 20))
            mix += own * _midway(rng, samples) if rng.random() < a.partial_playback else own
        if limit and at_device:
            mix = band(limit, mix)
        if rng.random() < 0.7:  # microphone and converter noise; else digital silence stays
            mix += rng.standard_normal(samples).astype(np.float32) * rng.uniform(0.3, 6.0)
        return to_int16(mix)


def _misalignment(rng: np.random.Generator, h: Wave, error_db: float) -> NDArray[np.float64]:
    """The error of an adaptive filter: as the echo path decays, `error_db` below it."""
    shape = np.sqrt(np.convolve(h**2, np.ones(64) / 64, mode="same"))
    error = rng.standard_normal(len(h)) * shape
    return error * (10 ** (error_db / 20) * np.linalg.norm(h) / (np.linalg.norm(error) + 1e-9))


def _midway(rng: np.random.Generator, samples: int) -> Wave:
    """Gain of playback that starts or ends within the scene, with a ramp of 20 ms."""
    at = rng.integers(samples)
    gain = np.clip((np.arange(samples) - at) / (0.02 * RATE), 0, 1).astype(np.float32)
    return gain if rng.random() < 0.5 else 1 - gain


def hiss(rng: np.random.Generator, samples: int) -> Wave:
    """Noise between white and brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.maximum(np.arange(len(spectrum)), 8) ** rng.uniform(0.0, 1.0)
    return np.asarray(np.fft.irfft(spectrum, samples), np.float32)


def tilt(rng: np.random.Generator, x: Wave) -> Wave:
    """A microphone's first-order color: +-6 dB from low to high."""
    a = np.float32(rng.uniform(-0.4, 0.4))
    y = x.copy()
    y[1:] += a * x[:-1]
    return np.asarray(y * (rms(x) / rms(y)), np.float32)


def to_int16(x: Wave) -> NDArray[np.int16]:
    """Round and clip to int16."""
    y = np.rint(x)
    return np.clip(y, -32768, 32767, out=y).astype(np.int16)


def resample(x: Wave, speed: float) -> Wave:
    """x played `speed` times as fast (pitch follows)."""
    n = int(len(x) / speed)
    return np.interp(np.arange(n) * speed, np.arange(len(x)), x).astype(np.float32)
