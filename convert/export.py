# SPDX-License-Identifier: Apache-2.0
"""A trained .keras -> the model folder: int8 .tflite for each state, two-input .tflite, model.json.

The TFLite converter quantizes the folded network once, for the first state: that fixes the
weight bytes, which all states share. Activation ranges are measured over all states, so the
states share activation scales too; what is rewritten for each state is the scale of the weights
of each channel and the int32 biases.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is loaded

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from wakestate.contract.metadata import ENDPOINT_HOPS, endpoint_range, metadata_vectors
from wakestate.convert.features import network_input
from wakestate.convert.fold import Folded, fold, layer_names, plain_model, set_folded
from wakestate.convert.frontend import frontend_hash
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Quantization
from wakestate.convert.manifest import (
    NAME,
    Logit,
    Manifest,
    check_thresholds,
    never_fires,
    read_manifest,
    set_thresholds,
    state_file,
    two_input_file,
    write_manifest,
)
from wakestate.files import make_folder, sha256, writing
from wakestate.words import Word

__all__ = ["export", "set_thresholds"]

TRAINING_SCALE = np.float32(1 / 32)  # of int8 columns, as the Keras network takes them
BIAS_LIMIT = float(1 << 29)  # keeps bias + sum of products within int32


def export(
    word: Word,
    model: keras.Model,
    keras_path: Path,
    calibration: NDArray[np.int8],
    out: Path,
    thresholds: dict[str, int] | None = None,
) -> Path:
    """Write the model folder `out` of the network `model`, which `keras_path` holds and which takes
    windows of the receptive field; int8 `calibration` is [n, receptive_hops, bands].

    Everything is made in a folder next to `out` and moved at the end, model.json last. Without
    `thresholds` the model never fires until `set_thresholds` gives them.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConvertError(
            f"KERAS_BACKEND: is '{keras.backend.backend()}'; the TFLite converter needs "
            "'tensorflow', whatever the model was trained with"
        )
    hops, bands = word.model.receptive_hops, word.frontend.bands
    if calibration.dtype != np.int8 or calibration.ndim != 3 or not len(calibration):
        raise ConvertError(
            f"calibration: {calibration.dtype} {calibration.shape}; int8 [n, {hops}, {bands}] is "
            "needed, n at least 1"
        )
    if calibration.shape[1:] != (hops, bands):
        raise ConvertError(
            f"calibration: windows of {calibration.shape[1:]} (hops, bands); "
            f"words/{word.name}.toml makes {(hops, bands)}"
        )
    given = thresholds or {state: never_fires(word) for state in word.states}
    check_thresholds("export", word, given)
    make_folder(out.parent)
    with writing(out), tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        made = Path(name)
        shutil.copyfile(keras_path, made / f"{word.name}.keras")
        logit = _write_states(word, model, calibration, made)
        windows = _corners(calibration, Quantization(float(TRAINING_SCALE), 0))
        (made / two_input_file(word)).write_bytes(_two_input(word, model, windows))
        files = {path.name: sha256(path) for path in sorted(made.iterdir())}
        manifest = Manifest(
            word=word.name,
            frontend_hash=frontend_hash(word.frontend),
            metadata=word.metadata,
            logit=logit,
            endpoint_hops=ENDPOINT_HOPS,
            thresholds={state: int(given[state]) for state in word.states},
            files=files,
        )
        write_manifest(made, manifest)
        _move(made, out, files)
    return out


def _move(made: Path, out: Path, files: dict[str, str]) -> None:
    """Move the files over; what an older model.json names, with its hash, and the new one does not
    is removed."""
    out.mkdir(exist_ok=True)
    stale: dict[str, str] = {}
    with contextlib.suppress(ConvertError):  # none there, or not readable
        stale = read_manifest(out).files
    for name in [*files, NAME]:
        (made / name).replace(out / name)
    for name in stale.keys() - files.keys():
        if (out / name).is_file() and sha256(out / name) == stale[name]:
            (out / name).unlink()


