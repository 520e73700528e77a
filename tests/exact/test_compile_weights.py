# SPDX-License-Identifier: Apache-2.0
"""Weights and sums of every kind that TFLM takes: host C, with sanitizers, and boards = TFLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import Sequences, check_equal
from tests.support.models.weights import KINDS, RUNS, dead_channels
from tests.support.tflite_maker import Maker
from wakestate.convert.compile.emit import compile_model
from wakestate.convert.graph.tflite_graph import read_model


def inputs(path: Path, runs: int = RUNS) -> Sequences:
    """One sequence: noise, and both ends."""
    rng = np.random.default_rng(3)
    sequence = []
    for run in range(runs):
        given = []
        for tensor in read_model(path).graphs[0].inputs:
            x = rng.integers(-128, 128, tensor.size)
            if run in (1, 2):
                x = np.full(tensor.size, -128 if run == 1 else 127)
            given.append(x.astype(np.int8))
        sequence.append(given)
    return [sequence]


@pytest.fixture(params=KINDS, scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    maker = Maker(seed=len(request.param))
    KINDS[request.param](maker)
    return maker.write(tmp_path_factory.mktemp("weights") / f"{request.param}.tflite")


@pytest.mark.parametrize("kernels", ["plain", "dsp", "dsp-wide"])
def test_host(model: Path, kernels: str) -> None:
    check_equal(model, inputs(model), ["host"], sanitize=True, kernels=kernels)


def test_boards(model: Path) -> None:
    check_equal(model, inputs(model, runs=4), ["mps2-an386", "mps3-an547"])


def test_usual_layers_are_fast(tmp_path: Path) -> None:
    """A channel that gives one value costs nothing: no layer leaves the fast kernels."""
    m = Maker(1)
    dead_channels(m)
    program = compile_model(m.write(tmp_path / "m.tflite"), "m", "dsp").program
    assert {step.kernel for step in program.steps} == {"ws_dot", "ws_conv", "ws_depthwise"}
