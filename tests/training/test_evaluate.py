# SPDX-License-Identifier: Apache-2.0
"""Evaluation against recounts and against the emulator."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.examples import typed_example
from tests.support.executors import ROOT, TOY
from tests.support.firmware_build import Build, build
from tests.support.small_data import beep
from wakestate.__main__ import main
from wakestate.commands.options import WordFile
from wakestate.commands.program import built_library
from wakestate.convert.emit import probability
from wakestate.convert.manifest import never_fires, read_manifest, set_thresholds
from wakestate.train.acoustics.conditions import ALTERATIONS
from wakestate.train.acoustics.stage import active_rms, dbfs, rms, to_int16
from wakestate.train.data.corpus import RATE, Clip, DataError, load_corpus, voice
from wakestate.train.evaluation import evaluate
from wakestate.train.evaluation.device import BARRED, OURS, Device, DeviceError
from wakestate.train.evaluation.document import Row
from wakestate.train.evaluation.listening import Evaluation, Options
from wakestate.train.evaluation.metrics import caught, sweep
from wakestate.train.evaluation.thresholds import Counts
from wakestate.train.evaluation.trials import (
    LEAD,
    LEVEL_DBFS,
    TAIL,
    Condition,
    Sound,
    Trials,
    conditions,
)
from wakestate.words import load_word


@pytest.fixture(scope="module")
def host() -> Build:
    return build("toy", "host")


@pytest.fixture(scope="module")
def device(host: Build) -> Device:
    return Device(host.folder / "libwakestate.so", TOY.word)


def test_device_reports_what_the_emulator_prints(
    host: Build, device: Device, tmp_path: Path
) -> None:
    """Of the silence that the emulator processes behind a file it prints the wakes alone."""
    rng = np.random.default_rng(3)
    loud = np.repeat(rng.uniform(0, 9000, 240), 1600)
    pcm = to_int16((rng.normal(0, 1, len(loud)) * loud).astype(np.float32))[:-77]
    soundfile.write(tmp_path / "x.wav", pcm, RATE, subtype="PCM_16")
    table = probability(TOY.word, read_manifest(TOY.folder).logit)
    smoothing, barred = TOY.word.detector.smoothing_steps, 0
    for number, state in enumerate(TOY.word.states):
        done = host.run("emulator", "--scores", "--state", state, tmp_path / "x.wav")
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        found = device.steps(np.append(pcm, np.zeros(RATE // 2, np.int16)), number)
        scores = found.scores
        within = device.scores(pcm, number)
        assert np.array_equal(scores[: len(within)], within)
        q15 = table[(scores + 128 * smoothing + smoothing // 2) // smoothing]
        expected = [
            (round(device.step_end(i) / RATE, 3), int((q * 10000 + 16384) >> 15) / 10000)
            for i, q in enumerate(q15)
        ]
        printed = [(e["t"], e["p"]) for e in lines if e["type"] == "score"]
        assert printed == expected[: len(within)]
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


def test_lengths_of_the_words(
    host: Build, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = typed_example("word lengths", {"alexa": TOY.word_path, "data/alexa": sounds})
    options = ["--library", str(host.folder / "libwakestate.so"), "--model", str(TOY.folder)]
    assert main([*typed, *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    seconds = [row["seconds"] for row in found["shorter"]]
    assert found["recordings"] > 0 and seconds == sorted(seconds)


def test_a_word_too_short_wakes_at_no_threshold(tmp_path: Path) -> None:
    word, host = load_word(ROOT / "words/computer.toml"), build("computer", "host")
    device = Device(host.folder / "libwakestate.so", word)
    rng, shortest = np.random.default_rng(4), word.detector.shortest_s * RATE
    talk = rng.normal(0, 1, 60 * RATE) * np.repeat(rng.uniform(0, 9000, 600), RATE // 10)
    found = device.steps(to_int16(talk.astype(np.float32)), 0)
    ends = np.array([device.step_end(i) for i in range(len(found.scores))])
    whole = (found.start > 0) & (found.end < ends)  # the place was not clipped
    short, lengths = found.scores == BARRED, found.end - found.start
    assert short[whole].any() and not short[whole].all()
    assert (lengths[whole & short] <= shortest).all()  # rounded to samples
    assert (lengths[whole & ~short] >= shortest - 1).all()
    assert np.array_equal(found.scores[~short], found.sums[~short])
    assert len(sweep(found.scores, 400)) < 800  # as if they were not there
    changed = word.detector.model_copy(update={"shortest_s": 0.3})
    with pytest.raises(DeviceError, match="built for samples of the shortest word 7040, the word"):
        Device(host.folder / "libwakestate.so", word.model_copy(update={"detector": changed}))


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


def test_the_library_of_a_model_stays_when_another_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two evaluations at a time, of two models of a word."""
    monkeypatch.chdir(tmp_path)
    word = WordFile(TOY.word.name, TOY.word_path, str(TOY.word_path))
    other = tmp_path / "other"
    shutil.copytree(TOY.folder, other)
    thresholds = dict.fromkeys(TOY.word.states, 5)
    set_thresholds(other, TOY.word, thresholds)
    first = built_library(word, TOY.folder, None)
    before = first.read_bytes()
    second = built_library(word, other, None)
    assert first != second and first.read_bytes() == before != second.read_bytes()
    assert Device(second, TOY.word).threshold(0) == 5 != Device(first, TOY.word).threshold(0)


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

    def at_50_and_51(start: int, end: int) -> list[bool]:
        return caught(device, scores, np.array([50, 51]), start, end).tolist()

    for start, end, expected in (
        (at, at + 8000, True),
        (at + 1, at + 8000, False),
        (at - 8000 - RATE, at - RATE, True),
        (at - 8000 - RATE, at - RATE - 1, False),
    ):
        assert at_50_and_51(start, end) == [expected, False]
    # A detection just before the word bars the one in it, as on the device.
    scores[95] = 50
    assert at_50_and_51(at - 100, at + 100) == [False, False]


