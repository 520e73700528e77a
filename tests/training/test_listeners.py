# SPDX-License-Identifier: Apache-2.0
"""What an evaluation compares with the device: counting, peers, confusables, the float model."""

from __future__ import annotations

import importlib.util
import logging
import math
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import ROOT, TOY
from tests.support.firmware_build import build
from tests.support.small_data import chirp
from wakestate.train.acoustics.stage import active_rms, dbfs, to_int16
from wakestate.train.data.corpus import RATE, load_corpus
from wakestate.train.evaluation import confusables as confusables
from wakestate.train.evaluation import peers
from wakestate.train.evaluation.confusables import recorded, spoken
from wakestate.train.evaluation.device import BARRED, Device, wakes
from wakestate.train.evaluation.endpoints import endpoint_errors
from wakestate.train.evaluation.float_baseline import PER_LOGIT, FloatBaseline
from wakestate.train.evaluation.metrics import caught, count_accepts, count_misses
from wakestate.train.evaluation.statistics import bootstrap, miss_ratio
from wakestate.train.evaluation.trials import LEAD, LEVEL_DBFS, TAIL, Trials
from wakestate.words import Word, load_word


class Fake:
    """A listener with a step every 100 samples and 5 steps of refractory time."""

    refractory_steps = 5

    def scores(self, pcm: Any, state: int) -> Any:
        raise NotImplementedError

    def step_end(self, step: int) -> int:
        return 100 * (step + 1)


@pytest.fixture(scope="module")
def trials(sounds: Path, cache: Path) -> Trials:
    data = TOY.word.data.model_copy(update={"confusables": ("a toil", "toyed")})
    word = TOY.word.model_copy(update={"data": data, "phrase": "toy"})
    return Trials(word, load_corpus(sounds, "dev", cache), seed=1, draws=2)


def test_caught_is_what_the_detector_does_at_every_threshold() -> None:
    rng = np.random.default_rng(7)
    listener, thresholds = Fake(), np.arange(-5, 31)
    listener.refractory_steps = 60
    barred = 0
    for _ in range(60):
        scores = np.where(rng.random(400) < 0.02, rng.integers(-10, 30, 400), -50)
        start = int(rng.integers(0, 30000))
        end = start + int(rng.integers(100, 4000))
        expected = [
            any(start <= 100 * (i + 1) <= end + RATE for i in wakes(scores, int(t), 60))
            for t in thresholds
        ]
        found = caught(listener, scores.astype(np.int16), thresholds, start, end)
        assert found.tolist() == expected
        inside = [start <= 100 * (i + 1) <= end + RATE for i in range(400)]
        barred += int((thresholds <= scores[inside].max()).sum() - found.sum())
    assert barred > 0  # the refractory time was put to the test
    listener.refractory_steps = 5
    few = np.full(400, -9, np.int16)  # one wake before bars the only one inside
    few[[50, 52]] = 20
    found = caught(listener, few, np.array([20, 21]), 5250, 5301)
    assert not found.any()


def test_a_rate_is_reached_from_its_threshold_on() -> None:
    stream = np.zeros(3600, np.int16)
    stream[[100, 900, 1700]] = [10, 20, 30]
    trial = np.zeros(50, np.int16)
    trial[10] = 25
    accepts = count_accepts(Fake(), 40, [(0, stream[:900]), (1, stream[900:])], (0.4, 0.6))
    thresholds = accepts.thresholds
    assert thresholds[0] == 1 and thresholds[-1] == 40
    found = count_misses(Fake(), accepts, [trial, trial], [(900, 1200), (0, 500)], ["a", "b"])
    for rate, threshold, misses in ((3.0, 1, 0), (2.0, 11, 0), (1.0, 21, 0), (0.5, 31, 2)):
        at = found.at(accepts.threshold(rate), 1)
        assert (at.threshold, at.misses) == (threshold, misses)
        assert at.false_accepts <= rate
    # One half has one false accept in 0.4 h, the other two in 0.6 h.
    assert [accepts.threshold(2.5, half) for half in (0, 1)] == [1, 21]
    assert [accepts.at(t) for t in (-9, 10, 11, 21, 99)] == [[1, 2], [1, 2], [0, 2], [0, 1], [0, 0]]
    assert found.curve() == [
        (3.0, 0.0, 1),
        (2.0, 0.0, 11),
        (1.0, 0.0, 21),
        (1.0, 1.0, 26),
        (0.0, 1.0, 31),
    ]


