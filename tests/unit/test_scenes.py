# SPDX-License-Identifier: Apache-2.0
"""How sound is mixed, and the training pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import wakestate.train.learning.pool
from tests.support.examples import typed_example
from tests.support.executors import TOY
from tests.support.small_data import (
    BEEP,
    Samples,
    beep,
    tones,
)
from wakestate.__main__ import main
from wakestate.train.acoustics.stage import Stage, active_rms, dbfs, rms, to_int16
from wakestate.train.data.corpus import (
    RATE,
    Corpus,
    DataError,
    held_out,
)
from wakestate.train.learning.pool import STEPS, Renderer, clip_hops, render_pool, window_ends
from wakestate.train.learning.scenes import STAY_S, write_scenes
from wakestate.words import load_word


def test_to_int16_rounds_and_clips() -> None:
    x = np.array([0.4, 0.6, -0.6, 1.5, 32767.4, 32767.6, 1e9, -32768.4, -1e9], np.float32)
    assert to_int16(x).tolist() == [0, 1, -1, 2, 32767, 32767, 32767, -32768, -32768]


def test_own_sound_follows_the_player(corpus: Corpus, tmp_path: Path) -> None:
    word = beep(tmp_path, 10)
    stage = Stage(corpus, word)
    rng = np.random.default_rng(2)
    for state in word.states:
        own = stage.own_sound(rng, state, 20000)
        if "player=idle" in state:
            assert own is None
            continue
        assert own is not None and len(own) == 20000
        assert rms(own) == pytest.approx(1.0, abs=1e-3)
        # The tones of each kind are in bands of their own.
        spectrum = np.abs(np.fft.rfft(own)) ** 2
        hertz = np.fft.rfftfreq(20000, 1 / RATE)
        low, high = {"music": (250, 2050), "speech": (450, 950), "alarm": (1900, 3100)}[
            state.split(",")[0].removeprefix("player=")
        ]
        inside = spectrum[(hertz > low) & (hertz < high)].sum() / spectrum.sum()
        assert inside > 0.6, state


def scene(stage: Stage, seed: int, state: str) -> tuple[Samples, Samples]:
    """One scene's speech, and all else: the same draws with silent speech separate them."""
    speech = np.pad(tones(np.random.default_rng(9), 1.0, 300, 900), 8000).astype(np.float32)
    active = active_rms(speech)
    args = (len(speech), state, active)
    whole = stage.to_microphone(np.random.default_rng(seed), speech, *args).astype(float)
    other = stage.to_microphone(np.random.default_rng(seed), 0 * speech, *args).astype(float)
    return whole - other, other


def test_noise_is_as_far_below_speech_as_asked(corpus: Corpus, tmp_path: Path) -> None:
    stage = Stage(corpus, beep(tmp_path, 10))
    level, noisy = dbfs(-30.0), 0
    for seed in range(12):
        speech, other = scene(stage, seed, "player=idle,volume=low")
        assert 20 * np.log10(active_rms(speech.astype(np.float32)) / level) == pytest.approx(
            0, abs=1.0
        )
        if rms(other.astype(np.float32)) > 10:  # else only the microphone's own noise
            noisy += 1
            ratio = 20 * np.log10(level / rms(other.astype(np.float32)))
            assert ratio == pytest.approx(10, abs=0.1)
    assert 5 <= noisy < 12


@pytest.mark.parametrize(("volume", "ratio"), [("low", 9), ("high", 3)])
@pytest.mark.parametrize("player", ["music", "speech", "alarm"])
def test_own_sound_is_as_strong_as_asked(
    corpus: Corpus, tmp_path: Path, player: str, volume: str, ratio: float
) -> None:
    stage = Stage(corpus, beep(tmp_path, 80))
    for seed in range(3):
        _, other = scene(stage, seed, f"player={player},volume={volume}")
        found = 20 * np.log10(dbfs(-30.0) / rms(other.astype(np.float32)))
        assert found == pytest.approx(ratio, abs=0.1)


def test_pool_is_made_by_its_seed_and_resumes(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakestate.train.learning.pool, "SHARD", 8)
    args = ("positive", "train", 20)
    pool = render_pool(corpus, TOY.word, tmp_path / "a", *args, seed=1)
    shards = sorted((tmp_path / "a").iterdir())
    assert [p.name for p in shards] == [f"train-positive-00{i}.npz" for i in range(3)]
    assert pool.features.shape == (20, clip_hops(TOY.word), TOY.word.frontend.bands)
    assert pool.labels.shape == (20, STEPS) and len(pool) == 20
    assert len(np.unique(pool.features, axis=0)) == 20

    before = [p.read_bytes() for p in shards]
    stamp = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    (tmp_path / "a/.train-positive-001.77.partial.npz").write_bytes(b"killed")
    again = render_pool(corpus, TOY.word, tmp_path / "a", *args, seed=1)
    assert sorted((tmp_path / "a").iterdir()) == shards
    assert [p.read_bytes() for p in shards] == before
    assert shards[0].stat().st_mtime_ns == stamp
    for name in ("features", "labels", "states"):
        assert np.array_equal(getattr(again, name), getattr(pool, name))

    other = render_pool(corpus, TOY.word, tmp_path / "b", *args, seed=2)
    assert not np.array_equal(other.features, pool.features)