@pytest.fixture
def trials(sounds: Path, cache: Path) -> Trials:
    return Trials(TOY.word, load_corpus(sounds, "dev", cache), seed=1, draws=2)


@pytest.fixture
def evaluation(trials: Trials, sounds: Path, cache: Path, device: Device) -> Evaluation:
    options = Options(draws=2, rates=(50000.0, 200.0, 1e-6), peers=False)
    return Evaluation(TOY.word, device, trials, cache, options)


def test_conditions_cover_every_state(tmp_path: Path) -> None:
    word = beep(tmp_path, 10)
    found = conditions(word, {"low": (10.0,), "high": (0.0, -5.0)})
    assert [c.name for c in found if c.part in ("sound", "state")] == [
        "clean",
        "noise 10 dB",
        "noise 0 dB",
        "music 0 dB",
        "player=idle,volume=high",
        *(
            f"player={player},volume={volume} SER {ratio} dB"
            for player in ("music", "speech", "alarm")
            for volume, ratio in (("low", 10), ("high", 0), ("high", -5))
        ),
    ]
    wrong = [(c.name, c.state, c.sound) for c in found if c.part == "wrong-state"]
    assert wrong[:2] == [
        (
            "music plays, state player=idle,volume=low, SER 0 dB",
            "player=idle,volume=low",
            Sound(plays="player=music,volume=high", ser_db=0.0),
        ),
        ("nothing plays, state player=music,volume=high", "player=music,volume=high", Sound()),
    ]
    assert len(wrong) == 6
    assert [c.sound for c in found if c.part == "gain"] == [
        Sound(level_dbfs=level) for level in (-50, -40, -30, -20, -15)
    ]
    # The given state does not change the sound.
    by_name = {c.name: c for c in found}
    assert by_name["player=music,volume=high SER 0 dB"].sound == wrong[0][2]