def _corners(calibration: NDArray[np.int8], given: Quantization) -> NDArray[np.float32]:
    """The windows as floats, with both ends of int8 in the first.

    The converter then finds the scale and zero point `given`, of 1/32 and 0 exactly.
    """
    ends = calibration.copy()
    ends[0, 0, 0], ends[0, 0, -1] = -128, 127
    centered = ends[:, :, None, :].astype(np.float32) - np.float32(given.zero_point)
    return centered * np.float32(given.scale)


def _of_features(folded: dict[str, Folded], given: Quantization) -> dict[str, Folded]:
    """A network whose first layer takes columns as `given`, not as in training."""
    first = folded["first"]
    assert first.bias is not None
    kernel = first.kernel * (float(TRAINING_SCALE) / given.scale)
    shift = given.zero_point * float(TRAINING_SCALE) * first.kernel.sum(axis=(0, 1, 2))
    return {**folded, "first": Folded(kernel, first.bias + shift, first.gain)}


def _write_states(
    word: Word, model: keras.Model, calibration: NDArray[np.int8], made: Path
) -> Logit:
    plain, given = plain_model(word, word.model.receptive_hops), network_input(word.frontend)
    windows = _corners(calibration, given)
    states = [_of_features(fold(model, word, v), given) for v in metadata_vectors(word)]
    low = dict.fromkeys(layer_names(word), 0.0)
    high = dict.fromkeys(layer_names(word), 0.0)
    low["logit"], high["logit"] = endpoint_range(word)
    for folded in states:
        set_folded(plain, folded)
        for first in range(0, len(windows), 64):
            outputs = plain.predict_on_batch(windows[first : first + 64])
            outputs["logit"] = outputs["logit"][..., 0]
            for name, values in outputs.items():
                low[name] = min(low[name], float(np.min(values)))
                high[name] = max(high[name], float(np.max(values)))
    quantization = {name: _quantization(low[name], high[name]) for name in low}
    set_folded(plain, states[0])
    converted = _convert(keras.Model(plain.inputs, plain.get_layer("logit").output), [windows])
    base = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(converted, 0))
    _rename(base, word)
    columns = base.subgraphs[0].tensors[base.subgraphs[0].inputs[0]].quantization
    columns.scale = np.asarray([given.scale], np.float32)
    columns.zeroPoint = np.asarray([given.zero_point], np.int64)
    _widen(base, word, states, quantization)
    for state, folded in zip(word.states, states, strict=True):
        one = copy.deepcopy(base)
        _rewrite(one, word, states[0], folded, quantization)
        (made / state_file(word, state)).write_bytes(_pack(one))
    scale, zero_point = quantization["logit"]
    return Logit(scale=float(scale), zero_point=zero_point)


def _quantization(low: float, high: float) -> tuple[np.float32, int]:
    """TFLite's asymmetric int8 (scale, zero point) for a measured range that includes 0."""
    scale = np.float32(max(high - low, 1e-3) / 255)
    return scale, int(np.clip(round(-128 - low / float(scale)), -128, 127))


def _convert(model: keras.Model, feeds: list[NDArray[np.float32]]) -> bytes:
    """The TFLite converter, int8 throughout, batch 1; feeds are in the order of model.inputs."""
    inputs = [keras.Input(x.shape[1:], batch_size=1, name=x.name) for x in model.inputs]
    names = [x.name for x in model.inputs]
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, model(inputs)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8

    def batches() -> Iterator[dict[str, NDArray[np.float32]]]:
        # By name: the converted model's own order of inputs is not that of Keras.
        for i in range(len(feeds[0])):
            yield {name: feed[i : i + 1] for name, feed in zip(names, feeds, strict=True)}

    converter.representative_dataset = batches
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the interpreter that TensorFlow itself calls
        return bytes(converter.convert())


def _rename(model: Any, word: Word) -> None:
    """Name the tensors after our layers; give every constant a buffer of its own."""
    graph = model.subgraphs[0]
    names = layer_names(word)
    if len(graph.operators) != len(names):
        raise ConvertError(
            f"converter: {len(graph.operators)} operators for the {len(names)} layers "
            f"{', '.join(names)}; each layer must become one operator"
        )
    graph.tensors[graph.inputs[0]].name = b"features"
    for name, op in zip(names, graph.operators, strict=True):
        _, weights, bias = op.inputs
        graph.tensors[op.outputs[0]].name = name.encode()
        for index, part in ((weights, "weights"), (bias, "bias")):
            tensor = graph.tensors[index]
            tensor.name = f"{name}/{part}".encode()
            model.buffers.append(copy.deepcopy(model.buffers[tensor.buffer]))
            tensor.buffer = len(model.buffers) - 1
    _drop_unused_buffers(model)


