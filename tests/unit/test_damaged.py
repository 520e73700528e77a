# SPDX-License-Identifier: Apache-2.0
"""Files that contradict themselves, or are damaged: refused in one line, and never unsafe C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz.mutants import FAULTS, compile_mutants, own_models, run_sanitized, sample
from tests.support.tflite_maker import Maker, schema
from wakestate.__main__ import main
from wakestate.convert.compile.simplify import SUPPORTED
from wakestate.convert.graph.errors import ConvertError, shown
from wakestate.convert.graph.rules import RULES
from wakestate.convert.graph.tflite_graph import MAX_BYTES, read_model


def network(m: Maker) -> None:
    """Tensors: 0 input, 1 and 4 results, 2 and 5 weights, 3 and 6 bias, 7 softmax's result."""
    x = m.input([1, 6, 5, 4])
    x = m.conv(x, 8, (3, 3), stride=(2, 1))
    x = m.dense(x, 4)
    m.output(
        m.op(
            "SOFTMAX", [x], [m.tensor([1, 4], scale=1 / 256, zero=-128)], "SoftmaxOptions", beta=1.0
        )
    )


def _shape(tensor: int, *shape: int) -> Callable[[Maker], None]:
    def change(m: Maker) -> None:
        m.current.tensors[tensor].shape = list(shape)

    return change


def _quantization(tensor: int, **fields: Any) -> Callable[[Maker], None]:
    def change(m: Maker) -> None:
        for name, value in fields.items():
            setattr(m.current.tensors[tensor].quantization, name, value)

    return change


def _operator(number: int, **fields: Any) -> Callable[[Maker], None]:
    def change(m: Maker) -> None:
        for name, value in fields.items():
            setattr(m.current.operators[number], name, value)

    return change


def _option(number: int, name: str, value: float) -> Callable[[Maker], None]:
    return lambda m: setattr(m.current.operators[number].builtinOptions, name, value)


def _type(tensor: int, dtype: str) -> Callable[[Maker], None]:
    return lambda m: setattr(m.current.tensors[tensor], "type", getattr(schema.TensorType, dtype))


def _buffer(m: Maker) -> None:
    m.current.tensors[2].buffer = 77