@pytest.mark.parametrize(
    ("condition", "ratio"),
    [
        (Condition("noise", "player=idle", "noise", 10.0), 10.0),
        (Condition("music", "player=idle", "music", 0.0), 0.0),
        (Condition("own", "player=music", ser_db=5.0), 5.0),
    ],
)
def test_trials_are_mixed_as_asked(trials: Trials, condition: Condition, ratio: float) -> None:
    found = list(trials.recordings(condition.sound))
    assert len(found) == 2 * len(trials.positives) == 2 * 7
    level = dbfs(LEVEL_DBFS)
    for clip, pcm, start, end in found:
        assert (start, end) == (clip.start + LEAD, clip.end + LEAD)
        assert len(pcm) == LEAD + clip.samples + TAIL
        speech = trials.corpus.audio(clip).astype(np.float32)
        speech = np.pad(speech * (level / active_rms(speech[clip.start : clip.end])), (LEAD, TAIL))
        other = pcm - speech
        assert 20 * np.log10(level / rms(other)) == pytest.approx(ratio, abs=0.05)
        assert active_rms(speech[start:end]) == pytest.approx(level, rel=1e-3)
    assert not np.array_equal(found[0][1], found[7][1])  # each draw is another


def test_clean_trials_and_stream_are_the_recordings(trials: Trials) -> None:
    found = list(trials.recordings(Sound()))
    assert len(found) == len(trials.positives)
    for clip, pcm, start, end in found:
        assert np.array_equal(pcm[LEAD:-TAIL], trials.corpus.audio(clip))
        assert not pcm[:LEAD].any() and not pcm[-TAIL:].any()
        assert (start, end) == (clip.start + LEAD, clip.end + LEAD)
    assert {c.kind for c in trials.negatives} == {"speech", "device_speech", "music", "noise"}
    named = [replace(c, label=c.kind) if c.kind == "noise" else c for c in trials.corpus.clips]
    again = Trials(TOY.word, trials.corpus.only(named), 1, 1)
    assert again.hours == trials.hours  # none twice
    played_sounds = [clip for block in trials.blocks for clip in block.clips]
    assert sorted(played_sounds, key=lambda c: c.path) == sorted(
        trials.negatives, key=lambda c: c.path
    )
    for block in trials.blocks:
        assert {trials.half[clip] for clip in block.clips} == {block.half}
        stream, silence = trials.stream(Sound(), block), np.zeros(2 * RATE, np.int16)
        parts = [p for c in block.clips for p in (silence, trials.corpus.audio(c))]
        assert np.array_equal(stream, np.concatenate([*parts, silence]))
        music = Sound(plays="player=music", ser_db=0.0)
        mixed = trials.stream(music, block)
        assert len(mixed) == len(stream) and mixed[-RATE:].any()  # the device plays on
        assert np.array_equal(mixed, trials.stream(music, block))
        assert not np.array_equal(mixed, stream)


def test_recordings_at_a_level_are_only_scaled(trials: Trials) -> None:
    for clip, pcm, start, end in trials.recordings(Sound(level_dbfs=-42.0)):
        word = pcm[start:end].astype(np.float32)
        assert 20 * np.log10(active_rms(word) / 32768) == pytest.approx(-42, abs=0.1)
        speech = trials.corpus.audio(clip).astype(np.float32)
        scaled = speech * (active_rms(word) / active_rms(speech[clip.start : clip.end]))
        assert np.abs(pcm[LEAD:-TAIL] - scaled).max() < 1.5
        assert not pcm[:LEAD].any() and not pcm[-TAIL:].any()


def test_a_scene_has_the_word_where_it_reports(trials: Trials) -> None:
    pcm, spans = trials.scene(Sound())
    level = dbfs(LEVEL_DBFS)
    assert len(spans) == 3
    for start, end in spans:
        assert active_rms(pcm[start:end].astype(np.float32)) == pytest.approx(level, rel=1e-2)
    assert not np.array_equal(pcm, trials.scene(Sound(plays="player=music", ser_db=0.0))[0])


