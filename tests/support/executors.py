# SPDX-License-Identifier: Apache-2.0
"""Everything that runs a converted network, behind one interface, and one comparer.

    executor = EXECUTORS["litert"](TOY)
    outputs = executor.run_windows(state, windows)      int8[n, hops, bands] -> int8[n, 3]
    layers = executor.run_layers(state, windows)        {layer: int8[n, time, outputs]}

A new executor (a board, QEMU) subclasses `Executor` and is added to EXECUTORS; `run_layers` is
worth having, since a mismatch then names the layer, but not needed.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.sources import included
from wakestate.convert.emit import endpoint_q16, generate
from wakestate.convert.frontend import frames, reference, to_int8
from wakestate.convert.manifest import read_manifest, state_file
from wakestate.convert.reference import Network, Stream, endpoints, outputs, read_network, whole
from wakestate.render import write_files
from wakestate.words import Word, load_word

ROOT = Path(__file__).resolve().parents[2]
CFLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class Model:
    """A word file and its model folder."""

    word_path: Path
    folder: Path

    @cached_property
    def word(self) -> Word:
        return load_word(self.word_path)

    @cached_property
    def network(self) -> Network:
        return read_network(self.word, self.folder)

    def file(self, state: int) -> Path:
        """The .tflite of one state."""
        return self.folder / state_file(self.word, self.word.states[state])


TOY = Model(ROOT / "tests/toy/toy.toml", ROOT / "tests/toy")
ALEXA = Model(ROOT / "words/alexa.toml", ROOT / "models/alexa")


def compare(name_a: str, name_b: str, stage: str, a: NDArray[Any], b: NDArray[Any]) -> None:
    """Exactly equal, or an AssertionError that names stage, index and both values."""
    assert a.shape == b.shape, f"{stage}: {name_a} gives {a.shape}, {name_b} {b.shape}"
    differ = np.argwhere(np.asarray(a) != np.asarray(b))
    if len(differ):
        index = tuple(int(i) for i in differ[0])
        raise AssertionError(
            f"{stage}: {name_a} and {name_b} differ at index {index}: {name_a} has {a[index]}, "
            f"{name_b} {b[index]}; {len(differ)} of {a.size} values differ"
        )


def expected_of(model: Model, state: int, pcm: NDArray[np.int16]) -> dict[str, NDArray[Any]]:
    """What the engine computes of a recording, step for step, by the Python references alone.

    Stages as boards/vectors.py names them.
    """
    f, m, smoothing = model.word.frontend, model.word.model, model.word.detector.smoothing_steps
    hops, stride = m.receptive_hops, m.stride
    columns = to_int8(reference(f, frames(f, pcm)))
    # The network starts as after silence, the detector as if for smoothing steps.
    before = hops + (smoothing - 1) * stride
    stream = np.concatenate([np.full((before, f.bands), -128, np.int8), columns])
    first = hops % stride or stride  # hops until the first step
    last = np.arange(first - (smoothing - 1) * stride, len(columns) + 1, stride)
    windows = np.stack([stream[before + end - hops : before + end] for end in last])
    steps = outputs(model.network, state, windows)
    ends = f.window_samples + (last[smoothing - 1 :] - 1) * f.hop_samples
    zero = model.network.layers[-1].result.zero_point
    q16 = endpoint_q16(model.word, read_manifest(model.folder))
    start, end = endpoints(steps, ends, zero, q16, smoothing, stride * f.hop_samples)
    logits = np.lib.stride_tricks.sliding_window_view(steps[:, 0].astype(np.int64), smoothing)
    return {
        "stream_outputs": steps[smoothing - 1 :],
        "stream_score": logits.sum(axis=1),
        "stream_start": start,
        "stream_end": end,
    }


class Executor(ABC):
    """Runs the network of one model."""

    name: str

    def __init__(self, model: Model) -> None:
        self.model = model

    @abstractmethod
    def run_windows(self, state: int, windows: Int8) -> Int8:
        """Logit, start and end of each whole window: int8[n, hops, bands] -> int8[n, 3]."""

    def run_layers(self, state: int, windows: Int8) -> dict[str, Int8] | None:
        """Every layer's columns, int8[n, time, outputs]; None where they cannot be seen."""
        return None


class Reference(Executor):
    """convert/reference.py on whole windows."""

    name = "reference"

    def run_windows(self, state: int, windows: Int8) -> Int8:
        return outputs(self.model.network, state, windows)

    def run_layers(self, state: int, windows: Int8) -> dict[str, Int8]:
        return whole(self.model.network, state, windows)


class StreamReference(Executor):
    """convert/reference.py, streaming: hop for hop after a reset."""

    name = "reference stream"

    def run_windows(self, state: int, windows: Int8) -> Int8:
        stream, found = Stream(self.model.network, state), []
        for window in windows:
            stream.reset(state)
            layers = [stream.push(column) for column in window][-1]
            assert layers is not None, "a window must end on a step"
            found.append(layers[self.model.network.layers[-1].name])
        return np.asarray(found, np.int8)


