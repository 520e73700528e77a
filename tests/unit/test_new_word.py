# SPDX-License-Identifier: Apache-2.0
"""`wakestate word new`: the phrase, the plan, the stages and their resumption, own recordings."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile

from tests.support.examples import typed_line
from tests.support.executors import ROOT
from tests.support.small_data import beep, tones, write_manifest
from wakestate.__main__ import cli, main
from wakestate.errors import UserError
from wakestate.train.data.corpus import RATE, DataError, load_corpus
from wakestate.train.newword.outcome import next_steps
from wakestate.train.newword.phrase import assess, name_of
from wakestate.train.newword.plan import Task, plan, word_file
from wakestate.train.newword.recordings import import_recordings
from wakestate.train.newword.stages import Display, Stage, StageError, alone, run_stages
from wakestate.words import load_word


@pytest.mark.parametrize(
    ("phrase", "syllables", "concerns"),
    [("go", 1, 2), ("computer", 3, 1), ("Alexa!", 3, 1), ("umbrella", 3, 0)],
)
def test_a_phrase_is_judged_by_its_length_and_what_is_like_it(
    phrase: str, syllables: int, concerns: int
) -> None:
    found = assess(phrase)
    assert found.syllables == syllables and len(found.concerns()) == concerns
    assert f"{syllables} syllable" in found.lines()[0]
    near = [c.distance for c in found.nearest]
    assert near == sorted(near) and found.text not in [c.text for c in found.nearest]


@pytest.mark.parametrize(
    ("phrase", "name"),
    [("Hey Jupiter!", "hey_jupiter"), ("olá  Zoë", "ola_zoe"), ("42", "word_42"), ("?", "word")],
)
def test_a_phrase_names_its_word_file(phrase: str, name: str) -> None:
    assert name_of(phrase) == name


NO_LANGUAGE = "no voice here speaks it" if shutil.which("espeak-ng") else "need espeak-ng"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["hey jupiter", "--lang", "tlh"], 2, NO_LANGUAGE),
        (["小爱同学"], 2, "English voices cannot say '小'"),
        (["hey jupiter", "--judge", "none"], 1, "--judge: none: no such folder"),
        (["hey jupiter", "--recipe", "slow"], 1, "slow: no such recipe; give a .toml file or one"),
        (["hey jupiter", "--flash", "huge"], 2, "'huge' is not one of 'small', 'medium', 'large'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    arguments: list[str],
    status: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["word", "new", *arguments]) == status
    printed = capsys.readouterr()
    assert text in printed.err and len(printed.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def given(*arguments: str) -> dict[str, Any]:
    """The values of `wakestate word new`."""
    group = cli.commands["word"]
    assert isinstance(group, click.Group)
    with group.commands["new"].make_context("new", ["umbrella", *arguments]) as ctx:
        return dict(ctx.params)


@pytest.mark.parametrize(("recipe", "hours"), [("quick", 0.25), ("standard", 3.0), ("best", 10.0)])
def test_recipes_hold_their_times(
    recipe: str, hours: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakestate.train.newword.plan.without_kokoro", lambda _: "")
    monkeypatch.setattr("wakestate.train.costs.cores", lambda: 2)
    values = given("--recipe", recipe, "--judge", "mine", "--recordings", "ours")
    paths = (tmp_path / "w.toml", "small", tmp_path / "run", tmp_path / "data", tmp_path / "got")
    planned = plan(Task(*paths, values))
    names = [stage.name for stage in planned.stages]
    assert [n for n in names if n != "benchmark"] == (
        ["voices", "synthesize", "recordings", "judge", "train", "convert", "measure", "sample"]
    )
    cores = (os.cpu_count() or 1) / 2
    assert 0.4 * hours < sum(s.seconds for s in planned.stages) * cores / 3600 < hours
    assert planned.download_mb >= 250
    for stage in planned.stages:  # each is a command as it can be typed
        command, words = cli, list(stage.command)
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        monkeypatch.setattr("wakestate.commands.options._WordType.fail", lambda *_: None)
        command.make_context(stage.name, words).close()


def test_the_word_file_is_small(tmp_path: Path) -> None:
    path = tmp_path / "umbrella.toml"
    found = assess("Umbrella")
    path.write_text(word_file(found, "umbrella", "medium"))
    word = load_word(path)
    assert (word.phrase, word.model.dense) == ("umbrella", 48)
    assert word.data.confusables == tuple(c.text for c in found.nearest)
    assert len(path.read_text().splitlines()) <= 14


LIST, SIZE = ("word", "list"), ("board", "list")


def test_stages_are_done_once_and_what_fails_is_said(tmp_path: Path) -> None:
    out = io.StringIO()
    stages = [Stage("one", LIST, 2.0), Stage("two", ("word", "list", "--none"), 2.0)]
    with pytest.raises(StageError, match=r"two: No such option.*all of it is in .*new\.log") as e:
        run_stages(stages, tmp_path, out)
    assert e.value.status == 2
    stages[1] = Stage("two", SIZE, 2.0)
    run_stages(stages, tmp_path, out)
    run_stages(stages, tmp_path, out)
    shown = out.getvalue().splitlines()
    assert [line.partition(";")[0] for line in shown] == ["[1/2] one", "[2/2] two", "[2/2] two"]
    log = (tmp_path / "new.log").read_text()
    assert log.count("$ wakestate word list\n") == 1 and "alexa" in log


def test_the_time_left_follows_what_is_done() -> None:
    stages = [Stage("one", LIST, 600), Stage("two", LIST, 600), Stage("three", LIST, 60)]
    assert Display(stages, {}, io.StringIO()).left() == 1260
    slow = Display(stages, {"one": 1200}, io.StringIO())
    assert slow.left("two", 100) == pytest.approx((1260 / 660) * 660 - 100)
    assert slow.left("two", 1e6) == pytest.approx((1260 / 660) * (0.05 * 600 + 60))


def test_a_terminal_shows_all_stages_in_place() -> None:
    stages = [Stage("one", LIST, 600), Stage("two", LIST, 600), Stage("three", LIST, 60)]
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as out:
        display = Display(stages, {"one": 300.0}, out)
        display.draw(stages[1], 3.0, "speak:  10%|#         | 2/20 clips")
        display.draw(stages[1], 4.0, "speak:  20%|##        | 4/20 clips")
        drawn = ""
        while drawn.count("min left") < 2:
            drawn += os.read(master, 4096).decode()
        first, second = drawn.split("\x1b[4A")  # four lines up
    os.close(master)
    for text, bar in ((first, "10%|#"), (second, "20%|##")):
        shown = [line.removeprefix("\x1b[2K") for line in text.splitlines()]
        assert shown[0] == "[x] one          5 min" and bar in shown[1]
        assert shown[1].startswith("[>] two") and shown[2] == "[ ] three        about 60 s"
        assert re.fullmatch(r"\d+ min left", shown[3])


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        alone(tmp_path),
        pytest.raises(UserError, match="another `wakestate word new` is running"),
        alone(tmp_path),
    ):
        pass
    with alone(tmp_path):
        pass


KILLED = """
import sys
from pathlib import Path
from wakestate.train.newword.stages import Stage, alone, run_stages
with alone(Path("run")):
    run_stages([Stage("speak", tuple(sys.argv[1:]), 5)], Path("run"), sys.stderr)
