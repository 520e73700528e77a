# SPDX-License-Identifier: Apache-2.0
"""`make fuzz` itself: a planted fault is found, kept as a file, and said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import __main__ as runner
from tests.fuzz import targets
from tests.support.firmware_build import ROOT


def without_libfuzzer() -> bool:
    probe = "int LLVMFuzzerTestOneInput(const char *d, long n) { return !d && n < 0; }"
    call = ["clang", *targets.SANITIZERS, "-x", "c", "-", "-o", "/dev/null"]
    try:
        return subprocess.run(call, input=probe.encode(), capture_output=True).returncode != 0
    except FileNotFoundError:
        return True


@pytest.mark.skipif(without_libfuzzer(), reason="no clang with libFuzzer; `make fuzz` installs it")
def test_a_planted_overflow_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (ROOT / "firmware/uplink/frame.c").read_text(encoding="utf-8")
    limit = "reader->length < WS_FRAME_MAX)"
    assert limit in good
    bad = good.replace(limit, "reader->length < 2 * WS_FRAME_MAX)")
    (tmp_path / "bad.c").write_text(bad.replace('"frame.h"', '"uplink/frame.h"'), encoding="utf-8")
    monkeypatch.setattr(targets, "FOLDER", ROOT / "build/fuzz-planted")
    monkeypatch.setattr(targets, "FINDINGS", tmp_path)
    monkeypatch.setitem(runner.TARGETS, "frame", targets.libfuzzer("frame", [f"{tmp_path}/bad.c"]))
    monkeypatch.setattr(runner, "ROOT", Path("/"))
    assert runner.fuzz(["frame"], 0.5, 1) == 1
    printed = capsys.readouterr()
    (finding,) = tmp_path.glob("frame-crash-*")
    assert f"frame: finding: {str(finding)[1:]}" in printed.out
    assert "heap-buffer-overflow" in printed.err or "index 340 out of bounds" in printed.err


def test_every_target_has_seeds() -> None:
    for name in targets.TARGETS:
        made = getattr(targets.seeds, name, list)()
        assert made or not (ROOT / f"tests/fuzz/{name}.c").is_file(), name


def test_an_unknown_target_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--minutes", "1", "nothing"])
    with pytest.raises(SystemExit, match="2"):
        runner.main()
    assert "no target 'nothing'; there are: wav, frame" in capsys.readouterr().err
