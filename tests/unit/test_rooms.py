# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms, and what a device leaves of its own sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import welch

from tests.support.small_data import beep
from wakestate.train.acoustics.stage import Stage, rms, rooms
from wakestate.train.data.corpus import RATE, Corpus


def decay_s(h: np.ndarray) -> float:
    """RT60 by Schroeder's backward integral, from -5 to -25 dB."""
    energy = np.cumsum(h[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    return float(3 * (np.argmax(level < -25) - np.argmax(level < -5)) / RATE)


def test_a_response_has_unit_energy_its_direct_sound_first_and_decays() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        h = rooms.response(rng, 1.5, 0.4)
        assert np.isclose(np.sum(h.astype(np.float64) ** 2), 1.0, atol=1e-4)
        assert int(np.argmax(np.abs(h))) <= 8
        assert len(h) <= rooms.LONGEST_S * RATE


@pytest.mark.parametrize("rt60", [0.2, 0.5])
def test_rooms_reverberate_as_long_as_asked(rt60: float) -> None:
    found = [decay_s(rooms.response(np.random.default_rng(s), 2.0, rt60)) for s in range(12)]
    assert np.median(found) == pytest.approx(rt60, rel=0.35)


def test_who_stands_near_is_loud() -> None:
    def direct(distance: float) -> float:
        share = [
            np.sum(rooms.response(np.random.default_rng(s), distance, 0.5)[:80] ** 2)
            for s in range(10)
        ]
        return float(np.mean(share))

    assert direct(0.1) > 0.9 > direct(0.5) > direct(3.0)


def test_a_canceller_leaves_distortion_and_less_of_the_tune(corpus: Corpus, tmp_path: Path) -> None:
    """The tones that a device plays are less prominent over the rest."""
    word = beep(tmp_path, 10)
    drive = {"loudspeaker_drive": (1.2, 1.2), "canceller_tail_ms": (80.0, 80.0)}
    share = {}
    for canceled in (0.0, 1.0):
        acoustics = word.acoustics.model_copy(update=drive | {"canceller_share": canceled})
        stage = Stage(corpus, word.model_copy(update={"acoustics": acoustics}))
        found = []
        for seed in range(6):
            own = stage.own_sound(np.random.default_rng(seed), "player=alarm,volume=high", RATE)
            assert own is not None and rms(own) == pytest.approx(1.0, abs=1e-3)
            hertz, power = welch(own, RATE, nperseg=1024)
            found.append(power[(hertz > 1900) & (hertz < 3100)].sum() / power.sum())
        share[canceled] = float(np.mean(found))
    assert share[0.0] > 0.9 and share[1.0] < share[0.0] - 0.03


def test_playback_may_start_or_end_midway(corpus: Corpus, tmp_path: Path) -> None:
    word = beep(tmp_path, 80)
    update = {"partial_playback": 1.0}
    stage = Stage(
        corpus, word.model_copy(update={"acoustics": word.acoustics.model_copy(update=update)})
    )
    ends = []
    for seed in range(12):
        x = stage.to_microphone(
            np.random.default_rng(seed), None, RATE, "player=music,volume=high"
        ).astype(np.float32)
        ends.append((rms(x[:800]) > 100, rms(x[-800:]) > 100))
    assert {(True, False), (False, True)} <= set(ends)
    assert sum(a != b for a, b in ends) >= 8


@pytest.mark.parametrize("split", ["dev", "check"])
def test_splits_have_other_rooms(corpus: Corpus, tmp_path: Path, split: str) -> None:
    word = beep(tmp_path, 10)
    other = corpus.only(corpus.clips)
    other.split = split
    one, two = (Stage(c, word)._speaker_rooms for c in (corpus, other))
    assert not any(np.array_equal(a, b) for a in one[:8] for b in two)
