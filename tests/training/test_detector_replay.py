# SPDX-License-Identifier: Apache-2.0
"""The detector replayed with the verifier: in the sum that decides, and as lowered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import TOY
from tests.support.firmware_build import build as build_toy
from tests.support.untrained import network
from wakestate.convert.hostlib import Extractor
from wakestate.convert.manifest import read_manifest
from wakestate.convert.reference import read_network, whole
from wakestate.train.artifacts import save_arrays, write_json
from wakestate.train.evaluation.device import Device
from wakestate.verify.learning.examples import LOWERED, NEAREST, SCENE_S, SHIPPED, Examples
from wakestate.verify.learning.fit import folded
from wakestate.verify.learning.networks import build
from wakestate.verify.learning.thresholds import DETECTOR_RATE, heaviest, lowered, thresholds_of
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.window import FRAMES
from wakestate.verify.service.detector import DetectorReplay, TrainedVerifier, sensitivity
from wakestate.words import load_word

ROOT = Path(__file__).resolve().parents[2]


def test_the_detector_replay_equals_the_device() -> None:
    word, smoothing = TOY.word, TOY.word.detector.smoothing_steps
    device = Device(build_toy("toy", "host").folder / "libwakestate.so", word)
    extract, f = Extractor(word.frontend), word.frontend
    rng = np.random.default_rng(4)
    samples = (FRAMES - 1) * f.hop_samples + f.window_samples
    pcm = (rng.normal(0, 1, (4, samples)) * 10 ** rng.uniform(1, 4, (4, 1))).astype(np.int16)
    states = np.array([1, 0, len(word.states) - 1, 1])
    features = np.stack([extract.features(x) for x in pcm]).astype(np.float32)
    detector = DetectorReplay(word, TOY.folder)
    sure = detector.confidence(features, states)
    scale = read_manifest(TOY.folder).logit.scale
    whole = -(-word.model.receptive_hops // word.model.stride) - 1  # the first step of real sound
    for i, state in enumerate(states.tolist()):
        best = [
            int(
                device.scores(pcm[i, phase * f.hop_samples :], state)[whole + smoothing - 1 :].max()
            )
            for phase in range(word.model.stride)
        ]
        above = np.mean(best) - device.threshold(state)
        assert sure[i] == pytest.approx(above * scale / smoothing, abs=1e-5)
    assert np.ptp(sure) > 0


def test_detector_and_verifier_accept_as_many_words_as_one() -> None:
    rng = np.random.default_rng(7)
    is_word, state = rng.random(4000) < 0.5, rng.integers(0, 3, 4000).astype(np.uint8)
    state[is_word & (state == 2)] = 0  # no word is known in the last state
    best = rng.integers(20, 160, 4000).astype(np.int16)
    woke = np.select([best >= 100, best >= 40], [SHIPPED, LOWERED], NEAREST).astype(np.int8)
    place = np.where(is_word[:, None], 1.0, np.nan) * np.ones((4000, 2))
    none, kind = np.full(4000, ""), np.where(is_word, "positive", "negative")
    examples = Examples(
        np.zeros((4000, 1, 1), np.int8), place.astype(np.float32), none, kind, woke, state, best
    )
    wakes = lowered(examples, [100, 100, 100], [40.0, 130.0, 40.0])
    assert wakes[1] == 100  # never above what ships, whatever the least is
    for one in (0, 2):
        others = best[~is_word & (state == one)]
        allowed = int(DETECTOR_RATE * len(others) * SCENE_S / 3600)
        assert wakes[one] == min(100, np.sort(others)[::-1][allowed] + 1)
    asked = best >= 70
    score = rng.normal(0, 1, 4000)
    score[state == 0] -= 1  # so its own limit is below that of all
    thresholds = thresholds_of(examples, score, asked, 3)
    assert thresholds[0] == thresholds[2] < thresholds[1]
    words = is_word & asked & (state == 1)
    accepted = (words & (score >= thresholds[1])).sum()
    assert abs(int(accepted) - int((words & (woke == SHIPPED)).sum())) <= 1  # as written
    words = is_word & asked
    assert (
        abs(int((words & (score >= thresholds[2])).sum()) - int((words & (woke == SHIPPED)).sum()))
        < 3
    )
    assert (thresholds_of(examples, score, asked, 3, 0.9) > thresholds).all()


def test_the_detector_weighs_as_much_as_it_costs_nothing() -> None:
    assert heaviest({0.0: 100, 0.1: 96, 0.25: 105, 0.5: 107, 1.0: 300}) == 0.25
    assert heaviest({0.0: 100, 0.5: 300}) == 0.0


def test_no_phase_includes_what_came_round() -> None:
    """The cut's beginning, moved behind its end, would change some of these scores."""
    trained = DetectorReplay(WORD, FOLDER)
    network, newest = read_network(WORD, FOLDER), WORD.detector.smoothing_steps
    columns = np.random.default_rng(1).integers(-128, 128, (48, FRAMES, WORD.frontend.bands))
    columns[:, :20] = -128
    columns = columns.astype(np.int8)
    expected, wrapped = [], []
    for phase in range(network.stride):
        for out, x in ((expected, columns[:, phase:]), (wrapped, np.roll(columns, -phase, 1))):
            logits = whole(network, 1, x)[network.layers[-1].name][:, :, 0].astype(int)
            windows = np.lib.stride_tricks.sliding_window_view(logits, newest, axis=1)
            out.append(windows.sum(axis=2).max(axis=1))
    assert np.array_equal(trained._best(columns, 1), expected)
    assert not np.array_equal(wrapped, expected)