class LiteRT(Executor):
    """ai-edge-litert with the reference kernels."""

    name = "litert"

    def _run(self, state: int, windows: Int8, names: list[str]) -> dict[str, Int8]:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        interpreter = Interpreter(
            str(self.model.file(state)),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        feed = interpreter.get_input_details()[0]["index"]
        places = {d["name"]: d["index"] for d in interpreter.get_tensor_details()}
        found: dict[str, list[Int8]] = {name: [] for name in names}
        for window in windows:
            interpreter.set_tensor(feed, window[None, :, None, :])
            interpreter.invoke()
            for name in names:
                found[name].append(interpreter.get_tensor(places[name])[0, :, 0, :])
        return {name: np.stack(parts) for name, parts in found.items()}

    def run_windows(self, state: int, windows: Int8) -> Int8:
        last = self.model.network.layers[-1].name
        return self._run(state, windows, [last])[last][:, 0]

    def run_layers(self, state: int, windows: Int8) -> dict[str, Int8]:
        return self._run(state, windows, [layer.name for layer in self.model.network.layers])


class TFLM(Executor):
    """TensorFlow Lite for Microcontrollers, PyPI tflite-micro."""

    name = "tflm"

    def run_windows(self, state: int, windows: Int8) -> Int8:
        from tflite_micro import runtime

        interpreter = runtime.Interpreter.from_file(str(self.model.file(state)))
        found = []
        for window in windows:
            interpreter.set_input(window[None, :, None, :], 0)
            interpreter.invoke()
            found.append(interpreter.get_output(0).ravel())
        return np.asarray(found, np.int8)


class HostC(Executor):
    """The generated C, compiled for this machine with the undefined-behavior sanitizer."""

    name = "host C"

    def __init__(self, model: Model, edit: tuple[str, str] | None = None) -> None:
        """`edit` replaces one text of the network by another, to plant a fault."""
        super().__init__(model)
        texts = generate(model.word, model.word_path, model.folder)
        texts |= included(texts.values())
        if edit:
            names = (f"ws_{model.word.name}.c", "kernels/plain.h")
            (file,) = (name for name in names if edit[0] in texts[name])
            texts[file] = texts[file].replace(*edit, 1)
        self._folder = tempfile.TemporaryDirectory(prefix="wakestate-")
        folder = Path(self._folder.name)
        write_files(folder, texts)
        library = folder / "network.so"
        command = [os.environ.get("CC", "cc"), *CFLAGS, "-O2", "-g", "-DWS_TRACE", "-DWS_CHECKED"]
        command += ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC"]
        command += [f"-I{folder}", f"-I{ROOT / 'firmware/include'}", f"-I{ROOT / 'firmware'}"]
        files = ["firmware/engine/word.c", "tests/native/network.c"]
        sources = [str(ROOT / file) for file in files]
        sources += [str(folder / f"ws_{name}.c") for name in ("words", model.word.name, "frontend")]
        subprocess.run([*command, "-o", str(library), *sources], check=True)
        self._c = ctypes.CDLL(str(library))
        self._out = np.zeros(3, np.int8)

    def reset(self, state: int, trace: Int8 | None = None) -> None:
        """As after digital silence; `trace` takes every layer's column from then on."""
        self._c.test_reset(state, None if trace is None else _pointer(trace))

    def set_state(self, state: int) -> None:
        self._c.test_state(state)

    def push(self, column: Int8) -> Int8 | None:
        """One hop; logit, start and end at a step."""
        column = np.ascontiguousarray(column)
        step = self._c.test_push(_pointer(column), _pointer(self._out))
        return self._out.copy() if step else None

    def run_windows(self, state: int, windows: Int8) -> Int8:
        found = []
        for window in windows:
            self.reset(state)
            out = [self.push(column) for column in window][-1]
            assert out is not None, "a window must end on a step"
            found.append(out)
        return np.asarray(found, np.int8)

    def run_layers(self, state: int, windows: Int8) -> dict[str, Int8]:
        """Of the streamed columns the newest, as many as the whole window has."""
        layers = self.model.network.layers
        widths = [layer.outputs for layer in layers]
        steps = (windows.shape[1] - layers[0].taps) // layers[0].stride + 1
        found: dict[str, list[Int8]] = {layer.name: [] for layer in layers}
        for window in windows:
            # After a reset the first hops may complete a step that began in the silence.
            trace = np.zeros((steps + layers[0].taps, sum(widths)), np.int8)
            self.reset(state, trace)
            done = sum(self.push(column) is not None for column in window)
            self.reset(state)
            split = np.split(trace[:done], np.cumsum(widths)[:-1], axis=1)
            time = steps
            for layer, columns in zip(layers, split, strict=True):
                time -= layer.span - 1 if layer is not layers[0] else 0
                found[layer.name].append(columns[done - time :])
        return {name: np.stack(parts) for name, parts in found.items()}


def _pointer(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


EXECUTORS: dict[str, type[Executor]] = {
    e.name: e for e in (Reference, StreamReference, LiteRT, TFLM, HostC)
}


def check_equal(model: Model, state: int, windows: Int8, against: Executor) -> None:
    """An executor equals the reference: layer by layer where it shows them, and in the outputs."""
    expected = whole(model.network, state, windows)
    where = f"{model.word.name} {model.word.states[state]}"
    given = against.run_layers(state, windows)
    for name, values in (given or {}).items():
        compare("reference", against.name, f"{where} {name}", expected[name], values)
    last = model.network.layers[-1].name
    values = against.run_windows(state, windows)
    compare("reference", against.name, f"{where} outputs", expected[last][:, 0], values)
