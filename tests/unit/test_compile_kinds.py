# SPDX-License-Identifier: Apache-2.0
"""Other kinds of .tflite than int8 networks: refused in one line that names the kind and a hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import refusal
from tests.support.tflite_maker import Maker, schema, written


def _typed(activations: str, weights: str = "INT8") -> Callable[[Maker], None]:
    """One dense layer."""

    def make(m: Maker) -> None:
        m.output(m.dense(m.input([1, 4], dtype=activations), 3, bias=False))
        x, w, _ = m.current.operators[0].inputs
        y = m.current.operators[0].outputs[0]
        m.current.tensors[y].type = m.current.tensors[x].type
        for index in (x, y):
            m.current.tensors[index].quantization.zeroPoint = [0]
        if weights != "INT8":
            m.current.tensors[w].type = getattr(schema.TensorType, weights)
            size = {"FLOAT32": 48, "UINT8": 12, "INT4": 6}[weights]
            m.model.buffers[m.current.tensors[w].buffer].data = np.zeros(size, np.uint8)

    return make


def _float16(m: Maker) -> None:
    half = m.tensor([3, 4], scale=None, dtype="FLOAT32", data=np.zeros((3, 4)))
    m.current.tensors[half].type = schema.TensorType.FLOAT16
    m.model.buffers[m.current.tensors[half].buffer].data = np.zeros(24, np.uint8)
    w = m.op("DEQUANTIZE", [half], [m.tensor([3, 4], scale=None, dtype="FLOAT32")])
    x = m.input([1, 4], scale=None, dtype="FLOAT32")
    y = m.tensor([1, 3], scale=None, dtype="FLOAT32")
    m.output(m.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions"))


def _control(name: str, kind: str, **options: int) -> Callable[[Maker], None]:
    def make(m: Maker) -> None:
        x = m.input([1, 4])
        m.output(m.op(name, [x], [m.like(x)], kind, **options))
        m.graph()
        m.output(m.input([1, 4]))

    return make


def _sparse(m: Maker) -> None:
    m.output(m.dense(m.input([1, 4]), 3))
    weights = m.current.tensors[m.current.operators[0].inputs[1]]
    weights.sparsity = schema.SparsityParametersT()
    m.model.buffers[weights.buffer].data = np.zeros(5, np.uint8)


def _string(m: Maker) -> None:
    x = m.input([1, 4])
    m.current.tensors[x].type = schema.TensorType.STRING
    y = m.like(x, [4])
    m.current.tensors[y].type = schema.TensorType.STRING
    m.output(m.op("RESHAPE", [x, m.ints(4)], [y]))


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (_typed("INT16"), ["FULLY_CONNECTED", "16x8", "TFLITE_BUILTINS_INT8"]),
        (_typed("FLOAT32", "FLOAT32"), ["a float model", "representative_dataset"]),
        (_typed("FLOAT32"), ["dynamic-range", "representative_dataset"]),
        (_typed("UINT8", "UINT8"), ["uint8 quantization", "TensorFlow 2"]),
        (_typed("INT8", "INT4"), ["INT4", "TFLITE_BUILTINS_INT8"]),
        (_float16, ["float16 weights", "representative_dataset"]),
        (_control("WHILE", "WhileOptions", bodySubgraphIndex=1), ["WHILE", "unroll=True"]),
        (_control("IF", "IfOptions", thenSubgraphIndex=1), ["IF", "two models"]),
        (_sparse, ["is sparse", "EXPERIMENTAL_SPARSITY"]),
        (_string, ["STRING", "outside the model"]),
    ],
)
def test_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Maker], None],
    parts: list[str],
) -> None:
    printed = refusal(written(tmp_path, make), capsys)
    assert all(part in printed for part in [*parts, "hint: "]), printed