def _drop_unused_buffers(model: Any) -> None:
    used = {0} | {t.buffer for t in model.subgraphs[0].tensors}
    used |= {m.buffer for m in model.metadata or []}
    remaining = sorted(used)
    place = {old: new for new, old in enumerate(remaining)}
    model.buffers = [model.buffers[old] for old in remaining]
    for owner in [*model.subgraphs[0].tensors, *(model.metadata or [])]:
        owner.buffer = place[owner.buffer]


def _parts(model: Any, word: Word) -> Iterator[tuple[str, str, Any, Any, Any]]:
    """(layer, name of its input, weight tensor, bias tensor, output tensor)."""
    graph = model.subgraphs[0]
    before = "features"
    for name, op in zip(layer_names(word), graph.operators, strict=True):
        weights, bias = (graph.tensors[index] for index in op.inputs[1:])
        yield name, before, weights, bias, graph.tensors[op.outputs[0]]
        before = name


def _widen(
    base: Any,
    word: Word,
    states: list[dict[str, Folded]],
    quantization: dict[str, tuple[np.float32, int]],
) -> None:
    """Coarsen weights that are so small that a state's bias would not fit int32."""
    scales: dict[str, float] = {"features": network_input(word.frontend).scale}
    scales |= {name: float(scale) for name, (scale, _) in quantization.items()}
    for name, before, weights, _, _ in _parts(base, word):
        scale = np.asarray(weights.quantization.scale, np.float64)
        need = np.ones_like(scale)
        for folded in states:
            bias, gain = folded[name].bias, folded[name].gain / states[0][name].gain
            if bias is not None:
                need = np.maximum(need, np.abs(bias) / (scales[before] * scale * gain) / BIAS_LIMIT)
        if np.any(need > 1):
            axis = weights.quantization.quantizedDimension
            shape = [-1 if i == axis else 1 for i in range(4)]
            values = np.asarray(base.buffers[weights.buffer].data, np.uint8).view(np.int8)
            values = np.rint(values.reshape(weights.shape) / need.reshape(shape)).astype(np.int8)
            base.buffers[weights.buffer].data = values.reshape(-1).view(np.uint8)
            weights.quantization.scale = (scale * need).astype(np.float32)


def _rewrite(
    one: Any,
    word: Word,
    first: dict[str, Folded],
    folded: dict[str, Folded],
    quantization: dict[str, tuple[np.float32, int]],
) -> None:
    """Turn the converted first state into another one; weight bytes stay."""
    scale_in = np.float32(network_input(word.frontend).scale)
    for name, _, weights, bias, output in _parts(one, word):
        base = np.asarray(weights.quantization.scale, np.float64)
        scale = (base * (folded[name].gain / first[name].gain)).astype(np.float32)
        bias_scale = (scale_in * scale).astype(np.float32)
        value = folded[name].bias
        exact = np.zeros(len(scale)) if value is None else value
        ints = np.rint(exact / (np.float64(scale_in) * scale.astype(np.float64)))
        weights.quantization.scale = scale
        bias.quantization.scale = bias_scale
        one.buffers[bias.buffer].data = ints.astype("<i4").view(np.uint8)
        scale_out, zero_point = quantization[name]
        output.quantization.scale = np.asarray([scale_out], np.float32)
        output.quantization.zeroPoint = np.asarray([zero_point], np.int64)
        scale_in = scale_out


def _pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _two_input(word: Word, model: keras.Model, windows: NDArray[np.float32]) -> bytes:
    """The conditional model as it is: features and one-hot metadata in, plain MUL and ADD."""
    vectors = metadata_vectors(word)
    metadata = vectors[np.arange(len(windows)) % len(vectors)]
    return _convert(model, [windows, metadata])
