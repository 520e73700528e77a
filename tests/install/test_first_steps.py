# SPDX-License-Identifier: Apache-2.0
"""What a new user meets first: what is missing is said before anything is installed, what was
interrupted is seen and repaired, downloads stay, and what is printed can be typed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.executors import ROOT, TOY
from wakestate.convert.manifest import never_fires, set_thresholds
from wakestate.train.synthesis.recorded import megabytes, sources
from wakestate.words import load_word
from wakestate.words.copied import copied


def make(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    names = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=names,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["data", "WORD=jarvis"], "words/jarvis.toml: no such word file; there are: alexa"),
        (["train", "WORD=jarvis"], "words/jarvis.toml: no such word file; there are: alexa"),
        (["build", "WORD=jarvis"], "words/jarvis.toml: no such word file; there are: alexa"),
        (["train", "DATA=none"], "none/manifest.csv: not found; name a folder with recordings: "),
        (["evaluate", "DATA=none"], "none/manifest.csv: not found; name a folder"),
        (["emulate"], "AUDIO is not given: make emulate AUDIO=x.wav"),
        (["qemu", "BOARD=host", "AUDIO=x"], "BOARD=host is this computer"),
        (["compile"], "TFLITE is not given"),
    ],
)
def test_what_is_missing_is_reported_before_anything_is_installed(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    done = make(*arguments, f"VENV={tmp_path / 'venv'}")
    assert done.returncode == 2 and done.stderr.startswith(line), done.stderr
    assert len(done.stderr.splitlines()) == 2  # the other is make's own
    assert done.stdout == "" and not list(tmp_path.iterdir())


def test_goals_hand_on_what_is_given(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").touch()
    more = [f"DATA={tmp_path}", "WORD=computer", "MODEL=m", "ARGS=--short --seed 7"]
    measured = f"--word computer --model m --data {tmp_path} --short --seed 7"
    for goal, options in (
        ("train", f"--word computer --data {tmp_path} --short --seed 7"),
        ("evaluate", measured),
        ("report", measured),
        ("build", "--word computer --model m --board mps2-an386 --short --seed 7"),
    ):
        assert f" -m wakestate {goal} {options}" in make("-n", goal, *more).stdout


def test_downloads_outlive_clean(tmp_path: Path) -> None:
    assert make("-n", "clean").stdout.split() == ["rm", "-rf", "build"]
    assert "rm -rf .venv downloads" in make("-n", "clean-all").stdout
    data = make("-n", "data", f"VENV={tmp_path}", "WORD=computer").stdout
    assert "--data data/computer" in data and "--downloads downloads" in data


@pytest.fixture
def packages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packages", ROOT / "tools/packages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with something like pip, and a package of two files."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in ("pip", "thing"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").touch()
        info = packages / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (info / "RECORD").write_text(
            f"{name}/__init__.py,sha256=x,0\n{name}-1.dist-info/RECORD,,\n"
        )
    return folder


def test_an_interrupted_environment_is_seen(packages: ModuleType, venv: Path) -> None:
    thing = next(venv.glob("lib/python*/site-packages/thing"))
    assert packages.damage(venv, check_files=True) == ""
    (thing / "__init__.py").unlink()
    assert (
        packages.damage(venv, check_files=True) == "an interrupted set-up left thing half installed"
    )
    (thing / "__init__.py").touch()
    (thing.parent / "thing-1.dist-info/RECORD").unlink()
    assert (
        packages.damage(venv, check_files=True) == "an interrupted set-up left thing half installed"
    )
    assert packages.damage(venv, check_files=False) == ""
    shutil.move(thing.parent, thing.parent.parent.parent / "python3.1")  # of another Python
    assert "has no pip" in packages.damage(venv, check_files=False)
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to("/usr/bin/python3.1")
    assert packages.damage(venv, check_files=False) == "its Python is gone"


def test_no_part_of_an_interrupted_environment_counts_as_done(
    packages: ModuleType, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def installs() -> bool:
        return "tools/packages.py" in make("-n", "new-board", f"VENV={venv}").stdout

    stamps = [venv / ".base", venv / ".train"]
    assert installs()
    for stamp in stamps:
        stamp.touch()
    assert not installs()
    busy = venv / ".busy"
    busy.touch()
    assert installs()
    packages.prepare(venv, busy)  # whole: pip has another look at every part
    assert not any(stamp.exists() for stamp in stamps) and busy.exists()
    assert capsys.readouterr().out == ""
    busy.unlink()
    stamps[0].touch()
    next(venv.glob("lib/python*/site-packages/pip/__init__.py")).write_text("raise ImportError")
    assert installs()
    packages.prepare(venv, busy)
    assert "making" in capsys.readouterr().out and not stamps[0].exists()
    assert packages.damage(venv, check_files=True) == ""


def test_every_extra_reports_its_size(packages: ModuleType) -> None:
    for extra, (download, disk) in packages.SIZES.items():
        assert 0 < download < disk and packages.names(extra)
    wanted = packages.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(packages.SIZES) == {"", *wanted["optional-dependencies"]}
    rules = [line for line in (ROOT / "Makefile").read_text().splitlines() if line[:2] == "$("]
    for extra in wanted["optional-dependencies"]:  # as make setup EXTRAS=... takes it
        assert any(re.search(rf"[.,\s]{extra}\b.*:", line) for line in rules), extra


def test_a_copied_word_file_is_noticed(tmp_path: Path) -> None:
    assert not any(copied(path, load_word(path)) for path in (ROOT / "words").glob("*.toml"))
    text = (ROOT / "words/alexa.toml").read_text()
    path = tmp_path / "jarvis.toml"
    path.write_text(text.replace('"alexa"', '"jarvis"'))
    (line,) = copied(path, load_word(path))
    for part in (
        "[data.places] (10 recordings)",
        "[data] confusables",
        "[data] stressed_core",
        "[detector] shortest_s",
        "whose phrase is 'alexa'",
    ):
        assert part in line
    path.write_text('name = "jarvis"\nphrase = "jarvis"\n[data]\npositive = ["jarvis"]\n')
    word = load_word(path)
    assert copied(path, word) == []
    assert word.model == load_word(ROOT / "words/alexa.toml").model


def test_a_model_without_thresholds_is_not_built_to_listen(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(TOY.folder, model)
    set_thresholds(model, TOY.word, dict.fromkeys(TOY.word.states, never_fires(TOY.word)))
    build = [
        "-s",
        "-f",
        "firmware/build.mk",
        f"WORDFILE={TOY.word_path}",
        "WORD=toy",
        f"MODEL={model}",
        f"GENERATED={tmp_path / 'c'}",
        f"OUT={tmp_path / 'out'}",
        "BOARD=host",
        f"PYTHON={sys.executable}",
    ]
    call = [
        sys.executable,
        "-m",
        "wakestate",
        "model",
        "generate",
        "--word",
        TOY.word_path,
        "--model",
        model,
        "--out",
        tmp_path / "c",
    ]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.startswith(f"{model}: warning: no thresholds are set, so nothing wakes it; ")
    done = make(*build, "emulator")
    assert done.returncode and not list((tmp_path / "out").glob("*emulator"))
    assert done.stderr.startswith(f"{model}: no thresholds are set"), done.stderr
    assert f"--model {model} --set-thresholds" in done.stderr.splitlines()[0]
    done = make(*build, "library")
    assert done.returncode == 0, done.stderr


def test_the_few_packages_have_every_kind() -> None:
    for amount, share in (("few", 4), ("some", 3)):
        taken, every = sources(amount), sources()
        assert {s.kind for s in taken} >= {"music", "noise", "alarms", "device_speech"}
        assert {s.package for s in taken} < {s.package for s in every}
        assert all(any(s.dev for s in taken if s.kind == kind) for kind in ("music", "noise"))
        assert megabytes(amount) < megabytes() / share