"""


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not here")
def test_a_killed_run_leaves_no_process_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    made = []
    files = {"alexa": "beep.toml", "data/accents": "data", "400": "30", "kokoro": "espeak"}
    typed = typed_line(
        "data synthesize --word alexa --data data/accents --positives 400 --confusables 0 "
        "--general 0 --seed 5 --engines kokoro --recorded no",
        files,
    )
    for folder in (tmp_path / "whole", tmp_path / "killed"):
        folder.mkdir()
        beep(folder, 10)
        call = [sys.executable, "-c", KILLED, *typed]
        if folder.name == "killed":
            child = subprocess.Popen(call, cwd=folder, stderr=subprocess.DEVNULL)
            while child.poll() is None and not list(folder.glob("data/made/espeak/*.json")):
                time.sleep(0.02)
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(0.2)  # for those that end with it
            left = len(list(folder.glob("data/made/espeak/*.json")))
            time.sleep(0.3)
            assert left == len(list(folder.glob("data/made/espeak/*.json"))) < 30
            assert not (folder / "run/stages.json").exists()
        subprocess.run(call, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        made.append(
            {
                path.relative_to(folder): path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file() and path.parent.name != "run"
            }
        )
    assert made[0] == made[1] and len(made[0]) > 60


def test_recordings_are_taken_as_they_come(tmp_path: Path) -> None:
    word = beep(tmp_path, 10)
    rng, mine = np.random.default_rng(1), tmp_path / "mine"
    for name, rate, channels in [
        ("a.wav", 44100, 2),
        ("Ann/b.FLAC", 8000, 1),
        ("Ann/c.mp3", 22050, 1),
        ("Bob/d/e.ogg", 16000, 1),
    ]:
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        x = np.zeros((rate, channels))
        x[rate // 4 : rate // 2] = 0.2 * rng.standard_normal((rate // 2 - rate // 4, channels))
        soundfile.write(mine / name, x, rate)
    (mine / "notes.txt").write_text("no sound")
    assert import_recordings(mine, word, tmp_path / "out", "train") == 4
    corpus = load_corpus(tmp_path / "out", "train", tmp_path / "cache", word.data)
    clips = corpus.positives(word)
    assert sorted(c.speaker for c in clips) == ["Ann", "Ann", "Bob", "n/a"]
    for clip in clips:
        assert clip.samples == pytest.approx(RATE, rel=0.15)
    # Judged on them alone: beside them the sound without the word of another folder.
    rows = []
    for number, label in enumerate(["toy", "", "near"]):
        path = tmp_path / f"data/dev/tts/{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tones(rng, 1.0, 200, 900) / 32768, RATE)
        rows.append([f"dev/tts/{number}.wav", "dev", "tts", label, "x", 1.0, "room"])
    columns = ["path", "split", "kind", "label", "speaker", "seconds", "place"]
    write_manifest(tmp_path / "data", [list(row) for row in rows], columns)
    import_recordings(mine, word, tmp_path / "judge", "dev", tmp_path / "data")
    corpus = load_corpus(tmp_path / "judge", "dev", tmp_path / "cache", word.data)
    assert len(corpus.positives(word)) == 4
    assert [c.label for c in corpus.negatives(word)] == ["", "near"]
    # The page's recorder lists them: what is not the word, and which split, is known.
    listed = [
        ["a.wav", "train", "toy", "toy", "Ann", 1.0],
        ["Ann/c.mp3", "dev", "toy", "toy", "Ann", 1.0],
    ]
    listed.append(["Bob/d/e.ogg", "train", "speech", "speech", "Bob", 1.0])
    write_manifest(mine, listed, columns[:-1])
    assert import_recordings(mine, word, tmp_path / "listed", "train") == 1
    corpus = load_corpus(tmp_path / "listed", "train", tmp_path / "cache", word.data)
    assert [(c.label, c.speaker) for c in corpus.clips] == [("toy", "Ann"), ("speech", "Bob")]
    write_manifest(mine, listed[2:], columns[:-1])
    with pytest.raises(DataError, match="no row of split 'train' has the label 'toy'; hint"):
        import_recordings(mine, word, tmp_path / "listed", "train")
    (mine / "manifest.csv").unlink()
    (mine / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav: cannot be read"):
        import_recordings(mine, word, tmp_path / "out", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no sound in it; allowed: "):
        import_recordings(tmp_path / "empty", word, tmp_path / "out", "train")
    with pytest.raises(DataError, match="files that were not made here"):
        import_recordings(mine, word, mine, "train")


def test_make_hands_a_phrase_on_as_it_is() -> None:
    call = ["make", "-n", "word", "PHRASE=hey $x", "RECIPE=quick", "ARGS=--plan"]
    printed = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert (
        '-m wakestate word new --recipe quick --downloads downloads --plan -- "$PHRASE"' in printed
    )


def test_the_next_steps_are_commands_that_can_be_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / ".venv/bin/wakestate"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    files = Path("hey.toml"), Path("runs/hey/model"), Path("runs/hey/sample.wav")
    shutil.copy(ROOT / "words/alexa.toml", files[0])

    def commands() -> list[str]:
        steps = next_steps(*files, "mps2-an386", ["--data=data/hey", "--short"])
        return [re.split(r":\s+|   ", line)[1] for line in steps.splitlines()]

    for line in commands():
        typed, *arguments = line.split()
        assert typed == ".venv/bin/wakestate"
        with cli.make_context("wakestate", [*arguments]) as context:
            name, command, rest = cli.resolve_command(context, arguments)
            while isinstance(command, click.Group):
                name, command, rest = command.resolve_command(context, rest)
            command.make_context(str(name), rest, parent=context)
    monkeypatch.setenv("PATH", str(program.parent))
    assert all(line.startswith("wakestate ") for line in commands())
