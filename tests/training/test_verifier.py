# SPDX-License-Identifier: Apache-2.0
"""The verifier's networks: how it cuts, learns and answers; NumPy against Keras."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.examples import typed_example
from tests.support.executors import TOY
from tests.support.firmware_build import build as build_toy
from tests.support.small_data import BEEP, beep
from tests.support.untrained import network
from wakestate.__main__ import main
from wakestate.commands import options, verifier
from wakestate.convert.hostlib import Extractor
from wakestate.train.data.corpus import RATE, Corpus, DataError, load_corpus, voice
from wakestate.train.evaluation.device import Device, DeviceError, Steps, wakes
from wakestate.train.evaluation.trials import Sound, Trials, conditions
from wakestate.verify.learning.compare import (
    ScoredRun,
    detector_wakes,
    draws,
    lowest,
    markdown,
    passed,
    table,
)
from wakestate.verify.learning.examples import (
    EDGE,
    NEAREST,
    SHIPPED,
    WIDE,
    Amounts,
    Examples,
    Miner,
    columns_of,
    device_wake,
    seen,
    wide,
)
from wakestate.verify.learning.fit import train, verify_loss
from wakestate.verify.learning.fitter import Fitter, TrainConfig, draw
from wakestate.verify.learning.hmm import DnnHmm
from wakestate.verify.learning.networks import KINDS, PER_UNIT, PREROLL_FRAMES, build, first_frame
from wakestate.verify.learning.thresholds import DETECTOR_WEIGHTS
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.window import FRAMES, SILENCE
from wakestate.verify.service.infer import SCALE, Network
from wakestate.words import Word

ROOT = Path(__file__).resolve().parents[2]
BANDS = 16
FEW = Amounts(24, 24, 1, 12, 12, 1)
BEEP_WORD = Word.model_validate(tomllib.loads(BEEP.replace("SNR", "20")))


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_equals_keras(kind: str) -> None:
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    model = build(kind, BANDS)
    # Norms and biases that do something.
    model.set_weights(
        [
            np.abs(w) * rng.uniform(0.8, 1.2, w.shape) + rng.uniform(0, 0.2, w.shape)
            if w.ndim == 1
            else w
            for w in model.get_weights()
        ]
    )
    x = rng.integers(-128, 128, (5, FRAMES, BANDS)).astype(np.float32)
    expected = np.asarray(model.predict_on_batch(x * SCALE))
    logit, start, end = network(model, BANDS).score(x)
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


def numbered(*detected_start: int) -> Examples:
    """Cuts whose columns hold their own number, the first a word."""
    columns = np.arange(WIDE).astype(np.int8)[None, :, None]
    place = np.full((len(detected_start), 2), np.nan, np.float32)
    place[0] = (102.0, 150.0)
    return Examples(
        np.tile(columns, (len(detected_start), 1, BANDS)),
        place,
        np.array(["a", "b"]),
        np.array(["", ""]),
        np.zeros(2, np.int8),
        np.zeros(2, np.uint8),
        np.zeros(2, np.int16),
    )


def test_windows_begin_half_a_second_before_the_detected_start() -> None:
    word, extract = BEEP_WORD, Extractor(BEEP_WORD.frontend)
    pcm = np.random.default_rng(2).integers(-9000, 9000, 5 * RATE).astype(np.int16)
    hop, detected_start = word.frontend.hop_samples, 2 * RATE + 77
    found = wide(extract, pcm, detected_start)
    first = detected_start - (PREROLL_FRAMES + EDGE) * hop
    assert np.array_equal(found, extract.features(pcm[first:])[:WIDE])
    early = wide(extract, pcm, 9 * hop)  # the sound begins later than the cut
    assert (early[: EDGE + PREROLL_FRAMES - 9] == SILENCE).all()
    assert np.array_equal(early[EDGE + PREROLL_FRAMES - 9 :], extract.features(pcm)[: WIDE - 91])
    place = columns_of(word, detected_start, (detected_start + 3 * hop, detected_start + 50 * hop))
    assert place == [EDGE + PREROLL_FRAMES + 3, EDGE + PREROLL_FRAMES + 50]
    assert np.isnan(columns_of(word, detected_start, (-1, -1))).all()


def test_a_network_sees_the_start_off_by_the_given_columns() -> None:
    examples = numbered(0, 0)
    features, targets = seen(examples, np.array([0, 0, 1]), np.array([0.0, -7.2, 80.0]))
    assert features.shape == (3, FRAMES, BANDS)
    assert features[0, :50, 3].tolist() == list(range(EDGE, EDGE + 50))
    assert features[1, 0, 0] == EDGE - 7 and features[2, 0, 0] == 2 * EDGE  # no further than that
    assert targets[0].tolist() == [1.0, 52.0, 100.0] and targets[1].tolist() == [1.0, 59.0, 107.0]
    assert targets[2, 0] == 0.0 and np.isnan(targets[2, 1:]).all()


class Loud:
    """Stands for a device: the louder the last 0.1 s, the higher the score."""

    step_samples, refractory_steps = 320, 50

    def __init__(self, library: Path, word: Word) -> None:
        self.states = word.states

    def step_end(self, step: int) -> int:
        return 1600 + 320 * step

    def threshold(self, state: int) -> int:
        return 45

    def steps(self, pcm: NDArray[np.int16], state: int) -> Steps:
        power = np.lib.stride_tricks.sliding_window_view(pcm.astype(float) ** 2, 1600)[::320]
        scores = (10 * np.log10(power.mean(axis=1) + 1)).astype(np.int16)
        ends = self.step_end(0) + 320 * np.arange(len(scores))
        return Steps(scores, scores, ends - 6400, ends)

    def scores(self, pcm: NDArray[np.int16], state: int) -> NDArray[np.int16]:
        return self.steps(pcm, state).scores


def test_wakes_are_where_the_device_reports() -> None:
    device: Any = Loud(Path(), BEEP_WORD)
    pcm = np.zeros(3 * RATE, np.int16)
    pcm[RATE : RATE + 1600] = 3000  # 70 dB
    pcm[2 * RATE + 3200 : 2 * RATE + 4800] = 30000

    def detected_start(
        place: tuple[int, int], seed: int = 1, low: float = 60.0
    ) -> tuple[int, int, int]:
        rng = np.random.default_rng(seed)
        return device_wake(rng, device, pcm, 0, (low, 69.0), place)

    found = [detected_start((RATE - 1600, RATE + 1600), seed) for seed in range(20)]
    assert all(RATE - 6400 <= start <= RATE - 4800 for start, *_ in found)
    assert len(set(found)) > 1  # thresholds differ
    assert {(woke, best) for _, woke, best in found} == {(SHIPPED, 69)}
    assert detected_start((100, 200), low=95.0)[1] == NEAREST
    # No wake, then where it came nearest to one; with a word, within its time.
    assert detected_start((-1, -1), low=95.0)[:2] == (2 * RATE + 4800 - 6400, NEAREST)
    assert detected_start((RATE - 1600, RATE + 1600), low=95.0)[:2] == (RATE + 1600 - 6400, NEAREST)


def test_a_batch_is_words_wakes_and_others() -> None:
    place = np.where(np.arange(90)[:, None] < 30, 1.0, np.nan) * np.ones((90, 2))
    woke = np.where(np.arange(90) < 60, SHIPPED, NEAREST).astype(np.int8)
    none = np.full(90, "")
    examples = Examples(
        np.zeros((90, 1, 1), np.int8),
        place.astype(np.float32),
        none,
        none,
        woke,
        np.zeros(90, np.uint8),
        np.zeros(90, np.int16),
    )
    pick = draw(examples)(np.random.default_rng(1), 400)
    assert (pick[:200] < 30).all() and (pick[200:300] // 30 == 1).all()
    assert set(pick[300:] // 30) == {1, 2}


def test_only_words_have_a_place_to_learn() -> None:
    outputs = np.array([[0.0, 0.0, 5.0], [0.0, 9.0, 9.0]], np.float32)
    targets = np.array([[1.0, 50.0, 110.0], [0.0, np.nan, np.nan]], np.float32)
    loss = np.asarray(verify_loss(targets, outputs))
    np.testing.assert_allclose(loss, [np.log(2) + 0.1 * 0.5, np.log(2)], rtol=1e-6)


class Level:
    """Stands for the detector: the louder, the surer."""

    identity = "of the first network"

    def __init__(self, word: Word, folder: Path) -> None:
        self.states = word.states
        self.thresholds = [45] * len(word.states)

    def confidence(self, features: NDArray[Any], states: NDArray[Any]) -> NDArray[np.float32]:
        assert len(features) == len(states)
        return features.mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture(scope="module")
def mined(
    sounds: Path, more: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Callable[..., Path]]]:
    """A folder, and training in it on few wakes of a device that wakes on what is loud."""
    folder = tmp_path_factory.mktemp("mined")
    (folder / "lib.so").write_bytes(b"a device")
    beep(folder, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wakestate.verify.learning.examples.Device", Loud)
        patch.setattr("wakestate.verify.learning.thresholds.Device", Loud)
        patch.setattr("wakestate.verify.learning.examples.SHARD", 12)
        patch.setattr("wakestate.verify.learning.thresholds.DetectorReplay", Level)

        def run(name: str, train_config: TrainConfig, amounts: Amounts = FEW) -> Path:
            return train(
                BEEP_WORD,
                sounds,
                [more],
                cache,
                folder / "lib.so",
                folder / "model",
                folder / "wakes",
                folder / name,
                train_config,
                amounts,
            )

        yield folder, run


@pytest.mark.parametrize("kind", ["cnn76", "dnn-hmm"])
def test_training_is_the_same_after_a_kill(mined: Any, kind: str) -> None:
    folder, run = mined
    train_config = TrainConfig(kind=kind, epochs=4 if kind == "dnn-hmm" else 2, batches=2, batch=8)
    whole = run(f"experiment/{kind}-misaligned-1", train_config)
    written = Fitter._write_curve

    def killed(self: Fitter, row: dict[str, float]) -> None:
        if row["round"] == 2:
            raise KeyboardInterrupt
        written(self, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitter, "_write_curve", killed)
        with pytest.raises(KeyboardInterrupt):
            run(f"killed-{kind}", train_config)
    assert Fitter._write_curve is written and not (folder / f"killed-{kind}/verifier").exists()
    again = run(f"killed-{kind}", train_config)
    names = sorted(p.name for p in whole.iterdir())
    assert names == sorted(p.name for p in again.iterdir())
    for name in names:
        if not name.endswith(".keras"):  # zip files have the time
            assert (again / name).read_bytes() == (whole / name).read_bytes(), name
    x = np.random.default_rng(1).integers(-128, 128, (4, FRAMES, 16)).astype(np.float32)
    load = DnnHmm.load if kind == "dnn-hmm" else Network.load
    logit = load(whole).score(x)[0]
    assert np.isfinite(logit).all() and np.array_equal(logit, load(again).score(x)[0])


@pytest.fixture
def typed(
    mined: Any, sounds: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """The examples of commands on the same device, with as few wakes and batches; their status."""
    folder, _ = mined

    def few(kind: str, windows: str, seed: int, epochs: int, batches: int) -> TrainConfig:
        return TrainConfig(kind, windows, seed, epochs, min(batches, 2), batch=8)

    def run(call: list[str], *more: str | Path) -> int:
        whole = [*call, "--word", folder / "beep.toml", "--model", folder / "model", *more]
        return main([str(word) for word in whole])

    monkeypatch.setattr("wakestate.verify.learning.compare.Device", Loud)
    monkeypatch.setattr("wakestate.verify.learning.fitter.TrainConfig", few)
    monkeypatch.setattr(Amounts, "times", lambda *_: FEW)
    monkeypatch.setattr(options, "CACHE", cache)
    monkeypatch.setattr(verifier, "built_library", lambda *_: folder / "lib.so")
    monkeypatch.setattr(verifier, "other_process", lambda *call: run([*call]))
    return run


def test_runs_are_trained_and_compared(
    mined: Any,
    typed: Callable[..., int],
    sounds: Path,
    more: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An experiment, in which a run is there already, and its table once more."""
    folder, _ = mined
    files = {"data/alexa": sounds, "runs/verify/alexa-experiment": folder / "experiment"}
    rate = ["--rate", "2000", "--json"]
    call = typed_example(
        "verifier experiment",
        files,
        *("--recipe", "verification", "--windows", "misaligned"),
        *("--also", more, "--amount", "1", "--epochs", "1"),
    )
    place = ["--wakes", folder / "wakes", "--out", folder / "experiment"]
    assert typed(call, *place, *rate) == 0
    (table,) = capsys.readouterr().out.splitlines()[-1:]
    rows = json.loads(table)["rows"]
    found = [(row["kind"], row["trained"], row["window"]) for row in rows]
    assert [one for one in found if one[0] != "cnn76"] == [  # which another test has trained
        (kind, "misaligned", window)
        for window in ("aligned", "misaligned")
        for kind in ("cra", "dnn-hmm")
    ]
    assert typed(typed_example("verifier compare", files), *rate) == 0
    assert capsys.readouterr().out.splitlines() == [table]


