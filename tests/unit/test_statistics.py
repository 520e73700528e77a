# SPDX-License-Identifier: Apache-2.0
"""Intervals, tests and halves against known values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.support.executors import TOY
from wakestate.convert.manifest import Logit
from wakestate.train.data.corpus import Clip
from wakestate.train.data.halves import group, halves
from wakestate.train.evaluation.metrics import Accepts
from wakestate.train.evaluation.statistics import paired, poisson
from wakestate.train.evaluation.streams import Block, blocks, gap_samples, thinned
from wakestate.train.evaluation.thresholds import (
    TAIL_LOGITS,
    USUAL_LOGITS,
    ScoreScale,
    extrapolated,
)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.3640, 121.6268)],
)
def test_poisson_interval(count: int, low: float, high: float) -> None:
    """Garwood's values, as tables have them."""
    assert poisson(count, 1.0) == pytest.approx((low, high), abs=2e-4)
    assert poisson(count, 4.0) == pytest.approx((low / 4, high / 4), abs=1e-4)


def test_paired_test() -> None:
    def test(ours: list[int], others: list[int], who: list[str]) -> tuple[float, float]:
        found = paired(np.random.default_rng(1), np.array(ours, bool), np.array(others, bool), who)
        assert found.low <= found.difference <= found.high
        return round(found.difference, 4), round(found.p, 4)

    each = [f"v{i}" for i in range(20)]
    assert test([1] * 20, [1] * 20, each) == (0.0, 1.0)
    # McNemar's exact test: 6 to 0 is 2 / 2 ** 6; 7 to 2 is 2 * (1 + 9 + 36) / 2 ** 9.
    assert test([0] * 20, [1] * 6 + [0] * 14, each) == (-0.3, 0.0312)
    assert test([1] * 7 + [0] * 13, [0] * 7 + [1] * 2 + [0] * 11, each) == (0.25, 0.1797)
    # Six misses of one speaker are one event, not six.
    assert test([0] * 20, [1] * 6 + [0] * 14, ["v"] * 6 + each[6:]) == (-0.3, 1.0)
    # Too many to try all signs: 15 to 0 is 2 / 2 ** 15; 12 to 8 is 0.50.
    assert test([1] * 15 + [0] * 5, [0] * 20, each)[1] < 0.001
    assert test([1] * 12 + [0] * 8, [0] * 12 + [1] * 8, each)[1] == pytest.approx(0.503, abs=0.02)


def made(number: int, kind: str, speaker: str, seconds: int, source: str = "") -> Clip:
    label = "toy" if kind == "toy" else ""
    return Clip(f"{kind}-{number}", kind, label, speaker, 0, 16000 * seconds, source=source)


def test_halves_share_no_voice_and_no_package() -> None:
    words = [made(i, "toy", f"w{i // 3}", 1) for i in range(60)]
    others = [made(i, "speech", f"s{i % 7}", 20 + i % 5) for i in range(100)]
    others += [made(i, "music", "n/a", 60, f"debian: music-{i % 6} 1.{i % 6}") for i in range(40)]
    others += [made(i, "acted_speech", f"v{i}", 60, "debian: game 1.0") for i in range(9)]
    found = halves(words, others)
    sides: dict[str, set[int]] = {}
    for clip in words + others:
        sides.setdefault(group(clip), set()).add(found[clip])
    assert all(len(side) == 1 for side in sides.values())
    assert Counter(found[clip] for clip in words) == {0: 30, 1: 30}
    hours = [sum(c.samples for c in others if found[c] == side) for side in (0, 1)]
    assert abs(hours[0] - hours[1]) < 0.1 * sum(hours)
    music = [sum(c.samples for c in others if found[c] == s and c.kind == "music") for s in (0, 1)]
    assert abs(music[0] - music[1]) <= 0.2 * sum(music)
    # The order of rows, and what else is there of the word, change nothing else.
    assert halves(words[::-1], others[::-1]) == found
    # Nobody is known: each recording of the word is a voice of its own.
    nameless = [replace(clip, speaker="unknown") for clip in words]
    again = halves(nameless, others)
    assert Counter(again[clip] for clip in nameless) == {0: 30, 1: 30}
    # Of several packages, and noise of no package: by file; talk of nobody known: by source.
    several = "debian: one, two"
    assert group(made(1, "music", "n/a", 9, several)) == "music-1"
    assert group(made(1, "noise", "", 9, "somewhere")) == "noise-1"
    assert group(made(1, "speech", "", 9, "somewhere")) == "somewhere"
    # All of one source: by file.
    one = [replace(clip, speaker="", source="there") for clip in others[:100]]
    assert {halves(words, one)[clip] for clip in one} == {0, 1}


