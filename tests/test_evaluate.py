"""Evaluation against recounts and against the emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.emit import probability
from convert.manifest import check_manifest, never_fires, read_manifest, set_thresholds
from tests.executors import TOY
from tests.firmware_build import Build, build
from tests.small_data import (
    beep,
)
from train.acoustics import active_rms, dbfs, rms, to_int16
from train.data import (
    RATE,
    Clip,
    DataError,
    load_corpus,
)
from train.device import Device, DeviceError
from train.evaluate import (
    LEAD,
    LEVEL_DBFS,
    TAIL,
    Condition,
    Evaluation,
    _caught,
    bootstrap,
    conditions,
)


@pytest.fixture(scope="module")
def host() -> Build:
    return build("toy", "host")


@pytest.fixture(scope="module")
def device(host: Build) -> Device:
    return Device(host.folder / "libwakestate.so", TOY.word)


def test_device_hears_what_the_emulator_prints(host: Build, device: Device, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    loud = np.repeat(rng.uniform(0, 9000, 240), 1600)
    pcm = to_int16((rng.normal(0, 1, len(loud)) * loud).astype(np.float32))[:-77]
    soundfile.write(tmp_path / "x.wav", pcm, RATE, subtype="PCM_16")
    table = probability(read_manifest(TOY.folder).logit)
    smoothing, barred = TOY.word.detector.smoothing_steps, 0
    for number, state in enumerate(TOY.word.states):
        done = host.run("emulator", "--scores", "--state", state, tmp_path / "x.wav")
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        found = device.steps(pcm, number)
        scores = found.scores
        assert np.array_equal(scores, device.scores(pcm, number))
        q15 = table[(scores + 128 * smoothing + smoothing // 2) // smoothing]
        expected = [
            (round(device.step_end(i) / RATE, 3), int((q * 10000 + 16384) >> 15) / 10000)
            for i, q in enumerate(q15)
        ]
        assert [(e["t"], e["p"]) for e in lines if e["type"] == "score"] == expected
        steps = device.detections(scores, device.threshold(number))
        wakes = [event for event in lines if event["type"] == "wake"]
        assert [(e["t"], e["p"]) for e in wakes] == [expected[i] for i in steps]
        for event, i in zip(wakes, steps, strict=True):
            word = found.start[i] / RATE, found.end[i] / RATE
            assert (event["start"], event["end"]) == pytest.approx(word, abs=0.00051)
            assert 0 <= found.start[i] < found.end[i] <= device.step_end(i)
        assert device.threshold(number) == read_manifest(TOY.folder).thresholds[state]
        assert len(steps) >= 3
        barred += int((scores >= device.threshold(number)).sum()) - len(steps)
    assert barred > 3  # the refractory time was put to the test


def test_refractory_steps(device: Device) -> None:
    # 0.2 s at 20 ms a step: ten steps.
    assert device.refractory_steps == 10
    scores = np.full(35, -200, np.int16)
    assert device.detections(scores, 0) == []
    scores[[4, 5, 13, 14, 20, 34]] = [0, 99, 99, 0, 99, 7]
    assert device.detections(scores, 0) == [4, 14, 34]
    assert device.detections(scores, 1) == [5, 20, 34]
    assert device.detections(scores, 100) == []
    assert device.detections(np.full(35, 5, np.int16), 5) == [0, 10, 20, 30]


def test_a_library_for_another_word_is_refused(host: Build, tmp_path: Path) -> None:
    library = host.folder / "libwakestate.so"
    word = TOY.word
    for changed, message in (
        (word.model_copy(update={"metadata": {"player": ("idle", "speech")}}), "other states"),
        (word.model_copy(update={"metadata": {"player": ("idle",)}}), "other states"),
        (
            word.model_copy(
                update={"detector": word.detector.model_copy(update={"smoothing_steps": 3})}
            ),
            "built for smoothing_steps 2, the word file has 3; rebuild it",
        ),
        (
            word.model_copy(update={"frontend": word.frontend.model_copy(update={"low_hz": 61.0})}),
            r"built for another \[frontend\]",
        ),
    ):
        with pytest.raises(DeviceError, match=message):
            Device(library, changed)
    (tmp_path / "x.so").write_bytes(b"no library")
    with pytest.raises(DeviceError, match="cannot be loaded"):
        Device(tmp_path / "x.so", word)


def test_a_word_is_caught_from_its_start_to_a_second_after_its_end(device: Device) -> None:
    scores = np.full(400, -200, np.int16)
    scores[100] = 50
    at = device.step_end(100)
    assert at == 400 + 100 * 320
    for start, end, caught in (
        (at, at + 8000, True),
        (at + 1, at + 8000, False),
        (at - 8000 - RATE, at - RATE, True),
        (at - 8000 - RATE, at - RATE - 1, False),
    ):
        assert _caught(device, scores, 50, start, end) is caught
    assert not _caught(device, scores, 51, at - 1, at + 1)
    # A detection just before the word bars the one in it, as on the device.
    scores[95] = 50
    assert not _caught(device, scores, 50, at - 100, at + 100)


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


@pytest.fixture
def evaluation(sounds: Path, cache: Path, device: Device) -> Evaluation:
    return Evaluation(TOY.word, device, load_corpus(sounds, "dev", cache), seed=1, draws=2)


def test_conditions_cover_every_state(tmp_path: Path) -> None:
    found = conditions(beep(tmp_path, 10), {"low": 10.0, "high": 0.0})
    assert [c.name for c in found] == [
        "clean",
        "noise 10 dB",
        "noise 0 dB",
        "music 0 dB",
        "player=idle,volume=high",
        *(
            f"player={player},volume={volume} SER {ratio} dB"
            for player in ("music", "speech", "alarm")
            for volume, ratio in (("low", 10), ("high", 0))
        ),
    ]


@pytest.mark.parametrize(
    ("condition", "ratio"),
    [
        (Condition("noise", "player=idle", "noise", 10.0), 10.0),
        (Condition("music", "player=idle", "music", 0.0), 0.0),
        (Condition("own", "player=music", ser_db=5.0), 5.0),
    ],
)
def test_trials_are_mixed_as_asked(
    evaluation: Evaluation, condition: Condition, ratio: float
) -> None:
    trials = list(evaluation.trials(condition))
    assert len(trials) == 2 * len(evaluation.positives) == 2 * 7
    level = dbfs(LEVEL_DBFS)
    for clip, pcm, start, end in trials:
        assert (start, end) == (clip.start + LEAD, clip.end + LEAD)
        assert len(pcm) == LEAD + clip.samples + TAIL
        speech = evaluation.corpus.audio(clip).astype(np.float32)
        speech = np.pad(speech * (level / active_rms(speech[clip.start : clip.end])), (LEAD, TAIL))
        other = pcm - speech
        assert 20 * np.log10(level / rms(other)) == pytest.approx(ratio, abs=0.05)
        assert active_rms(speech[start:end]) == pytest.approx(level, rel=1e-3)
    assert not np.array_equal(trials[0][1], trials[7][1])  # each draw is another


def test_clean_trials_and_stream_are_the_recordings(evaluation: Evaluation) -> None:
    trials = list(evaluation.trials(Condition("clean", "player=idle")))
    assert len(trials) == len(evaluation.positives)
    for clip, pcm, start, end in trials:
        assert np.array_equal(pcm[:-TAIL], evaluation.corpus.audio(clip))
        assert not pcm[-TAIL:].any() and (start, end) == (clip.start, clip.end)
    stream = evaluation.speech_stream("player=idle", None)
    clips = evaluation.negatives
    assert {c.kind for c in clips} == {"speech", "device_speech", "music", "noise"}
    assert np.array_equal(stream, np.concatenate([evaluation.corpus.audio(c) for c in clips]))
    mixed = evaluation.speech_stream("player=music", 0.0)
    assert len(mixed) == len(stream)
    assert np.array_equal(mixed, evaluation.speech_stream("player=music", 0.0))
    assert not np.array_equal(mixed, stream)


def test_a_row_is_what_a_recount_gives(evaluation: Evaluation) -> None:
    """False accepts and misses at the threshold found, counted over again."""
    condition = Condition("noise", "player=idle", "noise", 10.0)
    row = evaluation.run(condition, (200.0, 50000.0))
    device = evaluation.device
    stream = device.scores(evaluation.speech_stream("player=idle", None), 0)
    assert (row.clips, row.speakers) == (14, 4)
    for rate, found in row.at.items():
        accepts = len(device.detections(stream, int(found["threshold"])))
        assert found["false_accepts"] == accepts
        assert accepts / row.hours <= float(rate)
        misses = sum(
            not any(
                start <= device.step_end(i) <= end + RATE
                for i in device.detections(device.scores(pcm, 0), int(found["threshold"]))
            )
            for _, pcm, start, end in evaluation.trials(condition)
        )
        assert found["misses"] == misses and found["frr"] == pytest.approx(misses / 14)
        assert found["frr_low"] <= found["frr"] <= found["frr_high"]
    strict, loose = row.at.values()
    assert strict["threshold"] > loose["threshold"]
    below = len(device.detections(stream, int(strict["threshold"]) - 1))
    assert below / row.hours > 200.0
    never = evaluation.run(condition, (1e-6,)).at["1e-06"]
    assert never["false_accepts"] == 0 and never["threshold"] <= never_fires(TOY.word)


def test_evaluation_needs_every_kind_of_sound(evaluation: Evaluation, device: Device) -> None:
    for kind, what in {"toy": "recording labelled toy", "noise": "noise", "music": "music"}.items():
        clips = [c for c in evaluation.corpus.clips if kind not in (c.kind, c.label)]
        with pytest.raises(DataError, match=f"the split has no {what}"):
            Evaluation(TOY.word, device, evaluation.corpus.only(clips), 1, 1)


def test_unknown_speakers_are_not_one(sounds: Path, cache: Path, device: Device) -> None:
    corpus = load_corpus(sounds, "dev", cache)
    nameless = [
        Clip(**(vars(c) | {"speaker": "unknown"})) if c.label == "toy" else c for c in corpus.clips
    ]
    evaluation = Evaluation(TOY.word, device, corpus.only(nameless), 1, 1)
    assert evaluation.run(Condition("clean", "player=idle"), (1.0,)).speakers == 7


def test_evaluate_from_end_to_end(host: Build, sounds: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(TOY.folder, model)
    before = {p.name: p.read_bytes() for p in model.iterdir()}
    set_thresholds(model, TOY.word, dict.fromkeys(TOY.word.states, never_fires(TOY.word)))
    command = [sys.executable, "-m", "train", "evaluate", "--word", TOY.word_path]
    command += ["--data", sounds, "--split", "dev", "--library", host.folder / "libwakestate.so"]
    command += ["--out", tmp_path / "out", "--draws", "2", "--echo", "high=3", "--seed", "4"]
    command += ["--set-thresholds", model]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    names = ["clean", "noise 10 dB", "noise 0 dB", "music 0 dB", "player=music SER 0 dB"]
    table = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [cells[0].removeprefix("| ") for cells in table] == ["condition", *names]
    assert table[0][1:3] == ["FRR % at 1 FA/h", "FRR % at 0.5 FA/h"]
    found = json.loads((tmp_path / "out/evaluate.json").read_text())
    assert (found["word"], found["split"], found["seed"], found["draws"]) == ("toy", "dev", 4, 2)
    assert found["signal_to_echo_db"] == {"high": 3.0}
    rows = found["rows"]
    assert [row["condition"]["name"] for row in rows] == names
    assert [row["clips"] for row in rows] == [7, 14, 14, 14, 14]
    for row, cells in zip(rows, table[1:], strict=True):
        assert set(row) == {"condition", "clips", "speakers", "hours", "at", "curve"}
        assert row["hours"] * 3600 == pytest.approx(6 * 2.5 + 3 + 5 + 5, abs=0.01)
        at = row["at"]["0.5"]
        assert at["frr"] == at["misses"] / row["clips"] and at["false_accepts"] == 0
        assert cells[2].startswith(f"{100 * at['frr']:.1f} [")
        frr = [point[1] for point in row["curve"]]
        assert frr == sorted(frr) and frr[-1] == 1.0
    png = (tmp_path / "out/det.png").read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) > 10000
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"evaluate.json", "det.png"}

    manifest = check_manifest(model, TOY.word)
    assert manifest.thresholds == {
        "player=idle": rows[0]["at"]["0.5"]["threshold"],
        "player=music": rows[4]["at"]["0.5"]["threshold"],
    }
    assert set(manifest.thresholds.values()) != {never_fires(TOY.word)}
    assert {p.name: p.read_bytes() for p in model.iterdir() if p.name != "model.json"} == {
        name: data for name, data in before.items() if name != "model.json"
    }
    assert (TOY.folder / "model.json").read_bytes() == before["model.json"]
