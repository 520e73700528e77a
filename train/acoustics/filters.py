# SPDX-License-Identifier: Apache-2.0
"""Filters of sound: tempo without pitch, and band limits.

Sound is float32[samples] at 16 kHz, int16-scaled. The unused last argument makes the filters fit
train/acoustics/conditions.py, whose changes may draw.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from wakestate.audio import RATE

Wave = NDArray[np.float32]
FULL_SCALE = 32768.0


def filtered(x: Wave, chain: list[tuple[str, str]], samples: int) -> Wave:
    """Through FFmpeg's filters; cut, or filled with silence, to that many samples."""
    import av

    graph: Any = av.filter.Graph()
    nodes = [graph.add_abuffer(format="flt", sample_rate=RATE, layout="mono")]
    nodes += [graph.add(name, given) for name, given in chain]
    nodes += [
        graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE}:channel_layouts=mono"),
        graph.add("abuffersink"),
    ]
    for one, other in itertools.pairwise(nodes):
        one.link_to(other)
    graph.configure()
    frame = av.AudioFrame.from_ndarray((x / FULL_SCALE)[None], format="flt", layout="mono")
    frame.sample_rate = RATE
    nodes[0].push(frame)
    nodes[0].push(None)
    parts: list[NDArray[Any]] = []
    while True:
        try:
            parts.append(nodes[-1].pull().to_ndarray().ravel())
        except (av.error.EOFError, av.error.BlockingIOError):
            break
    return fit(np.concatenate(parts) * np.float32(FULL_SCALE), samples)


def fit(x: NDArray[Any], samples: int) -> Wave:
    """Cut to that many samples, or filled with silence."""
    return np.asarray(np.pad(x[:samples], (0, max(0, samples - len(x)))), np.float32)


def tempo(times: float, x: Wave, _: Any = None) -> Wave:
    """Spoken that many times as fast, at the same pitch: `len(x) / times` samples."""
    return filtered(x, [("atempo", f"{times}")], round(len(x) / times))


def band(high_hz: float, x: Wave, _: Any = None) -> Wave:
    """Nothing above a frequency: 6 dB less there, 72 dB less an octave on."""
    sos = butter(6, high_hz, fs=RATE, output="sos")
    return np.asarray(sosfiltfilt(sos, x), np.float32) if len(x) > 64 else x