def test_bootstrap_draws_speakers() -> None:
    def interval(missed: list[bool], who: list[str]) -> tuple[float, float]:
        return bootstrap(np.random.default_rng(1), np.array(missed), who)

    people = [f"p{i % 20}" for i in range(200)]
    assert interval([False] * 200, people) == (0.0, 0.0)
    assert interval([True] * 200, people) == (1.0, 1.0)
    assert interval([True, False], ["a", "a"]) == (0.5, 0.5)
    assert interval([True, False], ["a", "b"]) == (0.0, 1.0)
    spread = [i % 10 == 0 for i in range(200)]  # ten per cent, of two speakers only
    low, high = interval(spread, people)
    assert low < 0.1 < high
    even = interval(spread, [str(i) for i in range(200)])
    assert even[0] < 0.1 < even[1] and even[1] - even[0] < (high - low) / 1.5
    either = np.array([1, -1], np.int8)  # each of two detectors misses what the other detects
    assert bootstrap(np.random.default_rng(1), either, ["a", "a"]) == (0.0, 0.0)
    assert bootstrap(np.random.default_rng(1), either, ["a", "b"]) == (-1.0, 1.0)


def test_ratio_of_misses() -> None:
    def ratio(ours: list[bool], others: list[bool], who: list[str]) -> Any:
        return miss_ratio(np.random.default_rng(1), np.array(ours), np.array(others), who)

    people = [f"p{i % 10}" for i in range(100)]
    half, tenth = [i % 20 < 10 for i in range(100)], [i % 10 == 0 for i in range(100)]
    assert ratio(half, [False] * 100, people) is None
    found = ratio([False] * 100, tenth, people)
    assert (found["ratio"], found["low"]) == (0.0, 0.0)
    # Paired: the same misses are one to one in every draw.
    assert ratio(half, half, people) == {"ratio": 1.0, "low": 1.0, "high": 1.0}
    found = ratio([i < 20 for i in range(100)], [i < 40 for i in range(100)], people)
    assert found["ratio"] == 0.5 and found["low"] <= 0.5 <= found["high"]


def test_endpoint_errors_are_those_of_the_first_wake_in_the_word() -> None:
    scores = np.full(300, -50, np.int16)
    scores[[20, 60, 75]] = 9
    starts, ends = np.arange(300) * 100 - 800, np.arange(300) * 100 - 80
    spans = [(5000, 6000), (5400, 6400)]
    found = endpoint_errors(Fake(), [scores, scores], [(starts, ends)] * 2, 9, spans)
    # Step 60: detected start 5200, end 5920; off by 200 and -200, and by -80 and -480.
    assert found is not None and found.wakes == 2
    assert found.start_bias_ms == pytest.approx(0.0)
    assert found.start_standard_error_ms == pytest.approx(np.std([12.5, -12.5], ddof=1))
    assert found.end_bias_ms == pytest.approx(-17.5)
    assert found.end_standard_error_ms == pytest.approx(np.std([-5.0, -30.0], ddof=1))
    assert endpoint_errors(Fake(), [scores], [(starts, ends)], 10, spans[:1]) is None