def _cycle(m: Maker) -> None:
    m.current.operators[0].inputs = [m.current.operators[1].outputs[0], 2, 3]


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        (_shape(1, 0, 2, 3, 8), "output t1 is [0, 2, 3, 8]; its inputs and options make"),
        (_shape(0, 1, 6, -128, 4), "tensor t0: shape [1, 6, -128, 4]"),
        (_shape(0, 1, 6, 1 << 30, 4), "elements; 4194304 is the most"),
        (_shape(1, 2, 2, 3, 8), "output t1 is [2, 2, 3, 8]; its inputs and options make [1, 2,"),
        (_shape(4, 1, 31), "output t4 is [1, 31]"),
        (_shape(7, 1, 5), "output t7 is [1, 5]; its inputs and options make [1, 4]"),
        (_shape(2, 8, 3, 3, 5), "tensor t2: 288 bytes for [8, 3, 3, 5] INT8"),
        (_shape(0, 1, 6, 20), "tensor t0 is [1, 6, 20]; 4 dimensions are needed"),
        (_shape(0, *[1] * 7), "7 dimensions of tensor t0; 6 is the most"),
        (_quantization(1, zeroPoint=[128]), "tensor t1: zero point 128; -128 to 127"),
        (_quantization(1, zeroPoint=[1 << 40]), "zero point 1099511627776"),
        (_quantization(1, zeroPoint=[1, 2]), "2 zero points for 1 scales"),
        (_quantization(1, scale=[0.0]), "tensor t1: scale 0; 1e-12 to 1e+12"),
        (_quantization(1, scale=[-0.1]), "scale -0.1"),
        (_quantization(1, scale=[float("nan")]), "scale nan"),
        (_quantization(1, scale=[float("inf")]), "scale inf"),
        (_quantization(1, scale=[1e-30]), "scale 1e-30"),
        (_quantization(2, scale=[-1.0] * 8, zeroPoint=[0] * 8), "tensor t2: scale -1"),
        (_operator(0, inputs=[0, 2, 99]), "operator 0 (CONV_2D): tensor 99; there are 8"),
        (_operator(0, inputs=[0, 2, -2]), "tensor -2"),
        (_operator(0, inputs=[0, -1, 3]), "input 1 is left out"),
        (_operator(0, inputs=[0]), "1 inputs; 2 to 3 are needed"),
        (_operator(0, outputs=[1, 7]), "2 outputs; 1 to 1 are needed"),
        (_operator(0, outputs=[-1]), "tensor -1"),
        (_operator(0, opcodeIndex=9), "opcode_index 9; there are 3"),
        (_operator(1, outputs=[1]), "writes tensor t1, which has a value already"),
        (_operator(1, outputs=[2]), "writes tensor t2, which has a value already"),
        (_operator(2, outputs=[0]), "writes tensor t0, which has a value already"),
        (_cycle, "reads tensor t4, which no operator before it writes"),
        (_buffer, "tensor t2: buffer 77; there are 5"),
        (_option(0, "strideH", 0), "option stride_h is 0; 1 to 65536 is needed"),
        (_option(0, "dilationWFactor", -1), "option dilation_w_factor is -1"),
        (_option(0, "padding", 9), "option padding is 9; SAME or VALID is needed"),
        (_option(2, "beta", float("nan")), "option beta is nan"),
        (_operator(2, builtinOptions=None, builtinOptionsType=0), "option beta is missing"),
        (_type(1, "INT32"), "tensor t0 is INT8, its output INT32; equal types are needed"),
        (_type(4, "INT32"), "tensor t1 is INT8, its output INT32"),
        (lambda m: m.current.outputs.append(99), "the graph's outputs: tensor 99; there are 8"),
        (lambda m: m.current.outputs.clear(), "the graph has no output"),
        (lambda m: m.current.inputs.clear(), "the graph has no input"),
        (lambda m: m.current.inputs.append(0), "input t0 is there twice"),
        (lambda m: m.current.inputs.append(2), "input t2 is a constant"),
        (lambda m: m.model.subgraphs.clear(), "holds no graph"),
    ],
)
def test_contradictions(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Maker], None],
    printed: str,
) -> None:
    m = Maker(1)
    network(m)
    change(m)
    path, out = m.write(tmp_path / "m.tflite"), tmp_path / "out"
    assert main(["model", "compile", str(path), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{path}: ") and error.count("\n") == 1 and not out.exists()
    assert printed in error


def test_the_network_itself_is_taken(tmp_path: Path) -> None:
    m = Maker(1)
    network(m)
    read_model(m.write(tmp_path / "m.tflite"))


@pytest.mark.parametrize(
    ("name", "begin", "printed"),
    [
        (b"evil\n\x1b[31m\r\0", "evil\\n", "\\x1b[31m\\r\\x00"),
        (b"x" * 100_000, "x" * 200, "..."),
        (b"\xff\xfe\xe2\x80\xae", "\\", "u202e"),
    ],
)
def test_hostile_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: bytes, begin: str, printed: str
) -> None:
    m = Maker(1)
    network(m)
    m.current.tensors[1].name = name
    m.current.tensors[1].quantization.scale = [0.0]
    path = m.write(tmp_path / "m.tflite")
    assert main(["model", "compile", str(path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error[:-1].isprintable() and error.count("\n") == 1 and len(error) < 2000
    assert begin in error and printed in error


def test_shown_is_unambiguous() -> None:
    assert shown("a\nb") == "a\\nb" and shown("a\\nb") == "a\\\\nb"
    assert shown("Größe") == "Größe" and shown("x" * 300, 10) == "x" * 10 + "..."


def test_variables_agree(tmp_path: Path) -> None:
    m = Maker(1)
    x = m.input([1, 4])
    handle = m.tensor([], scale=None, dtype="RESOURCE")
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName="a*/b", container="")
    m.output(m.op("READ_VARIABLE", [handle], [m.like(x, [1, 5])]))
    m.op("ASSIGN_VARIABLE", [handle, x], [])
    with pytest.raises(ConvertError, match=r"variable a\*/b is INT8 \[1, 4\] here and INT8 \[1, 5"):
        read_model(m.write(tmp_path / "m.tflite"))


def test_a_free_batch_is_derived(tmp_path: Path) -> None:
    """As converters write models of any batch: blocks of space become a batch of 4."""
    m = Maker(1)
    x = m.input([1, 28, 8])
    y = m.like(x, [1, 7, 8])
    m.output(m.op("SPACE_TO_BATCH_ND", [x, m.ints(4), m.ints(0, 0, shape=[1, 2])], [y]))
    with pytest.raises(ConvertError, match=r"is \[1, 7, 8\]; its inputs and options make \[4, 7,"):
        read_model(m.write(tmp_path / "fixed.tflite"))
    m.current.tensors[y].shapeSignature = [-1, 7, 8]
    (graph,) = read_model(m.write(tmp_path / "free.tflite")).graphs
    assert graph.outputs[0].shape == (4, 7, 8)


def test_lists_and_files_are_bounded(tmp_path: Path) -> None:
    m = Maker(1)
    network(m)
    path = m.write(tmp_path / "m.tflite")
    data = bytearray(path.read_bytes())
    at = data.index(np.asarray([4, 1, 6, 5, 4], "<i4").tobytes())  # a shape and its length
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(ConvertError, match="2147483647 dimensions"):
        read_model(path)
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ConvertError, match="67108865 bytes; 67108864 is the most"):
        read_model(path)
    with pytest.raises(ConvertError, match="no such file"):
        read_model(tmp_path)


@pytest.mark.filterwarnings("error")
def test_a_signaling_nan_warns_of_nothing(tmp_path: Path) -> None:
    m = Maker(1)
    network(m)
    path = m.write(tmp_path / "m.tflite")
    scale = np.float32(m.quantization(1)[0]).tobytes()
    path.write_bytes(path.read_bytes().replace(scale, b"\1\0\x80\x7f"))
    with pytest.raises(ConvertError, match="tensor t1: scale nan"):
        read_model(path)


def test_every_operator_has_a_rule() -> None:
    assert set(SUPPORTED) <= set(RULES)


def test_mutants(tmp_path: Path) -> None:
    """A few of tests/fuzz/mutants.py; a fault is kept in the folder of the test."""
    files = [f for f in own_models(tmp_path / "models") if f.stem in ("chains", "means", "moves")]
    mutants = compile_mutants(files, 60, 1, tmp_path)
    assert not [m for m in mutants if m.outcome in FAULTS]
    chosen = sample(mutants, 2, tmp_path)
    assert len(chosen) == 2 and any(m.outcome == "refused" for m in mutants)
    assert [run_sanitized(folder) for _, folder in chosen] == ["", ""]