WORD, FOLDER = load_word(ROOT / "words/alexa.toml"), ROOT / "models/alexa"
SHIPPED_AT = {state: 7 * i for i, state in enumerate(WORD.states)}


def written(folder: Path) -> dict[str, Any]:
    """An untrained verifier with the shipped model in `folder`; its facts."""
    model = build("cra", WORD.frontend.bands)
    save_arrays(folder / "verifier.npz", folded(model))
    facts = network(model, WORD.frontend.bands).facts | {
        "weight": 0.5,
        "detector": DetectorReplay(WORD, FOLDER).identity,
        "shipped": SHIPPED_AT,
        "wakes": {state: i for i, state in enumerate(WORD.states)},
        "thresholds": {state: i / 4 for i, state in enumerate(WORD.states)},
    }
    write_json(folder / "verifier.json", facts)
    return facts


def test_detector_and_verifier_decide(tmp_path: Path) -> None:
    facts = written(tmp_path)
    both = TrainedVerifier.load(tmp_path, WORD, FOLDER)
    assert (both.frames, both.bands, both.threshold) == (FRAMES, WORD.frontend.bands, 0.0)
    assert both.wakes == tuple(range(len(WORD.states)))
    shape = (3, FRAMES, WORD.frontend.bands)
    x = np.random.default_rng(5).integers(-128, 128, shape).astype(np.float32)
    states = np.array([1, 0, 1])
    # Thresholds of the training, not the model's own.
    detector = DetectorReplay(WORD, FOLDER, list(SHIPPED_AT.values()))
    expected = both.network.score(x)[0] + 0.5 * detector.confidence(x, states) - states / 4
    np.testing.assert_allclose(both.score(x, states)[0], expected, rtol=1e-6)
    for wrong, printed in (
        (facts | {"detector": "0" * 64}, "trained with another network than"),
        (facts | {"weight": None}, "cannot be read: "),
        ({k: v for k, v in facts.items() if k != "thresholds"}, "'thresholds' is missing"),
    ):
        write_json(tmp_path / "verifier.json", wrong)
        with pytest.raises(
            GatewayError, match=printed + ".*`wakestate verifier train --model .*models/alexa`"
        ):
            TrainedVerifier.load(tmp_path, WORD, FOLDER)
    write_json(tmp_path / "verifier.json", facts)
    with pytest.raises(GatewayError, match=r"model\.json: no such file"):
        TrainedVerifier.load(tmp_path, WORD, tmp_path)


@pytest.mark.parametrize("folder", sorted((ROOT / "models").glob("*/verifier")), ids=str)
def test_what_ships_fits_the_model_beside_it(folder: Path) -> None:
    word, model = load_word(ROOT / "words" / f"{folder.parent.name}.toml"), folder.parent
    trained, shipped = TrainedVerifier.load(folder, word, model), read_manifest(model).thresholds
    assert trained.detector.thresholds == [shipped[state] for state in word.states]
    assert all(
        low < high for low, high in zip(trained.wakes, trained.detector.thresholds, strict=True)
    )


def test_a_device_wakes_where_the_verifier_asks(tmp_path: Path) -> None:
    """Thresholds as shipped less the sensitivity are those of the lowered detector."""
    written(tmp_path)
    sensitivity_ = sensitivity(WORD, FOLDER, tmp_path)
    shipped = read_manifest(FOLDER).thresholds
    assert sensitivity_.word == WORD.name and list(sensitivity_.offsets) == list(WORD.states)
    for wakes, (state, offset) in enumerate(sensitivity_.offsets.items()):
        assert shipped[state] - offset == wakes