@pytest.mark.skipif(
    importlib.util.find_spec("pymicro_wakeword") is None, reason="extra `peers` is not installed"
)
def test_the_peer_scores_what_its_package_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pymicro_wakeword as package

    word = TOY.word.model_copy(update={"phrase": "alexa"})
    peer = peers.find_peers(word, tmp_path)[0][0]
    rng = np.random.default_rng(2)
    pcm = to_int16(np.concatenate([rng.normal(0, a, RATE) for a in (30, 3000, 300)]))
    model = package.MicroWakeWord.from_builtin(package.Model.ALEXA)
    features = package.MicroWakeWordFeatures()
    means = [model.process_streaming_prob(f) for f in features.process_streaming(pcm.tobytes())]
    scores = peer.scores(pcm)
    assert len(scores) == len(means) // 3
    # Its mean probability in whole output steps; it wakes above its cutoff.
    assert scores.tolist() == [round(m * 256 * 5) for m in means[2::3]]
    over = [m > model.probability_cutoff for m in np.arange(1276) / 1280]
    assert over.index(True) == peer.shipped
    # The newest sample that a step includes: without it the step does not come.
    assert len(peer.scores(pcm[: peer.step_end(9)])) == 10
    assert len(peer.scores(pcm[: peer.step_end(9) - 160])) == 9
    # Each recording starts afresh; what was scored once is read from the cache.
    both = peer.scores_of([pcm, pcm])
    assert both[0].tolist() == both[1].tolist() == scores.tolist()
    monkeypatch.setattr(peer, "run", lambda pcm: pytest.fail("scored again"))
    assert [s.tolist() for s in peer.scores_of([pcm, pcm])] == [s.tolist() for s in both]


@pytest.mark.skipif(
    importlib.util.find_spec("pyopen_wakeword") is None, reason="extra `peers` is not installed"
)
def test_strips_score_what_streaming_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyopen_wakeword as package

    word = TOY.word.model_copy(update={"phrase": "alexa"})
    peer = next(p for p in peers.find_peers(word, tmp_path)[0] if p.name == "openWakeWord")
    monkeypatch.setattr(peers.OpenWakeWord, "strip", 30)  # several
    rng = np.random.default_rng(2)
    pcm = to_int16(np.concatenate([rng.normal(0, a, RATE) for a in (30, 3000, 300)]))
    model = package.OpenWakeWord.from_builtin(package.Model.ALEXA)
    features = package.OpenWakeWordFeatures.from_builtin()
    printed, at = [], []
    for first in range(0, len(pcm), 160):
        for embedding in features.process_streaming(pcm[first : first + 160].tobytes()):
            for p in model.process_streaming(embedding):
                printed.append(p)
                at.append(first + 160)
    silent = sum(a < peer.step_end(0) for a in at)
    logits = [100 * math.log(p / (1 - p)) for p in printed[silent:]]
    assert np.abs(peer.scores(pcm) - logits).max() < 2
    assert [a - peer.step_end(i) for i, a in enumerate(at[silent:])] == [0] * len(logits)
    assert len(peer.scores(pcm[: peer.step_end(0) - 1])) == 0


def _imported_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin's package without the voice assistant and the downloads that it imports."""

    class HotWordEngine:
        def __init__(self, phrase: str, config: dict[str, Any]) -> None:
            self.key_phrase, self.config = phrase, config

    for module, content in {
        "requests": {},
        "huggingface_hub": {"hf_hub_download": None},
        "ovos_plugin_manager.templates.hotwords": {"HotWordEngine": HotWordEngine},
        "ovos_utils.log": {"LOG": logging.getLogger(name)},
        "ovos_utils.xdg_utils": {"xdg_data_home": None},
    }.items():
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            stand_in = types.ModuleType(".".join(parts[:depth]))
            monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
        vars(sys.modules[module]).update(content)
    return importlib.import_module(name)


