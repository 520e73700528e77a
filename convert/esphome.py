# SPDX-License-Identifier: Apache-2.0
"""A word as a model of microWakeWord for ESPHome: JSON manifest, version 2, and streaming .tflite.

The file has one device state, with the weights, scales and biases that the word's own .tflite has;
variables keep the columns that its convolutions look back to, so that a run takes the newest
columns only. Without START and END: what comes out is the probability of the word alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from wakestate import ROOT, __version__
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.fixedpoint import multiply, quantize_multiplier
from wakestate.convert.graph.tflite_graph import Graph, Op, Quantization, model_of, read_model
from wakestate.convert.graph.writer import Scales, Writer
from wakestate.convert.manifest import Manifest, check_manifest, never_wakes, state_file
from wakestate.render import render
from wakestate.words import Word, load_word
from wakestate.words.schema import MICRO

#: What the component registers, in ESPHome 2026.6; and how many variables it has room for.
OPERATORS = (
    *("ADD", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "CALL_ONCE", "CONCATENATION", "CONV_2D"),
    *("DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PACK"),
    *("PAD", "QUANTIZE", "READ_VARIABLE", "RESHAPE", "SPLIT_V", "STRIDED_SLICE", "VAR_HANDLE"),
)
MAX_VARIABLES = 20
MINIMUM_VERSION = "2024.7.0"  # the first that takes manifests of version 2
_PROBABILITY = Quantization(1 / 256, -128)
_MASKS = {"BeginMask": 0b1101, "EndMask": 0b1111}  # whole, but along time from the first index on


@dataclass(frozen=True)
class About:
    """What the manifest says of its makers."""

    author: str = "unknown"
    website: str | None = None


def esphome_files(word_path: Path, folder: Path, about: About, command: str) -> dict[str, bytes]:
    """NAME.json, NAME.tflite, example.yaml, README.md and LICENSE of the word in its first device
    state; `command` makes them again. ConvertError, WordError."""
    word = load_word(word_path)
    manifest = check_manifest(folder, word)
    if never_wakes(word, manifest):
        raise ConvertError(
            f"{folder}: no thresholds are set, so nothing would wake it; hint: wakestate evaluate "
            f"--word {word_path} --model {folder} --set-thresholds"
        )
    state, imported = word.states[0], word.model.network == "microwakeword"
    if imported:
        model = (folder / state_file(word, state)).read_bytes()
        cutoff = _short_decimal(manifest.thresholds[state], word.detector.smoothing_steps)
    else:
        _check_frontend(word_path, word)
        center = round(manifest.thresholds[state] / word.detector.smoothing_steps)
        model = streaming_model(folder / state_file(word, state), center)
        cutoff = _cutoff(manifest, state, word.detector.smoothing_steps, center)
    graph = model_of(model, folder / f"{word.name}.tflite").graphs[0]
    foreign = sorted({op.name for op in graph.ops} - set(OPERATORS))
    if foreign:
        raise ConvertError(f"{folder}: ESPHome does not register {', '.join(foreign)}")
    given: dict[str, Any] = {
        "type": "micro",
        "wake_word": " ".join(part[:1].upper() + part[1:] for part in word.phrase.split()),
        "author": about.author,
        **({"website": about.website} if about.website else {}),
        "model": f"{word.name}.tflite",
        "trained_languages": [word.data.language],
        "version": 2,
        "micro": {
            "probability_cutoff": cutoff,
            "feature_step_size": 10,
            "sliding_window_size": word.detector.smoothing_steps,
            "tensor_arena_size": arena_bytes(graph),
            "minimum_esphome_version": MINIMUM_VERSION,
        },
    }
    values = {
        "word": word,
        "state": state,
        "imported": imported,
        "command": command,
        "cutoff": cutoff,
        "arena": given["micro"]["tensor_arena_size"],
        "bytes": len(model),
        "version": __version__,
    }
    return {
        f"{word.name}.json": (json.dumps(given, indent=2, ensure_ascii=False) + "\n").encode(),
        f"{word.name}.tflite": model,
        "example.yaml": render("esphome/example.yaml.j2", **values).encode(),
        "README.md": render("esphome/README.md.j2", **values).encode(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }


def _check_frontend(path: Path, word: Word) -> None:
    """ConvertError where ESPHome has other features."""
    if word.frontend.kind != "micro":
        raise ConvertError(
            f'{path}: frontend.kind: is "lfbe"; ESPHome computes the features of "micro" alone: '
            "set it and train again"
        )
    scale = word.frontend.feature_scale or 0.0
    if abs(scale / MICRO["feature_scale"] - 1) > 0.01:
        raise ConvertError(
            f"{path}: frontend.feature_scale: is {scale:g}; ESPHome's is "
            f"{MICRO['feature_scale']:.7g}: leave it out and train again"
        )


def _cutoff(manifest: Manifest, state: str, steps: int, center: int) -> float:
    """The probability of equal logits whose sum is the threshold."""
    above = manifest.thresholds[state] / steps - center
    return round(1 / (1 + math.exp(-manifest.logit.scale * above)), 3)


def _short_decimal(threshold: int, steps: int) -> float:
    """The shortest number of which that sum of `steps` int8 outputs is the least whose mean is
    above: what microwakeword.threshold makes of it."""
    low, high = (threshold - 1 + 128 * steps, threshold + 128 * steps)
    for digits in range(1, 9):
        ten = 10**digits
        found = -(-low * ten // (256 * steps))  # the first at or above low
        if found * 256 * steps < high * ten:
            return found / ten
    raise AssertionError("an interval of 1 / (256 * 16) has a number of 4 digits")


def streaming_model(path: Path, center: int) -> bytes:
    """The network of a word's .tflite as a streaming one.

    `center`: the int8 logit whose probability is half. A run takes int8[1, stride, bands], gives
    uint8[1, 1]: the probability, 1/256 a step. Silence comes before the first.
    """
    graph = read_model(path).graphs[0]
    made = _Streaming(bands=graph.inputs[0].shape[3])
    x = made.columns(graph)
    new = int(graph.ops[0].options["stride_h"])
    for number, op in enumerate(graph.ops):
        taps, apart = op.source(1).shape[1], int(op.options["dilation_h_factor"])
        x = made.window(op, x, (taps - 1) * apart + 1, new)
        x, new = made.layer(op, x, outputs=1 if number == len(graph.ops) - 1 else None), 1
    made.probability(graph.ops[-1].outputs[0].quantization, x, center)
    return made.content()


class _Streaming:
    """The graph on its way, and what its variables are at the start."""

    def __init__(self, bands: int) -> None:
        self.writer = Writer()
        self.silent = np.full(bands, -128)  # what the newest layer gives in silence
        self.input = self.output = -1
        self.first: dict[str, tuple[NDArray[np.integer], Quantization]] = {}
        self.writer.op("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=1)

    def columns(self, graph: Graph) -> int:
        """The input, as columns of height 1."""
        (given,) = graph.inputs
        new, bands = int(graph.ops[0].options["stride_h"]), given.shape[3]
        self.input = self.writer.tensor("columns", [1, new, bands], "INT8", given.quantization)
        return self._reshaped("features", self.input, [1, new, 1, bands], given.quantization)

    def window(self, op: Op, x: int, span: int, new: int) -> int:
        """The newest `span` columns of what an operator looks at, of which `x` has `new`."""
        w, given = self.writer, op.source()
        name, channels, q = f"{op.outputs[0].name}_window", given.shape[3], given.quantization
        if span == new:
            return x
        if span < new:
            return self._newest(name, x, span, new - span, channels, q)
        keep = span - new
        handle, old = (
            self._variable(name),
            w.tensor(f"{name}_old", [1, keep, 1, channels], "INT8", q),
        )
        w.op("READ_VARIABLE", [handle], [old], "ReadVariableOptions")
        whole_window = w.tensor(name, [1, span, 1, channels], "INT8", q)
        w.op("CONCATENATION", [old, x], [whole_window], "ConcatenationOptions", Axis=1)
        newest = self._newest(f"{name}_newest", whole_window, keep, new, channels, q)
        w.op("ASSIGN_VARIABLE", [handle, newest], [], "AssignVariableOptions")
        self.first[name] = np.broadcast_to(self.silent, (1, keep, 1, channels)), q
        return whole_window

    def layer(self, op: Op, x: int, outputs: int | None) -> int:
        """A convolution, or the first of its outputs."""
        w, name, result = self.writer, op.outputs[0].name, op.outputs[0]
        weights, bias = op.source(1), op.data(2)
        depthwise = op.name == "DEPTHWISE_CONV_2D"
        data, scales = op.data(1), np.broadcast_to(weights.scales, bias.size)[:outputs]
        data = data if depthwise else data[:outputs]
        given = [
            w.tensor(
                f"{name}_weights", data.shape, "INT8", Scales(scales, 3 if depthwise else 0), data
            ),
            w.tensor(
                f"{name}_bias",
                [len(scales)],
                "INT32",
                Scales(scales * op.source().quantization.scale, 0),
                bias[:outputs],
            ),
        ]
        y = w.tensor(name, [1, 1, 1, len(scales)], "INT8", result.quantization)
        options = {
            "Padding": tflite.Padding.VALID,
            "StrideH": int(op.options["stride_h"]),
            "StrideW": 1,
            "DilationHFactor": int(op.options["dilation_h_factor"]),
            "DilationWFactor": 1,
            "FusedActivationFunction": getattr(tflite.ActivationFunctionType, op.activation),
        }
        if depthwise:
            w.op(op.name, [x, *given], [y], "DepthwiseConv2DOptions", DepthMultiplier=1, **options)
        else:
            w.op(op.name, [x, *given], [y], "Conv2DOptions", **options)
        self.silent = _of_silence(op, self.silent)
        return y

    def probability(self, q: Quantization, logit: int, center: int) -> None:
        """Of a logit less the one at `center`: the subtraction only moves the zero point, exactly,
        so that uint8 is fine where the threshold is."""
        w = self.writer
        flat = self._reshaped("logit_flat", logit, [1, 1], q)
        less = center - q.zero_point
        zero = 127 if less > 0 else -128
        constant = w.tensor(
            "threshold", [1, 1], "INT8", Quantization(q.scale, zero), np.array([[zero - less]])
        )
        above = w.tensor("above_threshold", [1, 1], "INT8", Quantization(q.scale, center))
        w.op("ADD", [flat, constant], [above], "AddOptions")
        signed = w.tensor("probability_int8", [1, 1], "INT8", _PROBABILITY)
        w.op("LOGISTIC", [above], [signed])
        self.output = w.tensor("probability", [1, 1], "UINT8", Quantization(_PROBABILITY.scale, 0))
        w.op("QUANTIZE", [signed], [self.output], "QuantizeOptions")

    def content(self) -> bytes:
        """The file, with the graph that gives the variables their first values."""
        if len(self.first) > MAX_VARIABLES:
            raise ConvertError(
                f"{len(self.first)} layers look back; ESPHome has room for {MAX_VARIABLES}"
            )
        w = self.writer
        w.ends([self.input], [self.output])
        w.graph("start")
        for name, (values, q) in self.first.items():
            handle = self._variable(name)
            data = w.tensor(f"{name}_first", values.shape, "INT8", q, values)
            w.op("ASSIGN_VARIABLE", [handle, data], [], "AssignVariableOptions")
        w.ends([], [])
        return w.content(f"Wakestate {__version__}")

    def _variable(self, name: str) -> int:
        handle = self.writer.tensor(f"{name}_variable", [], "RESOURCE")
        options = {"Container": "", "SharedName": name}
        self.writer.op("VAR_HANDLE", [], [handle], "VarHandleOptions", **options)
        return handle

    def _reshaped(self, name: str, x: int, shape: list[int], q: Quantization) -> int:
        w = self.writer
        sizes = w.tensor(f"{name}_shape", [len(shape)], "INT32", data=np.array(shape))
        y = w.tensor(name, shape, "INT8", q)
        w.op("RESHAPE", [x, sizes], [y], "ReshapeOptions")
        return y

    def _newest(
        self, name: str, x: int, count: int, first: int, channels: int, q: Quantization
    ) -> int:
        """The last `count` columns of `x`, from `first` on."""
        w = self.writer
        ends = ([0, first, 0, 0], [1, first + count, 1, channels], [1, 1, 1, 1])
        given = [
            w.tensor(f"{name}_{part}", [4], "INT32", data=np.array(values))
            for part, values in zip(("begin", "end", "strides"), ends, strict=True)
        ]
        y = w.tensor(name, [1, count, 1, channels], "INT8", q)
        w.op("STRIDED_SLICE", [x, *given], [y], "StridedSliceOptions", **_MASKS)
        return y


def _of_silence(op: Op, column: NDArray[np.integer]) -> NDArray[np.integer]:
    """What a convolution makes of columns that are all the same."""
    given, result = op.source().quantization, op.outputs[0].quantization
    centered, weights = column.astype(np.int64) - given.zero_point, op.data(1).astype(np.int64)
    taps = weights.sum(axis=(0, 1, 2) if op.name == "DEPTHWISE_CONV_2D" else (1, 2))
    total = taps * centered if op.name == "DEPTHWISE_CONV_2D" else taps @ centered
    scales = np.broadcast_to(op.source(1).scales, total.shape)
    low = result.zero_point if op.activation == "RELU" else -128
    found = [
        multiply(value, *quantize_multiplier(given.scale * float(scale) / result.scale))
        for value, scale in zip(total + op.data(2).astype(np.int64), scales, strict=True)
    ]
    return np.clip(np.array(found) + result.zero_point, low, 127)


def arena_bytes(graph: Graph) -> int:
    """What `tensor_arena_size` says; more than TFLM is known to need, see docs/integrate.md.

    Variables; a quarter more than the most that is alive at once; a multiplier and a shift of each
    channel; the largest convolution's weights and input twice, which the ESP32's own kernels
    may copy; and what tensors and operators are described by.
    """
    variables = sum(_up(op.outputs[0].bytes) for op in graph.ops if op.name == "READ_VARIABLE")
    dense = [op for op in graph.ops if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    dense += [op for op in graph.ops if op.name == "FULLY_CONNECTED"]
    rows = sum(8 * op.outputs[0].shape[-1] + 64 for op in dense)
    copies = max((2 * (op.source(1).bytes + op.source().bytes) for op in dense), default=0)
    tensors = {id(t) for op in graph.ops for t in (*op.given, *op.outputs)}
    described = 48 * len(tensors) + 160 * len(graph.ops) + 2048
    return _up(variables + _alive(graph) * 5 // 4 + rows + copies + described)


def _alive(graph: Graph) -> int:
    """The most bytes that are in use at once, of tensors that are not constant."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    sizes: dict[int, int] = {}
    ends: Iterable[Any] = [(0, graph.inputs), *((n, _values(op)) for n, op in enumerate(graph.ops))]
    for number, tensors in [*ends, (len(graph.ops) - 1, graph.outputs)]:
        for tensor in tensors:
            first.setdefault(id(tensor), number)
            last[id(tensor)], sizes[id(tensor)] = number, _up(tensor.bytes)
    return max(
        sum(sizes[t] for t in sizes if first[t] <= number <= last[t])
        for number in range(len(graph.ops))
    )


def _values(op: Op) -> list[Any]:
    return [t for t in (*op.given, *op.outputs) if t.data is None]


def _up(size: int) -> int:
    return -(-size // 16) * 16