class Recount:
    """False accepts and misses of the recordings at any threshold, counted over again."""

    def __init__(self, evaluation: Evaluation, sound: Sound) -> None:
        self.device, self.blocks = evaluation.device, evaluation.trials.blocks
        self.recordings = list(evaluation.trials.recordings(sound))
        streams = [evaluation.trials.stream(Sound(), block) for block in self.blocks]
        self.streams = [self.device.scores(stream, 0) for stream in streams]

    def accepts(self, threshold: float, half: int | None = None) -> int:
        return sum(
            len(self.device.detections(scores, int(threshold)))
            for scores, block in zip(self.streams, self.blocks, strict=True)
            if half in (None, block.half)
        )

    def missed(self, threshold: float) -> list[bool]:
        return [
            not any(
                start <= self.device.step_end(i) <= end + RATE
                for i in self.device.detections(self.device.scores(pcm, 0), int(threshold))
            )
            for _, pcm, start, end in self.recordings
        ]


def check_crossed(evaluation: Evaluation, recount: Recount, row: Row) -> None:
    """Each half at the threshold that holds the rate on the other."""
    rates, half = evaluation.options.rates, evaluation.trials.half
    hours = evaluation.trials.half_hours
    assert min(hours) > 0 and {half[clip] for clip in evaluation.trials.positives} == {0, 1}
    for rate in rates:
        found = row.crossed[f"{rate:g}"]
        for side, limit in enumerate(found.thresholds):
            assert recount.accepts(limit, 1 - side) / hours[1 - side] <= rate
            above = recount.accepts(limit - 1, 1 - side) / hours[1 - side] > rate
            assert above or rate == rates[0]
        at = found.thresholds
        assert found.false_accepts == recount.accepts(at[0], 0) + recount.accepts(at[1], 1)
        each = [recount.missed(limit) for limit in at]
        expected = [each[half[clip]][i] for i, (clip, *_) in enumerate(recount.recordings)]
        assert found.missed == "".join("01"[m] for m in expected)
        assert found.misses == sum(expected)


def test_a_row_is_what_a_recount_gives(evaluation: Evaluation) -> None:
    condition = Condition("noise", "player=idle", "noise", 10.0)
    wrong = Condition("wrong state", "player=music", "noise", 10.0)
    played = [evaluation.play(Sound(), b.number, [0, 1]) for b in evaluation.trials.blocks]
    played.append(evaluation.play(condition.sound, None, [0, 1]))
    counted = {
        (Sound(), state, OURS): evaluation.accepts(played, Sound(), state, OURS) for state in (0, 1)
    }
    counts = Counts(TOY.word, [condition, wrong], counted, {OURS: evaluation.device})
    counts.ships["player=idle"] = counted[Sound(), 0, OURS].threshold(200.0)
    row = evaluation.row(played, condition, counts)
    assert row.shipped == row.at["200"] and row.endpoints is None
    recount = Recount(evaluation, condition.sound)
    assert (row.clips, row.speakers) == (14, 4)
    for rate, found in row.at.items():
        assert found.false_accepts == recount.accepts(found.threshold)
        assert found.false_accepts / row.hours <= float(rate)
        misses = sum(recount.missed(found.threshold))
        assert found.misses == misses and found.frr == pytest.approx(misses / 14)
        assert found.frr_low <= found.frr <= found.frr_high
    loose, strict, never = row.at.values()
    assert strict.threshold > loose.threshold
    assert recount.accepts(strict.threshold - 1) / row.hours > 200.0
    assert never.false_accepts == 0 and never.threshold <= never_fires(TOY.word)
    check_crossed(evaluation, recount, row)
    of_states = {
        (s.state, s.rate): s.false_accepts for s in counts.states(evaluation.options.rates)
    }
    assert of_states["player=idle", "200"] == row.crossed["200"].false_accepts
    # Another state given: the same sound, other scores.
    wrong = evaluation.row(played, wrong, counts)
    assert wrong.curve != row.curve and wrong.lfbe_db == row.lfbe_db
    f = TOY.word.frontend
    assert len(row.lfbe_db) == f.bands
    assert all(f.floor_db <= db <= f.floor_db + 255 * f.db_per_step for db in row.lfbe_db)


