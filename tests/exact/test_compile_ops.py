# SPDX-License-Identifier: Apache-2.0
"""Every operator that convert/compile takes: host C, with sanitizers, = TFLM, bit for bit.

Each model here holds many variants of a kind, each on an input and with an output of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.compiled import check_equal, random_inputs
from tests.support.models.operators import KINDS
from tests.support.tflite_maker import Maker


@pytest.fixture(params=KINDS, scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    maker = Maker(seed=len(request.param))
    KINDS[request.param](maker)
    return maker.write(tmp_path_factory.mktemp("ops") / f"{request.param}.tflite")


@pytest.mark.parametrize("kernels", ["plain", "dsp"])
def test_host(model: Path, kernels: str) -> None:
    check_equal(model, random_inputs(model), ["host"], sanitize=True, kernels=kernels)


def test_boards(model: Path) -> None:
    """The M3 has the plain kernels of the host: test_compile.py runs its networks there, too."""
    check_equal(model, random_inputs(model, runs=4), ["mps2-an386", "mps3-an547"])
