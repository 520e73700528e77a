# SPDX-License-Identifier: Apache-2.0
"""--stream: what comes out of a stream is what TFLM makes of each whole window, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiled import TFLM, build, compare
from tests.support.models.networks import columns
from tests.support.tflite_maker import Maker, schema, written
from wakestate.__main__ import main
from wakestate.convert.compile.emit import Compiled, compile_model
from wakestate.convert.graph.errors import ConvertError


def check_stream(path: Path, boards: Sequence[str] = ("host",)) -> Compiled:
    """Outputs with time: a run gives their newest columns."""
    made = compile_model(path, "m", "plain", stream=True)
    (given,), (whole,) = made.program.inputs, compile_model(path, "m", "plain").program.inputs
    hop, size = given.size, whole.size
    x = np.random.default_rng(1).integers(-128, 128, (made.warmup + 9) * hop).astype(np.int8)
    runs = [x[i : i + hop] for i in range(0, len(x), hop)]
    ends = [(i + 1) * hop for i in range(made.warmup - 1, len(runs))]
    windows = TFLM(path).run([[[x[end - size : end]]] for end in ends])
    sizes = [t.size for t in made.program.outputs]
    expected = [[v[-n:] for v, n in zip(run, sizes, strict=True)] for run in windows]
    for board in boards:
        results = build(path, board, stream=True, sanitize=board == "host").run(
            [[[run] for run in runs]]
        )
        compare(expected, results[made.warmup - 1 :], board)
    return made


def whole_window(m: Maker, *, strided: bool) -> None:
    x = m.input([1, 19, 1, 4], scale=0.05, zero=2)
    a = m.conv(x, 8, (3, 1), stride=(2, 1) if strided else (1, 1), activation="RELU")
    count = m.shape(a)[1]
    b = m.conv(a, 0, (2, 1), depthwise=1, dilation=(2, 1))
    cut = [m.ints(0, 1, 0, 0), m.ints(0, count - 1, 0, 0), m.ints(1, 1, 1, 1)]
    masks = {"beginMask": 13, "endMask": 13}
    c = m.op(
        "STRIDED_SLICE",
        [a, *cut],
        [m.like(a, [1, count - 2, 1, 8])],
        "StridedSliceOptions",
        **masks,
    )
    d = m.op("ADD", [b, c], [m.tensor([1, count - 2, 1, 8], scale=0.1)], "AddOptions")
    e = m.op(
        "AVERAGE_POOL_2D",
        [d],
        [m.like(d, [1, count - 3, 1, 8])],
        "Pool2DOptions",
        padding=schema.Padding.VALID,
        strideH=1,
        strideW=1,
        filterHeight=2,
        filterWidth=1,
    )
    f = m.op("RESHAPE", [e, m.ints(1, -1)], [m.like(e, [1, (count - 3) * 8])])
    g = m.op("MEAN", [d, m.ints(1)], [m.tensor([1, 1, 8], scale=0.05)], "ReducerOptions")
    m.output(m.dense(f, 5), m.op("RELU", [g], [m.tensor([1, 1, 8], scale=0.04)]))


@pytest.mark.parametrize("strided", [False, True])
def test_stream_equals_whole_window(tmp_path: Path, strided: bool) -> None:
    path = written(tmp_path, lambda m: whole_window(m, strided=strided), name=f"s{int(strided)}")
    made = check_stream(path, ["host", "mps2-an386"])
    hop = 2 if strided else 1
    assert made.program.inputs[0].shape == (1, hop, 1, 4) and made.warmup == -(-19 // hop)
    whole = compile_model(path, "m", "plain").program
    assert made.program.macs < whole.macs / 2 and not made.warning


def _conv1d(m: Maker, x: int, outputs: int, taps: int, **options: object) -> int:
    """As Keras converts it: time is the columns of one row."""
    wide = m.op("EXPAND_DIMS", [x, m.ints(1)], [m.like(x, [1, 1, *m.shape(x)[1:]])])
    y = m.conv(wide, outputs, (1, taps), **options)  # type: ignore[arg-type]
    return m.op("RESHAPE", [y, m.ints(1, -1, outputs)], [m.like(y, m.shape(y)[1:])])


def one_dimension(m: Maker) -> None:
    x = m.input([1, 24, 5], scale=0.05, zero=2)
    a = _conv1d(m, x, 6, 3, activation="RELU")
    b = _conv1d(m, a, 8, 3, stride=(1, 2), activation="RELU")
    wide = m.op("EXPAND_DIMS", [b, m.ints(1)], [m.like(b, [1, 1, 10, 8])])
    c = m.op(
        "MAX_POOL_2D",
        [wide],
        [m.like(wide, [1, 1, 5, 8])],
        "Pool2DOptions",
        padding=schema.Padding.VALID,
        strideH=1,
        strideW=2,
        filterHeight=1,
        filterWidth=2,
    )
    flat = m.op("RESHAPE", [c, m.ints(1, 40)], [m.like(c, [1, 40])])
    m.output(m.dense(flat, 4), m.op("RELU", [b], [m.tensor([1, 10, 8], scale=0.04)]))


def flat_window(m: Maker) -> None:
    """All values in a row, of which an operator makes columns; and columns two by two."""
    x = m.input([1, 96], scale=0.05, zero=2)
    a = m.op("RESHAPE", [x, m.ints(1, 24, 4, 1)], [m.like(x, [1, 24, 4, 1])])
    b = m.conv(a, 3, (3, 2))
    pairs = m.op("RESHAPE", [b, m.ints(1, 11, 18)], [m.like(b, [1, 11, 18])])
    c = m.dense(pairs, 6, rows=11)
    m.current.tensors[c].shape = [1, 11, 6]
    m.current.operators[-1].builtinOptions.keepNumDims = True
    m.output(m.dense(m.op("RESHAPE", [c, m.ints(1, 66)], [m.like(c, [1, 66])]), 3), c)


def every_column(m: Maker) -> None:
    """Operators on each column alone; both results of a split are looked back at."""
    x = m.input([1, 9, 8], scale=0.05, zero=2)
    halves = [m.like(x, [1, 9, 4]), m.like(x, [1, 9, 4])]
    m.op("SPLIT", [m.ints(2, shape=[]), x], halves, "SplitOptions", numSplits=2)
    s = m.op(
        "SOFTMAX",
        [halves[1]],
        [m.tensor([1, 9, 4], scale=1 / 256, zero=-128)],
        "SoftmaxOptions",
        beta=1.0,
    )
    t = m.op("PACK", halves, [m.like(x, [1, 9, 4, 2])], "PackOptions", axis=-1, valuesCount=2)
    n = m.op("MEAN", [x, m.ints(-1)], [m.tensor([1, 9], scale=0.03)], "ReducerOptions")
    gain = m.tensor([8], data=m.rng.integers(-127, 128, 8))
    g = m.op("MUL", [x, gain], [m.tensor([1, 9, 8], scale=0.1)], "MulOptions")
    flat = [_flat(m, tensor) for tensor in (*halves, s, t, n, g)]
    m.output(*(m.dense(tensor, 3) for tensor in flat), s, n)


def _flat(m: Maker, tensor: int) -> int:
    size = int(np.prod(m.shape(tensor)))
    return m.op("RESHAPE", [tensor, m.ints(1, size)], [m.like(tensor, [1, size])])


def slices(m: Maker) -> None:
    """In time, in the other axis, both, with steps, one column, backwards."""
    x = m.conv(m.input([1, 13, 1, 4], scale=0.05, zero=2), 6, (2, 1))
    found = []
    for begin, end, step in [
        ((2, 0), (9, 6), (1, 1)),
        ((1, 1), (12, 5), (1, 2)),
        ((0, 4), (12, 1), (1, -1)),
        ((1, 0), (10, 6), (3, 1)),
        ((7, 0), (8, 6), (1, 1)),
        ((11, 0), (2, 6), (-1, 1)),
    ]:
        lengths = [len(range(*v)) for v in zip(begin, end, step, strict=True)]
        cut = [m.ints(0, v[0], 0, v[1]) for v in (begin, end)] + [m.ints(1, step[0], 1, step[1])]
        shape = [1, lengths[0], 1, lengths[1]]
        made = m.op(
            "STRIDED_SLICE",
            [x, *cut],
            [m.like(x, shape)],
            "StridedSliceOptions",
            beginMask=5,
            endMask=5,
        )
        found.append(m.dense(_flat(m, made), 2))
    m.output(*found)


def mixed(m: Maker) -> None:
    """What mixes all columns: a constant for each, a residual of it, columns joined, reduced."""
    x = m.conv(m.input([1, 9, 1, 4], scale=0.05, zero=2), 4, (2, 1))
    place = m.tensor([1, 8, 1, 4], scale=0.05, data=m.rng.integers(-127, 128, (1, 8, 1, 4)))
    a = m.op("ADD", [x, place], [m.tensor([1, 8, 1, 4], scale=0.1)], "AddOptions")
    b = m.op("ADD", [a, x], [m.tensor([1, 8, 1, 4], scale=0.1)], "AddOptions")
    c = m.op("CONCATENATION", [x, x], [m.like(x, [1, 16, 1, 4])], "ConcatenationOptions", axis=1)
    late = m.conv(x, 4, (3, 1))  # two columns fewer, joined to all
    d = m.op("QUANTIZE", [late], [m.like(x, [1, 6, 1, 4])], "QuantizeOptions")
    e = m.op("CONCATENATION", [x, d], [m.like(x, [1, 14, 1, 4])], "ConcatenationOptions", axis=1)
    m.output(b, m.dense(_flat(m, c), 2), m.dense(_flat(m, e), 2))


def without_weights(m: Maker) -> None:
    """Of each column alone where it can be, else of all."""
    x = m.conv(m.input([1, 9, 1, 4], scale=0.05, zero=2), 6, (2, 1))
    shape = m.shape(x)
    other = m.conv(m.current.inputs[0], 6, (2, 1))
    same = m.op("QUANTIZE", [other], [m.like(x)], "QuantizeOptions")
    gain = m.tensor([6], data=m.rng.integers(-127, 128, 6))
    found = [
        m.op("SUB", [x, other], [m.tensor(shape, scale=0.3)], "SubOptions"),
        m.op("SUB", [gain, x], [m.tensor(shape, scale=0.3)], "SubOptions"),
        m.op("MAXIMUM", [x, same], [m.like(x)], "MaximumMinimumOptions"),
        m.op("MINIMUM", [x, same], [m.like(x)], "MaximumMinimumOptions"),
        m.op("TANH", [x], [m.tensor(shape, scale=1 / 128, zero=0)]),
        m.op(
            "PRELU",
            [x, m.tensor([1, 1, 6], data=m.rng.integers(-127, 128, (1, 1, 6)))],
            [m.tensor(shape, scale=0.2)],
        ),
    ]
    for order in ((0, 1, 3, 2), (0, 2, 1, 3), (2, 1, 0, 3), (0, 3, 2, 1)):
        moved = m.like(x, [shape[axis] for axis in order])
        found.append(m.op("TRANSPOSE", [x, m.ints(*order)], [moved], "TransposeOptions"))
    for name, axes, left in [
        ("REDUCE_MAX", (3,), [1, 8, 1]),
        ("REDUCE_MIN", (1,), [1, 1, 6]),
        ("SUM", (2, 3), [1, 8]),
        ("MEAN", (0, 3), [8, 1]),
        ("SUM", (1, 3), [1, 1]),
    ]:
        result = m.like(x, left) if "REDUCE" in name else m.tensor(left, scale=0.4)
        found.append(m.op(name, [x, m.ints(*axes)], [result], "ReducerOptions"))
    for begin, size in (((0, 2, 0, 0), (1, 5, 1, 6)), ((0, 0, 0, 1), (1, -1, 1, 3))):
        cut = m.like(x, [1, 5, 1, 6] if size[1] == 5 else [1, 8, 1, 3])
        found.append(m.op("SLICE", [x, m.ints(*begin), m.ints(*size)], [cut], "SliceOptions"))
    found.append(m.op("UNPACK", [x], [m.like(x, [1, 8, 6])], "UnpackOptions", axis=2, num=1))
    rows = [m.like(x, [1, 1, 6]) for _ in range(8)]
    m.op("UNPACK", [x], rows, "UnpackOptions", axis=1, num=8)
    m.output(*(m.dense(_flat(m, t), 2) for t in [*found, rows[0], rows[5]]), found[0], found[4])


@pytest.mark.parametrize(
    "make",
    [one_dimension, flat_window, every_column, slices, mixed, without_weights],
    ids=lambda f: f.__name__,
)
def test_operators_over_time(tmp_path: Path, make: Callable[[Maker], None]) -> None:
    check_stream(written(tmp_path, make, name=f"over_{make.__name__}"))


def test_columns_along_any_axis_save_work(tmp_path: Path) -> None:
    for make, hop in ((one_dimension, 4), (flat_window, 8)):
        path = written(tmp_path, make)
        made = compile_model(path, "m", "plain", stream=True)
        assert made.program.inputs[0].shape[1] == hop
        assert made.program.macs < compile_model(path, "m", "plain").program.macs / 2


def padded(m: Maker) -> None:
    m.output(m.conv(m.input([1, 9, 1, 4]), 4, (3, 1), padding="SAME"))


def test_stream_refuses_padded_time(tmp_path: Path) -> None:
    path = written(tmp_path, padded)
    with pytest.raises(ConvertError, match=r"operator 0 \(CONV_2D\).*time is padded"):
        compile_model(path, "m", "plain", stream=True)


def test_stream_refuses_a_stream(tmp_path: Path) -> None:
    path = written(tmp_path, lambda m: columns(m, 1, 2), name="w")
    with pytest.raises(ConvertError, match="streams already"):
        compile_model(path, "m", "plain", stream=True)


def no_gain(m: Maker) -> None:
    x = m.input([1, 6, 4])
    m.output(m.dense(m.op("RESHAPE", [x, m.ints(1, 24)], [m.like(x, [1, 24])]), 5))


def test_a_stream_that_saves_nothing_is_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, no_gain)
    command = ["model", "compile", str(path), "--name", "m", "--out", str(tmp_path / "c")]
    assert main([*command, "--stream"]) == 0
    printed = capsys.readouterr().err
    assert (
        printed.count("\n") == 1 and "120 multiply-accumulates a run, 120 for the whole" in printed
    )
    assert main(command) == 0 and not capsys.readouterr().err


def single_values(m: Maker) -> None:
    m.output(m.dense(m.input([1, 24]), 5))


def test_a_stream_of_single_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=r"axis 1 of the input is no time.*120.*120"):
        compile_model(written(tmp_path, single_values), "m", "plain", stream=True)