@pytest.mark.skipif(
    importlib.util.find_spec("ovos_ww_plugin_wakeforge") is None,
    reason="WakeForge is not installed",
)
def test_windows_at_once_score_what_the_plugin_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = TOY.word.model_copy(update={"phrase": "alexa"})
    peer = next(p for p in peers.find_peers(word, tmp_path)[0] if p.name == "WakeForge")
    plugin = _imported_alone(peer.package, monkeypatch).WakeForgeHotwordPlugin(
        "alexa", {"model": "alexa"}
    )
    assert [100 * math.log(p / (1 - p)) <= peer.shipped for p in (plugin.threshold, 0.9901)] == [
        True,
        False,
    ]
    rng = np.random.default_rng(2)
    pcm = to_int16(np.concatenate([rng.normal(0, a, RATE) for a in (0, 3000, 300)]))
    expected = []
    for end in range(plugin.block, len(pcm) + 1, plugin.block):
        plugin.update(pcm[end - plugin.block : end].tobytes())
        expected.append(100 * math.log(plugin.last_score / (1 - plugin.last_score)))
    scores = peer.scores(pcm)
    assert len(scores) == len(expected) == 37 and np.ptp(scores) > 100
    assert np.abs(scores - expected).max() <= 0.51
    # The newest sample that a step includes: without it the step does not come.
    assert len(peer.scores(pcm[: peer.step_end(9)])) == 10
    assert len(peer.scores(pcm[: peer.step_end(9) - 1])) == 9
    assert len(peer.scores(pcm[: peer.step_end(0) - 1])) == 0


def test_a_phrase_without_a_model_is_reported(tmp_path: Path) -> None:
    found, why = peers.find_peers(TOY.word.model_copy(update={"phrase": "hallo"}), tmp_path)
    reasons = why.split("; ")
    assert found == [] and len(reasons) == len(peers.PEERS)
    for peer, reason in zip(peers.PEERS, reasons, strict=True):
        assert reason in (
            f"{peer.name} has no model for 'hallo'",
            f"{peer.name} is not installed ({peer.install})",
        )


def test_without_a_peer_it_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.util, "find_spec", lambda name: None)
    assert peers.WakeForge.install.split()[-1] in (ROOT / "requirements-peers.txt").read_text()
    found, why = peers.find_peers(TOY.word, tmp_path)
    assert found == [] and why.count("is not installed (pip install ") == len(peers.PEERS)


