# SPDX-License-Identifier: Apache-2.0
"""What the conditions of real life do to a tone at a known place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.support.executors import TOY
from wakestate.train.acoustics.conditions import ALTERATIONS, AMBIENT_DB, room
from wakestate.train.acoustics.filters import FULL_SCALE, Wave
from wakestate.train.data.corpus import RATE, load_corpus
from wakestate.train.evaluation.trials import LEAD, Condition, Sound, Trials, conditions

HZ = 500.0


def tone(hz: float = HZ) -> Wave:
    """A second of silence, a second of a tone that swells and fades, a second of silence."""
    x = np.zeros(3 * RATE, np.float32)
    t = np.arange(RATE) / RATE
    x[RATE : 2 * RATE] = 6000 * np.sin(2 * np.pi * hz * t) * np.hanning(RATE)
    return x


def changed(name: str, x: Wave) -> Wave:
    y = ALTERATIONS[name].change(x, np.random.default_rng(1))
    assert y.dtype == np.float32 and len(y) == round(len(x) / ALTERATIONS[name].tempo)
    return y


def highest(y: Wave) -> float:
    """The frequency with the most energy, Hz, constants left out."""
    power = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    return float((np.argmax(power[100:]) + 100) * RATE / len(y))


def power(y: Wave) -> float:
    return float(np.square(y[RATE : 2 * RATE], dtype=np.float64).mean())


@pytest.mark.parametrize("name", ALTERATIONS)
def test_every_alteration_keeps_place_and_pitch_but_those_it_names(name: str) -> None:
    y = changed(name, tone())
    assert np.array_equal(y, changed(name, tone()))
    measured = 12 * np.log2(highest(y) / HZ)
    asked = float(name.split()[1]) if name.startswith("pitch") else 0.0
    assert measured == pytest.approx(asked, abs=0.15)
    if not name.startswith("DC"):
        energy = np.square(y, dtype=np.float64)
        center = float(np.sum(np.arange(len(y)) * energy) / energy.sum()) / RATE
        delay = 0.04 if name.endswith("room") else 0.008  # reverberation comes after
        assert center * ALTERATIONS[name].tempo == pytest.approx(1.5, abs=delay)


@pytest.mark.parametrize(
    ("name", "passed", "lost"),
    [
        ("band to 3.4 kHz", 2500, 5500),
        ("band to 6 kHz", 5000, 7800),
        ("band to 7 kHz", 6000, 7950),
        ("source of 11 kHz", 5000, 6000),
        ("mu-law, 8 kHz", 3500, 4500),
    ],
)
def test_what_lies_above_the_band_is_lost(name: str, passed: float, lost: float) -> None:
    for hz, minimum, maximum in ((passed, 0.5, 1.1), (lost, 0.0, 0.25)):
        x = tone(hz)
        assert minimum <= power(changed(name, x)) / power(x) <= maximum


def test_offset_and_clipping() -> None:
    y = changed("DC offset 10 %", tone())
    assert y[:RATE] == pytest.approx(0.1 * FULL_SCALE)
    y = changed("clipped by 12 dB", tone())
    assert y.max() == FULL_SCALE - 1 and y.min() == -FULL_SCALE
    assert (np.abs(y) >= FULL_SCALE - 1).mean() > 0.1


def test_codecs_lose_something_and_not_much() -> None:
    for name in ("Opus, 16 kbit/s", "mu-law, 8 kHz", "MP3, 32 kbit/s"):
        x = tone()
        error = power(changed(name, x) - x) / power(x)
        assert 1e-7 < error < 0.1, name


def test_farther_is_weaker_in_the_same_hiss() -> None:
    x = tone()
    x[RATE : 2 * RATE] = np.random.default_rng(3).normal(0, 3000, RATE)
    loud, hissing = [], []
    for meters in (1.0, 3.0, 5.0):
        found = [room(meters, x, np.random.default_rng(i)) for i in range(16)]
        loud.append(np.mean([power(y) for y in found]))
        hissing.append(np.mean([np.square(y[: RATE // 2]).mean() for y in found]))
    weaker = [10 * np.log10(a / b) for a, b in pairwise(loud)]
    assert weaker == pytest.approx([9.5, 4.4], abs=1)  # 20 lg 3, 20 lg (5 / 3)
    assert max(hissing) < 1.1 * min(hissing)
    assert 10 * np.log10(power(x) / hissing[0]) == pytest.approx(AMBIENT_DB, abs=0.5)


def test_words_move_with_the_tempo_and_streams_through_codecs(
    sounds: object, cache: object
) -> None:
    trials = Trials(TOY.word, load_corpus(sounds, "dev", cache), seed=1, draws=2)  # type: ignore[arg-type]
    by_name = {c.name: c for c in conditions(TOY.word, {"high": (0.0,)})}
    assert all(by_name[name].part == "life" for name in ALTERATIONS)
    for clip, pcm, start, end in trials.recordings(by_name["tempo 1.25"].sound):
        assert start == round((clip.start + LEAD) / 1.25) and end == round((clip.end + LEAD) / 1.25)
        assert len(pcm) < (clip.samples + 2 * LEAD) / 1.2
    assert by_name["tempo 1.25"].sound.stream == Sound()
    dc = by_name["DC offset 10 %"].sound.stream
    assert dc == Sound(altered="DC offset 10 %") and Condition("x", "player=idle").sound == Sound()
    block = trials.blocks[0]
    difference = trials.stream(dc, block).astype(int) - trials.stream(Sound(), block)
    assert abs(np.median(difference) - 3277) <= 1
