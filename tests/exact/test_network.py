# SPDX-License-Identifier: Apache-2.0
"""One network, many executors, the same bits.

Reference = LiteRT = TFLM = generated C, layer by layer; streaming = whole window; and a planted
fault is seen. Models are the toy (tests/support/make_toy.py) and, where it is there, models/alexa.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.executors import (
    ALEXA,
    EXECUTORS,
    TOY,
    HostC,
    Int8,
    LiteRT,
    Model,
    check_equal,
    compare,
)
from wakestate.convert.emit import generate
from wakestate.convert.reference import Layer, Stream, endpoints, outputs, requantize

MODELS = [TOY] + ([ALEXA] if (ALEXA.folder / "model.json").is_file() else [])
CASES = [
    pytest.param(model, state, id=f"{model.word.name}-{model.word.states[state]}")
    for model in MODELS
    for state in sorted({0, len(model.word.states) // 2, len(model.word.states) - 1})
]


def random_windows(model: Model, count: int, seed: int = 7) -> Int8:
    rng = np.random.default_rng(seed)
    shape = (count, model.word.model.receptive_hops, model.word.frontend.bands)
    return rng.integers(-128, 128, shape).astype(np.int8)


@pytest.mark.parametrize(("model", "state"), CASES)
@pytest.mark.parametrize("name", [n for n in EXECUTORS if n != "reference"])
def test_same_bits(name: str, model: Model, state: int) -> None:
    count = 20 if name == "reference stream" else 200
    check_equal(model, state, random_windows(model, count), EXECUTORS[name](model))


@pytest.mark.parametrize("value", [-128, 127])
def test_same_bits_at_the_ends(value: int) -> None:
    shape = (1, TOY.word.model.receptive_hops, TOY.word.frontend.bands)
    for name in EXECUTORS:
        check_equal(TOY, 0, np.full(shape, value, np.int8), EXECUTORS[name](TOY))


@pytest.mark.parametrize("model", MODELS, ids=[m.word.name for m in MODELS])
def test_stream_equals_whole_window_across_a_state_change(model: Model) -> None:
    """C = streaming reference at every step; = whole window on either side of the change."""
    network, word = model.network, model.word
    hops = word.model.receptive_hops
    rng = np.random.default_rng(3)
    change = hops + 7
    columns = rng.integers(-128, 128, (change + 2 * hops, word.frontend.bands)).astype(np.int8)
    before, after = 0, len(word.states) - 1
    c, stream = HostC(model), Stream(network, before)
    c.reset(before)
    seen = {"before": 0, "during": 0, "after": 0}
    for hop, column in enumerate(columns):
        if hop == change:
            c.set_state(after)
            stream.state = after
        out, layers = c.push(column), stream.push(column)
        assert (out is None) == (layers is None), f"hop {hop}: steps differ"
        if out is None or layers is None:
            continue
        streamed = layers[network.layers[-1].name]
        compare("reference stream", "host C", f"hop {hop} outputs", streamed, out)
        first = hop + 1 - hops
        part = "before" if hop < change else "after" if first >= change else "during"
        seen[part] += 1
        if first >= 0 and part != "during":
            state = before if part == "before" else after
            whole = outputs(network, state, columns[None, first : hop + 1])
            compare("whole window", "streams", f"hop {hop} outputs", whole[0], out)
    assert all(seen.values()), seen


def test_reset_is_digital_silence() -> None:
    """After a reset any number of silent hops changes nothing."""
    c = HostC(TOY)
    c.reset(1)
    silence = np.full(TOY.word.frontend.bands, -128, np.int8)
    pushed = [c.push(silence) for _ in range(5 * TOY.word.model.receptive_hops)]
    found = {tuple(out) for out in pushed if out is not None}
    windows = np.full((1, TOY.word.model.receptive_hops, TOY.word.frontend.bands), -128, np.int8)
    assert found == {tuple(outputs(TOY.network, 1, windows)[0])}


def _weights(layer: Layer) -> bytes:
    return layer.weights.tobytes()


@pytest.mark.parametrize("model", MODELS, ids=[m.word.name for m in MODELS])
def test_states_share_the_weight_bytes(model: Model) -> None:
    data = [model.file(state).read_bytes() for state in range(len(model.word.states))]
    for layer in model.network.layers:
        assert all(_weights(layer) in file for file in data), layer.name
    rows = {layer.name: len(np.unique(layer.multiplier, axis=0)) for layer in model.network.layers}
    assert rows["first"] == len(model.word.states) and rows["logit"] == 1, rows


def test_requantize_rounds_as_defined() -> None:
    """Against the definition in Python's unbounded integers, halves and ends included."""
    rng = np.random.default_rng(1)
    total = np.concatenate([rng.integers(-(1 << 30), 1 << 30, 4000), np.arange(-600, 600)])
    multiplier = rng.integers(1 << 30, 1 << 31, total.size)
    multiplier[::3] = 1 << 30
    shift = -rng.integers(0, 32, total.size)
    expected = []
    for t, m, s in zip(total.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        high = (t * m + (1 << 30)) >> 31
        half = (1 << -s) // 2
        rounded = (abs(high) + half) >> -s if s else abs(high)
        expected.append(rounded if high >= 0 else -rounded)
    compare(
        "definition",
        "reference",
        "requantize",
        np.asarray(expected),
        requantize(total, multiplier, shift),
    )


def test_endpoints_by_hand() -> None:
    """Two steps of 320 samples averaged; int8 10 is now, a step back is 7.25 samples for both."""

    def one(older: tuple[int, int], newer: tuple[int, int], now: int) -> tuple[int, int]:
        steps = np.array([[0, *older], [0, *newer]], np.int8)
        start, end = endpoints(steps, np.array([now]), 10, round(7.25 * 65536), 2, 320)
        return int(start[0]), int(end[0])

    # Their ages are 0 and 320: 160 on average, added to the mean of what they say.
    assert one((90, 14), (70, 10), 5000) == (5000 - 160 - 1015, 5000 - 160 - 29)
    assert one((90, 11), (70, 11), 5000) == (3825, 5000 - 160 - 15)  # 14.5: to the earlier
    assert one((90, 9), (70, 9), 5000) == (3825, 5000 - 160 + 14)  # -14.5: to the earlier
    assert one((90, -20), (70, -20), 5000) == (3825, 5000)  # still to come: ends now
    assert one((90, 14), (70, 10), 400) == (0, 211)
    assert one((90, 90), (70, 70), 400) == (0, 1)
    assert one((10, 90), (10, 90), 5000) == (3679, 3680)  # a start after the end
    assert one((-128, -128), (-128, -128), 1) == (0, 1)


FAULTS = {
    "input bit": ("x = in[i];", "x = in[i] ^ (i == 0);"),
    "first rounding": ("INT64_C(1) << 30", "INT64_C(1) << 28"),
    "second rounding": ("(shift - 1)) + 1) >> 1", "(shift - 1)) + 0) >> 1"),
    "clamp": ("value > range->high ? range->high", "value > 126 ? 126"),
    "table": ("first_multiplier[0],", "first_multiplier[1],"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_in_c_is_seen(fault: str) -> None:
    with pytest.raises(AssertionError, match=r"toy player=idle first: .* has -?\d+, host C -?\d+"):
        check_equal(TOY, 0, random_windows(TOY, 200), HostC(TOY, edit=FAULTS[fault]))


def test_planted_weight_bit_in_c_is_seen() -> None:
    """One bit of one weight, in a layer in the middle."""
    text = generate(TOY.word, TOY.word_path, TOY.folder)["ws_toy.c"]
    found = re.search(r"mix0_weights\[\d+\] = \{\n\s+(-?\d+)", text)
    assert found
    edit = (found[0], found[0].removesuffix(found[1]) + str(int(found[1]) ^ 1))
    with pytest.raises(AssertionError, match="toy player=music mix0: "):
        check_equal(TOY, 1, random_windows(TOY, 200), HostC(TOY, edit=edit))


def test_planted_weight_bit_in_tflite_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(TOY.folder, folder)
    model = Model(TOY.word_path, folder)
    weights = _weights(TOY.network.layers[1])
    data = model.file(0).read_bytes()
    at = data.index(weights)
    model.file(0).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    class Changed(LiteRT):
        def _run(self, state: int, windows: Int8, names: list[str]) -> dict[str, Int8]:
            return LiteRT(model)._run(state, windows, names)

    model.__dict__["network"] = TOY.network  # the changed folder itself no longer loads
    with pytest.raises(AssertionError, match="toy player=idle time0: "):
        check_equal(TOY, 0, random_windows(TOY, 200), Changed(TOY))


def test_compare_names_stage_index_and_values() -> None:
    a, b = np.zeros((2, 3), np.int8), np.zeros((2, 3), np.int8)
    b[1, 2] = 5
    with pytest.raises(AssertionError, match=r"mix0: x and y differ at index \(1, 2\): x has 0, y"):
        compare("x", "y", "mix0", a, b)
