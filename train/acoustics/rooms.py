# SPDX-License-Identifier: Apache-2.0
"""Simulated room impulse responses: a speaker at a distance, and a device's own loudspeaker.

Shoebox rooms by the image source method (Allen and Berkley, 1979), as pyroomacoustics computes
it; an exponential tail takes over where the images end.
"""

from __future__ import annotations

import numpy as np
import pyroomacoustics
from numpy.typing import NDArray

from wakestate.audio import RATE

IMAGE_ORDER = 10  # reflections computed one by one; more take long and add little
SMALLEST_M = np.array([2.5, 2.5, 2.3])
LARGEST_M = np.array([8.0, 6.0, 3.2])
WALL_M = 0.1  # nobody is nearer to a wall
LONGEST_S = 0.5  # responses are cut here


def response(rng: np.random.Generator, distance_m: float, rt60_s: float) -> NDArray[np.float32]:
    """One response from a source at `distance_m`, from its direct sound on, unit energy."""
    room, microphone, source = _place(rng, distance_m)
    try:
        absorption, order = pyroomacoustics.inverse_sabine(rt60_s, room)
    except ValueError:  # the room is too large to be so dry
        absorption, order = 0.99, IMAGE_ORDER
    box = pyroomacoustics.ShoeBox(
        room,
        fs=RATE,
        materials=pyroomacoustics.Material(absorption),
        max_order=min(order, IMAGE_ORDER),
    )
    box.add_source(source)
    box.add_microphone(microphone)
    box.compute_rir()
    h = np.asarray(box.rir[0][0], np.float64)
    h = h[max(0, int(np.argmax(np.abs(h))) - 8) :]
    if order > IMAGE_ORDER:
        h = _with_tail(rng, h, rt60_s)
    h = h[: int(LONGEST_S * RATE)]
    return np.asarray(h / np.sqrt(np.sum(h**2)), np.float32)


def _place(
    rng: np.random.Generator, distance_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A room, a microphone and a source so far apart, drawn until they fit."""
    while True:
        room = rng.uniform(SMALLEST_M, LARGEST_M)
        microphone = rng.uniform(2 * WALL_M, room - 2 * WALL_M)
        way = rng.standard_normal(3) * [1.0, 1.0, 0.3]
        source = microphone + way * (distance_m / np.linalg.norm(way))
        if np.all(source > WALL_M) and np.all(source < room - WALL_M):
            return room, microphone, source


def _with_tail(
    rng: np.random.Generator, h: NDArray[np.float64], rt60_s: float
) -> NDArray[np.float64]:
    """Continue with decaying noise from the time at which the image order begins to lack sound."""
    power = np.convolve(h**2, np.ones(160) / 160, mode="same")
    alive = np.flatnonzero(power > power.max() * 1e-4)
    begin = int(alive[-1] * 0.6)  # the last images come sparse
    level = np.sqrt(power[max(0, begin - 160) : begin + 160].mean())
    n = max(0, int(LONGEST_S * RATE) - begin)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / (rt60_s * RATE)) * level
    return np.concatenate([h[:begin], tail])