def test_confusables_are_spoken_in_a_room(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = []

    def speak(engine: str, voice: str, text: str) -> Any:
        printed.append((voice, text))
        return None if voice == "mute" else (chirp() / 50).astype(np.float32)

    cast = [("flite", "one"), ("flite", "mute")]
    monkeypatch.setattr(confusables, "voices", lambda language: cast)
    monkeypatch.setattr(confusables, "speak", speak)
    found = spoken(trials, ("toy", "a toil"))
    assert printed == [(v, p) for v in ("one", "mute") for p in ("toy", "a toil")]
    assert {phrase: len(pcms) for phrase, pcms in found.items()} == {"toy": 2, "a toil": 2}
    for pcm in found["toy"]:
        assert len(pcm) == LEAD + len(chirp()) + TAIL
        word = pcm[LEAD : LEAD + len(chirp())].astype(np.float32)
        assert active_rms(word) == pytest.approx(dbfs(LEVEL_DBFS), rel=0.3)
        before = pcm[: LEAD // 2].astype(np.float32)
        assert 0 < np.sqrt((before**2).mean()) < dbfs(LEVEL_DBFS - 12)
    assert not np.array_equal(*found["toy"])


def test_installed_voices_speak() -> None:
    if not confusables.voices():
        pytest.skip("no speech synthesizer is installed")
    wave = confusables.speak(*confusables.voices()[0], "a lesson")
    assert wave is not None and RATE // 3 < len(wave) < 3 * RATE and np.abs(wave).max() > 1000


def test_clips_of_confusables_are_not_in_the_streams(trials: Trials) -> None:
    made = [
        replace(clip, kind="tts", label="near") if clip.kind == "speech" and i % 2 else clip
        for i, clip in enumerate(trials.corpus.clips)
    ]
    found = Trials(trials.word, trials.corpus.only(made), seed=1, draws=1)
    near = {clip for clip in made if clip.label == "near"}
    streamed = {clip for block in found.blocks for clip in block.clips}
    assert near and near < set(found.negatives) and streamed == set(found.negatives) - near


def test_recorded_confusables_come_from_texts_and_the_word_file(trials: Trials) -> None:
    clips = [c for c in trials.negatives if c.kind == "speech"]
    stem = Path(clips[2].path).stem
    listed = trials.word.data.model_copy(
        update={
            "confusables": ("toyed", "a toil", "toyed with"),
            "confusable_recordings": {stem: "Toyah"},
        }
    )
    other = Trials(trials.word.model_copy(update={"data": listed}), trials.corpus, 1, 1)
    texts = {
        clips[0].path: "He TOYED, and how.",
        clips[1].path: "she toyed with a toil",
        clips[2].path: "toyed",
        clips[3].path: "destroyed",
    }
    other.negatives = [
        replace(c, kind="tts" if c.path == clips[1].path else c.kind, text=texts.get(c.path, ""))
        for c in trials.negatives
    ]
    found = recorded(other)
    assert {phrase: len(pcms) for phrase, pcms in found.items()} == {
        ("recorded", "toyed"): 1,
        ("clip", "toyed with"): 1,
        ("clip", "a toil"): 1,
        ("recorded", "Toyah"): 1,
    }
    assert np.array_equal(found["recorded", "Toyah"][0], trials.corpus.audio(clips[2]))


def test_confusables_are_part_of_a_word_file(tmp_path: Path) -> None:
    text = TOY.word_path.read_text().replace("[data]", '[data]\nconfusables = ["toil"]')
    (tmp_path / "toy.toml").write_text(text)
    assert load_word(tmp_path / "toy.toml").data.confusables == ("toil",)


def test_the_float_network_steps_as_the_device_does() -> None:
    word: Word = TOY.word
    device = Device(build("toy", "host").folder / "libwakestate.so", word)
    whole = FloatBaseline(word, device, TOY.folder / "toy.keras")
    rng = np.random.default_rng(4)
    pcm = to_int16(rng.normal(0, 1, 3 * RATE) * np.repeat(rng.uniform(0, 6000, 30), 1600))
    for state in range(len(word.states)):
        ours, theirs = device.scores(pcm, state), whole.scores(pcm, state)
        assert len(ours) == len(theirs)
        warm = word.model.receptive_hops // word.model.stride + word.detector.smoothing_steps
        shifted = [
            np.corrcoef(ours[warm:-1], theirs[warm + k : len(theirs) - 1 + k])[0, 1]
            for k in (-1, 0, 1)
        ]
        # In one state the toy's logit moves by no more than five int8 steps.
        assert shifted[1] > 0.7 and shifted[1] > 0.15 + max(shifted[0], shifted[2])
        assert np.abs(theirs[warm:]).max() < 100 * PER_LOGIT
    for samples in (0, 300, 5000, len(pcm) - 77):
        assert len(whole.scores(pcm[:samples], 0)) == len(device.scores(pcm[:samples], 0))


def test_the_float_network_bars_words_as_short_as_the_device_does() -> None:
    word = load_word(ROOT / "words/computer.toml")
    device = Device(build("computer", "host").folder / "libwakestate.so", word)
    whole = FloatBaseline(word, device, ROOT / "models/computer/computer.keras")
    rng = np.random.default_rng(4)
    pcm = to_int16(rng.normal(0, 1, 30 * RATE) * np.repeat(rng.uniform(0, 6000, 300), 1600))
    ours, theirs = device.scores(pcm, 0)[40:], whole.scores(pcm, 0)[40:]  # after the warm-up
    short = ours == BARRED
    assert 0.02 < short.mean() < 0.98
    assert np.mean(short == (theirs == BARRED)) > 0.9
