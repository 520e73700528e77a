# SPDX-License-Identifier: Apache-2.0
"""Device and verifier as a whole: what both accept and miss."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.examples import typed_example
from tests.support.executors import TOY
from tests.support.firmware_build import build
from wakestate.__main__ import main
from wakestate.commands import options
from wakestate.train.data.corpus import load_corpus
from wakestate.train.evaluation.device import Device
from wakestate.train.evaluation.trials import Sound, Trials, conditions
from wakestate.verify.learning.measure import Accepted, Part, System, Trialled
from wakestate.verify.protocol.window import FRAMES
from wakestate.verify.service.infer import FACTS, WEIGHTS


@pytest.mark.parametrize("logit", [-1.0, 1.0])
def test_the_whole_is_counted_with_and_without_the_verifier(
    sounds: Path,
    more: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logit: float,
) -> None:
    class Sure:
        frames, threshold, wakes = FRAMES, 0.0, ()

        def score(
            self, features: NDArray[np.float32], states: NDArray[Any]
        ) -> tuple[NDArray[np.float64], ...]:
            assert len(states) == len(features) and (states == 0).all()
            assert features.shape[1:] == (FRAMES, TOY.word.frontend.bands)
            return (np.full(len(features), logit),) * 3

    library = build("toy", "host").folder / "libwakestate.so"
    monkeypatch.setattr(
        "wakestate.verify.learning.measure.conditions", lambda word, ser: conditions(word, ser)[:2]
    )
    sure: Any = Sure()
    device = Device(library, TOY.word)
    sure.wakes = [device.threshold(i) - 2 for i in range(len(TOY.word.states))]
    verifier = "wakestate.verify.service.detector.TrainedVerifier"
    monkeypatch.setattr(f"{verifier}.load", lambda *_: sure)
    monkeypatch.setattr(options, "CACHE", cache)
    for name in (FACTS, WEIGHTS):
        (tmp_path / name).touch()
    call = typed_example(
        "verifier measure",
        {"alexa": TOY.word_path, "data/alexa": sounds},
        *("--also", more, "--model", TOY.folder, "--verifier", tmp_path),
        *("--library", library, "--out", tmp_path),
    )
    assert main(call) == 0
    text = capsys.readouterr().out
    found = json.loads((tmp_path / "verify.json").read_text())
    rows = found["rows"]
    assert [row["condition"] for row in rows] == ["clean", "noise 10 dB"]
    for row in rows:
        (one, first, both), misses = row["accepts"], row["misses"]
        assert first > 0 and both == (first if logit > 0 else 0)
        assert row["thresholds"] == [sure.wakes[0] + 2, sure.wakes[0]]
        assert one < first and misses[0] >= misses[1]
        assert misses[2] == (misses[1] if logit > 0 else row["trials"])
    one = rows[0]["accepts"][0]  # of the one stream that both conditions use
    assert f"| **all** | {one}, {one / rows[0]['hours']:.2f}/h | " in text
    hours = Trials(TOY.word, load_corpus(sounds, "dev", cache, TOY.word.data, [more]), 1, 3).hours
    assert rows[0]["hours"] == rows[1]["hours"] == pytest.approx(hours)
    trials = sum(row["trials"] for row in rows)
    more = 100 * sum(row["misses"][2] - row["misses"][0] for row in rows) / trials
    assert f"Both miss {more:+.1f} points more" in text
    assert [c["meant"] for c in found["crossed"]] == [0.5, 0.1]


def test_each_half_is_judged_at_the_threshold_of_the_other() -> None:
    stream = Sound(), TOY.word.states[0]
    blocks = [SimpleNamespace(half=0, hours=10.0), SimpleNamespace(half=1, hours=10.0)]
    system: Any = SimpleNamespace(trials=SimpleNamespace(block=blocks.__getitem__))
    logits = [np.array([2.0, 3.0, 1.0]), np.array([5.0, -1.0, 4.0])]
    done = [(Part(n, (stream,)), Accepted({stream: 0}, {stream: logits[n]})) for n in (0, 1)]
    highest = np.array([2.5, 4.5, 2.5, -np.inf])
    trialled = Trialled(np.zeros((3, 4), np.bool_), highest, ["a"] * 4, [0, 0, 1, 1])
    found = System.crossed(system, done, [trialled], 0.1)  # one in the 10 h of a half
    assert found.thresholds == (np.nextafter(4.0, 9.0), np.nextafter(2.0, 9.0))
    assert (found.accepts, found.hours) == (2, 20.0)  # none of the first half, 5 and 4 of the other
    assert (found.misses, found.trials) == (2, 4)
    everything = System.crossed(system, done, [trialled], 0.5)
    assert everything.thresholds == (-1.0, 1.0) and everything.accepts == 5