def test_labels_follow_the_word(corpus: Corpus) -> None:
    renderer = Renderer(corpus, TOY.word, "train")
    step = TOY.word.model.stride * TOY.word.frontend.hop_samples / RATE
    rng = np.random.default_rng(3)
    for _ in range(20):
        features, labels, state, (start, end) = renderer.clip(rng, "positive")
        wanted = np.flatnonzero(labels == 1)
        assert set(labels.tolist()) <= {-1, 0, 1}
        assert np.array_equal(np.diff(wanted), np.ones(len(wanted) - 1))
        room = (window_ends(TOY.word)[-1] - window_ends(TOY.word)[wanted[0]]) / step
        assert len(wanted) in (int(0.33 / step), int(0.33 / step) + 1) or room < 0.33 / step
        assert features.shape == (clip_hops(TOY.word), 8) and 0 <= state < 2
        assert 0 <= start < end < renderer.samples
        late = window_ends(TOY.word)[wanted[0]] - end / RATE
        assert -0.03 <= late < -0.03 + step
        assert not renderer.clip(rng, "negative")[1].any()


def test_a_word_may_have_one_state_or_no_idle_one(corpus: Corpus, tmp_path: Path) -> None:
    vocabularies = {'player = ["idle"]': {0}, 'player = ["music", "speech"]': {0, 1}}
    for vocabulary, allowed in vocabularies.items():
        text = BEEP.replace("SNR", "10").replace('volume = ["low", "high"]\n', "")
        path = tmp_path / "beep.toml"
        path.write_text(text.replace('player = ["idle", "music", "speech", "alarm"]', vocabulary))
        renderer = Renderer(corpus, load_word(path), "train")
        rng = np.random.default_rng(4)
        assert {renderer.clip(rng, "negative")[2] for _ in range(30)} == allowed


def test_a_part_without_the_word_is_named(corpus: Corpus) -> None:
    nobody = corpus.only([c for c in corpus.clips if c.kind != "toy" or not held_out(c)])
    with pytest.raises(DataError, match="no recording of the word for validation"):
        Renderer(nobody, TOY.word, "validation")
    silent = corpus.only([c for c in corpus.clips if c.kind in ("toy", "noise")])
    with pytest.raises(DataError, match="no speech without the word for train"):
        Renderer(silent, TOY.word, "train")


def test_scenes_to_listen_to(corpus: Corpus, sounds: Path, tmp_path: Path) -> None:
    word = TOY.word
    written = write_scenes(corpus, word, tmp_path / "out", 4, seed=1)
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    assert [p.name[:11] for p in written[:3]] == ["01-positive", "02-negative", "03-positive"]
    for path in written[:4]:
        pcm, rate = soundfile.read(path, dtype="int16")
        assert rate == RATE and len(pcm) / RATE == pytest.approx(window_ends(word)[-1], abs=0.01)
        assert pcm.any()
    stream, _ = soundfile.read(tmp_path / "out/stream.wav", dtype="int16")
    assert len(stream) == len(word.states) * STAY_S * RATE
    lines = (tmp_path / "out/stream.txt").read_text().splitlines()
    assert lines == [f"{i * STAY_S:.3f} {state}" for i, state in enumerate(word.states)]
    assert (tmp_path / "out/scenes.png").read_bytes().startswith(b"\x89PNG")
    typed = typed_example("data scenes", {"alexa": TOY.word_path, "data/alexa": sounds})
    again = tmp_path / "again"
    assert main([*typed, "--out", str(again), "--count", "4", "--seed", "1"]) == 0
    assert all((again / p.name).read_bytes() == p.read_bytes() for p in written[:5])


def test_a_faster_word_is_shorter_and_where_it_is_said_to_be(
    corpus: Corpus, tmp_path: Path
) -> None:
    spans = {}
    for times in (0.8, 1.6):
        word = beep(tmp_path, 10)
        changed = {"tempo": (times, times), "tempo_share": 1.0}
        word = word.model_copy(update={"acoustics": word.acoustics.model_copy(update=changed)})
        renderer = Renderer(corpus, word, "train")
        spans[times] = []
        for seed in range(6):
            speech, start, end = renderer._positive(np.random.default_rng(seed))
            spans[times].append(end - start)
            loud = np.flatnonzero(np.abs(speech[max(0, start - 1600) : end + 1600]) > 300)
            assert len(loud), seed
    assert np.median(spans[0.8]) == pytest.approx(2 * np.median(spans[1.6]), rel=0.05)


def test_a_band_limit_leaves_nothing_above_and_the_level_as_it_was(
    corpus: Corpus, tmp_path: Path
) -> None:
    word = beep(tmp_path, 10)
    changed = {"band_hz": (4000.0, 4000.0001), "band_limited": 1.0}
    word = word.model_copy(update={"acoustics": word.acoustics.model_copy(update=changed)})
    stage = Stage(corpus, word)
    rng = np.random.default_rng(5)
    white = rng.standard_normal(RATE).astype(np.float32) * 1000
    for seed in range(4):
        silent = stage.to_microphone(
            np.random.default_rng(seed), 0 * white, RATE, "player=idle,volume=low", rms(white)
        )
        limited = stage.to_microphone(
            np.random.default_rng(seed), white, RATE, "player=idle,volume=low", rms(white)
        )
        power = np.abs(np.fft.rfft(limited.astype(float) - silent)) ** 2
        hertz = np.fft.rfftfreq(RATE, 1 / RATE)
        assert power[hertz > 6500].sum() < 1e-3 * power[hertz < 3500].sum(), seed
