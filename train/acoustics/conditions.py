# SPDX-License-Identifier: Apache-2.0
"""Conditions of real life: what a mouth, a room, a microphone or a line does to sound.

ALTERATIONS is the table, a row of the tables each. All but rooms are the same at every call.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from wakestate.train.acoustics import rooms
from wakestate.train.acoustics.filters import FULL_SCALE, Wave, band, filtered, fit, tempo
from wakestate.train.acoustics.stage import active_rms, hiss, rms
from wakestate.train.data.corpus import RATE

Rng = np.random.Generator
Change = Callable[[Wave, Rng], Wave]
SEMITONES = 3.0
DC = 0.1 * FULL_SCALE
OVER_DB = 12.0  # the loudest sample over full scale
OPUS_EFFORT = "5"  # of 10, which takes three times as long
ROOMS, RT60_S = 8, (0.3, 0.6)  # simulated rooms of each distance
AMBIENT_DB = 30.0  # hiss below speech at 1 m


@dataclass(frozen=True)
class Alteration:
    """`change` of float32[samples]; of as many samples but for the tempo."""

    name: str
    change: Change
    tempo: float = 1.0  # times as fast: places of the word move
    stream: bool = False  # also done to sound without the word
    level: bool = False  # of recordings brought to the level of speech in mixes first


def pitch(semitones: float, x: Wave, _: Rng) -> Wave:
    """A higher or lower voice, formants with it, as fast as before."""
    times = 2 ** (semitones / 12)
    chain = [
        ("asetrate", f"{round(RATE * times)}"),
        ("aresample", f"{RATE}"),
        ("atempo", f"{1 / times}"),
    ]
    return filtered(x, chain, len(x))


def source(rate: int, x: Wave, _: Rng) -> Wave:
    """Recorded at a lower rate."""
    return fit(soxr.resample(soxr.resample(x, RATE, rate), rate, RATE), len(x))


def coded(codec: str, container: str, rate: int, bits: int, x: Wave, _: Rng) -> Wave:
    """Through a codec at a rate in Hz and bit/s, there and back."""
    import av

    y = soxr.resample(x, RATE, rate) if rate != RATE else x
    pcm = np.clip(np.rint(y), -32768, 32767).astype(np.int16)
    written = io.BytesIO()
    with av.open(written, "w", format=container) as file:
        effort = {"compression_level": OPUS_EFFORT} if codec == "libopus" else None
        stream: Any = file.add_stream(codec, rate, effort, layout="mono")
        if bits:
            stream.bit_rate = bits
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        fits = av.AudioResampler(
            format=stream.format.name,
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size or 0,
        )
        for part in (*fits.resample(frame), *fits.resample(None)):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    written.seek(0)
    with av.open(written, "r", format=container) as file:
        back = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        parts: list[NDArray[Any]] = [
            f.to_ndarray().ravel() for frame in file.decode(audio=0) for f in back.resample(frame)
        ]
        parts += [f.to_ndarray().ravel() for f in back.resample(None)]
    return fit(np.concatenate(parts) * np.float32(FULL_SCALE), len(x))


def offset(amount: float, x: Wave, _: Rng) -> Wave:
    """A constant added, as cheap converters do."""
    return np.asarray(x + np.float32(amount), np.float32)


def clipped(over_db: float, x: Wave, _: Rng) -> Wave:
    """So loud that the loudest sample would be so far over full scale."""
    loudest = max(float(np.abs(x).max(initial=0)), 1.0)
    times = FULL_SCALE * 10 ** (over_db / 20) / loudest
    return np.asarray(np.clip(x * np.float32(times), -FULL_SCALE, FULL_SCALE - 1), np.float32)


@cache
def _rooms(distance_m: float) -> list[Wave]:
    rng = np.random.default_rng([8, int(100 * distance_m)])
    return [rooms.response(rng, distance_m, rng.uniform(*RT60_S)) for _ in range(ROOMS)]


def room(distance_m: float, x: Wave, rng: Rng) -> Wave:
    """Said at a distance in one of some rooms: its reverberation, 6 dB less each time that the
    distance doubles, and hiss that stays."""
    responses = _rooms(distance_m)
    h = responses[rng.integers(len(responses))]
    noise = hiss(rng, len(x))
    noise *= np.float32(active_rms(x) * 10 ** (-AMBIENT_DB / 20) / rms(noise))
    return np.asarray(fftconvolve(x, h)[: len(x)] / distance_m + noise, np.float32)


ALTERATIONS: dict[str, Alteration] = {
    a.name: a
    for a in (
        *(Alteration(f"tempo {t:g}", partial(tempo, t), tempo=t) for t in (0.8, 1.25, 1.5)),
        *(
            Alteration(f"pitch {s:+g} semitones", partial(pitch, s))
            for s in (-SEMITONES, SEMITONES)
        ),
        *(
            Alteration(f"band to {khz:g} kHz", partial(band, 1000 * khz), stream=khz < 4)
            for khz in (3.4, 6.0, 7.0)
        ),
        Alteration("source of 11 kHz", partial(source, 11025)),
        Alteration("Opus, 16 kbit/s", partial(coded, "libopus", "ogg", RATE, 16000), stream=True),
        Alteration("mu-law, 8 kHz", partial(coded, "pcm_mulaw", "wav", 8000, 0), stream=True),
        Alteration("MP3, 32 kbit/s", partial(coded, "libmp3lame", "mp3", RATE, 32000), stream=True),
        Alteration("DC offset 10 %", partial(offset, DC), stream=True),
        Alteration("clipped by 12 dB", partial(clipped, OVER_DB)),
        *(Alteration(f"{m:g} m in a room", partial(room, m), level=True) for m in (1.0, 3.0, 5.0)),
    )
}