def test_evaluation_needs_every_kind_of_sound(trials: Trials) -> None:
    for kind, what in {"toy": "recording labeled toy", "noise": "noise", "music": "music"}.items():
        clips = [c for c in trials.corpus.clips if kind not in (c.kind, c.label)]
        with pytest.raises(DataError, match=f"the split has no {what}"):
            Trials(TOY.word, trials.corpus.only(clips), 1, 1)


def test_unknown_speakers_are_not_one(evaluation: Evaluation) -> None:
    corpus = evaluation.trials.corpus
    nameless = [
        Clip(**(vars(c) | {"speaker": "unknown"})) if c.label == "toy" else c for c in corpus.clips
    ]
    evaluation.trials = Trials(TOY.word, corpus.only(nameless), 1, 1)
    assert len({voice(c) for c in evaluation.play(Sound(), None, [0]).clips}) == 7


def test_evaluation_resumes_after_a_kill(
    host: Build, sounds: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played_sounds: list[Sound] = []
    whole = Evaluation.play

    def play(self: Evaluation, sound: Sound, block: int | None, states: list[int]) -> Any:
        if len(played_sounds) == 3:
            played_sounds.append(sound)
            raise KeyboardInterrupt
        played_sounds.append(sound)
        return whole(self, sound, block, states)

    def serially(
        function: Any, todo: list[Any], *shown: Any, shared: Any, keep: Any = None, **_: Any
    ) -> list[Any]:
        found = []
        for job in todo:
            found.append(function(shared, job))
            if keep:
                keep(job, found[-1])
        return found

    few = {name: ALTERATIONS[name] for name in ("band to 3.4 kHz", "clipped by 12 dB")}
    monkeypatch.setattr("wakestate.train.evaluation.trials.ALTERATIONS", few)
    monkeypatch.setattr(Evaluation, "play", play)
    monkeypatch.setattr(evaluate, "in_parallel", serially)
    monkeypatch.setattr("wakestate.train.artifacts.in_parallel", serially)
    options = Options(draws=1, ser_db={"high": (0.0,)}, peers=False, short=True)
    library = host.folder / "libwakestate.so"

    def measured(folder_name: str, **other: Any) -> Any:
        given = replace(options, **other)
        return evaluate.evaluate(
            TOY.word, library, sounds, "dev", cache, given, tmp_path / folder_name
        )

    with pytest.raises(KeyboardInterrupt):
        measured("a")
    (folder,) = (tmp_path / "a").iterdir()
    folder_name = sorted(folder.iterdir())
    assert len(folder_name) == 3 and not list(folder.glob("*.partial"))
    folder_name[0].write_bytes(folder_name[0].read_bytes()[:100])  # as a full disk leaves it
    resumed = measured("a")
    jobs = len(played_sounds) - 4 + 2
    # Two streams of a block in each half, and the recordings; and the confusable phrases.
    assert jobs == 2 * 2 + 5 + 1 and len(list(folder.iterdir())) == jobs + 1
    before = len(played_sounds)
    assert measured("b") == resumed and len(played_sounds) == before + jobs
    # What made the scores counts: another seed processes all again.
    measured("a", seed=2)
    assert len(played_sounds) == before + 2 * jobs
    # The short form leaves out rows, and ends with the same thresholds.
    full = measured("c", short=False)
    assert full.thresholds == resumed.thresholds and len(full.rows) > len(resumed.rows) + 7
