# SPDX-License-Identifier: Apache-2.0
"""Live listening, with recordings in the microphone's place."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import types
import wave
from pathlib import Path
from typing import Any

import pytest

from tests.support.examples import typed_example
from tests.support.firmware_build import ROOT, build
from wakestate.__main__ import main
from wakestate.boards import listening
from wakestate.boards.schema import BoardError
from wakestate.train.data.manifest import DataError, read_manifest
from wakestate.words import Data

SAMPLE = ROOT / "models/alexa/sample.wav"


@pytest.fixture(scope="module")
def program() -> Path:
    return build("alexa", "host").program("emulator")


def pcm() -> bytes:
    with wave.open(str(SAMPLE)) as file:
        return file.readframes(file.getnframes())


def fake(monkeypatch: pytest.MonkeyPatch, sound: bytes) -> None:
    """A module `sounddevice` whose one microphone gives `sound`, and then Ctrl-C's end."""

    class Stream:
        def __init__(self, rate: int, *, device: Any, **given: Any) -> None:
            assert (rate, given["channels"], given["dtype"]) == (16000, 1, "int16")
            if device not in (None, 3, "desk"):
                raise ValueError(f"No input device matching {device!r}")
            self._at = 0

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def read(self, samples: int) -> tuple[bytes, bool]:
            self._at += 2 * samples
            if self._at > len(sound):
                raise KeyboardInterrupt
            return sound[self._at - 2 * samples : self._at], self._at == 2 * samples

    module = types.ModuleType("sounddevice")
    module.RawInputStream, module.PortAudioError = Stream, OSError  # type: ignore[attr-defined]
    module.query_devices = lambda: "> 3 desk (1 in, 0 out)"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_it_wakes_as_the_emulator_and_keeps_clips(program: Path, tmp_path: Path) -> None:
    out = subprocess.run([program, "--json", SAMPLE], capture_output=True, check=True).stdout
    expected = [json.loads(line) for line in out.splitlines()]
    found: list[listening.Detection] = []
    levels: list[tuple[float, float]] = []
    sound = pcm()
    blocks = [sound[at : at + 1600] for at in range(0, len(sound), 1600)]
    listener = listening.Listener(
        program, [], found.append, lambda dbfs, p: levels.append((dbfs, p))
    )
    listener.run(blocks)
    assert [detection.line["t"] for detection in found] == [line["t"] for line in expected]
    assert len(levels) == len(blocks)
    assert all(-91 < dbfs <= 0 and 0 <= p <= 1 for dbfs, p in levels)
    for detection in found:  # from half a second before the word
        first = round((detection.line["start"] - 0.5) * 16000)
        assert detection.pcm == sound[2 * first : 2 * first + len(detection.pcm)]
        assert len(detection.pcm) / 32000 == pytest.approx(
            detection.line["t"] - detection.line["start"] + 1
        )

    for run in range(2):  # the second continues in the folder
        clips = listening.Clips(tmp_path)
        for detection in found:
            clips.keep(detection)
        with (tmp_path / "manifest.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == (run + 1) * len(found)
    with pytest.raises(DataError, match="kind 'unlabeled' with label ''"):
        read_manifest(tmp_path, Data(positive=("alexa",)))
    with wave.open(str(tmp_path / rows[-1]["path"])) as file:
        assert file.readframes(file.getnframes()) == found[-1].pcm


def test_near_misses_have_a_kind_of_their_own(program: Path, tmp_path: Path) -> None:
    """With thresholds that nothing reaches."""
    found: list[listening.Detection] = []
    options = ["--sensitivity", "-20000", "--near", "20200"]
    listening.Listener(program, options, found.append).run([pcm()])
    assert len(found) > 1 and {detection.line["type"] for detection in found} == {"near"}
    path = listening.Clips(tmp_path).keep(found[0])
    assert path == tmp_path / "train/near_misses/00001.wav"


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fake(monkeypatch, pcm())
    assert main(["listen", "--devices"]) == 0
    assert capfd.readouterr().out == "> 3 desk (1 in, 0 out)\n"
    call = typed_example("listen", {"clips": tmp_path})
    assert main([*call, "--device", "desk", "--seconds", "4"]) == 0
    printed = capfd.readouterr()
    assert printed.err.count("samples lost") == 1  # in the first block
    line = json.loads(printed.out.splitlines()[-1])
    assert line["type"] == "wake" and line["file"] == "live"
    assert line["clip"] == str(tmp_path / "train/wakes/00001.wav")
    assert main(["listen", "--device", "attic"]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == (
        "microphone attic: No input device matching 'attic'; `wakestate listen --devices` lists "
        "those that there are"
    )


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(BoardError, match=r"pip install 'wakestate\[audio\]'"):
        listening.microphones()
    with pytest.raises(BoardError, match="unknown option"):
        listening.Listener(program, ["--loud"], lambda detection: None).run([bytes(3200)] * 20)


def test_the_meter() -> None:
    assert listening.meter(-60, 0) == f" -60.0 dBFS |{' ' * 20}|  p 0.00 |{' ' * 20}|"
    assert listening.meter(0, 1) == f"   0.0 dBFS |{'=' * 20}|  p 1.00 |{'#' * 20}|"
