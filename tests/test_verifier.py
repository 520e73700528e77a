"""The second look's networks: how it cuts, learns and answers; NumPy against Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.executors import TOY
from tests.small_data import beep
from train.data import RATE, DataError
from train.fit import Budget, fit
from train.model import ENDPOINT_HOPS
from train.pool import Pool, window_ends
from verify.cut import FRAMES, SILENCE
from verify.cuts import Wakes, cut, find_wakes
from verify.fit import Recipe, _Fitter, folded, train, verify_loss
from verify.gateway import GatewayError
from verify.infer import SCALE, Verifier
from verify.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame

BANDS = 16


def verifier(model: keras.Model, bands: int) -> Verifier:
    seen = KINDS[model.name]
    facts = {"kind": model.name, "frames": FRAMES, "bands": bands, "threshold": 0.0,
             "first": first_frame(seen), "seen": seen, "preroll_frames": PREROLL_FRAMES,
             "frames_per_unit": PER_UNIT}  # fmt: skip
    return Verifier(facts, folded(model))


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_says_what_keras_says(kind: str) -> None:
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    model = build(kind, BANDS)
    # Norms and biases that do something.
    model.set_weights([np.abs(w) * rng.uniform(0.8, 1.2, w.shape) + rng.uniform(0, 0.2, w.shape)
                       if w.ndim == 1 else w for w in model.get_weights()])  # fmt: skip
    x = rng.integers(-128, 128, (5, FRAMES, BANDS)).astype(np.float32)
    expected = np.asarray(model.predict_on_batch(x * SCALE))
    logit, start, end = verifier(model, BANDS).score(x)
    assert np.ptp(logit) > 1e-3
    np.testing.assert_allclose(logit, expected[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(start, PREROLL_FRAMES + PER_UNIT * expected[:, 1], atol=1e-3)
    np.testing.assert_allclose(end, PREROLL_FRAMES + PER_UNIT * expected[:, 2], atol=1e-3)


def test_a_network_that_sees_less_sees_the_word() -> None:
    for kind, frames in KINDS.items():
        first = first_frame(frames)
        assert 0 <= first <= PREROLL_FRAMES and first + frames >= PREROLL_FRAMES + 60, kind
    with pytest.raises(ValueError, match="kind 'dnn'; allowed: cnn76"):
        build("dnn", BANDS)


def numbered(clips: int, hops: int) -> Pool:
    """A pool whose columns hold their own number."""
    columns = np.arange(hops, dtype=np.int8)[None, :, None]
    return Pool(np.tile(columns, (clips, 1, BANDS)), np.zeros((clips, 48), np.int8),
                np.zeros(clips, np.uint8), np.full((clips, 2), -1, np.int32))  # fmt: skip


def test_cuts_begin_half_a_second_before_the_start_told() -> None:
    pool = numbered(2, 120)
    wakes = Wakes(np.array([0, 1]), np.array([60.2, 20.0]),
                  np.array([[62.0, 110.0], [np.nan, np.nan]]), np.array([True, False]))  # fmt: skip
    features, targets = cut(pool, wakes, np.array([0, 1, 0]), np.array([0.0, 0.0, -7.0]))
    assert features.shape == (3, FRAMES, BANDS)
    assert features[0, :, 0].tolist() == [*range(10, 120), *[SILENCE] * (FRAMES - 110)]
    assert features[1, :30, 0].tolist() == [SILENCE] * 30 and features[1, 30, 0] == 0
    assert features[2, PREROLL_FRAMES, 0] == 53  # the start told, off by 7 hops
    assert targets[0].tolist() == [1.0, 52.0, 100.0] and targets[2, 1] == 59.0
    assert targets[1, 0] == 0.0 and np.isnan(targets[1, 1:]).all()


def test_wakes_are_where_the_first_network_says() -> None:
    word, pool = TOY.word, numbered(3, 200)
    pool.labels[0, 10:12] = 1
    pool.words[0] = (RATE // 2, RATE)
    outputs = np.full((3, 48, 3), -1.0, np.float32)
    outputs[0, 5, 0] = 9.0  # in the word, but not after its end
    outputs[0, 11] = (2.0, 5.0, 1.0)
    outputs[1, 30] = (1.0, 4.0, 2.0)  # a wake without the word; none in clip 2

    class First:
        def outputs(self, pool: Pool, clips: Any) -> Any:
            return outputs[clips]

    found = find_wakes(word, First(), pool, "test")  # type: ignore[arg-type]
    f = word.frontend
    ended = window_ends(word) * f.sample_rate / f.hop_samples
    assert found.clip.tolist() == [0, 1] and found.is_word.tolist() == [True, False]
    expected = [ended[11] - 5 * ENDPOINT_HOPS, ended[30] - 4 * ENDPOINT_HOPS]
    np.testing.assert_allclose(found.told, expected, atol=1e-4)
    hop = f.sample_rate / f.hop_samples
    np.testing.assert_allclose(found.truth[0], [hop / 2, hop])


def test_only_words_have_a_place_to_learn() -> None:
    outputs = np.array([[0.0, 0.0, 5.0], [0.0, 9.0, 9.0]], np.float32)
    targets = np.array([[1.0, 50.0, 110.0], [0.0, np.nan, np.nan]], np.float32)
    loss = np.asarray(verify_loss(targets, outputs))
    np.testing.assert_allclose(loss, [np.log(2) + 0.1 * 0.5, np.log(2)], rtol=1e-6)


@pytest.fixture(scope="module")
def first(sounds: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first network of a small word, hardly trained, with its scenes."""
    folder = tmp_path_factory.mktemp("first")
    budget = Budget(60, 60, 0, 40, 40, rounds=1, batches=20, batch=24)
    fit(beep(folder, 20.0), sounds, folder / "run", cache, budget)
    return folder


def test_training_is_the_same_after_a_kill(
    first: Path, sounds: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = beep(first, 20.0)
    recipe = Recipe(kind="cnn76", epochs=2, batches=2, batch=8)

    def run(name: str, recipe: Recipe = recipe) -> Path:
        return train(word, sounds, [], cache, first / "run", first / name, recipe)

    def killed(self: _Fitter, epoch: int, loss: float) -> None:
        written(self, epoch, loss)
        raise KeyboardInterrupt

    whole = run("whole")
    written = _Fitter._write_curve
    with monkeypatch.context() as patch:
        patch.setattr(_Fitter, "_write_curve", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    assert not (first / "killed/verifier").exists()
    for folder in (run("killed"), run("killed")):  # the second has nothing left to do
        for name in ("verifier.json", "verifier.npz"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes()
    facts = json.loads((whole / "verifier.json").read_text())
    assert facts["held_out"]["words"] > 0 and facts["held_out"]["others"] > 0
    one = Verifier.load(whole)
    assert (one.frames, one.bands, one.kind) == (FRAMES, 16, "cnn76")
    assert np.isfinite(one.threshold)
    with pytest.raises(DataError, match="started with other settings"):
        run("whole", Recipe(kind="cra"))
    with pytest.raises(DataError, match=r"model\.keras: not found; `make train` makes it"):
        train(word, sounds, [], cache, first / "nowhere", first / "new", recipe)


def test_a_folder_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"no verifier can be read from it: .*verifier\.json"):
        Verifier.load(tmp_path)
    (tmp_path / "verifier.json").write_text("{}")
    (tmp_path / "verifier.npz").write_bytes(b"nothing")
    with pytest.raises(GatewayError, match=r"`make verify-train` writes verifier\.json"):
        Verifier.load(tmp_path)