def test_held_out_voices_set_the_threshold_and_settings_are_kept(
    mined: Any, typed: Callable[..., int], sounds: Path, more: Path
) -> None:
    folder, run = mined
    train_config = TrainConfig(kind="cnn76", epochs=1, batches=1, batch=8)
    out, files = folder / "facts/verifier", {"data/alexa": sounds}
    kind = ["--kind", "cnn76", "--epochs", "1", "--batches", "1"]
    place = ["--wakes", folder / "wakes", "--out", out.parent]
    call = typed_example(
        "verifier train", files, *("--recipe", "verifier", "--also", more, "--amount", "1")
    )
    assert typed(call, *kind, *place) == 0
    facts = json.loads((out / "verifier.json").read_text())
    assert facts["held_out"]["words"]["both"] > 0 and facts["held_out"]["others"]["asked"] > 0
    one = Network.load(out)
    assert (one.frames, one.bands, one.kind) == (FRAMES, 16, "cnn76")
    assert set(facts["thresholds"]) == set(facts["wakes"]) == set(BEEP_WORD.states)
    assert facts["weight"] in DETECTOR_WEIGHTS and facts["detector"] == Level.identity
    assert facts["shipped"] == dict.fromkeys(BEEP_WORD.states, 45)
    other = {"detector": "other", "thresholds": {}, "wakes": {}, "held_out": {}}
    (out / "verifier.json").write_text(json.dumps(facts | other))
    place = ["--wakes", folder / "validation", "--verifier", out]
    assert typed(typed_example("verifier recalibrate", files, "--also", more), *place) == 0
    recalibrated = json.loads((out / "verifier.json").read_text())
    assert recalibrated.pop("thresholds") == pytest.approx(facts["thresholds"], abs=2e-4)
    assert recalibrated == {name: value for name, value in facts.items() if name != "thresholds"}
    assert not list((folder / "validation").glob("train-*"))
    with pytest.raises(DataError, match="this run was started with another train_config"):
        run("facts", TrainConfig(kind="cra"))
    with pytest.raises(DataError, match="these examples were made with another amounts"):
        run("facts", train_config, Amounts(48, 24, 0, 12, 12, 0))
    (folder / "lib.so").write_bytes(b"another")
    with pytest.raises(DataError, match="another library_sha256; name another folder"):
        run("facts", train_config)
    (folder / "lib.so").unlink()
    with pytest.raises(DeviceError, match=r"lib\.so: not found; build it"):
        run("facts", train_config)


