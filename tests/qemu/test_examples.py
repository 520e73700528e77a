# SPDX-License-Identifier: Apache-2.0
"""What help and docs show of commands that build for a board runs to its end; of the others:
tests/unit/test_examples.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.examples import BUILT, Place, lines_of, make_place, name_of
from tests.support.firmware_build import ROOT

#: As tests/support/firmware_build.py names it, so that nothing is built again.
WORD = ("tests/toy/toy.toml", "tests/toy")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Here, where other tests have built the same."""
    made = replace(make_place(ROOT, tmp_path), word=("--word", *WORD[:1], "--model", *WORD[1:]))
    for name in ("wakestate", "device", "image"):
        built = f"build/mps2-an386/{{}}/{name}.elf"
        made.files[built.format("alexa")] = ROOT / built.format("toy")
    return made


@pytest.mark.parametrize("line", lines_of(BUILT))
def test_a_command_runs(line: str, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    name, sample = name_of(line), str(place.files["x.wav"])
    more = []
    if name == "run" or line.endswith("--scores"):  # the small word has no sample
        more = ["--", sample]
    if line.endswith("board run"):  # which a page only names
        more = [str(place.files["build/mps2-an386/alexa/wakestate.elf"]), sample]
    status = place.run(line, *more)
    out, err = capfd.readouterr()
    assert status == 0 and out, err
