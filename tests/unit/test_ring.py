# SPDX-License-Identifier: Apache-2.0
"""The ring buffer between an interrupt, or a thread, and another: tests/native/ring.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import ROOT


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_a_ring_is_safe_between_two_threads(sanitizer: str, tmp_path: Path) -> None:
    program = tmp_path / "ring"
    call = ["gcc", "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wshadow"]
    call += ["-Werror", f"-fsanitize={sanitizer}", "-Ifirmware/include", "tests/native/ring.c"]
    subprocess.run([*call, "-pthread", "-o", str(program)], cwd=ROOT, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