def test_train_and_held_out_use_different_voices(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakestate.verify.learning.examples.Device", Loud)
    printed = {
        part: {voice(c) for c in Miner(corpus, BEEP_WORD, Path(), part).renderer.real}
        for part in ("train", "validation")
    }
    assert (
        printed["train"] and printed["validation"] and not printed["train"] & printed["validation"]
    )


def test_false_accepts_are_counted_at_equal_misses() -> None:
    logits = np.array([*np.arange(100.0), 0.5, 1.5, 4.5, 50.0, 200.0])
    is_word = np.arange(105) < 100
    once = np.ones((1, 105))
    for missed, expected in ((0.0, 5), (0.01, 4), (0.05, 2), (0.9, 1)):
        assert passed(logits, is_word, missed, once) == expected
    twice = once.copy()
    twice[0, 100:] = (0, 0, 3, 0, 2)  # of a draw that holds some voices more than once
    assert passed(logits, is_word, 0.02, twice) == 5
    weight = draws(np.array(["a", "a", "b", "c"]), 50)
    assert (weight[0] == 1).all() and (weight[:, 0] == weight[:, 1]).all()
    assert (weight[1:, [0, 2, 3]].sum(axis=1) == 3).all() and len(np.unique(weight[1:, 0])) > 1


def test_the_table_compares_runs_of_the_same_training() -> None:
    rng = np.random.default_rng(6)
    who = np.array([f"voice-{i % 40}" for i in range(400)])
    place = np.where(np.arange(400)[:, None] < 200, 1.0, np.nan) * np.ones((400, 2))
    examples = Examples(
        np.zeros((400, 1, 1), np.int8),
        place.astype(np.float32),
        who,
        who,
        np.ones(400, np.int8),
        np.zeros(400, np.uint8),
        np.zeros(400, np.int16),
    )

    def run(kind: str, seed: int, apart: float) -> ScoredRun:
        logits = rng.normal(0, 1, 400) + apart * examples.is_word
        return ScoredRun(kind, "aligned", seed, {"aligned": logits, "misaligned": -logits})

    scored = [run("cra", 1, 5.0), run("cra", 2, 5.0), run("dnn-hmm", 1, 2.0)]
    rows = table(scored, examples)
    assert [(r["kind"], r["window"], r["seeds"]) for r in rows] == [
        ("cra", "aligned", [1, 2]),
        ("dnn-hmm", "aligned", [1]),
        ("cra", "misaligned", [1, 2]),
        ("dnn-hmm", "misaligned", [1]),
    ]
    for mine, theirs in zip(rows[0]["at"], rows[1]["at"], strict=True):
        assert mine["false_accepts"] == np.mean(mine["of_seeds"]) < theirs["false_accepts"]
        assert mine["fewer"] == 1 - mine["false_accepts"] / theirs["false_accepts"]
        assert mine["fewer_low"] <= mine["fewer"] <= mine["fewer_high"] <= 1
        assert "fewer" not in theirs
    facts = {"words": 200, "speakers": 40, "false_accepts": 200, "hours": 3.0, "rows": rows}
    assert "| dnn-hmm | aligned | misaligned |" in markdown(facts)


def test_wakes_of_a_split_are_those_of_the_device(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = build_toy("toy", "host").folder / "libwakestate.so"
    monkeypatch.setattr(
        "wakestate.verify.learning.compare.conditions", lambda word, ser: conditions(word, ser)[:2]
    )
    examples, hours = detector_wakes(TOY.word, sounds, "dev", tmp_path, library, 2000.0)
    trials = Trials(TOY.word, load_corpus(sounds, "dev", tmp_path, TOY.word.data), 1, 3)
    assert hours == pytest.approx(trials.hours)  # both conditions use it: once
    device = Device(library, TOY.word)
    steps_ = [device.scores(trials.stream(Sound(), block), 0) for block in trials.blocks]
    scores = np.concatenate(steps_)
    threshold = lowest(device, scores, hours, 2000.0)
    count = len(wakes(scores, threshold, device.refractory_steps))
    assert (~examples.is_word).sum() == count <= 2000 * hours
    assert len(wakes(scores, threshold - 1, device.refractory_steps)) > 2000 * hours
    assert examples.features.shape[1:] == (WIDE, TOY.word.frontend.bands)
    assert set(examples.who[examples.is_word]) <= {voice(c) for c in trials.positives}
    monkeypatch.setattr("wakestate.verify.learning.compare.DetectorWakes", None)  # now it is there
    cached, _ = detector_wakes(TOY.word, sounds, "dev", tmp_path, library, 2000.0)
    assert np.array_equal(cached.features, examples.features) and np.array_equal(
        cached.who, examples.who
    )


def test_a_folder_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"no verifier can be read from it: .*verifier\.json"):
        Network.load(tmp_path)
    (tmp_path / "verifier.json").write_text("{}")
    (tmp_path / "verifier.npz").write_bytes(b"nothing")
    with pytest.raises(GatewayError, match=r"`wakestate verifier train` writes verifier\.json"):
        Network.load(tmp_path)