def test_blocks_hold_one_half_and_report_what_is_where() -> None:
    clips = [made(i, "speech", f"s{i % 2}", 250) for i in range(8)]
    half = {clip: int(clip.speaker == "s1") for clip in clips}
    found = blocks(clips, half, 32000)
    assert [(b.number, b.half, len(b.clips)) for b in found] == [
        (0, 0, 3),
        (1, 0, 1),
        (2, 1, 3),
        (3, 1, 1),
    ]
    first = found[0]
    assert first.samples == 3 * 16000 * 250 + 4 * 32000 and first.hours == 750 / 3600
    assert first.place(0) == (clips[0], -2.0) and first.place(32000) == (clips[0], 0.0)
    assert first.place(32000 + 16000 * 251) == (clips[0], 251.0)
    assert first.place(2 * 32000 + 16000 * 250) == (clips[2], 0.0)
    assert thinned(found, 9.0) == found
    many = [Block(i, i % 2, (clips[0],), 32000) for i in range(48)]
    few = thinned(many, 24 * clips[0].samples / 16000 / 3600)
    assert [b.number for b in few] == [*range(0, 48, 4), *range(1, 48, 4)]


def test_no_score_spans_two_recordings() -> None:
    word = TOY.word
    assert gap_samples(word) == 32000  # 2 s
    detector = word.detector.model_copy(update={"smoothing_steps": 500})
    slow = word.model_copy(update={"detector": detector})
    f, m = word.frontend, word.model
    whole = (m.receptive_hops - 1 + 499 * m.stride) * f.hop_samples + f.window_samples
    assert gap_samples(slow) == whole
    assert isinstance(Block(0, 0, (made(0, "speech", "s", 1),), whole).samples, int)


def test_a_threshold_of_few_hours_follows_the_tail_of_other_words() -> None:
    scale = ScoreScale(Logit(scale=0.2, zero_point=-10), 5)
    assert scale.score(0.0) == -50 and scale.score(4.0) == 50
    thresholds = np.arange(-300, 400)
    # 20 an hour at 2 logits, and 1/e of them every 1.8.
    rates = 20 * np.exp(-((thresholds / 5 + 10) * 0.2 - 2) / TAIL_LOGITS)
    wanted = 2 + TAIL_LOGITS * np.log(20 / 0.5)

    def accepts(hours: float) -> Accepts:
        counts = np.floor(rates * hours / 2).astype(np.int64)
        return Accepts(thresholds, np.stack([counts, counts]), (hours / 2, hours / 2))

    few, many = accepts(1.0), accepts(10.0)
    assert extrapolated(few, 0.5, scale) == pytest.approx(scale.score(wanted), abs=10)
    assert extrapolated(few, 0.5, scale) != few.threshold(0.5)
    assert extrapolated(many, 0.5, scale) == many.threshold(0.5)
    # Of next to no sound: as other words have it, unless a sound needs a higher one.
    lowest, highest = map(scale.score, USUAL_LOGITS)
    for loudest, low, high in ((-290, lowest, highest), (0, highest, highest), (390, 391, 391)):
        counts = np.tile(np.where(thresholds <= loudest, 50, 0), (2, 1))
        found = extrapolated(Accepts(thresholds, counts, (0.005, 0.005)), 0.5, scale)
        assert low <= found <= high
    # A network that has learned little has no logit so high.
    little = ScoreScale(Logit(scale=0.02, zero_point=0), 5)
    assert extrapolated(few, 0.5, little) == little.never == 636
