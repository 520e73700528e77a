# SPDX-License-Identifier: Apache-2.0
"""What the shipped model is judged on: windows of sound and noise, and what must come of each."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.support.executors import ALEXA, Int8
from wakestate.boards.vectors import Vectors
from wakestate.convert.frontend import frames, reference, to_int8
from wakestate.convert.reference import whole

FRONTEND = ALEXA.word.frontend

HOPS = ALEXA.word.model.receptive_hops

COUNT = 200

Expected = list[dict[str, NDArray[Any]]]  # a record: stage -> values


@cache
def random_pcm() -> NDArray[np.int16]:
    """Noise at every level from 0 to full scale."""
    rng = np.random.default_rng(11)
    x = rng.integers(-32768, 32768, COUNT * FRONTEND.window_samples).astype(np.int16)
    return x >> np.repeat(np.arange(COUNT) % 16, FRONTEND.window_samples)


@cache
def random_windows() -> Int8:
    rng = np.random.default_rng(12)
    return rng.integers(-128, 128, (COUNT, HOPS, FRONTEND.bands)).astype(np.int8)


def sample() -> NDArray[np.int16]:
    """The bundled sample."""
    return soundfile.read(ALEXA.folder / "sample.wav", dtype="int16")[0]


def spread(items: NDArray[np.integer], count: int = COUNT) -> NDArray[np.integer]:
    """`count` items, evenly over all of them."""
    return items[np.linspace(0, len(items) - 1, count).astype(int)]


def audio_windows(pcm: NDArray[np.int16]) -> Int8:
    """int8[COUNT, HOPS, bands], evenly over the recording."""
    columns = to_int8(reference(FRONTEND, frames(FRONTEND, pcm)))
    view = np.lib.stride_tricks.sliding_window_view(columns, HOPS, axis=0)
    return np.ascontiguousarray(spread(view).transpose(0, 2, 1))


def layers_at_the_end(state: int, windows: Int8) -> Expected:
    """What the firmware traces of each window: every layer's newest column, and the outputs."""
    outputs = whole(ALEXA.network, state, windows)
    last = ALEXA.network.layers[-1].name
    return [
        {**{name: v[i, -1] for name, v in outputs.items()}, "returned": outputs[last][i, 0]}
        for i in range(len(windows))
    ]


def frontend_case(pcm: NDArray[np.int16]) -> tuple[Vectors, Expected]:
    vectors = Vectors()
    windows = np.concatenate([spread(frames(FRONTEND, pcm)), random_pcm().reshape(COUNT, -1)])
    vectors.frontend(windows)
    q8 = reference(FRONTEND, windows)
    return vectors, [{"features_q8": q8, "features": to_int8(q8)}]
